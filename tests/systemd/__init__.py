"""Tests on a host that systemd runs, in the lab: `make test-systemd`. They run inside it, as root."""

WISHES: dict[str, tuple[str, ...]] = {
    # VEs of one's own.
    "make a VE with nothing prepared, and find it from any shell, any unit and as root": (
        "test_own::test_a_ve_is_made_found_set_and_removed",
        "test_own::test_it_is_found_from_any_shell_and_any_unit_with_nothing_exported",
    ),
    "do the same as an ordinary user": (
        "test_own_user::test_a_user_makes_sets_undoes_and_removes_a_ve",
        "test_own_user::test_the_command_and_attached_processes_run_in_it",
        "test_own_user::test_a_user_without_a_systemd_is_told_how_to_get_one",
    ),
    "stop a unit, isolate a target or kill rctl, and the other VEs run on": (
        "test_own::test_stopping_its_unit_ends_that_ve_alone",
        "test_own::test_isolate_leaves_it",
        "test_own::test_the_end_of_a_program_of_rctl_leaves_it",
        "test_own::test_a_neighbours_oom_kill_leaves_it_alone",
    ),
    "load or execute systemd anew, or upgrade rctl, and keep the VEs": (
        "test_own::test_ves_with_and_without_processes_outlive_a_reload",
        "test_own::test_a_ve_outlives_an_upgrade_and_the_new_rctl_manages_it",
    ),
    "run a VE as the command of a service, whose stop leaves nothing": (
        "test_own::test_a_service_whose_command_is_run_in_a_ve_leaves_nothing",
        "test_own::test_a_service_that_becomes_the_command_is_told_what_its_stop_leaves",
    ),
    "put the main process of a service into a VE, with or without its workers, and back": (
        "test_own::test_a_services_main_process_that_is_taken_out_comes_back_with_undo",
        "test_own::test_a_service_whose_processes_are_all_taken_out_gets_them_back_with_undo",
    ),
    "kill a benchmark, which then leaves no VE": ("test_own::test_the_ves_of_a_benchmark_that_is_killed_are_removed",),
    "measure what a VE costs on such a host": ("test_own::test_bench_explain_measures_below_a_ve_of_its_own",),
    # Units.
    "set limits of a service by its name or path, which systemd keeps": (
        "test_units::test_every_limit_that_systemd_has_is_set_and_survives_reload_reexec_and_restart",
        "test_units::test_a_service_is_set_by_its_path_too",
        "test_units::test_a_scope_and_a_slice_are_set_the_same_way",
        "test_units::test_what_systemd_cannot_say_and_does_not_reset_goes_to_the_file",
    ),
    "see what a change of a unit or a container would do, also with rctl diff": (
        "test_units::test_the_plan_says_through_whom_each_limit_goes",
        "test_spec::test_each_is_changed_through_its_owner_and_undone_as_one",
    ),
    "describe units, containers and VEs in one file, and write it from what is there": (
        "test_spec::test_one_that_cannot_be_changed_leaves_all_as_they_were",
        "test_spec::test_batches_reach_units_and_containers",
        "test_spec::test_what_is_exported_changes_nothing_when_it_is_applied",
        "test_spec::test_what_a_unit_has_by_itself_is_left_out_and_said",
    ),
    "take a change of a unit back, stored values included": (
        "test_units::test_undo_makes_unset_what_was_not_set",
        "test_units::test_undo_keeps_what_was_set_to_the_default_as_set",
        "test_units::test_values_of_the_units_own_file_come_back",
        "test_units::test_undo_puts_back_what_only_the_file_had",
    ),
    "limit a unit until the next boot only": ("test_units::test_runtime_lasts_until_the_next_boot_only",),
    "set limits of a user's unit, as root or as that user, which the user's systemd keeps": (
        "test_units::test_root_sets_a_users_unit_through_the_users_manager",
        "test_units::test_a_user_sets_her_own_units",
    ),
    # Containers.
    "set limits of a docker container by its name, id, short id or path": (
        "test_docker::test_it_is_set_by_its_name_its_id_and_its_path",
        "test_docker::test_every_limit_that_docker_has_is_stored_and_outlasts_reload_and_restart",
        "test_docker::test_what_docker_lacks_goes_through_the_scope_in_the_same_transaction",
        "test_docker::test_undo_puts_back_what_docker_had_stored",
        "test_names::test_a_container_is_found_by_name_id_and_the_beginning_of_its_id",
    ),
    "set limits of a podman container by its name, id, short id or path": (
        "test_podman::test_it_is_set_by_its_name_its_id_and_its_path",
        "test_podman::test_every_limit_is_set_and_undone",
        "test_podman::test_root_and_alice_set_limits_of_her_container",
        "test_podman_stored::test_every_limit_that_podman_has_outlasts_a_restart_and_undo_puts_its_own_back",
    ),
    "raise a limit that podman has set on a container and on the scope around it": (
        "test_podman::test_a_limit_that_podman_has_lowered_is_raised_in_effect",
        "test_podman::test_a_note_says_that_podman_does_not_know_the_limit",
        "test_podman_stored::test_no_limit_is_stored_as_none_and_the_scope_does_not_keep_one",
    ),
    # Names.
    "read a list of all that runs, in a terminal of 90 columns": (
        "test_names::test_a_list_is_no_wider_than_the_terminal",
        "test_names::test_each_container_is_listed_by_its_name_with_owner_and_image",
        "test_names::test_units_are_listed_by_their_names",
    ),
    "complete a name in the shell": ("test_names::test_completion_offers_them",),
    "find VEs, units and containers by their names in the exporter": (
        "test_names::test_the_exporter_has_their_names_and_images",
        "test_own::test_it_is_shown_as_rctls_own_with_its_unit",
        "test_setup::test_the_exporters_unit_names_ves_and_units_and_with_the_setting_that_it_advises_containers",
    ),
    # Installing.
    "install the units of rctl from a virtual environment anywhere, and take them away": (
        "test_setup::test_units_work_wherever_rctl_is_installed",
        "test_setup::test_a_virtual_environment_that_moved_is_mended_by_setup",
        "test_setup::test_an_ordinary_user_gets_units_of_her_own",
    ),
    "restart the exporter and systemd while Prometheus asks": (
        "test_setup::test_the_exporter_answers_while_it_and_systemd_are_restarted",
    ),
    # Advice.
    "do what a message advises, and it works": (
        "test_remedies::test_a_limit_that_systemd_sets_at_the_start_is_set_with_systemctl_edit",
        "test_remedies::test_a_ve_below_a_unit_with_delegate_has_what_systemd_sets_on_units",
        "test_remedies::test_without_rctl_tree_it_works",
        "test_remedies::test_a_units_processes_are_ended_with_systemctl",
        "test_remedies::test_a_container_is_removed_with_docker",
        "test_remedies::test_weights_of_a_disk_count_after_what_doctor_advises",
        "test_own_user::test_a_controller_that_users_do_not_get_is_refused_with_the_drop_in_that_gives_it",
        "test_docker::test_a_member_of_the_group_docker_sets_limits_and_others_do_not",
        "test_podman_stored::test_undo_waits_for_podman_to_listen_and_needs_no_running_container",
    ),
    "learn from doctor what works here": (
        "test_own::test_doctor_finds_nothing_to_fix",
        "test_units::test_doctor_says_that_limits_can_be_set_here",
        "test_names::test_the_doctor_counts_them",
    ),
    # Limits that last.
    "have limits again when a unit or a container starts again": (
        "test_last::test_a_unit_that_starts_again_gets_back_what_systemd_does_not_know",
        "test_last::test_a_container_that_starts_again_gets_back_what_its_manager_forgot",
    ),
    "set a limit for a while, also from a unit that ends before": (
        "test_last::test_a_timer_outlives_the_unit_that_set_it",
        "test_last::test_a_timer_of_a_user_outlives_her_unit",
        "test_last::test_over_a_stored_limit_it_is_stored_and_restore_ends_it_after_a_boot",
    ),
    "see who changed a limit, and put it back": (
        "test_last::test_drift_names_the_property_that_was_changed_in_systemd",
    ),
    # All old or all new, and it is said.
    "kill rctl in a change or an undo, and load or execute systemd anew before the recovery": (
        "test_faults::test_kill_at_any_moment_leaves_all_old_or_all_new",
        "test_faults::test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not",
        "test_docker_faults::test_kill_at_any_moment_leaves_all_old_or_all_new",
        "test_docker_faults::test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not",
        "test_podman::test_kill_at_any_moment_leaves_all_old_or_all_new",
        "test_podman::test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not",
        "test_podman_stored::test_kill_at_any_moment_leaves_all_old_or_all_new",
        "test_podman_stored::test_kill_at_any_moment_of_an_undo_leaves_it_done_or_not",
        "test_own_faults::test_making",
        "test_own_faults::test_making_for_a_command",
        "test_own_faults::test_removing",
        "test_own_faults::test_undo_of_a_making",
    ),
    "load or execute systemd anew in mid-change": ("test_faults::test_systemd_is_loaded_anew_in_mid_change",),
    "lose systemd or its bus": (
        "test_faults::test_without_systemds_socket_nothing_is_changed",
        "test_faults::test_systemd_is_lost_in_mid_change_and_recovery_waits_for_it",
        "test_faults::test_root_needs_no_message_bus",
    ),
    "restart or stop dockerd": (
        "test_docker_faults::test_a_container_that_stops_in_mid_change_is_told_and_keeps_what_docker_had",
        "test_docker_faults::test_dockerd_is_restarted_before_recovery",
        "test_docker_faults::test_a_stopped_dockerd_is_started_by_its_socket_for_the_recovery",
        "test_docker_faults::test_without_docker_nothing_is_changed_and_recovery_waits_for_it",
    ),
    "stop a unit or a container in mid-change": (
        "test_faults::test_a_unit_that_stops_in_mid_change_is_told_and_the_others_are_put_back",
        "test_docker_faults::test_a_container_that_stops_in_mid_change_is_told_and_keeps_what_docker_had",
        "test_docker_faults::test_a_container_that_stops_before_recovery_has_its_stored_limits_back",
    ),
    # Documents.
    "follow README and the page about systemd": ("test_docs::test_a_page_is_true",),
    "run the demo with nothing prepared": ("test_demo::test_the_demo_runs_here_and_leaves_nothing",),
}
"""What people do on such a host, and the tests that show that it works. Costs are in docs/costs.md."""

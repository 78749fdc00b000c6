"""Tests on a host that systemd runs, in the lab: `make test-systemd`. They run inside it, as root.

What people do on such a host, and the tests that show that it works with rctl:

- make a VE with nothing prepared, and find it again from any shell: test_own
- the same as an ordinary user, whose processes only her manager may move: test_own_user
- stop a unit, isolate a target, load or execute systemd anew beside a VE: test_own
- run a VE as the command of a service, which systemd stops; take a process out of a service: test_own
- set limits of a unit by name or path, plan a change: test_units
- see what a spec would change in a unit or a container, apply it, export it: test_spec
- set limits of a user's unit, as root and as the user, which her manager must keep: test_units
- set limits of a container by name, id or path: test_docker, test_podman, test_names
- set a limit of a podman container that podman limits, too: test_podman
- install the units of rctl from anywhere, restart the exporter under load: test_setup
- see names in lists that fit the terminal, in the exporter and in completion: test_names
- follow the advice of messages and of doctor: test_own, test_own_user, test_docker
- end in the middle, of rctl, systemd, dockerd or a unit: test_faults, test_docker_faults, test_own_faults, test_podman
- follow the pages of the documents, and the demo: test_docs, test_demo
"""

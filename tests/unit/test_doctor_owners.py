"""The doctor says who else manages cgroups here, and whose containers' names it cannot read."""

from __future__ import annotations

from rctl.doctor.check import Check
from rctl.doctor.owners import owners
from rctl.names.look_up import Named

ID = "4f1c0a2e5b7d" + "8" * 52
UNITS = [Named("nginx.service", "/a"), Named("unit:bob/w.service", "/b"), Named("user:bob", "/c")]


def test_without_others_there_is_nothing_to_say() -> None:
    assert owners([]) == []


def test_units_and_containers_are_counted() -> None:
    found = [*UNITS, Named("docker:web", "/d", (), ID), Named("podman:bob/db", "/e", (), ID), Named("pod:prod/x", "/f")]
    text = "3 units of systemd; containers and pods: 1 of docker, 1 of podman, 1 of pod. rctl takes their names, see"
    assert owners(found) == [Check("owners", "ok", f"{text} rctl ls --all")]
    assert owners(UNITS)[0].found.startswith("3 units of systemd. rctl takes")


def test_containers_whose_names_cannot_be_read_are_a_warning_with_the_remedy() -> None:
    (check,) = owners([Named("docker:4f1c0a2e5b7d", "/d", (), ID), Named("docker:web", "/e", (), ID[::-1])])
    assert (check.state, check.remedy) == ("warn", "Run rctl as root, or as a member of the group docker")
    assert check.found.endswith("; without a name: 1 of docker")
    (check,) = owners([Named("podman:bob/4f1c0a2e5b7d", "/d", (), ID)])
    assert check.remedy == "Run rctl as root, which may read the list of containers"


def test_the_sandbox_of_a_pod_has_no_name_anyway() -> None:
    assert owners([Named("pod:prod/x/4f1c0a2e5b7d", "/d", (), ID)])[0].state == "ok"

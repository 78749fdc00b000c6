"""Units, containers and users by the names that people use: found, shown, completed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systemd.helpers import MOUNT, as_user, data, done, rctl


class Containers:
    """One of docker, one of root's podman, one of alice's podman. ``ids``: by name."""

    def __init__(self) -> None:
        run = ("run", "-d", "--network", "none", "box", "sleep", "1000")
        self.ids = {
            "docker:web": done("docker", *run[:2], "--name", "web", *run[2:]).strip(),
            "podman:shop": done("podman", *run[:2], "--name", "shop", *run[2:]).strip(),
            "podman:alice/shop": as_user("alice", "podman", *run[:2], "--name", "shop", *run[2:]).strip(),
        }

    def remove(self) -> None:
        done("docker", "rm", "-f", "web")
        done("podman", "rm", "-f", "-t", "0", "shop")
        as_user("alice", "podman", "rm", "-f", "-t", "0", "shop")


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    made = Containers()
    yield made
    made.remove()


def test_each_container_is_listed_by_its_name_with_owner_and_image(containers: Containers) -> None:
    rows = {row["name"]: row for row in data("ls", "--all")}
    for name, id_ in containers.ids.items():
        row = rows[name]
        assert id_ in row["path"]
        assert row["owner"] == name.partition(":")[0]
        assert row["container"] == name.rpartition(":")[2].rpartition("/")[2]
        assert row["image"].split(":")[0].rpartition("/")[2] == "box"
        assert row["processes"] == 1


def test_units_are_listed_by_their_names(containers: Containers) -> None:
    rows = {row["name"]: row for row in data("ls", "--all")}
    assert (rows["nginx.service"]["owner"], rows["nginx.service"]["unit"]) == ("systemd", "nginx.service")
    assert rows["docker.service"]["owner"] == "systemd"
    assert any(name.startswith("unit:alice/") for name in rows)


@pytest.mark.parametrize("name", ["docker:web", "podman:shop", "podman:alice/shop"])
def test_a_container_is_found_by_name_id_and_the_beginning_of_its_id(containers: Containers, name: str) -> None:
    id_ = containers.ids[name]
    for word in (name, id_, id_[:12], f"{name.partition(':')[0]}:{id_[:12]}"):
        (shown,) = data("show", word)
        assert (shown["name"], id_ in shown["path"]) == (name, True)


def test_the_name_stands_for_the_cgroup_that_has_the_processes(containers: Containers) -> None:
    for name in containers.ids:
        (shown,) = data("show", name)
        assert (MOUNT / shown["path"][1:] / "cgroup.procs").read_text() != ""


def test_a_unit_is_found_with_and_without_its_suffix() -> None:
    for word in ("nginx", "nginx.service", "unit:nginx", "unit:nginx.service", "/system.slice/nginx.service"):
        (shown,) = data("show", word)
        assert shown["path"] == "/system.slice/nginx.service"


def test_a_user_is_found_by_name_and_number() -> None:
    for word in ("user:alice", "user:1001", "user-1001.slice"):
        assert data("show", word)[0]["path"] == "/user.slice/user-1001.slice"


def test_a_word_for_two_containers_lists_them(containers: Containers) -> None:
    said = rctl("show", "shop", status=2)
    assert said == "rctl: shop: may be podman:shop, podman:alice/shop. Write one of these\n"


def test_an_unknown_word_suggests_the_nearest(containers: Containers) -> None:
    assert "Did you mean docker:web?" in rctl("show", "docker:wep", status=1)
    assert "Did you mean nginx.service?" in rctl("show", "ngin", status=1)


def test_patterns_stay_within_their_kind(containers: Containers) -> None:
    assert [one["name"] for one in data("show", "docker:*")] == ["docker:web"]
    assert [one["name"] for one in data("show", "podman:*", "podman:*/*")] == ["podman:shop", "podman:alice/shop"]
    assert "nginx.service" in [one["name"] for one in data("show", "*.service")]


def test_a_list_is_no_wider_than_the_terminal(containers: Containers) -> None:
    shown = done("script", "-qec", "stty cols 90; rctl ls --all", "/dev/null")
    assert "docker:web" in shown
    assert max(len(line) for line in shown.splitlines()) <= 90


def test_alice_finds_her_own_container_and_sees_what_she_may(containers: Containers) -> None:
    shown = data("show", "podman:alice/shop", user="alice")
    assert shown[0]["container"] == "shop"
    assert "docker:" + containers.ids["docker:web"][:12] in rctl("ls", "--all", user="alice")


def test_a_member_of_the_group_docker_asks_the_daemon(containers: Containers) -> None:
    said = rctl("show", "docker:web", user="bob", status=1)
    assert said.endswith("Run as root, or as a member of the group docker\n")
    rows = data("ls", "--all", user="bob", groups=("docker",))
    assert "docker:web" in [row["name"] for row in rows]


def test_a_new_name_of_a_container_is_known_at_once(containers: Containers) -> None:
    done("docker", "rename", "web", "www")
    try:
        assert data("show", "docker:www")[0]["container"] == "www"
    finally:
        done("docker", "rename", "www", "web")


def test_a_unit_without_a_cgroup_of_this_name_is_told_by_what_systemd_knows() -> None:
    assert "sshd: is another name of ssh.service. Write unit:ssh.service" in rctl("show", "sshd", status=1)
    done("systemctl", "mask", "--runtime", "other.service")
    try:
        assert "other.service is masked, so it cannot start" in rctl("show", "other", status=1)
    finally:
        done("systemctl", "unmask", "--runtime", "other.service")


def test_completion_offers_them(containers: Containers) -> None:
    def offered(word: str) -> list[str]:
        return [line.split("\t")[0] for line in rctl("complete", "zsh", "--", "show", word).splitlines()]

    assert offered("docker:") == ["docker:web"]
    assert sorted(offered("podman:")) == ["podman:alice/shop", "podman:shop"]
    assert offered("ngi") == ["nginx.service"]
    assert "user:alice" in offered("user:")


def test_the_exporter_has_their_names_and_images(containers: Containers) -> None:
    lines = [line for line in rctl("exporter", "once").splitlines() if line.startswith("rctl_ve_info{")]
    for name in containers.ids:
        (line,) = [line for line in lines if f've="{name}"' in line]
        assert f'container="{name.rpartition(":")[2].rpartition("/")[2]}"' in line
        assert 'image="' in line
    names = [line.rpartition('ve="')[2] for line in lines]
    assert len(names) == len(set(names))


def test_the_doctor_counts_them(containers: Containers) -> None:
    (check,) = [one for one in data("doctor") if one["name"] == "owners"]
    assert check["state"] == "ok"
    assert "1 of docker, 2 of podman" in check["found"]

"""Words of people for units, users, containers and pods: what they find, and what is said if they find none or many."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.errors import NotFoundError, UsageError
from rctl.names import identities, look_up, patterns, unknown, users
from rctl.names.look_up import Elsewhere
from tests.unit import host_tree
from tests.unit.host_tree import DB, MANAGER, NGINX, POD, SHOP, UID, WEB


@dataclass
class Host:
    tree: Tree
    elsewhere: Elsewhere

    def path(self, word: str) -> str:
        return self.tree.path(patterns.one(self.tree, word, self.elsewhere))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    bob, alice = users.User(1001, "bob", "/home/bob"), users.User(1002, "alice", "/home/alice")
    monkeypatch.setattr(users, "by_uid", lambda uid: bob if uid == 1001 else users.User(uid, str(uid)))
    monkeypatch.setattr(users, "by_word", {"bob": bob, "alice": alice}.get)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(unknown, "properties", lambda unit: {})  # that of the host that runs the tests
    host_tree.make(tmp_path / "cgroups", tmp_path / "root")
    with host_tree.opened(tmp_path / "cgroups") as tree:
        found = host_tree.elsewhere(tree, tmp_path / "root")
        monkeypatch.setattr(patterns, "_elsewhere", lambda tree: found)
        yield Host(tree, found)


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("own", "/rctl-own"),
        ("sshd.service", "/rctl-sshd.service"),
        ("unit:sshd.service unit:sshd", "/system.slice/sshd.service"),
        ("nginx nginx.service unit:nginx unit:nginx.service", "/system.slice/nginx.service"),
        ("web.service unit:web", "/system.slice/web.service"),
        ("system.slice unit:system.slice", "/system.slice"),
        (r"dev-disk-by\x2duuid-1.swap dev-disk-by-uuid-1.swap", r"/system.slice/dev-disk-by\x2duuid-1.swap"),
        ("user:bob user:1001 user-1001.slice unit:user-1001.slice", "/user.slice/user-1001.slice"),
        ("user@1001.service user@1001", MANAGER),
        ("unit:bob/worker.service unit:bob/worker unit:1001/worker.service", f"{MANAGER}/app.slice/worker.service"),
        (
            f"docker:web {WEB} {WEB[:12]} {WEB[:4]} docker:{WEB[:6]} docker-{WEB}.scope",
            f"/system.slice/docker-{WEB}.scope",
        ),
        (f"docker:db db docker:{DB[:4]}", f"/system.slice/docker-{DB}.scope"),
        (f"podman:shop {SHOP[:12]} podman:{SHOP[:4]}", f"/machine.slice/libpod-{SHOP}.scope/container"),
        (f"podman:bob/shop podman:{DB}", f"{MANAGER}/user.slice/libpod-{DB}.scope/container"),
        (f"libpod-{SHOP}.scope", f"/machine.slice/libpod-{SHOP}.scope"),
        ("pod:prod/front pod:front", POD),
        (f"pod:prod/front/nginx pod:front/nginx {NGINX} pod:{NGINX[:8]}", f"{POD}/cri-containerd-{NGINX}.scope"),
        ("/system.slice/web.service", "/system.slice/web.service"),
        ("/no/such/cgroup", "/no/such/cgroup"),
    ],
)
def test_words_and_the_cgroups_that_they_stand_for(host: Host, words: str, path: str) -> None:
    assert {word: host.path(word) for word in words.split()} == dict.fromkeys(words.split(), path)


def test_a_found_cgroup_is_shown_by_its_name(host: Host) -> None:
    assert patterns.match(host.tree, ["nginx", "unit:nginx", "web1234"[:0] or "docker:web"]) == [
        "nginx.service",
        "docker:web",
    ]
    assert host.tree.name("/system.slice/nginx.service") == "nginx.service"
    assert patterns.given(host.tree, ["nginx", "docker:web"]) == {"nginx.service", "docker:web"}


@pytest.mark.parametrize(
    ("word", "candidates"),
    [
        ("web", "docker:web, web.service"),
        ("shop", "podman:shop, podman:bob/shop"),
        (DB[:12], "docker:db, podman:bob/shop"),
    ],
)
def test_an_ambiguous_word_lists_what_it_may_be(host: Host, word: str, candidates: str) -> None:
    with pytest.raises(UsageError) as caught:
        host.path(word)
    assert str(caught.value) == f"{word}: may be {candidates}. Write one of these"


def test_two_with_the_same_name_are_listed_by_their_paths(host: Host, tmp_path: Path) -> None:
    """Who has a delegated cgroup may make others below it under any name."""
    path = f"/batch/docker-{WEB}.scope"
    (tmp_path / f"cgroups{path}").mkdir(parents=True)
    (tmp_path / f"cgroups/docker/{WEB}").mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        host.path("docker:web")
    assert str(caught.value) == (
        f"docker:web: may be /docker/{WEB}, /system.slice/docker-{WEB}.scope. Write one of these"
    )


def test_a_pod_in_the_tree_of_a_user_is_none_of_kubelets(host: Host, tmp_path: Path) -> None:
    for below in (f"pod{UID}", f"pod{UID}/{NGINX}"):
        (tmp_path / f"cgroups{MANAGER}/kubepods/{below}").mkdir(parents=True)
    assert host.path("pod:prod/front") == POD
    assert host.path("pod:prod/front/nginx") == f"{POD}/cri-containerd-{NGINX}.scope"


def test_only_some_of_very_many_candidates_are_listed(host: Host, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"cgroups/docker/abcd{number:060x}").mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        host.path("abcd")
    assert str(caught.value).endswith(" and 32 more. Write one of these")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (
            "ngin",
            "ngin: there is no such VE (/rctl-ngin), unit or container. Did you mean nginx.service? See rctl ls --all",
        ),
        ("ow", "ow: there is no such VE (/rctl-ow), unit or container. Did you mean own? See rctl ls --all"),
        (
            "docker:webb",
            "docker:webb: no container that runs has this name; one that is stopped has no cgroup. "
            "Did you mean docker:web? See rctl ls --all",
        ),
        ("unit:bob/workr.service", "Did you mean unit:bob/worker.service?"),
        ("user:alice", "user:alice: user alice is not logged in, and has no cgroup. See rctl ls --all"),
        ("user:carol", "user:carol: there is no user carol. "),
        ("unit:carol/worker.service", "unit:carol/worker.service: there is no user carol. "),
        (
            "unit:alice/job.service",
            "user alice is not logged in, so no systemd of this user runs job.service. To start one without a login: "
            "loginctl enable-linger alice",
        ),
        ("unit:bob/job.service", "no unit of user bob that runs has this name; one that is stopped has no cgroup"),
        ("unit:/job.service", "the name of the user is missing"),
        ("zzzzzz", "zzzzzz: there is no such VE (/rctl-zzzzzz), unit or container. See rctl ls --all"),
        ("fff", "there is no such VE"),
        ("fffffff", "there is no such VE"),
        ("docker:", "no container that runs has this name"),
        ("worker", "there is no such VE"),
        ("worker.service", "Did you mean unit:bob/worker.service"),
        ("nginx.servic", "Did you mean nginx.service?"),
        ("nginx.servise", "Did you mean nginx.service?"),
    ],
)
def test_an_unknown_word_gets_the_nearest_names(host: Host, word: str, says: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        host.path(word)
    assert says in str(caught.value)


KNOWN = {
    "job.service": {"Id": "job.service", "LoadState": "loaded", "ActiveState": "inactive"},
    "vpn@eu.service": {"Id": "vpn@eu.service", "LoadState": "loaded", "ActiveState": "failed"},
    "data.slice": {"Id": "data.slice", "LoadState": "loaded", "ActiveState": "inactive"},
    "http.service": {"Id": "nginx.service", "LoadState": "loaded", "ActiveState": "active"},
    "task.service": {"Id": "job.service", "LoadState": "loaded", "ActiveState": "inactive"},
    "once.service": {"Id": "once.service", "LoadState": "loaded", "ActiveState": "active"},
    "never.service": {"Id": "never.service", "LoadState": "masked", "ActiveState": "inactive"},
    "nginxx.service": {"Id": "nginxx.service", "LoadState": "not-found", "ActiveState": "inactive"},
}
"""What systemd says about units."""


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("job", "job.service does not run, so it has no cgroup. Start it first: systemctl start job.service"),
        ("job.service", "job.service does not run, so it has no cgroup. Start it first: systemctl start job.service"),
        ("unit:job", "job.service does not run, so it has no cgroup. Start it first: systemctl start job.service"),
        ("vpn@eu", "vpn@eu.service does not run, so it has no cgroup. Start it first: systemctl start vpn@eu.service"),
        ("data.slice", "data.slice does not run, so it has no cgroup. Start it first: systemctl start data.slice"),
        ("http", "is another name of nginx.service. Write unit:nginx.service"),
        ("task", "job.service does not run, so it has no cgroup. Start it first: systemctl start job.service"),
        ("once", "once.service is active and has no processes, so it has no cgroup, and a limit would have no effect"),
        ("never", "never.service is masked, so it cannot start. First: systemctl unmask never.service"),
        (
            "nginxx",
            "there is no such VE (/rctl-nginxx), unit or container. Did you mean nginx.service? See rctl ls --all",
        ),
    ],
)
def test_what_systemd_knows_of_a_unit_without_a_cgroup_of_this_name_is_said(
    host: Host, monkeypatch: pytest.MonkeyPatch, word: str, said: str
) -> None:
    monkeypatch.setattr(unknown, "properties", KNOWN.__getitem__)
    with pytest.raises(NotFoundError) as caught:
        host.path(word)
    assert str(caught.value) == f"{word}: {said}"


@pytest.mark.parametrize("word", ["\udcff.service", "a b.service", "bob/job.service", "job+.service"])
def test_systemd_is_asked_for_no_name_that_it_does_not_take(
    host: Host, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(unknown, "properties", lambda unit: pytest.fail(f"asked for {unit!r}"))
    with pytest.raises(NotFoundError, match="no unit that runs has this name"):
        host.path(word)


@pytest.mark.parametrize("word", ["", "a b", "../etc", "web:web", "x/y", "docker/web", "a" * 65])
def test_what_can_be_no_name_is_told_so(host: Host, word: str) -> None:
    with pytest.raises(UsageError, match="not a VE's name"):
        host.path(word)


def test_users_find_their_own_units_without_their_name(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1001)
    assert host.path("worker") == host.path("worker.service") == f"{MANAGER}/app.slice/worker.service"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("o*", ["own"]),
        ("*.service", ["sshd.service"]),  # rctl's own come first
        ("n*.service", ["nginx.service"]),
        ("unit:*.service", ["nginx.service", "unit:sshd.service", "web.service", "user@1001.service"]),
        ("unit:bob/*", ["unit:bob/app.slice", "unit:bob/worker.service", "unit:bob/user.slice"]),
        ("unit:*/w*", ["unit:bob/worker.service"]),
        ("user-*.slice", ["user:bob"]),
        ("user:*", ["user:bob"]),
        ("docker:*", ["docker:web", "docker:db"]),
        ("docker:w?b", ["docker:web"]),
        ("podman:*", ["podman:shop"]),
        ("podman:*/*", ["podman:bob/shop"]),
        ("pod:prod/*", ["pod:prod/front"]),
        ("pod:prod/*/ng*", ["pod:prod/front/nginx"]),
        ("pod:*/*", ["pod:prod/front"]),
    ],
)
def test_patterns_match_within_their_kind(host: Host, pattern: str, names: list[str]) -> None:
    assert sorted(patterns.match(host.tree, [pattern])) == sorted(names)


@pytest.mark.parametrize("pattern", ["w*", "*", "docker:x*", "pod:test/*", "user:a*", "*.socket", "unit:alice/*"])
def test_a_pattern_that_matches_nothing_is_an_error_or_rctls_own(host: Host, pattern: str) -> None:
    if pattern == "*":
        assert patterns.match(host.tree, [pattern]) == ["own", "sshd.service"]
        return
    with pytest.raises(NotFoundError, match="no VE matches"):
        patterns.match(host.tree, [pattern])


def test_a_name_of_rctls_own_wins_also_when_it_is_made_later(host: Host, tmp_path: Path) -> None:
    assert host.path("nginx.service") == "/system.slice/nginx.service"
    (tmp_path / "cgroups/rctl-nginx.service").mkdir()
    assert host.path("nginx.service") == "/rctl-nginx.service"


def test_rctls_own_names_look_nowhere_else(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_elsewhere", None)
    assert patterns.match(host.tree, ["own", "o*"]) == ["own"]


def test_many_words_need_one_look(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    real = look_up.paths
    monkeypatch.setattr(look_up, "paths", lambda tree, enter: looks.append("") or real(tree, enter))
    patterns.match(host.tree, ["nginx", "docker:web", "pod:*/*", "user:bob", WEB])
    assert looks == [""]


def test_what_lies_within_a_container_is_not_looked_at(host: Host) -> None:
    assert [
        one.path for one in host.elsewhere.everything() if one.path.startswith(f"/system.slice/docker-{WEB}.scope/")
    ] == []
    with pytest.raises(NotFoundError):
        patterns.match(host.tree, ["unit:init*.scope", "unit:ini.scope"])


def test_a_word_for_a_unit_opens_slices_alone_however_many_units_there_are(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(500):
        (tmp_path / f"cgroups/system.slice/app{number}.service/below").mkdir(parents=True)
    walked: list[str] = []
    real = Tree.walk
    monkeypatch.setattr(Tree, "walk", lambda tree, path: walked.append(path) or real(tree, path))
    monkeypatch.setattr(identities, "Identities", None)
    assert list(host.elsewhere.beginning("app49")) == [
        "app49.service",
        *(f"app49{digit}.service" for digit in range(10)),
    ]
    assert host.path("app7.service") == "/system.slice/app7.service"
    assert {path for path in walked if not path.endswith(".slice")} <= {"/", MANAGER}
    assert len(walked) < 20


def test_who_may_not_read_the_names_is_told_who_may(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tmp_path / "root/var/lib/docker")
    monkeypatch.setattr(os, "geteuid", lambda: 1002)
    with pytest.raises(NotFoundError) as caught:
        host.path("docker:web")
    assert str(caught.value) == (
        "docker:web: you may not read the names of all containers, and no other one has this name. "
        "Run as root, or as a member of the group docker"
    )
    assert host.path(f"docker:{WEB[:12]}") == f"/system.slice/docker-{WEB}.scope"


@pytest.mark.parametrize(
    ("word", "start"),
    [
        ("off", "docker start off or podman start off"),
        ("docker:off", "docker start off"),
        ("docker:abcd", "docker start abcd"),
        ("podman:off", "podman start off"),
        ("podman:bob/idle", "podman start idle (as user bob)"),
    ],
)
def test_a_container_that_does_not_run_is_named_with_the_way_to_start_it(
    host: Host, tmp_path: Path, word: str, start: str
) -> None:
    id_, kept = "abcd" * 16, "containers/storage/overlay-containers/volatile-containers.json"
    host_tree.put(tmp_path / f"root/var/lib/docker/containers/{id_}/config.v2.json", {"Name": "/off"})
    host_tree.put(tmp_path / f"root/var/lib/{kept}", [{"id": id_[::-1], "names": ["off"]}])
    host_tree.put(tmp_path / f"root/home/bob/.local/share/{kept}", [{"id": id_, "names": ["idle"]}])
    with pytest.raises(NotFoundError) as caught:
        host.path(word)
    name = word.rpartition(":")[2].rpartition("/")[2]
    assert str(caught.value) == f"{word}: {name} does not run, so it has no cgroup. Start it first: {start}"


def test_the_root_slice_of_systemd_is_the_root_cgroup(host: Host) -> None:
    assert {host.path(word) for word in ("-.slice", "unit:-.slice")} == {"/"}

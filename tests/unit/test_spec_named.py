"""A spec that names what rctl did not make: units, containers, users, cgroups by path. They are found, never made."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import rctl
from rctl import spec as specs
from rctl.adjust import owner
from rctl.adjust.site import Site
from rctl.cgroupfs.tree import Tree
from rctl.errors import NotFoundError, UsageError
from rctl.names import identify, look_up, patterns, unknown, users
from rctl.spec import Spec, Ve
from rctl.ve import attach, exported, named, remove
from tests.unit import fake_kernel, host_tree
from tests.unit.fake_calls import Operation
from tests.unit.fake_kernel import FakeKernel
from tests.unit.host_tree import SHOP, WEB
from tests.unit.shell import Shell, shell

_ = shell
HOST = FakeKernel().host


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    """A host with systemd, docker and podman, and two VEs of rctl's own; the one is called sshd.service."""
    bob = users.User(1001, "bob", "/home/bob")
    monkeypatch.setattr(users, "by_uid", lambda uid: bob if uid == 1001 else users.User(uid, str(uid)))
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(owner, "applies", lambda: True)
    host_tree.make(tmp_path / "cgroups", tmp_path / "root")
    root = tmp_path / "root"
    monkeypatch.setattr(patterns, "_elsewhere", lambda tree: host_tree.elsewhere(tree, root))
    monkeypatch.setattr(unknown, "properties", lambda unit: {})
    monkeypatch.setattr(exported, "Elsewhere", lambda tree: host_tree.elsewhere(tree, root))
    monkeypatch.setattr(identify, "_identities", lambda tree: host_tree.identities(tree, root))
    with host_tree.opened(tmp_path / "cgroups") as found:
        yield found


def found(tree: Tree, *names: str, **labels: str) -> dict[str, str]:
    """The names that a spec stands for, and their paths."""
    spec = Spec({name: Ve(labels=labels) for name in names})
    return {name: tree.path(name) for name in named.found(tree, spec, specs.elsewhere(spec)).ve}


# Names


@pytest.mark.parametrize(
    ("key", "name", "path"),
    [
        ("nginx.service", "nginx.service", "/system.slice/nginx.service"),
        ("unit:nginx", "nginx.service", "/system.slice/nginx.service"),
        ("system.slice", "system.slice", "/system.slice"),
        ("unit:sshd", "unit:sshd.service", "/system.slice/sshd.service"),
        (r"dev-disk-by\x2duuid-1.swap", r"dev-disk-by\x2duuid-1.swap", r"/system.slice/dev-disk-by\x2duuid-1.swap"),
        ("user:bob", "user:bob", "/user.slice/user-1001.slice"),
        ("docker:web", "docker:web", f"/system.slice/docker-{WEB}.scope"),
        ("podman:shop", "podman:shop", f"/machine.slice/libpod-{SHOP}.scope/container"),
        ("pod:prod/front", "pod:prod/front", host_tree.POD),
        ("/system.slice/web.service", "/system.slice/web.service", "/system.slice/web.service"),
        ("/system.slice/web.service/", "/system.slice/web.service", "/system.slice/web.service"),
        ("/rctl-own", "own", "/rctl-own"),
    ],
)
def test_a_name_of_what_exists_is_found_as_by_set(tree: Tree, key: str, name: str, path: str) -> None:
    assert found(tree, "web1", key) == {"web1": "/rctl-web1", name: path}


def test_a_plain_name_is_of_a_ve_of_rctls_own_whatever_else_has_it(tree: Tree) -> None:
    assert found(tree, "nginx", "sshd.service", "user:bob") == {
        "nginx": "/rctl-nginx", "sshd.service": "/rctl-sshd.service", "user:bob": "/user.slice/user-1001.slice"
    }  # fmt: skip


def test_without_systemd_a_name_that_ends_like_a_units_is_rctls_own(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "applies", lambda: False)
    assert found(tree, "new.service") == {"new.service": "/rctl-new.service"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("nginz.service", "nginz.service: no unit that runs has this name; one that is stopped has no cgroup"),
        ("docker:webb", "docker:webb: no container that runs has this name"),
        ("user:alice", "user:alice: there is no user alice"),
        ("/no/such", "/no/such: there is no such cgroup"),
        ("/rctl-new", "new: there is no such VE (/rctl-new)"),
    ],
)
def test_what_does_not_exist_is_not_made(tree: Tree, key: str, said: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        found(tree, "web1", key)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("nginx.service", "unit:nginx"),
        ("docker:web", f"/system.slice/docker-{WEB}.scope"),
        ("own", "/rctl-own"),
        ("/system.slice", "/system.slice/"),
    ],
)
def test_two_names_of_one_cgroup_are_refused(tree: Tree, first: str, second: str) -> None:
    with pytest.raises(UsageError) as caught:
        found(tree, first, second)
    assert str(caught.value) == f"{second}: is the same VE as {first}. Name it once"


def test_labels_are_for_rctls_own(tree: Tree) -> None:
    assert found(tree, "own", "/rctl-sshd.service", env="prod")
    with pytest.raises(UsageError) as caught:
        found(tree, "own", "docker:web", env="prod")
    assert str(caught.value) == (
        "docker:web: labels: a spec has them only for VEs of rctl's own. Run: rctl label docker:web ..."
    )


@pytest.mark.parametrize("name", ["docker:*", "/a/*", "lxc:web", "docker:", "/a/../b"])
def test_a_spec_made_in_python_is_checked_too(tree: Tree, name: str) -> None:
    with pytest.raises(UsageError, match=r'^ve\."'):
        found(tree, "web1", name)


# The file: what it refuses, on one line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("docker:*", "stands for several VEs. A spec names each; a pattern is for rctl set"),
        ("web*", "stands for several VEs"),
        ("/app/[ab]", "stands for several VEs"),
        ("label:env=prod", "stands for several VEs"),
        ("lxc:web", "lxc is no kind of name. Write one of unit, user, docker, podman, containerd, crio, pod"),
        (":web", '"" is no kind of name'),
        ("docker:", "not a VE's name. Use letters, digits and _.@+-, at most 64; for what rctl did not make, write"),
        ("docker: web", "not a VE's name"),
        ("docker:a b", "not a VE's name"),
        ("docker:..", "not a VE's name"),
        ("unit:bob//x.service", "not a VE's name"),
        ("a b.service", "not a VE's name"),
        ("a/b.service", "not a VE's name"),
        (".service", "not a VE's name"),
        ("/", "not a VE's name"),
        ("/a/../b", "not a VE's name"),
        ("/a//b", "not a VE's name"),
        ("/a/../b:c", "not a VE's name"),
        ("/a/.", "not a VE's name"),
        ("docker:web/", "not a VE's name"),
        ("unit:/system.slice/nginx.service", "not a VE's name"),
        ("/a\u202eb", "not a VE's name"),
        ("", "not a VE's name"),
    ],
)
def test_a_wrong_name_is_refused_with_the_right_form(name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        specs.parse(f"version = 1\n[ve.{json.dumps(name)}.limits]\npids.max = 5\n".encode(), HOST)
    message = str(caught.value)
    assert message.startswith("ve.")
    assert said in message
    assert len(message.splitlines()) == 1


# Apply, diff, export


def write(shell: Shell, *tables: str) -> None:
    text = "".join(f"[ve.{json.dumps(name)}.limits]\npids.max = {value}\n" for name, value in map(str.split, tables))
    (shell.folder / "spec.toml").write_text(f"version = 1\n{text}")


@pytest.fixture
def app(shell: Shell) -> Shell:
    """A shell on a host with a cgroup of another manager."""
    shell.kernel.make("/app", procs=(303,))
    return shell


def test_a_cgroup_by_path_is_changed_beside_rctls_own(app: Shell) -> None:
    write(app, "/app 70", "new 5")
    assert app.run("diff", "spec.toml", "--exit-code")[:2] == (
        1, "+ new\n~ /app: pids.max: max -> 70\n~ new: pids.max: max -> 5\n"
    )  # fmt: skip
    assert app.run("apply", "spec.toml")[0] == 0
    assert (app.kernel.get("/app", "pids.max"), app.kernel.get("/rctl-new", "pids.max")) == ("70", "5")
    assert app.run("diff", "spec.toml", "--exit-code") == (0, "", "")
    assert app.run("undo")[0] == 0
    assert app.kernel.get("/app", "pids.max") == "max"
    assert "rctl-new" not in app.kernel.root.children


@pytest.mark.parametrize("verb", ["apply", "apply -n", "diff", "apply --batch 1"])
def test_what_is_missing_leaves_everything_as_it_was(app: Shell, verb: str) -> None:
    write(app, "new 5", "/app 70", "/gone 5")
    word, *options = verb.split()
    assert "/gone: there is no such cgroup" in app.refused(word, "spec.toml", *options, status=1)
    assert "rctl-new" not in app.kernel.root.children


def test_a_value_that_the_kernel_refuses_puts_all_back(app: Shell) -> None:
    write(app, "new 5", "/app 70")

    def broken(operation: Operation) -> int | None:
        return 5 if (operation.kind, operation.path, operation.file) == ("write", "/app", "pids.max") else None

    app.kernel.broken = broken
    assert app.run("apply", "spec.toml")[0] == 1
    assert "rctl-new" not in app.kernel.root.children
    assert app.kernel.get("/app", "pids.max") == "max"


def test_prune_removes_only_rctls_own(app: Shell) -> None:
    write(app, "/app 70", "web1 5")
    assert app.run("apply", "spec.toml", "--prune")[0] == 0
    assert set(app.kernel.root.children) == {"app", "rctl-web1"}


def test_a_path_of_rctls_own_is_not_pruned(app: Shell) -> None:
    write(app, "/rctl-web2 70", "web1 5")
    assert app.run("apply", "spec.toml", "--prune")[0] == 0
    assert set(app.kernel.root.children) == {"app", "rctl-web1", "rctl-web2"}


def test_batches_reach_cgroups_by_path(app: Shell) -> None:
    write(app, "/app 70", "new 5")
    status, out, err = app.run("apply", "spec.toml", "--batch", "1")
    assert (status, err) == (0, "")
    assert "batch 1 of 2: /app" in out.splitlines()
    assert (app.kernel.get("/app", "pids.max"), app.kernel.get("/rctl-new", "pids.max")) == ("70", "5")


def test_a_batch_passes_over_a_cgroup_that_is_gone(app: Shell) -> None:
    """What rctl made is made again; what it did not make is no failure if it ends meanwhile, as for ``set``."""
    write(app, "web1 5", "/app 70", "new 5")

    def gone(operation: Operation) -> int | None:
        if (operation.kind, operation.path, operation.file) == ("write", "/rctl-web1", "pids.max"):
            app.kernel.root.children.pop("app", None)
        return None

    app.kernel.broken = gone
    status, _, err = app.run("apply", "spec.toml", "--batch", "1")
    assert (status, err) == (0, "rctl: /app: was removed meanwhile; it is left out\n")
    assert app.kernel.get("/rctl-new", "pids.max") == "5"
    assert "app" not in app.kernel.root.children


def test_a_stopped_change_goes_on_with_cgroups_by_path(app: Shell) -> None:
    write(app, "web1 5", "/app 70", "new 5")

    def broken(operation: Operation) -> int | None:
        return 5 if (operation.kind, operation.path, operation.file) == ("write", "/app", "pids.max") else None

    app.kernel.broken = broken
    status, out, err = app.run("apply", "spec.toml", "--batch", "1")
    assert status == 4
    assert "/app" in err + out
    change = out.partition(":")[0]
    app.kernel.broken = lambda _: None
    assert app.run("apply", "spec.toml", "--retry", change)[0] == 0
    assert (app.kernel.get("/app", "pids.max"), app.kernel.get("/rctl-new", "pids.max")) == ("70", "5")


def test_a_stopped_change_goes_on_without_what_is_gone(app: Shell) -> None:
    app.kernel.make("/system.slice/job.service")
    write(app, "web1 5", "/app 70", "unit:job 8", "new 5")
    app.kernel.broken = lambda one: 5 if (one.kind, one.path) == ("write", "/rctl-web1") else None
    status, out, _ = app.run("apply", "spec.toml", "--batch", "1")
    assert status == 4 or "nothing is changed" in out
    change = out.partition(":")[0]
    app.kernel.broken = lambda _: None
    for path in ("/app", "/system.slice/job.service"):
        app.kernel.remove(path)
    status, out, err = app.run("apply", "spec.toml", "--retry", change)
    assert (status, err.splitlines()) == (
        0, [f"rctl: {name}: was removed meanwhile; it is left out" for name in ("/app", "job.service")]
    )  # fmt: skip
    assert "2 of 4 VEs are done" in out
    assert [app.kernel.get(f"/rctl-{name}", "pids.max") for name in ("web1", "new")] == ["5", "5"]


def test_a_stopped_change_finds_units_by_their_names_again(app: Shell) -> None:
    app.kernel.make("/system.slice/job.service")
    app.kernel.broken = lambda one: 5 if (one.kind, one.path) == ("write", "/rctl-web1") else None
    _, out, _ = app.run("set", "web1", "unit:job", "pids.max=7", "--batch", "1")
    app.kernel.broken = lambda _: None
    assert app.run("set", "--retry", out.partition(":")[0])[0] == 0
    assert app.kernel.get("/system.slice/job.service", "pids.max") == "7"


def test_a_spec_of_rctls_own_ves_alone_looks_for_nothing(app: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "found", lambda *_: pytest.fail("looked for"))
    monkeypatch.setattr(patterns, "_elsewhere", lambda _: pytest.fail("looked for"))
    write(app, *(f"many{number} 5" for number in range(30)))
    assert app.run("apply", "spec.toml")[0] == 0
    assert len(app.kernel.root.children) == 33


def test_until_the_next_boot_is_not_for_batches(app: Shell) -> None:
    write(app, "/app 70")
    assert app.run("apply", "spec.toml", "--runtime", "--dry-run")[0] == 0
    assert "--runtime: cannot be combined with --batch" in app.refused("apply", "spec.toml", "--runtime", "--batch=1")


def test_labels_of_a_cgroup_by_path_are_refused_with_the_file(app: Shell) -> None:
    (app.folder / "spec.toml").write_text("version = 1\n[ve.'/app'.labels]\nenv = 'prod'\n")
    assert "spec.toml: /app: labels: a spec has them only for VEs of rctl's own" in app.refused("apply", "spec.toml")


def test_what_is_exported_by_path_changes_nothing(app: Shell) -> None:
    assert app.run("set", "/app", "pids.max=70")[0] == 0
    status, text, err = app.run("export", "/app", "web1")
    assert (status, err) == (0, "")
    assert '[ve."/app".limits]\npids.max = 70' in text
    (app.folder / "spec.toml").write_text(text)
    assert app.run("diff", "spec.toml", "--exit-code") == (0, "", "")


def test_labels_that_a_spec_cannot_hold_are_left_out_with_a_note(app: Shell) -> None:
    assert app.run("label", "/app", "env=prod")[0] == 0
    status, text, err = app.run("export", "/app")
    assert (status, "env" in text) == (0, False)
    assert "/app: labels: a spec has them only for VEs of rctl's own" in err


def test_a_name_that_a_spec_cannot_hold_is_left_out_with_a_note(app: Shell) -> None:
    app.kernel.make("/pool")
    app.kernel.make("/pool/x[1]")
    app.kernel.make("/pool/x y")
    status, text, err = app.run("export", "/", "/pool/*")
    assert (status, text) == (0, 'version = 1\n\n[ve."/pool/x y"]\n')
    assert [f"{name}: is left out: a spec cannot hold this name" in err for name in ("/", "/pool/x[1]")] == [True, True]


def test_a_session_takes_a_spec_that_was_made_in_python(app: Shell) -> None:
    with rctl.session() as session:
        wanted = Spec({"/app": Ve(session.typed({"pids.max": 70})), "new": Ve(session.typed({"pids.max": 5}))})
        assert session.diff(wanted).made == ("new",)
        assert session.apply(wanted).made == ("new",)
        assert app.kernel.get("/app", "pids.max") == "70"
        assert session.apply(wanted).account.id is None


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/system.slice/nginx.service", "unit:nginx.service"),
        ("/system.slice/sshd.service", "unit:sshd.service"),
        ("/user.slice/user-1001.slice", "user:bob"),
        (f"{host_tree.MANAGER}/app.slice/worker.service", "unit:bob/worker.service"),
        (f"/system.slice/docker-{WEB}.scope", "docker:web"),
        (f"/machine.slice/libpod-{SHOP}.scope/container", "podman:shop"),
        (f"/machine.slice/libpod-{SHOP}.scope", f"/machine.slice/libpod-{SHOP}.scope"),
        ("/rctl-sshd.service/workers", "/rctl-sshd.service/workers"),
    ],
)
def test_export_writes_the_name_that_lasts(tree: Tree, path: str, key: str) -> None:
    assert exported.keys_of(tree, [path]) == {path: key}
    assert list(found(tree, key).values()) == [path]


def test_a_new_ve_with_nearly_the_name_of_a_unit_is_told(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(look_up, "Elsewhere", lambda tree: host_tree.elsewhere(tree, tmp_path / "root"))
    said: list[str] = []
    with fake_kernel.state_folder() as state:
        site = Site(tree, HOST, state, tell=said.append)
        named.tell_of_likely(site, ["ngin", "nginx", "db", "shopp", "web1", "batch"])
    assert said == [
        "ngin: is a new VE. Did you mean unit:nginx.service?",
        "db: is a new VE. Did you mean docker:db?",
        "shopp: is a new VE. Did you mean podman:shop?",
    ]


# Removal


def test_a_name_that_only_others_have_is_told_with_the_way_to_end_it(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(look_up, "Elsewhere", lambda tree: host_tree.elsewhere(tree, tmp_path / "root"))
    assert remove._of_others(
        tree, ["nginx", "db", "unit:bob/worker.service", "podman:bob/shop", "web1", "user:bob"]
    ) == [
        "nginx: is nginx.service, which rctl rm leaves alone. Use: systemctl stop nginx.service",
        "db: is docker:db, which rctl rm leaves alone. Use: docker rm -f db",
        "unit:bob/worker.service: is unit:bob/worker.service, which rctl rm leaves alone. "
        "Use: systemctl --user --machine=bob@ stop worker.service",
        "podman:bob/shop: is podman:bob/shop, which rctl rm leaves alone. As user bob, use: podman rm -f shop",
        "user:bob: is user:bob, which rctl rm leaves alone",
    ]


# Processes


@pytest.mark.parametrize(
    ("name", "what"), [("nginx", "nginx.service"), ("nginx.service", "nginx.service"), ("db", "docker:db")]
)
def test_processes_are_not_moved_into_a_new_ve_with_the_name_of_a_unit(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, what: str
) -> None:
    monkeypatch.setattr(look_up, "Elsewhere", lambda tree: host_tree.elsewhere(tree, tmp_path / "root"))
    attach._check_name(tree, "web1")
    attach._check_name(tree, "own")
    with pytest.raises(UsageError, match=f"{name}: stands for {what}, .*Choose another name for the VE"):
        attach._check_name(tree, name)

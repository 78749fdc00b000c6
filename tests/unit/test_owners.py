"""The owner of a cgroup follows from its path and the marks of delegation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.marks import delegated, reader
from rctl.cgroupfs.tree import Tree
from rctl.names.container_cgroups import Container, Pod
from rctl.names.owners import SYSTEM, Manager, Owner, owner_of, readable

ID = "4f1c0a2e5b7d8c9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70"
UID = "3f5e1a2b-4c6d-7e8f-9a0b-1c2d3e4f5a6b"
DASHED = UID.replace("-", "_")
BOB = "/user.slice/user-1001.slice/user@1001.service"


def of(path: str, *given_away: str, managed: bool = False) -> Owner:
    """The owner on a host where exactly these cgroups are marked as delegated."""
    return owner_of(path, given_away.__contains__, managed=managed)


def test_a_service_is_the_systems_systemds() -> None:
    owner = of("/system.slice/nginx.service")
    assert (owner.kind, owner.manager, owner.unit, owner.is_unit) == ("systemd", SYSTEM, "nginx.service", True)


@pytest.mark.parametrize("path", ["/system.slice", "/init.scope", "/user.slice/user-1001.slice/session-3.scope"])
def test_slices_and_scopes_are_units_too(path: str) -> None:
    assert of(path) == Owner("systemd", path, SYSTEM, path.rpartition("/")[2], path)


def test_a_cgroup_that_a_service_made_without_delegation_stays_in_the_unit() -> None:
    owner = of("/system.slice/nginx.service/workers")
    assert (owner.kind, owner.unit, owner.is_unit, owner.free) == ("systemd", "nginx.service", False, False)


def test_a_delegated_unit_itself_is_systemds_and_below_it_nobody_undoes_a_change() -> None:
    unit = "/system.slice/app.service"
    assert (of(unit, unit).kind, of(unit, unit).delegated, of(unit, unit).free) == ("systemd", unit, False)
    below = of(f"{unit}/job1", unit)
    assert (below.kind, below.unit, below.delegated, below.free) == ("nobody", "app.service", unit, True)


@pytest.mark.parametrize("path", ["/", "/rctl-web1", "/batch/job1"])
def test_outside_all_units_it_is_nobodys(path: str) -> None:
    assert of(path) == Owner("nobody", path)


def test_a_unit_below_a_cgroup_that_is_in_no_unit_is_another_systemds() -> None:
    assert of("/batch/system.slice/cron.service").manager == Manager("other", "/batch")


def test_rctls_own_ves_are_rctls_wherever_they_lie() -> None:
    assert of("/rctl-web1", managed=True).kind == "rctl"
    scope = of("/rctl-web1.scope", "/rctl-web1.scope", managed=True)
    assert (scope.kind, scope.unit, scope.is_unit) == ("rctl", "rctl-web1.scope", True)
    below = of("/system.slice/app.service/www.service", "/system.slice/app.service", managed=True)
    assert (below.kind, below.unit, below.free) == ("rctl", "app.service", True)


def test_the_unit_of_a_user_manager_is_the_systems() -> None:
    owner = of(BOB, BOB)
    assert (owner.kind, owner.manager, owner.unit, owner.delegated) == ("systemd", SYSTEM, "user@1001.service", BOB)


@pytest.mark.parametrize("marked", [(), (BOB,)])
@pytest.mark.parametrize(
    ("below", "unit"),
    [
        ("app.slice/worker.service", "worker.service"),
        ("app.slice", "app.slice"),
        ("init.scope", "init.scope"),
        ("session.slice/dbus.service/x", "dbus.service"),
        ("mine", ""),
    ],
)
def test_all_below_a_user_manager_is_its_own_also_if_the_mark_cannot_be_read(
    below: str, unit: str, marked: tuple[str, ...]
) -> None:
    owner = of(f"{BOB}/{below}", *marked)
    assert (owner.kind, owner.manager, owner.unit) == ("systemd", Manager("user", BOB, 1001), unit)
    assert (owner.delegated, owner.free) == (BOB, False)


def test_what_a_user_manager_delegated_further_is_free() -> None:
    unit = f"{BOB}/app.slice/ci.service"
    owner = of(f"{unit}/job1", BOB, unit)
    assert (owner.kind, owner.manager.kind, owner.unit, owner.free) == ("nobody", "user", "ci.service", True)
    assert owner.delegated == unit


@pytest.mark.parametrize(
    ("path", "runtime"),
    [
        (f"/system.slice/docker-{ID}.scope", "docker"),
        (f"{BOB}/user.slice/docker-{ID}.scope", "docker"),
        (f"/docker/{ID}", "docker"),
        (f"/machine.slice/libpod-{ID}.scope", "podman"),
        (f"/libpod_parent/libpod-{ID}", "podman"),
        (f"/machine.slice/machine-libpod_pod_{ID[::-1]}.slice/libpod-{ID}.scope", "podman"),
        (f"/user.slice/libpod-{ID}.scope", "podman"),
        (f"{BOB}/user.slice/libpod-{ID}.scope", "podman"),
        (f"/system.slice/web.service/libpod-payload-{ID}", "podman"),
        (f"/system.slice/nerdctl-{ID}.scope", "containerd"),
    ],
)
def test_a_container_is_its_managers_and_its_cgroup_is_known(path: str, runtime: str) -> None:
    owner = of(path, path, "/system.slice/web.service")
    assert (owner.kind, owner.container) == (runtime, Container(runtime, ID, path))  # type: ignore[arg-type]
    deeper = of(f"{path}/some/process", path, "/system.slice/web.service")
    assert (deeper.kind, deeper.container) == (runtime, owner.container)


def test_the_scope_of_a_container_is_a_unit_of_systemd_as_well() -> None:
    path = f"/system.slice/docker-{ID}.scope"
    owner = of(path, path)
    assert (owner.kind, owner.is_unit, owner.unit) == ("docker", True, f"docker-{ID}.scope")
    rootless = of(f"{BOB}/user.slice/libpod-{ID}.scope")
    assert (rootless.kind, rootless.manager.uid, rootless.is_unit) == ("podman", 1001, True)


def test_cruns_inner_cgroup_is_free_and_known() -> None:
    scope = f"/machine.slice/libpod-{ID}.scope"
    owner = of(f"{scope}/container", scope)
    assert (owner.kind, owner.free, owner.delegated) == ("podman", True, scope)
    assert owner.container == Container("podman", ID, scope, f"{scope}/container")
    assert of(f"{scope}/container/a", scope).container == owner.container


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"/machine.slice/libpod-conmon-{ID}.scope", "podman"),
        ("/user.slice/user-1001.slice/user@1001.service/user.slice/podman-5926.scope", "podman"),
        ("/user.slice/user-1001.slice/user@1001.service/user.slice/podman-pause-009b433e.scope", "podman"),
        ("/libpod_parent", "podman"),
        (f"/machine.slice/machine-libpod_pod_{ID}.slice", "podman"),
        ("/docker", "docker"),
        ("/docker/buildkit/x7", "docker"),
        ("/lxc/101", "lxc"),
        ("/lxc.payload.web1", "lxc"),
        ("/lxc.monitor.web1", "lxc"),
        ("/machine.slice/machine-deb.scope", "machined"),
        (r"/machine.slice/machine-qemu\x2d1\x2dvm.scope", "machined"),
        ("/machine.slice/systemd-nspawn@deb.service", "machined"),
        ("/machine.slice", "systemd"),
        ("/system.slice/docker.service", "systemd"),
        ("/system.slice/podman-auto-update.service", "systemd"),
        ("/system.slice/containerd.service", "systemd"),
        ("/system.slice/crio.service", "systemd"),
    ],
)
def test_what_else_the_managers_make_is_theirs_and_no_container(path: str, kind: str) -> None:
    owner = of(path)
    assert (owner.kind, owner.container) == (kind, None)


@pytest.mark.parametrize("of_all", ["/kubepods.slice", "/kubelet.slice/kubelet-kubepods.slice"])
@pytest.mark.parametrize(
    ("qos", "scope", "runtime"),
    [
        ("burstable", f"cri-containerd-{ID}.scope", "containerd"),
        ("besteffort", f"crio-{ID}.scope", "crio"),
        ("guaranteed", f"docker-{ID}.scope", "docker"),
    ],
)
def test_pods_of_kubelets_systemd_driver(of_all: str, qos: str, scope: str, runtime: str) -> None:
    stem = of_all.rpartition("/")[2].removesuffix(".slice")
    above = of_all if qos == "guaranteed" else f"{of_all}/{stem}-{qos}.slice"
    pod = f"{above}/{stem}{'' if qos == 'guaranteed' else '-' + qos}-pod{DASHED}.slice"
    assert of(above) == Owner("kubernetes", above, SYSTEM, above.rpartition("/")[2], above)
    assert of(pod).pod == Pod(UID, qos, pod)  # type: ignore[arg-type]
    container = of(f"{pod}/{scope}", f"{pod}/{scope}")
    assert (container.kind, container.pod) == ("kubernetes", of(pod).pod)
    assert container.container == Container(runtime, ID, f"{pod}/{scope}")  # type: ignore[arg-type]


@pytest.mark.parametrize(("middle", "qos"), [("", "guaranteed"), ("/burstable", "burstable")])
@pytest.mark.parametrize(("name", "runtime"), [(ID, "containerd"), (f"crio-{ID}", "crio")])
def test_pods_of_kubelets_cgroupfs_driver(middle: str, qos: str, name: str, runtime: str) -> None:
    pod = f"/kubepods{middle}/pod{UID}"
    owner = of(f"{pod}/{name}")
    assert (owner.kind, owner.unit, owner.pod) == ("kubernetes", "", Pod(UID, qos, pod))  # type: ignore[arg-type]
    assert owner.container == Container(runtime, ID, f"{pod}/{name}")  # type: ignore[arg-type]


def test_a_static_pod_has_a_hash_for_its_uid() -> None:
    pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8d2a4b6c8e0f1a3b5c7d9e0f2a4b6c8d.slice"
    assert of(pod).pod == Pod("8d2a4b6c8e0f1a3b5c7d9e0f2a4b6c8d", "burstable", pod)


def test_cri_os_monitor_is_no_container() -> None:
    pod = f"/kubepods.slice/kubepods-pod{DASHED}.slice"
    owner = of(f"{pod}/crio-conmon-{ID}.scope")
    assert (owner.kind, owner.container, owner.pod) == ("kubernetes", None, Pod(UID, "guaranteed", pod))


@pytest.mark.parametrize(
    ("holder", "at"),
    [
        (f"/system.slice/docker-{ID}.scope", ""),
        (f"/machine.slice/libpod-{ID}.scope", "/container"),
        ("/machine.slice/systemd-nspawn@deb.service", "/payload"),
        ("/machine.slice/machine-deb.scope", "/payload"),
        ("/lxc.payload.web1", ""),
        ("/system.slice/app.service", "/deep/down"),
    ],
)
def test_the_units_of_a_systemd_in_a_container_are_that_ones(holder: str, at: str) -> None:
    path = f"{holder}{at}/system.slice/cron.service"
    owner = of(path, holder)
    assert (owner.kind, owner.manager, owner.unit) == ("systemd", Manager("other", holder + at), "cron.service")
    assert (owner.is_unit, owner.free) == (True, False)
    assert owner.container == of(holder, holder).container or owner.container.path == holder  # type: ignore[union-attr]


def test_a_user_manager_in_a_container_is_that_users_in_the_container() -> None:
    holder = "/machine.slice/machine-deb.scope"
    at = f"{holder}/payload/user.slice/user-0.slice/user@0.service"
    assert of(f"{at}/app.slice/a.service", holder).manager == Manager("user", at, 0)


def test_systemds_escape_of_a_cgroups_name_is_taken_off() -> None:
    assert of("/system.slice/_memory.service").unit == "memory.service"


def test_a_quadlet_lies_in_its_service() -> None:
    unit = "/system.slice/web.service"
    payload = of(f"{unit}/libpod-payload-{ID}", unit)
    assert (payload.kind, payload.unit, payload.free) == ("podman", "web.service", True)
    assert (of(f"{unit}/runtime", unit).kind, of(unit, unit).kind) == ("nobody", "systemd")


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        (r"dev-disk-by\x2duuid-1f.swap", "dev-disk-by-uuid-1f.swap"),
        (r"machine-qemu\x2d1\x2dvm.scope", "machine-qemu-1-vm.scope"),
        (r"caf\xc3\xa9.service", "café.service"),
        (r"bad\xff.service", r"bad\xff.service"),
        (r"bell\x07.service", r"bell\x07.service"),
    ],
)
def test_units_are_unescaped_for_people(unit: str, shown: str) -> None:
    assert readable(unit) == shown


def test_marks_are_read_from_the_tree(tmp_path: Path) -> None:
    (tmp_path / "system.slice/app.service").mkdir(parents=True)
    os.setxattr(tmp_path / "system.slice/app.service", "user.delegate", b"1")
    with Tree(Cgroup("/", os.open(tmp_path, os.O_RDONLY))) as tree:
        marked = reader(tree)
        assert (marked("/system.slice/app.service"), marked("/system.slice"), marked("/gone")) == (True, False, False)
        with tree.walk("/system.slice/app.service") as unit:
            assert delegated(unit)

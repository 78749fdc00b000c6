"""Limits of pods are kubelet's: rctl refuses them with the kubectl command that sets them, unless it is forced."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State
from rctl.cgroupfs.tree import Tree
from rctl.errors import NotAvailableError
from rctl.names import kubernetes
from rctl.names.identities import Identities
from tests.unit.fake_kernel import FakeKernel, limits, state_folder

UID = "3f5e1a2b-4c6d-7e8f-9a0b-1c2d3e4f5a6b"
NGINX, LOGGER = "4f1c0a2e5b7d8c9e" * 4, "8f1c0a2e5b7d8c9e" * 4
POD = f"/kubepods/burstable/pod{UID}"
CONTAINER = f"{POD}/{NGINX}"


@dataclass
class Node:
    """A node of a cluster, with one pod of one container, unless the test adds one."""

    kernel: FakeKernel
    tree: Tree
    state: State
    logs: Path

    def set(self, path: str, asked: dict[str, object], *, force: bool = False, dry_run: bool = False) -> None:
        site = Site(self.tree, self.kernel.host, self.state)
        adjust(site, {path: limits(asked, self.kernel.host)}, Options(force=force, dry_run=dry_run))

    def refusal(self, path: str, asked: dict[str, object]) -> str:
        before, said = self.kernel.limits(), []
        for dry_run in (False, True):
            with pytest.raises(NotAvailableError) as caught:
                self.set(path, asked, dry_run=dry_run)
            said.append(str(caught.value))
        assert self.kernel.limits() == before
        assert said[0] == said[1]
        assert "\n" not in said[0]
        return said[0]

    def add_container(self, name: str) -> None:
        (self.logs / f"pods/prod_front_{UID}" / name).mkdir(parents=True)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    kernel = FakeKernel()
    for path in (CONTAINER, "/other"):
        kernel.make(path)
    logs = tmp_path / "var/log"
    (logs / "containers").mkdir(parents=True)
    (logs / f"containers/front_prod_nginx-{NGINX}.log").touch()
    monkeypatch.setattr(kubernetes, "Identities", lambda taken: Identities(taken, str(tmp_path)))
    with state_folder() as state, kernel.installed() as tree:
        node = Node(kernel, tree, state, logs)
        node.add_container("nginx")
        yield node


def patch(said: str) -> tuple[list[str], dict[str, object]]:
    """The words of the command, and the limits in its patch."""
    words = shlex.split(said.partition("Use: ")[2].partition("; or --force")[0].partition("; there is no")[0])
    (container,) = json.loads(words[-1])["spec"]["containers"]
    return words[:-1], container


def test_the_refusal_is_the_command_that_does_it(node: Node) -> None:
    said = node.refusal(CONTAINER, {"memory.max": "256M", "cpu.max": 0.5})
    assert said == (
        "pod:prod/front/nginx: belongs to Kubernetes, which would undo the change. Use: kubectl patch pod front "
        '-n prod --subresource resize --patch \'{"spec":{"containers":[{"name":"nginx","resources":{"limits":'
        '{"cpu":"500m","memory":"268435456"}}}]}}\'; or --force'
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"memory.max": "1G"}, {"memory": "1073741824"}),
        ({"cpu.max": 2}, {"cpu": "2000m"}),
        ({"cpu.max": 0.0105}, {"cpu": "11m"}),
        ({"cpu.max": 1.5, "cpu.period": "50ms"}, {"cpu": "1500m"}),
        ({"vcpus": 1}, {"cpu": "1000m"}),
    ],
)
def test_memory_is_in_bytes_and_cpus_in_thousandths_rounded_up(
    node: Node, asked: dict[str, object], expected: dict[str, str]
) -> None:
    words, container = patch(node.refusal(CONTAINER, asked))
    assert words == ["kubectl", "patch", "pod", "front", "-n", "prod", "--subresource", "resize", "--patch"]
    assert container["name"] == "nginx"
    assert container["resources"] == {"limits": expected}


def test_limits_that_pods_do_not_have_are_named(node: Node) -> None:
    said = node.refusal(CONTAINER, {"memory.max": "1G", "pids.max": 5})
    assert patch(said)[1]["resources"] == {"limits": {"memory": "1073741824"}}
    assert said.endswith("; there is no pids.max in it; or --force")
    for asked in ({"pids.max": 5}, {"memory.max": "max"}, {"cpu.period": "50ms"}):
        said = node.refusal(CONTAINER, asked)
        assert said.endswith("Leave it out, or use --force")
        assert "kubectl" not in said


def test_the_only_container_of_a_pod_is_meant_by_the_pod(node: Node) -> None:
    said = node.refusal(POD, {"memory.max": "1G"})
    assert said.startswith("pod:prod/front: belongs to Kubernetes")
    assert patch(said)[1]["name"] == "nginx"


def test_of_several_one_must_be_named(node: Node) -> None:
    node.add_container("logger")
    said = node.refusal(POD, {"memory.max": "1G"})
    assert said.endswith("Name one container: pod:prod/front/logger or pod:prod/front/nginx; or use --force")


def test_without_kubelets_names_the_command_has_places_for_them(node: Node) -> None:
    for path in (node.logs / "containers", node.logs / "pods"):
        path.rename(path.with_suffix(".gone"))
    said = node.refusal(CONTAINER, {"memory.max": "1G"})
    assert said.startswith(f"pod:{UID}/{NGINX[:12]}: belongs")
    assert "kubectl patch pod POD -n NAMESPACE " in said


def test_cgroups_above_the_pods_are_kubelets_too(node: Node) -> None:
    assert node.refusal("/kubepods", {"memory.max": "1G"}).startswith("/kubepods: belongs to Kubernetes")


def test_force_writes_and_so_does_what_kubelet_does_not_set(node: Node) -> None:
    node.set(CONTAINER, {"memory.max": "256M"}, force=True)
    assert node.kernel.get(CONTAINER, "memory.max") == str(256 << 20)
    node.set(CONTAINER, {"files": {"cgroup.freeze": "1"}})
    assert node.kernel.get(CONTAINER, "cgroup.freeze") == "1"


def test_others_are_not_asked_about(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "check", None)
    node.set("/other", {"memory.max": "256M"})

"""The names that container managers give to their cgroups. Pure.

- docker: ``docker-ID.scope``; with the cgroupfs driver ``/docker/ID``.
- podman: ``libpod-ID.scope``, ``libpod-ID`` with the cgroupfs driver, ``libpod-payload-ID`` below a unit with
  ``--cgroups=split`` (Quadlet). Pods: ``machine-libpod_pod_ID.slice``. ``libpod-conmon-ID`` holds the monitor.
- kubelet: ``kubepods[-QOS][-podUID].slice`` with ``_`` for the ``-`` of the UID, ``kubepods/[QOS/]podUID`` with the
  cgroupfs driver. Below that, the container runtime: ``cri-containerd-ID.scope``, ``crio-ID.scope``,
  ``docker-ID.scope``, or the bare ID. ``crio-conmon-ID`` holds the monitor.
- crun sets the limits on a cgroup ``container`` below the scope (its annotation ``run.oci.systemd.subgroup``).
- lxc: ``lxc.payload.NAME``, ``lxc.monitor.NAME``, ``lxc/NAME``. machined: ``machine-NAME.scope``, and all in
  ``machine.slice`` that is not podman's.
"""

import re
from typing import Literal

import msgspec

from ..late_regex import regex

Runtime = Literal["docker", "podman", "containerd", "crio"]
MadeBy = Literal["docker", "podman", "containerd", "crio", "lxc", "machined"]
QOS = Literal["guaranteed", "burstable", "besteffort"]

INNER = "container"
"""The cgroup below a container's scope in which crun sets the limits."""

_ID = r"(?P<id>[0-9a-f]{64})"
_CONTAINERS: tuple[tuple[Runtime, re.Pattern[str]], ...] = (
    ("podman", regex(rf"libpod-(?:payload-)?{_ID}(?:\.scope)?")),
    ("docker", regex(rf"docker-{_ID}\.scope")),
    ("containerd", regex(rf"(?:cri-containerd|nerdctl)-{_ID}\.scope")),
    ("crio", regex(rf"crio-{_ID}(?:\.scope)?")),
)
_BARE = regex(_ID)
_QOS = r"(?:(?P<qos>burstable|besteffort)-)?"
_POD_SLICE = regex(rf"(?:[^/]*-)?kubepods-{_QOS}pod(?P<uid>[0-9A-Za-z_]+)\.slice")
_POD = regex(r"pod(?P<uid>[0-9A-Za-z-]+)")
_KUBEPODS = regex(r"(?:[^/]*-)?kubepods(?:-[^/]*)?(?:\.slice)?")
_MADE_BY: tuple[tuple[MadeBy, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        "podman",
        ("libpod", "podman-"),
        regex(r"libpod-.*|libpod_parent|.*-libpod_pod_.*|podman-(?:pause-)?[0-9a-f]+\.scope"),
    ),
    ("docker", ("docker",), regex(r"docker|docker-[0-9a-f]{12,}\.scope")),
    ("containerd", ("cri-containerd-", "nerdctl-"), regex(r"(?:cri-containerd|nerdctl)-.*")),
    ("crio", ("crio-",), regex(r"crio-(?:conmon-)?[0-9a-f]{12,}.*")),
    ("lxc", ("lxc",), regex(r"lxc|lxc\.(?:payload|monitor|pivot)(?:\..*)?")),
    ("machined", ("machine-", "systemd-nspawn@"), regex(r"machine-.*\.scope|systemd-nspawn@.*\.service")),
)
"""By manager: a name that it makes has one of these words, and this form."""
_DIGITS = 64


class Container(msgspec.Struct, frozen=True):
    """A container. ``path``: its own cgroup, the outermost that holds nothing else.

    ``inner``: the cgroup below it in which its runtime sets the limits; empty if the path that was looked at does not
    lead through such a one.
    """

    runtime: Runtime
    id: str
    path: str
    inner: str = ""


class Pod(msgspec.Struct, frozen=True):
    """A pod of Kubernetes. ``uid`` has dashes, as Kubernetes shows it. ``path``: the pod's own cgroup."""

    uid: str
    qos: QOS
    path: str


def is_kubepods(component: str) -> bool:
    """True for the cgroup of all pods, of a QoS class, and of a pod with the systemd driver."""
    return "kubepods" in component and _KUBEPODS.fullmatch(component) is not None


def made_by(component: str, above: str) -> MadeBy | None:
    """The manager that makes cgroups with such a name; ``None`` if none does. ``above``: the component above."""
    for manager, words, pattern in _MADE_BY:
        for word in words:
            if word in component and pattern.fullmatch(component):
                return manager
    return "machined" if above == "machine.slice" else None


def container_at(component: str, above: str, path: str, pod: Pod | None) -> Container | None:
    """The container whose own cgroup this is. ``above``: the component above; ``pod``: the pod that it lies in."""
    if len(component) < _DIGITS:
        return None
    for runtime, pattern in _CONTAINERS:
        if match := pattern.fullmatch(component):
            return Container(runtime, match["id"], path)
    if above == "docker" and _BARE.fullmatch(component):
        return Container("docker", component, path)
    if pod and path.rpartition("/")[0] == pod.path and _BARE.fullmatch(component):
        return Container("containerd", component, path)
    return None


def pod_at(component: str, above: str, path: str) -> Pod | None:
    """The pod whose own cgroup this is. Only called below a cgroup of ``kubepods``."""
    if match := _POD_SLICE.fullmatch(component):
        qos: QOS = match["qos"] or "guaranteed"  # type: ignore[assignment]
        return Pod(match["uid"].replace("_", "-"), qos, path)
    if match := _POD.fullmatch(component):
        return Pod(match["uid"], above if above in ("burstable", "besteffort") else "guaranteed", path)  # type: ignore[arg-type]
    return None

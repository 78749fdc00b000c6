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

from collections.abc import Callable
from typing import Literal

import msgspec

from ..late_regex import regex

Runtime = Literal["docker", "podman", "containerd", "crio"]
MadeBy = Literal["docker", "podman", "containerd", "crio", "lxc", "machined"]
QOS = Literal["guaranteed", "burstable", "besteffort"]

INNER = "container"
"""The cgroup below a container's scope in which crun sets the limits."""

_CONTAINERS: tuple[tuple[Runtime, tuple[str, ...], tuple[str, ...]], ...] = (
    ("podman", ("libpod-payload-", "libpod-"), (".scope", "")),
    ("docker", ("docker-",), (".scope",)),
    ("containerd", ("cri-containerd-", "nerdctl-"), (".scope",)),
    ("crio", ("crio-",), (".scope", "")),
)
"""By runtime, what stands before the id, and what after it."""
_QOS = r"(?:(?P<qos>burstable|besteffort)-)?"
_POD_SLICE = regex(rf"(?:[^/]*-)?kubepods-{_QOS}pod(?P<uid>[0-9A-Za-z_]+)\.slice")
_POD = regex(r"pod(?P<uid>[0-9A-Za-z-]+)")
_KUBEPODS = regex(r"(?:[^/]*-)?kubepods(?:-[^/]*)?(?:\.slice)?")
_DIGITS = 64
_HEX = "0123456789abcdef"


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
    for manager, words, has_form in _MADE_BY:
        for word in words:
            if word in component and has_form(component):
                return manager
    return "machined" if above == "machine.slice" else None


def _podmans(name: str) -> bool:
    if name.startswith("libpod-") or name == "libpod_parent" or "-libpod_pod_" in name:
        return True
    scope = name.startswith("podman-") and name.endswith(".scope")
    return scope and _is_hex(name[7:-6].removeprefix("pause-"), 1)


def _dockers(name: str) -> bool:
    return name == "docker" or (
        name.startswith("docker-") and name.endswith(".scope") and _is_hex(name[7:-6], _SHORT_ID)
    )


def _crios(name: str) -> bool:
    return name.startswith("crio-") and _is_hex(name[5:].removeprefix("conmon-")[:_SHORT_ID], _SHORT_ID)


def _lxcs(name: str) -> bool:
    first, *rest = name.split(".", 2)
    return first == "lxc" and (not rest or rest[0] in ("payload", "monitor", "pivot"))


def _machineds(name: str) -> bool:
    return (name.startswith("machine-") and name.endswith(".scope")) or (
        name.startswith("systemd-nspawn@") and name.endswith(".service")
    )


_SHORT_ID = 12
_MADE_BY: tuple[tuple[MadeBy, tuple[str, ...], Callable[[str], bool]], ...] = (
    ("podman", ("libpod", "podman-"), _podmans),
    ("docker", ("docker",), _dockers),
    ("containerd", ("cri-containerd-", "nerdctl-"), lambda name: name.startswith(("cri-containerd-", "nerdctl-"))),
    ("crio", ("crio-",), _crios),
    ("lxc", ("lxc",), _lxcs),
    ("machined", ("machine-", "systemd-nspawn@"), _machineds),
)
"""By manager: a name that it makes has one of these words, and this form."""


def container_at(component: str, above: str, path: str, pod: Pod | None) -> Container | None:
    """The container whose own cgroup this is. ``above``: the component above; ``pod``: the pod that it lies in."""
    if len(component) < _DIGITS:
        return None
    for runtime, before, after in _CONTAINERS:
        if found := _id(component, before, after):
            return Container(runtime, found, path)
    if len(component) > _DIGITS or not _is_hex(component, _DIGITS):
        return None
    if above == "docker":
        return Container("docker", component, path)
    if pod and path.rpartition("/")[0] == pod.path:
        return Container("containerd", component, path)
    return None


def _id(component: str, before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """The id between one of these beginnings and ends; empty if it has another form."""
    start = next((text for text in before if component.startswith(text)), None)
    if start is None:
        return ""
    rest = component[len(start) :]
    return rest[:_DIGITS] if rest[_DIGITS:] in after and _is_hex(rest[:_DIGITS], _DIGITS) else ""


def _is_hex(text: str, least: int) -> bool:
    """True for at least so many lower-case hexadecimal digits, and nothing else."""
    return len(text) >= least and not text.strip(_HEX)


def pod_at(component: str, above: str, path: str) -> Pod | None:
    """The pod whose own cgroup this is. Only called below a cgroup of ``kubepods``."""
    if match := _POD_SLICE.fullmatch(component):
        qos: QOS = match["qos"] or "guaranteed"  # type: ignore[assignment]
        return Pod(match["uid"].replace("_", "-"), qos, path)
    if match := _POD.fullmatch(component):
        return Pod(match["uid"], above if above in ("burstable", "besteffort") else "guaranteed", path)  # type: ignore[arg-type]
    return None

"""Limits of pods belong to kubelet: it sets them again from the pod's spec. The way to change them is kubectl.

https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence

from ..cgroupfs.tree import Tree
from ..errors import NotAvailableError
from ..formats import Write
from .identities import Identities
from .identity import Identity
from .owners import owner_of

_OURS = ("cgroup.freeze",)
"""Files that kubelet does not set."""


def check(tree: Tree, path: str, writes: Iterable[Write], identities: Identities | None = None) -> None:
    """Check that these entries of the cgroup may be written. ``identities``: unset, those of this host.

    Raises NotAvailableError with kubectl's command if kubelet sets them.
    """
    wanted = [(write.file, write.wanted) for write in writes if write.file.name not in _OURS]
    entries = {file.name: file.merge(file.default, text) for file, text in wanted}
    owner = owner_of(path, lambda _: False, managed=bool(tree.managed(path)))
    if owner.kind != "kubernetes" or not entries:
        return
    identities = identities or Identities(tree.has)
    identity = identities.of(owner)
    name = tree.name(path) if tree.name(path) != path else identity.name
    containers: Sequence[str] = ()
    if owner.pod:
        containers = [identity.container] if owner.container else identities.containers_of(owner.pod.uid)
    raise NotAvailableError(
        f"{name}: belongs to Kubernetes, which would undo the change. {remedy(identity, containers, entries)}"
    )


def remedy(identity: Identity, containers: Sequence[str], entries: Mapping[str, str]) -> str:
    """What to do instead, for entries by file. ``containers``: those of the pod that may be meant. Pure."""
    limits = dict(sorted(found for file, entry in entries.items() for found in _limit(file, entry)))
    others = sorted(file for file, entry in entries.items() if not [*_limit(file, entry)])
    if not containers or not limits:
        return f"A pod has no such limit ({', '.join(others or entries)}). Leave it out, or use --force"
    if len(containers) > 1:
        names = " or ".join(f"{identity.name}/{name}" for name in containers)
        return f"Name one container: {names}; or use --force"
    patch = {"spec": {"containers": [{"name": containers[0], "resources": {"limits": limits}}]}}
    where = f"{identity.pod or 'POD'} -n {identity.namespace or 'NAMESPACE'}"
    text = shlex.quote(json.dumps(patch, separators=(",", ":")))
    rest = f"; there is no {', '.join(others)} in it" if others else ""
    return f"Use: kubectl patch pod {where} --subresource resize --patch {text}{rest}; or --force"


def _limit(file: str, entry: str) -> Iterable[tuple[str, str]]:
    """The limit of a container that stands for an entry: memory in bytes, CPUs in thousandths. No limit has none."""
    number, _, period = entry.partition(" ")
    if number.isdecimal() and file == "memory.max":
        yield "memory", number
    if number.isdecimal() and file == "cpu.max":
        yield "cpu", f"{-(-int(number) * 1000 // int(period))}m"

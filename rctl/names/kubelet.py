"""Names of pods and of their containers, from what kubelet leaves for log collectors.

A pod has a folder ``/var/log/pods/NAMESPACE_NAME_UID``, a container a link
``/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log``. The name of such a link is cut at 255 bytes, without the id
then.
https://kubernetes.io/docs/concepts/cluster-administration/logging/
"""

from __future__ import annotations

import msgspec

from ..late_regex import regex
from .versions import Version, listed, version

_PODS = "/var/log/pods"
_CONTAINERS = "/var/log/containers"
_PART = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
_NAME = regex(_PART)
_POD = regex(rf"({_PART})_({_PART})_([0-9A-Za-z-]+)")
_CONTAINER = regex(rf"{_PART}_{_PART}_({_PART})-([0-9a-f]{{64}})\.log")


class PodName(msgspec.Struct, frozen=True):
    """The name of a pod. Empty: not known."""

    namespace: str = ""
    name: str = ""


class Kubelet:
    """The pods of this node. The folders are listed again if they changed, and only when an unknown pod turns up."""

    def __init__(self, root: str = "") -> None:
        """``root``: for tests, what stands before the folders' paths."""
        self._pods: dict[str, PodName] = {}
        self._containers: dict[str, str] = {}
        self._folders = root + _PODS, root + _CONTAINERS
        self._listed: list[Version | None] = [None, None]

    def pod(self, uid: str) -> PodName:
        """The name of the pod with this uid."""
        if uid not in self._pods and self._changed(0):
            found = (_POD.fullmatch(name) for name in listed(self._folders[0]))
            self._pods = {pod[3]: PodName(pod[1], pod[2]) for pod in found if pod}
        return self._pods.get(uid, PodName())

    def containers(self, uid: str) -> list[str]:
        """The names of the containers of the pod with this uid; those that ran once and start the pod, too."""
        pod = self.pod(uid)
        folder = f"{self._folders[0]}/{pod.namespace}_{pod.name}_{uid}"
        return sorted(name for name in listed(folder) if _NAME.fullmatch(name)) if pod.name else []

    def container(self, container: str) -> str:
        """The name of the container with this id; empty if it is not known, as that of a pod's own sandbox."""
        if container not in self._containers and self._changed(1):
            found = (_CONTAINER.fullmatch(name) for name in listed(self._folders[1]))
            self._containers = {one[2]: one[1] for one in found if one}
        return self._containers.get(container, "")

    def _changed(self, which: int) -> bool:
        before, self._listed[which] = self._listed[which], version(self._folders[which])
        return self._listed[which] != before

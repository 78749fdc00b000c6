"""Finds the names that people know a cgroup by, from its owner and the files that container managers keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import docker, podman, users
from .called import UNKNOWN, Called
from .container_cgroups import Container
from .docker import Docker
from .identity import Identity
from .kubelet import Kubelet, PodName
from .owners import Owner
from .podman import Podman
from .unit_names import unit_name

_SHORT = 12
"""Digits of an id that docker and podman show."""


class Identities:
    """Looks names up, in the files that container managers keep. It starts no process, and nothing is an error."""

    def __init__(
        self, taken: Callable[[str], bool] = lambda _: False, root: str = "", home: Callable[[int], str] = users.home
    ) -> None:
        """``taken``: returns True for the name of a VE of rctl's own; a unit with such a name gets a longer one.

        ``root``: for tests, what stands before the paths of all files. ``home``: the home folder of a user.
        """
        self._taken = taken
        self._root = root
        self._home = home
        self._dockers: dict[int, Docker] = {}
        self._podmans: dict[int, Podman] = {}
        self._kubelet = Kubelet(root)

    def of(self, owner: Owner, inner: bool = False) -> Identity:
        """The names of the cgroup with this owner.

        ``inner``: there is a cgroup below it in which its runtime sets the limits. That one has the container's name.
        """
        if owner.container:
            return self._of_container(owner, owner.container, inner)
        if owner.pod and not users.of_path(owner.path):
            pod = self._kubelet.pod(owner.pod.uid)
            full = _pod_name(pod, owner.pod.uid) if owner.path == owner.pod.path else owner.path
            return Identity(full, owner.kind, owner.unit, pod=pod.name, namespace=pod.namespace)
        return Identity(unit_name(owner, self._taken), owner.kind, owner.unit)

    def known(self, runtime: str, uid: int = 0) -> Mapping[str, Called]:
        """All containers of docker or podman by id, also those that do not run. ``uid``: of the user whose they are."""
        return (self._docker(uid) if runtime == "docker" else self._podman(uid)).known()

    def containers_of(self, pod: str) -> list[str]:
        """The names of the containers of the pod with this uid, as far as they are known."""
        return self._kubelet.containers(pod)

    def _of_container(self, owner: Owner, container: Container, inner: bool) -> Identity:
        pod = PodName()
        if owner.pod and owner.kind == "kubernetes" and not users.of_path(owner.path):
            pod = self._kubelet.pod(owner.pod.uid)
            name = self._kubelet.container(container.id) or container.id[:_SHORT]
            image = self._called(container).image if container.runtime == "crio" else ""
            full = f"{_pod_name(pod, owner.pod.uid)}/{name}"
        else:
            uid = users.of_path(owner.path)
            known = self._called(container, uid)
            name, image = known.name or container.id[:_SHORT], known.image
            full = f"{container.runtime}:{users.by_uid(uid).name + '/' if uid else ''}{name}"
        own = owner.path == (container.inner or container.path) and not inner
        return Identity(full if own else owner.path, owner.kind, owner.unit, name, image, pod.name, pod.namespace)

    def _called(self, container: Container, uid: int = 0) -> Called:
        """The name and image of a container of the system's manager, or of a user's own."""
        if container.runtime == "docker":
            return self._docker(uid).called(container.id)
        return self._podman(uid).called(container.id) if container.runtime in ("podman", "crio") else UNKNOWN

    def _docker(self, uid: int) -> Docker:
        if uid not in self._dockers:
            folder = f"{self._root}{self._home(uid)}/{docker.FOLDER_OF_USER}" if uid else ""
            self._dockers[uid] = Docker(folder, uid or None, self._root)
        return self._dockers[uid]

    def _podman(self, uid: int) -> Podman:
        if uid not in self._podmans:
            own = f"{self._root}{self._home(uid)}/{podman.FOLDER_OF_USER}", f"{self._root}/run/user/{uid}/containers"
            self._podmans[uid] = Podman(own if uid else (), self._root)
        return self._podmans[uid]


def _pod_name(pod: PodName, uid: str) -> str:
    return f"pod:{pod.namespace}/{pod.name}" if pod.name else f"pod:{uid}"

"""The cgroup for a word of people, if it is no VE of rctl's own: a unit, a user, a container, a pod, an id.

Each cgroup of the tree is named by its path (``owners``) and by the files of its container manager (``identities``).
A word is compared with these names; there is no other table of names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from ..cgroupfs.paths import paths
from ..cgroupfs.tree import Tree
from ..errors import NotFoundError, UsageError
from ..formats import KINDS, UNITS, VE_NAME
from ..late_regex import regex
from . import users
from .owners import owner_of, unescaped
from .unit_names import unit_name, words_of_unit

if TYPE_CHECKING:
    from .identities import Identities

CONTAINERS = tuple(kind for kind in KINDS if kind not in ("unit", "user"))
_ID = regex(r"[0-9a-f]{4,64}")
"""The beginning of a container's id, long enough to be meant."""
_IN_CONTAINER = regex(r"(?<!_pod_)[0-9a-f]{64}.*/")
_OF_CONTAINERS = regex(r"[0-9a-f]{64}|pod")
_IN_PATH = {"docker": "docker", "podman": "libpod", "pod": "kubepods"}
"""What the paths of all containers of a kind have."""
_MOST_SHOWN = 8
ROOT_SLICE = "-.slice"
"""systemd's name of the root cgroup."""


class Named(msgspec.Struct, frozen=True):
    """A cgroup with a name. ``words``: other words for it, of which others may have the same. ``id``: a container's."""

    name: str
    path: str
    words: Sequence[str] = ()
    id: str = ""


class Elsewhere:
    """The units, users, containers and pods of a host, as they are when first asked for."""

    def __init__(self, tree: Tree, identities: Identities | None = None) -> None:
        """``identities``: unset, those of this host."""
        self._tree = tree
        self._given = identities

    def one(self, word: str) -> Named:
        """The only cgroup that this word names. Raises NotFoundError, UsageError if it names several."""
        kind = kind_of(word)
        found = self.all_of(word)
        if len(found) == 1:
            return found[0]
        if not found:
            from .unknown import why

            raise NotFoundError(why(word, kind, self._tree, self))
        called = [one.name for one in found]
        shown = (one.name if called.count(one.name) == 1 else one.path for one in found)
        names = sorted(shown, key=lambda name: (name.count("/"), name))
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        raise UsageError(f"{word}: may be {', '.join(names[:_MOST_SHOWN])}{more}. Write one of these")

    def all_of(self, word: str) -> Sequence[Named]:
        """All cgroups that this word may name."""
        if word.removeprefix("unit:") == ROOT_SLICE:
            return [Named("/", "/")]
        kind = kind_of(word)
        return self._called(word, kind) or self._with_id(word, kind)

    def matching(self, pattern: str) -> list[Named]:
        """All whose name matches; ``*`` does not cross a slash. Without a kind: units of the system."""
        from .shell_patterns import fits

        kind, _, plain = pattern.rpartition(":")
        if kind in ("", "unit"):
            wanted = f"unit:{plain}" if "/" in plain else plain
            return [one for one in self._units if fits(one.name, wanted) or fits(one.words[0], wanted)]
        return [one for one in (self._units if kind == "user" else self.containers_of(kind)) if fits(one.name, pattern)]

    def everything(self) -> Iterator[Named]:
        """All that have a name."""
        yield from (one for one in (*self._units, *self._containers) if one.name != one.path)

    def beginning(self, word: str) -> Iterator[str]:
        """The names that begin like this. Files of container managers are read only for a word with such a kind."""
        kind = kind_of(word)
        if kind in CONTAINERS:
            yield from (one.name for one in self.containers_of(kind) if one.name.startswith(word))
            return
        plain = word.removeprefix("unit:").rpartition("/")[2]
        for one in self._units_where(lambda unit: unit.startswith(plain) or users.of_slice(unit) is not None):
            names = one.name, one.words[0], f"unit:{one.words[0]}"
            yield from next(([name] for name in names if name.startswith(word)), [])

    def _called(self, word: str, kind: str) -> Sequence[Named]:
        """Those with exactly this name; else those with this as another word."""
        found: Sequence[Named] = []
        if kind in ("", "unit", "user"):
            only_units = kind != "" or word.endswith(UNITS)
            plain = word.removeprefix("unit:").rpartition("/")[2]
            likely = plain, f"{plain}.service"
            units = self._units_where(
                lambda unit: unit in likely or "\\x" in unit or users.of_slice(unit) is not None, only_units
            )
            found = [one for one in units if one.name == word or word in one.words]
        if kind != "user" and not (found and word.endswith(UNITS)):
            found = [*found, *(one for one in self._containers if one.name == word or word in one.words)]
        return [one for one in found if one.name == word] or found

    def _with_id(self, word: str, kind: str) -> Sequence[Named]:
        digits = word.removeprefix(f"{kind}:")
        if not _ID.fullmatch(digits):
            return []
        return [one for one in self._containers if one.id.startswith(digits) and one.name.startswith(kind)]

    @cached_property
    def identities(self) -> Identities:
        """What container managers call their containers."""
        from .identities import Identities

        return self._given or Identities(self._tree.has)

    @cached_property
    def _paths(self) -> list[str]:
        """All cgroups that are not rctl's. What lies in a container is left out, but for one level."""
        managed = self._tree.managed

        def enter(path: str) -> bool:
            return not managed(path) and not _IN_CONTAINER.search(path)

        return [path for path in paths(self._tree, enter) if not managed(path)]

    @cached_property
    def _paths_of_units(self) -> list[str]:
        """The cgroups directly below slices and users' managers: each unit is one of them."""
        managed = self._tree.managed
        return [path for path in paths(self._tree, _has_units) if not managed(path)]

    def _units_where(self, likely: Callable[[str], bool], only_units: bool = True) -> Iterator[Named]:
        """The units of the system's manager and of users' managers whose full name is ``likely``, by path.

        Without those of containers and pods. ``only_units``: nothing else will be looked for.
        """
        known = "_paths" in self.__dict__ or not only_units
        for path in self._paths if known else self._paths_of_units:
            if likely(unescaped(path.rpartition("/")[2])):
                owner = owner_of(path, _unmarked)  # the marks of delegation do not change any name
                name = path if owner.container or owner.pod else unit_name(owner, self._tree.has)
                if name != path:
                    yield Named(name, path, words_of_unit(owner))

    @cached_property
    def _units(self) -> list[Named]:
        """All units."""
        return list(self._units_where(lambda _: True))

    @cached_property
    def _containers(self) -> list[Named]:
        """Containers and pods of all kinds."""
        return self.containers_of("")

    def containers_of(self, kind: str) -> list[Named]:
        """Containers and pods of a kind, by path. A scope whose limits are set below it has the path for its name."""
        if "_containers" in self.__dict__:
            return [one for one in self._containers if kind_of(one.name) == kind]
        identities, part = self.identities, _IN_PATH.get(kind, "")
        likely = [path for path in self._paths if part in path and _OF_CONTAINERS.search(path)]
        owners = [owner_of(path, _unmarked) for path in likely]
        inner = {owner.container.path for owner in owners if owner.container and owner.container.inner}
        found = []
        for owner in owners:
            if (owner.container or owner.pod) and owner.manager.kind != "other":
                name = identities.of(owner, owner.path in inner).name
                words = _words_of_container(name) if name != owner.path else []
                if owner.is_unit and owner.unit:
                    words += [owner.unit, f"unit:{owner.unit}"]
                id_ = owner.container.id if owner.container and name != owner.path else ""
                found.append(Named(name, owner.path, words, id_))
        return found


def _has_units(path: str) -> bool:
    return path.endswith(".slice") or users.of_manager(path.rpartition("/")[2]) is not None


def may_be(word: str) -> bool:
    """True if a VE, a unit or a container may have this name."""
    return bool(VE_NAME.fullmatch(word) or kind_of(word) or word.endswith(UNITS) or _ID.fullmatch(word))


def kind_of(word: str) -> str:
    """What stands before the colon of a word, if that is a kind; else empty."""
    kind, colon, _ = word.partition(":")
    return kind if colon and kind in KINDS else ""


def _words_of_container(name: str) -> list[str]:
    """Without the kind; and without the user or the namespace."""
    kind, _, plain = name.partition(":")
    first, slash, rest = plain.partition("/")
    if kind == "pod":
        return [f"pod:{rest}"] if slash else []
    return [f"{kind}:{rest}", rest] if slash else [first]


def _unmarked(path: str) -> bool:
    return False

"""The cgroup for a word of people, if it is no VE of rctl's own: a unit, a user, a container, a pod, an id.

Each cgroup of the tree is named by its path (``owners``) and by the files of its container manager (``identities``).
A word is compared with these names; there is no other table of names.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..cgroupfs.paths import paths
from ..cgroupfs.tree import Tree
from ..errors import NotFoundError, UsageError
from ..formats import VE_NAME
from .owners import Owner, owner_of
from .unit_names import unit_name, words_of_unit

if TYPE_CHECKING:
    from .identities import Identities

CONTAINERS = ("docker", "podman", "containerd", "crio", "pod")
KINDS = ("unit", "user", *CONTAINERS)
"""What may stand before the colon of a word."""
SUFFIXES = (".service", ".scope", ".slice", ".socket", ".mount", ".swap")
_ID = re.compile(r"[0-9a-f]{4,64}")
"""The beginning of a container's id, long enough to be meant."""
_IN_CONTAINER = re.compile(r"(?<!_pod_)[0-9a-f]{64}.*/")
_MOST_SHOWN = 8


class Named(NamedTuple):
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
        found = self._called(word, kind) or self._with_id(word, kind)
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFoundError(self._unknown(word, kind))
        names = sorted((one.name for one in found), key=lambda name: (name.count("/"), name))
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        raise UsageError(f"{word}: may be {', '.join(names[:_MOST_SHOWN])}{more}. Write one of these")

    def matching(self, pattern: str) -> list[Named]:
        """All whose name matches; ``*`` does not cross a slash. Without a kind: units of the system."""
        kind, _, plain = pattern.rpartition(":")
        if kind in ("", "unit"):
            wanted = f"unit:{plain}" if "/" in plain else plain
            return [one for one in self._units if _fits(one.name, wanted) or _fits(one.words[0], wanted)]
        return [one for one in (self._units if kind == "user" else self._containers) if _fits(one.name, pattern)]

    def everything(self) -> Iterator[Named]:
        """All that have a name."""
        yield from (one for one in (*self._units, *self._containers) if one.name != one.path)

    def beginning(self, word: str) -> Iterator[str]:
        """The names that begin like this. Files of container managers are read only for a word with such a kind."""
        of_containers = kind_of(word) in CONTAINERS
        for one in self._containers if of_containers else self._units:
            if one.name.startswith(word) and one.name != one.path:
                yield one.name
            elif not of_containers and one.words[0].startswith(word):  # user-1001.slice
                yield one.words[0]

    def _called(self, word: str, kind: str) -> Sequence[Named]:
        """Those with exactly this name; else those with this as another word."""
        found: Sequence[Named] = []
        if kind in ("", "unit", "user"):
            found = [one for one in self._units if one.name == word or word in one.words]
        if kind != "user" and not (found and word.endswith(SUFFIXES)):
            found = [*found, *(one for one in self._containers if one.name == word or word in one.words)]
        return [one for one in found if one.name == word] or found

    def _with_id(self, word: str, kind: str) -> Sequence[Named]:
        digits = word.removeprefix(f"{kind}:")
        if not _ID.fullmatch(digits):
            return []
        return [one for one in self._containers if one.id.startswith(digits) and one.name.startswith(kind)]

    @cached_property
    def _owners(self) -> list[Owner]:
        """The owners of all cgroups that are not rctl's. The marks of delegation do not change any name."""
        managed = self._tree.managed

        def enter(path: str) -> bool:
            return not managed(path) and not _IN_CONTAINER.search(path)

        return [owner_of(path, _unmarked) for path in paths(self._tree, enter) if not managed(path)]

    @cached_property
    def _units(self) -> list[Named]:
        """The units of the system's manager and of users' managers, by path; without those of containers and pods."""
        found = []
        for owner in self._owners:
            name = owner.path if owner.container or owner.pod else unit_name(owner, self._tree.has)
            if name != owner.path:
                found.append(Named(name, owner.path, words_of_unit(owner)))
        return found

    @cached_property
    def _containers(self) -> list[Named]:
        """Containers and pods, by path. A scope whose limits are set below it has the path for its name."""
        from .identities import Identities

        identities = self._given or Identities(self._tree.has)
        inner = {owner.container.path for owner in self._owners if owner.container and owner.container.inner}
        found = []
        for owner in self._owners:
            if (owner.container or owner.pod) and owner.manager.kind != "other":
                name = identities.of(owner, owner.path in inner).name
                words = _words_of_container(name) if name != owner.path else []
                if owner.is_unit and owner.unit:
                    words += [owner.unit, f"unit:{owner.unit}"]
                id_ = owner.container.id if owner.container and name != owner.path else ""
                found.append(Named(name, owner.path, words, id_))
        return found

    def _unknown(self, word: str, kind: str) -> str:
        """The error for a word that names nothing, with the nearest names."""
        from difflib import get_close_matches

        known = {} if kind else {name: name for name in self._tree.names()}
        for one in self.everything():
            if one.name.startswith(f"{kind}:" if kind in CONTAINERS else ""):
                known |= {_stem(each): one.name for each in (*one.words, one.name)}
        near = dict.fromkeys(known[like] for like in get_close_matches(_stem(word), known, 3, 0.6))
        meant = f". Did you mean {' or '.join(near)}?" if near else "."
        where = f" ({self._tree.path(word)})" if VE_NAME.fullmatch(word) else ""
        return f"{word}: there is no such VE{where}, unit or container{meant} See rctl ls --all"


def may_be(word: str) -> bool:
    """True if a VE, a unit or a container may have this name."""
    return bool(VE_NAME.fullmatch(word) or kind_of(word) or word.endswith(SUFFIXES) or _ID.fullmatch(word))


def kind_of(word: str) -> str:
    """What stands before the colon of a word, if that is a kind; else empty."""
    kind, colon, _ = word.partition(":")
    return kind if colon and kind in KINDS else ""


def _stem(word: str) -> str:
    return word.rpartition(":")[2].removesuffix(".service")


def _words_of_container(name: str) -> list[str]:
    """Without the kind; and without the user or the namespace."""
    kind, _, plain = name.partition(":")
    first, slash, rest = plain.partition("/")
    if kind == "pod":
        return [f"pod:{rest}"] if slash else []
    return [f"{kind}:{rest}", rest] if slash else [first]


def _fits(name: str, pattern: str) -> bool:
    """True if each part between slashes matches."""
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _unmarked(path: str) -> bool:
    return False

"""Which metrics of which VEs are exported: the settings as data, and the parser of the flags."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable, Sequence
from typing import Literal, Self, cast

import msgspec

from rctl.errors import UsageError

Profile = Literal["core", "full"]

COLLECTORS = (
    "identity",
    "cpu",
    "memory",
    "memory_stat",
    "numa",
    "pressure",
    "io",
    "pids",
    "hugetlb",
    "rdma",
    "misc",
    "limits",
)
"""Every collector. Each reads files of one kind and gives the families of one kind."""

_EVERYTHING = ("*", "/**")
_ALL = frozenset(COLLECTORS)
_LONGEST = 4096


class Selection(msgspec.Struct, frozen=True):
    """The metrics of one VE: how much of each family (``profile``), and which collectors run."""

    profile: Profile
    collectors: frozenset[str]


PROFILES = {
    "core": Selection("core", frozenset({"identity", "cpu", "memory", "pressure", "io", "pids", "limits"})),
    "full": Selection("full", _ALL - {"numa"}),
}
"""The two profiles. ``numa`` is in neither: its file costs the kernel more than all the others together."""


class Rule(msgspec.Struct, frozen=True):
    """One ``--collect``: the metrics of the VEs that match ``pattern`` (``""``: all).

    ``base`` replaces the selection, ``without`` is removed from it. A rule without ``base`` changes the selection of
    the rules before it.
    """

    pattern: str = ""
    base: Selection | None = None
    without: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``[PATTERN=]WORD,WORD...``. A word is a profile, a collector, or ``-name`` to remove a collector.

        A collector beside a profile is added to it. Collectors without a profile select only themselves, in full.
        Raises UsageError that names the word.
        """
        pattern, equals, words = text.rpartition("=")
        if equals:
            _check(pattern, "--collect", text)
        profile, named, without = _sorted([word.strip() for word in words.split(",")], text)
        base: Selection | None = None
        if profile:
            base = Selection(profile, PROFILES[profile].collectors | named)
        elif named:
            base = Selection("full", named)
        return cls(pattern, base, without)

    def after(self, before: Selection) -> Selection:
        """The selection of a VE after this rule; ``before``: its selection before."""
        base = self.base or before
        return Selection(base.profile, base.collectors - self.without)


def _sorted(words: Sequence[str], text: str) -> tuple[Profile | None, frozenset[str], frozenset[str]]:
    names = [word.removeprefix("-") for word in words]
    for word, name in zip(words, names, strict=True):
        if name not in (_ALL if word.startswith("-") else _ALL | set(PROFILES)):
            raise UsageError(
                f"--collect {text[:80]!r}: {word[:40]!r} is no profile ({', '.join(PROFILES)}) and no collector: "
                f"{', '.join(COLLECTORS)}; - before a collector takes it away"
            )
        if names.count(name) > 1:
            raise UsageError(f"--collect {text[:80]!r}: {name} given twice. Give it once")
    profiles = [word for word in words if word in PROFILES]
    if len(profiles) > 1:
        raise UsageError(f"--collect {text[:80]!r}: {' and '.join(profiles)} exclude one another. Give one")
    return (
        cast("Profile", profiles[0]) if profiles else None,
        frozenset(word for word in words if word in _ALL),
        frozenset(word[1:] for word in words if word.startswith("-")),
    )


class Settings(msgspec.Struct, frozen=True):
    """Which VEs are exported, and which metrics of each.

    ``include``, ``exclude``: patterns. A VE is exported if one of the first matches and none of the second. A pattern
    without a leading slash matches the names of managed VEs. A pattern with one matches the cgroup paths of foreign
    VEs, component by component: ``*`` does not cross a slash, ``**`` stands for any number of components, also none.
    ``collect``: rules, in order; a VE that none matches has the profile ``core``. ``kept_fds``: most file descriptors
    to keep open between scrapes; ``None``: as many as the process may open, except some files of the profile ``core``.
    """

    include: tuple[str, ...] = _EVERYTHING
    exclude: tuple[str, ...] = ()
    collect: tuple[Rule, ...] = ()
    kept_fds: int | None = None

    @classmethod
    def parse(
        cls,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        collect: Iterable[str] = (),
        profile: str | None = None,
        kept_fds: int | None = None,
    ) -> Self:
        """Make settings from the words of a command line. Without ``include``: every VE. ``profile``: a first
        ``collect``.

        Raises UsageError that names the word and the allowed ones.
        """
        if profile is not None and profile not in PROFILES:
            raise UsageError(f"--profile {profile[:40]!r}: no such profile. Use {' or '.join(PROFILES)}")
        if kept_fds is not None and kept_fds < 0:
            raise UsageError(f"--kept-fds {kept_fds}: must not be negative. Use 0 to keep none open")
        wanted = tuple(_check(pattern, "--include") for pattern in include)
        unwanted = tuple(_check(pattern, "--exclude") for pattern in exclude)
        rules = tuple(Rule.parse(text) for text in ([profile] if profile else []) + list(collect))
        return cls(wanted or _EVERYTHING, unwanted, rules, kept_fds)

    def matches(self, name: str) -> bool:
        """True if a VE is exported. ``name``: as ``Tree.name`` gives it; the path of a foreign VE."""
        return any(matches(pattern, name) for pattern in self.include) and not any(
            matches(pattern, name) for pattern in self.exclude
        )

    def selection(self, name: str) -> Selection:
        """The metrics of a VE: the last rule that matches it decides."""
        chosen = PROFILES["core"]
        for rule in self.collect:
            if not rule.pattern or matches(rule.pattern, name):
                chosen = rule.after(chosen)
        return chosen

    @property
    def collectors(self) -> frozenset[str]:
        """The collectors that may run for any VE."""
        found = PROFILES["core"].collectors
        for rule in self.collect:
            after = rule.after(Selection("full", found)).collectors
            found = found | after if rule.pattern else after
        return found


def _check(pattern: str, flag: str, given: str = "") -> str:
    """The pattern unchanged; ``given``: the word that held it. Raises UsageError if it can match no VE."""
    if not pattern or len(pattern) > _LONGEST or "\0" in pattern:
        word = (given or pattern)[:40]
        raise UsageError(f"{flag} {word!r}: not a pattern. Write a name such as web*, or a path such as /a/**")
    if not pattern.startswith("/"):
        if "/" in pattern:
            raise UsageError(f"{flag} {pattern[:80]!r}: names hold no slash. Begin a cgroup's path with one")
    elif pattern != "/" and any(part in ("", ".", "..") for part in pattern[1:].split("/")):
        raise UsageError(f"{flag} {pattern[:80]!r}: not a cgroup's path. Write it like /system.slice/*.service")
    return pattern


def matches(pattern: str, name: str) -> bool:
    """True if a pattern matches a VE's name (no leading slash) or a cgroup's path (a leading slash)."""
    parts = _compiled(pattern)
    if not pattern.startswith("/"):
        return not name.startswith("/") and parts[0] is not None and parts[0].match(name) is not None
    if not name.startswith("/"):
        return False
    places = _with_empty({0}, parts)
    for component in name[1:].split("/") if name != "/" else ():
        places = _with_empty(set(_steps(places, parts, component)), parts)
    return len(parts) in places


def _steps(places: set[int], parts: Sequence[re.Pattern[str] | None], component: str) -> Iterable[int]:
    for place in places:
        if place < len(parts):
            part = parts[place]
            if part is None:
                yield place
            elif part.match(component):
                yield place + 1


def _with_empty(places: set[int], parts: Sequence[re.Pattern[str] | None]) -> set[int]:
    """The positions in a pattern that are reached without a further component, because ``**`` may stand for none."""
    found: set[int] = set()
    for place in places:
        found.add(place)
        while place < len(parts) and parts[place] is None:
            place += 1
            found.add(place)
    return found


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """One expression for each component; ``None`` for ``**``."""
    if not pattern.startswith("/"):
        return (re.compile(fnmatch.translate(pattern)),)
    parts = pattern[1:].split("/") if pattern != "/" else []
    return tuple(None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts)

"""What is exported of which VEs: the exporter's settings as pure data, and the words that people write them in."""

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
    """What is exported of one VE: how much of each family (``profile``), and which collectors run."""

    profile: Profile
    collectors: frozenset[str]


PROFILES = {
    "core": Selection("core", frozenset({"identity", "cpu", "memory", "pressure", "io", "pids", "limits"})),
    "full": Selection("full", _ALL - {"numa"}),
}
"""The two profiles. ``numa`` is opt in: its file costs the kernel more than all the others together."""


class Rule(msgspec.Struct, frozen=True):
    """One ``--collect``: for the VEs that match ``pattern`` (``""``: all), what is collected.

    ``base`` is set outright, ``without`` is taken away; a rule without ``base`` takes away from what stood before it.
    """

    pattern: str = ""
    base: Selection | None = None
    without: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``[PATTERN=]WORD,WORD...``. A word is a profile, a collector's name, or ``-name`` to take one away.

        Collectors beside a profile are added to it; without one they are the full set of just those.
        Raises UsageError, naming the word.
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
        """What is collected of a VE for which this rule holds, when ``before`` stood until here."""
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
        raise UsageError(f"--collect {text[:80]!r}: {' and '.join(profiles)} at once. Give one")
    return (
        cast("Profile", profiles[0]) if profiles else None,
        frozenset(word for word in words if word in _ALL),
        frozenset(word[1:] for word in words if word.startswith("-")),
    )


class Settings(msgspec.Struct, frozen=True):
    """Which VEs are exported, and what of them.

    ``include``, ``exclude``: patterns; a VE is exported when one of the first and none of the second matches. Those
    without a leading slash match managed VEs' names, those with one match the cgroup paths of foreign ones, component
    by component: ``*`` does not cross a slash, ``**`` stands for any number of components, none too.
    ``collect``: rules, in order; where none holds, the core profile.
    ``kept_fds``: most file descriptors to keep open between scrapes; ``None``: as many as the process may, but for some
    files of the profile ``core``.
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
        """Settings from a command line's words. No ``include``: every VE. ``profile`` is a first ``collect``.

        Raises UsageError, naming the word and what is allowed.
        """
        if profile is not None and profile not in PROFILES:
            raise UsageError(f"--profile {profile[:40]!r}: no such profile. Use {' or '.join(PROFILES)}")
        if kept_fds is not None and kept_fds < 0:
            raise UsageError(f"--kept-fds {kept_fds}: less than none. Use 0 to keep none open")
        wanted = tuple(_check(pattern, "--include") for pattern in include)
        unwanted = tuple(_check(pattern, "--exclude") for pattern in exclude)
        rules = tuple(Rule.parse(text) for text in ([profile] if profile else []) + list(collect))
        return cls(wanted or _EVERYTHING, unwanted, rules, kept_fds)

    def matches(self, name: str) -> bool:
        """Whether a VE is exported. ``name``: as ``Tree.name`` gives it, a path for a foreign one."""
        return any(matches(pattern, name) for pattern in self.include) and not any(
            matches(pattern, name) for pattern in self.exclude
        )

    def selection(self, name: str) -> Selection:
        """What is exported of a VE: the last rule that holds for it decides."""
        chosen = PROFILES["core"]
        for rule in self.collect:
            if not rule.pattern or matches(rule.pattern, name):
                chosen = rule.after(chosen)
        return chosen

    @property
    def collectors(self) -> frozenset[str]:
        """The collectors that run for any VE that there may be."""
        found = PROFILES["core"].collectors
        for rule in self.collect:
            after = rule.after(Selection("full", found)).collectors
            found = found | after if rule.pattern else after
        return found


def _check(pattern: str, flag: str, given: str = "") -> str:
    """A pattern as it was given, in the word ``given``. Raises UsageError for what can match no VE."""
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
    """Whether a pattern matches a VE's name (no leading slash) or a cgroup's path (a leading slash)."""
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
    """The places in a pattern that are reached with no further component: ``**`` may stand for none."""
    found: set[int] = set()
    for place in places:
        found.add(place)
        while place < len(parts) and parts[place] is None:
            place += 1
            found.add(place)
    return found


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """One expression a component; ``None`` for ``**``."""
    if not pattern.startswith("/"):
        return (re.compile(fnmatch.translate(pattern)),)
    parts = pattern[1:].split("/") if pattern != "/" else []
    return tuple(None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts)

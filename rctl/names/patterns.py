"""Finds the VEs for names, patterns and labels: ``web1``, ``web*``, ``/system.slice/*.service``, ``label:env=prod``.

A name that no VE of rctl's own has may be that of a unit, a container or a pod. ``look_up`` knows these; it is loaded
only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..cgroupfs import labels
from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError, UsageError

if TYPE_CHECKING:
    from .look_up import Elsewhere, Named

LABEL = "label:"
_PATTERN = frozenset("*?[")


def match(
    tree: Tree, patterns: Iterable[str], tell: Callable[[str], object] = len, *, managed: bool = False
) -> list[str]:
    """VE names for words and shell patterns (``web*``, ``/system.slice/*.service``), each once, in the given order.

    ``label:KEY=VALUE`` stands for all managed VEs with such a label; the value may be a pattern. A word or pattern that
    fits no managed VE is looked for among units, users, containers and pods.

    A name that cannot be printed is no VE's; ``tell`` is called with each cgroup that is left out for that reason.
    ``managed``: words are names of managed VEs, whether these exist or not.
    Raises NotFoundError if nothing fits, UsageError for an ambiguous word, and for ``**`` as a component.
    """
    found: dict[str, None] = {}
    for names in match_each(tree, patterns, tell, managed=managed).values():
        found.update(dict.fromkeys(names))
    return list(found)


def match_each(
    tree: Tree, patterns: Iterable[str], tell: Callable[[str], object] = len, *, managed: bool = False
) -> dict[str, list[str]]:
    """As ``match``: the names for each word and pattern."""
    found: dict[str, list[str]] = {}
    elsewhere: Elsewhere | None = None
    for pattern in patterns:
        many = not pattern.startswith(LABEL) and is_pattern(pattern)
        if pattern.startswith(LABEL):
            names = _labelled(tree, pattern, tell)
        elif pattern.startswith("/"):
            names = _below(tree, pattern, tell) if many else [tree.name(tree.path(pattern))]
        elif many:
            names = _fitting(tree.names(), pattern)
            if not names and not managed and (":" in pattern or "." in pattern):
                elsewhere = elsewhere or _elsewhere(tree)
                names = [_learnt(tree, each.name, each) for each in elsewhere.matching(pattern)]
        elif managed or tree.has(pattern):
            names = [tree.name(tree.path(pattern))]
        else:
            elsewhere = elsewhere or _elsewhere(tree)
            names = [one(tree, pattern, elsewhere)]
        if not names:
            raise NotFoundError(f"{pattern!r}: no VE matches. See rctl ls --all")
        found[pattern] = names
    return found


def is_pattern(word: str) -> bool:
    """True for a shell pattern, which may stand for several names."""
    return not _PATTERN.isdisjoint(word)


def one(tree: Tree, word: str, elsewhere: Elsewhere | None = None) -> str:
    """The name of the one VE that this word stands for. It is not looked up whether the cgroup of a path exists.

    Raises NotFoundError, UsageError.
    """
    if word.startswith("/") or tree.has(word):
        return tree.name(tree.path(word))
    from .look_up import may_be

    if not may_be(word):
        tree.path(word)  # raises
    return _learnt(tree, word, (elsewhere or _elsewhere(tree)).one(word))


def present(tree: Tree, patterns: Iterable[str]) -> list[str]:
    """The paths of the cgroups that the names and patterns stand for, as far as these exist now."""
    found: list[str] = []
    for pattern in patterns:
        with suppress(NotFoundError, UsageError):
            found += map(tree.path, match(tree, [pattern]))
    return found


def _elsewhere(tree: Tree) -> Elsewhere:
    from .look_up import Elsewhere

    return Elsewhere(tree)


def _learnt(tree: Tree, word: str, found: Named) -> str:
    tree.learn(word, found.name, found.path)
    return found.name


def given(tree: Tree, patterns: Iterable[str]) -> set[str]:
    """Those of the names and patterns that are names, as ``match`` finds them. Call ``match`` first."""
    plain = [one for one in patterns if not one.startswith(LABEL) and not is_pattern(one)]
    return {tree.name(tree.path(one)) for one in plain}


@contextmanager
def may_go(tree: Tree, name: str, named: Iterable[str]) -> Iterator[None]:
    """For a look at many VEs: suppress the error of a VE that was removed meanwhile, unless a person named it.

    ``named``: the names and patterns that a person gave.
    """
    try:
        yield
    except (NotFoundError, GoneError):
        if name in given(tree, named):
            raise


def shown(tree: Tree, names: Iterable[str], patterns: Iterable[str], tell: Callable[[str], object]) -> list[str]:
    """The names that ``match`` found, without VEs under another file system; ``tell`` is called with each of these.

    Names that a person gave stay; opening one of them gives the error.
    """
    if not tree.mount.over:
        return list(names)
    named = given(tree, patterns)
    found = []
    for name in names:
        if name not in named and (why := tree.covered(tree.path(name))):
            tell(f"{name}: left out: {why}")
        else:
            found.append(name)
    return found


def _labelled(tree: Tree, pattern: str, tell: Callable[[str], object]) -> list[str]:
    key, equals, value = pattern.removeprefix(LABEL).partition("=")
    if not equals or not key:
        raise UsageError(f"{pattern!r}: not a label. Write label:KEY=VALUE, such as label:env=prod")
    found = []
    for name in shown(tree, tree.names(), (), tell):
        with suppress(NotFoundError, GoneError), tree.open_ve(name) as ve:
            has = labels.of(ve).get(key)
            if has is not None and _fitting([has], value):
                found.append(name)
    if not found:
        raise NotFoundError(f"{pattern!r}: no VE has such a label. See rctl label '*'")
    return found


def _below(tree: Tree, pattern: str, tell: Callable[[str], object]) -> list[str]:
    """Paths that match, one component at a time; ``*`` does not cross a slash.

    Raises UsageError for ``**``, which only the exporter takes.
    """
    paths = [""]
    if "**" in pattern.split("/"):
        raise UsageError(f"{pattern[:80]!r}: ** is not allowed here. Write * for each level: /a/*, /a/*/*")
    for part in pattern.strip("/").split("/"):
        found: list[str] = []
        for path in paths:
            try:
                with tree.walk(path or "/") as here:
                    children = _fitting(here.children(), part)
                for child in children:
                    if child.isprintable():
                        found.append(f"{path}/{child}")
                    else:  # the owner of a delegated cgroup may make such names
                        tell(f"{path}/{child}: left out: its name cannot be printed. Rename or remove it")
            except NotFoundError:
                continue
        paths = found
    return paths


def _fitting(names: Iterable[str], pattern: str) -> list[str]:
    """The names that a shell pattern fits."""
    import fnmatch

    return fnmatch.filter(names, pattern)

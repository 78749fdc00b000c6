"""Finds the VEs for names, patterns and labels: ``web1``, ``web*``, ``/system.slice/*.service``, ``label:env=prod``."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from ..cgroupfs import labels
from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError, UsageError

LABEL = "label:"
_PATTERN = frozenset("*?[")


def match(tree: Tree, patterns: Iterable[str], tell: Callable[[str], object] = len) -> list[str]:
    """VE names for names and shell patterns (``web*``, ``/system.slice/*.service``), each once, in the given order.

    ``label:KEY=VALUE`` stands for all managed VEs with such a label; the value may be a pattern.

    A name that cannot be printed is no VE's; ``tell`` is called with each cgroup that is left out for that reason.
    Raises NotFoundError for a pattern that matches nothing, UsageError for ``**`` as a component.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        if pattern.startswith(LABEL):
            found.update(dict.fromkeys(_labelled(tree, pattern, tell)))
            continue
        if not _PATTERN.intersection(pattern):
            found[tree.name(tree.path(pattern))] = None
            continue
        matches = _below(tree, pattern, tell) if pattern.startswith("/") else fnmatch.filter(tree.names(), pattern)
        if not matches:
            raise NotFoundError(f"{pattern!r}: no VE matches. See rctl ls")
        found.update(dict.fromkeys(matches))
    return list(found)


def given(tree: Tree, patterns: Iterable[str]) -> set[str]:
    """Those of the names and patterns that are names, as ``match`` finds them."""
    plain = [one for one in patterns if not one.startswith(LABEL) and not _PATTERN.intersection(one)]
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
            if has is not None and fnmatch.fnmatchcase(has, value):
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
                    children = fnmatch.filter(here.children(), part)
                for child in children:
                    if child.isprintable():
                        found.append(f"{path}/{child}")
                    else:  # the owner of a delegated cgroup may make such names
                        tell(f"{path}/{child}: left out: its name cannot be printed. Rename or remove it")
            except NotFoundError:
                continue
        paths = found
    return paths

"""What a spec names and rctl did not make: units, containers, pods, users, cgroups by path. It is found, never made."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from ..adjust import owner
from ..adjust.site import Site
from ..cgroupfs.tree import Tree
from ..errors import NotFoundError, UsageError, naming
from ..formats import VE_NAME
from ..names.patterns import match_each, one
from ..spec import Spec, check_name

_MOST, _LIKE = 50, 0.8
"""Most new VEs whose names are compared with others, and how alike two names are that may be a typing error."""


def found(tree: Tree, spec: Spec, names: Sequence[str], *, pass_over: bool = False) -> Spec:
    """The spec, with the name that the tree has for each cgroup. ``names``: those of ``spec.elsewhere``.

    ``pass_over``: leave out what does not exist.

    A plain name that ends like a unit's is that of a VE of rctl's own if there is one, and if no systemd runs the host.

    Raises NotFoundError for what does not exist; UsageError for two names of one cgroup, for labels of what rctl did
    not make, and for an ambiguous name.
    """
    systemd = owner.applies()
    wanted = [name for name in names if not VE_NAME.fullmatch(name) or (systemd and not tree.has(name))]
    for name in wanted:
        check_name(name)
    known = _there(tree, wanted) if pass_over else match_each(tree, wanted)
    ves, first = {}, dict[str, str]()
    for given, asked in spec.ve.items():
        if pass_over and given in wanted and given not in known:
            continue
        name = known[given][0] if given in known else given
        path = tree.path(name)
        if (twin := first.setdefault(path, given)) != given:
            raise UsageError(f"{given}: is the same VE as {twin}. Name it once")
        if given in known:
            if pass_over and not tree.exists(path):
                continue
            tree.open_ve(name).close()
            if asked.labels and not tree.managed(path):
                with naming(given):
                    raise UsageError(f"labels: a spec has them only for VEs of rctl's own. Run: rctl label {given} ...")
        ves[name] = asked
    return msgspec.structs.replace(spec, ve=ves)


def _there(tree: Tree, words: Sequence[str]) -> dict[str, list[str]]:
    """As ``match_each``, without words that name nothing."""
    from ..names.look_up import Elsewhere

    elsewhere, names = Elsewhere(tree), dict[str, list[str]]()
    for word in words:
        with suppress(NotFoundError):
            names[word] = [one(tree, word, elsewhere)]
    return names


def tell_of_likely(site: Site, new: Sequence[str]) -> None:
    """Say which VEs that a spec makes have nearly the name of a unit or a container, which people may have meant."""
    if not new or len(new) > _MOST or not owner.applies():
        return
    from difflib import get_close_matches

    from ..names.look_up import Elsewhere

    known: dict[str, str] = {}
    for each in Elsewhere(site.tree).everything():
        known |= {word.removesuffix(".service"): each.name for word in (*each.words, each.name) if ":" not in word}
    for name in new:
        near = get_close_matches(name, known, 1, _LIKE)
        if near and known[near[0]] not in (name, f"{name}.service") and not _numbered(name, near[0]):
            other = known[near[0]]
            site.tell(f"{name}: is a new VE. Did you mean {other if ':' in other else f'unit:{other}'}?")


def _numbered(one: str, other: str) -> bool:
    """True if the names differ in their numbers alone."""
    return one != other and _without_digits(one) == _without_digits(other)


def _without_digits(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdigit()).rstrip("-_.")

"""Why a word names no cgroup, and the nearest names: the text of the error."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from ..cgroupfs import ve_cgroups
from ..cgroupfs.tree import Tree
from ..errors import RctlError
from ..formats import UNITS, VE_NAME
from ..late_regex import regex
from . import users
from .look_up import CONTAINERS

if TYPE_CHECKING:
    from .look_up import Elsewhere, Named

_RUNNING = {
    "unit": "no unit that runs has this name; one that is stopped has no cgroup",
    "pod": "no pod that runs here has this name",
    **dict.fromkeys(CONTAINERS[:-1], "no container that runs has this name; one that is stopped has no cgroup"),
}
"""Why a word that begins with a kind names nothing."""
_START = ("docker", "podman")
_SHORT = 4
"""Digits of an id that are enough to be meant."""
_UNIT = regex(r"[A-Za-z0-9:_.\\@-]{1,255}", re.ASCII)
"""What systemd takes as a unit's name."""
_PATIENCE = 2.0
"""Seconds for systemd's answer."""


def why(word: str, kind: str, tree: Tree, elsewhere: Elsewhere) -> str:
    """The error for a word that names nothing. ``kind``: what stands before its colon."""
    near = _nearest(word, kind, tree, elsewhere)
    meant = f". Did you mean {' or '.join(near)}?" if near else "."
    if kind in CONTAINERS and not near and os.geteuid() and any(map(_is_nameless, elsewhere.containers_of(kind))):
        who = "as root, or as a member of the group docker" if kind == "docker" else "as root"
        return f"{word}: you may not read the names of all containers, and no other one has this name. Run {who}"
    if kind in ("", "unit") and (known := _without_cgroup(_plain(word))):
        return f"{word}: {known}"
    if known := _does_not_run(word, kind, elsewhere):
        return f"{word}: {known}"
    if kind in ("unit", "user") and (cause := _no_user(word, kind, tree)):
        return f"{word}: {cause}{meant} See rctl ls --all"
    if what := _RUNNING.get("unit" if not kind and word.endswith(UNITS) else kind):
        return f"{word}: {what}{meant} See rctl ls --all"
    where = f" ({tree.path(word)})" if VE_NAME.fullmatch(word) else ""
    return f"{word}: there is no such VE{where}, unit or container{meant} See rctl ls --all"


def _nearest(word: str, kind: str, tree: Tree, elsewhere: Elsewhere) -> list[str]:
    """The names that the word is like."""
    from difflib import get_close_matches

    known = {} if kind else {name: name for name in tree.names()}
    for one in elsewhere.everything():
        if one.name.startswith(f"{kind}:" if kind in CONTAINERS else ""):
            known |= {_stem(each): one.name for each in (*one.words, one.name)}
    near = dict.fromkeys(known[like] for like in get_close_matches(_stem(word), known, 3, 0.6))
    if not near and "." in word:  # such as nginx.servic
        whole = {f"{_stem(stem)}.service": name for stem, name in known.items() if name.endswith(".service")}
        near = dict.fromkeys(whole[like] for like in get_close_matches(_plain(word), whole, 1, 0.8))
    return list(near)


def _without_cgroup(word: str) -> str:
    """Why a unit of the system that systemd knows by this name has no cgroup of the name; empty: it knows none."""
    unit = word if word.endswith(UNITS) else f"{word}.service"
    about = properties(unit) if _UNIT.fullmatch(unit) else {}
    state, own = about.get("LoadState", "not-found"), about.get("Id", unit)
    if state == "not-found":
        return ""
    if state == "masked":
        return f"{unit} is masked, so it cannot start. First: systemctl unmask {unit}"
    if about.get("ActiveState") != "active":
        return f"{own} does not run, so it has no cgroup. Start it first: systemctl start {own}"
    if own != unit:
        return f"is another name of {own}. Write unit:{own}"
    return f"{unit} is active and has no processes, so it has no cgroup, and a limit would have no effect"


def _does_not_run(word: str, kind: str, elsewhere: Elsewhere) -> str:
    """The way to start a container that has this name or id, and does not run; empty if there is none."""
    user, slash, name = _plain(word).rpartition("/")
    who = users.by_word(user) if slash else None
    if not name or (slash and not who) or kind not in ("", *_START):
        return ""
    starts = []
    for runtime in [kind] if kind else _START:
        for uid in [who.uid] if who else {0: "", os.geteuid(): ""}:
            ids = elsewhere.identities.known(runtime, uid).items()
            if any(called.name == name or (len(name) >= _SHORT and id_.startswith(name)) for id_, called in ids):
                as_user = f" (as user {users.by_uid(uid).name})" if uid not in (0, os.geteuid()) else ""
                starts.append(f"{runtime} start {name}{as_user}")
    first = f"{name} does not run, so it has no cgroup. Start it first: "
    return first + " or ".join(starts) if starts else ""


def _no_user(word: str, kind: str, tree: Tree) -> str:
    """Why a user has no cgroup, or no systemd; empty if the user has, or if no user is meant."""
    user, slash, unit = _plain(word).partition("/")
    if kind == "unit" and not slash:
        return ""
    if (found := users.by_word(user)) is None:
        return f"there is no user {user}" if user else "the name of the user is missing"
    if kind == "user":
        return f"user {found.name} is not logged in, and has no cgroup"
    if tree.exists(users.manager_of(found.uid)):
        return f"no unit of user {found.name} that runs has this name; one that is stopped has no cgroup"
    return (
        f"user {found.name} is not logged in, so no systemd of this user runs {unit}. "
        f"To start one without a login: loginctl enable-linger {found.name}"
    )


def properties(unit: str) -> dict[str, str]:
    """What systemd says about a unit that may be stopped; empty without an answer, or if no unit has such a name."""
    if os.access(ve_cgroups.BOOTED, os.F_OK):
        from ..systemd.bus import Bus

        with suppress(RctlError), Bus(deadline=_PATIENCE) as bus:
            return bus.get(unit, "Unit", ("Id", "LoadState", "ActiveState"))
    return {}


def _is_nameless(one: Named) -> bool:
    """True if a container has only its id."""
    return bool(one.id) and one.name.endswith(one.id[:12])


def _plain(word: str) -> str:
    return word.rpartition(":")[2]


def _stem(word: str) -> str:
    return _plain(word).removesuffix(".service")

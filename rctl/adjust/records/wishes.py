"""Wishes for values that are there already: without them, an adjustment that writes nothing would ask for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import RctlError
from ...limits import file_named
from ..state_folder import State
from ..steps import Want
from . import disk_names
from .stable_name import stable_name


def new(state: State, boot: str, held: Sequence[Want], named: Callable[[str], str]) -> tuple[Want, ...]:
    """Those of the wishes that are not desired yet. A default is only one if another value was desired before.

    ``named``: returns the stable name of a container for its path, and an empty text for any other path.

    Empty if the desired limits cannot be read: the adjustment itself does not depend on them.
    """
    if not held:
        return ()
    from .following import followed

    try:
        found = followed(state).ves
    except (RctlError, OSError):
        return ()
    wanted = []
    for want in held:
        file = file_named(want.file)
        ve = found.get(named(want.path) or stable_name(want.path))
        layer = ve.present(boot).get(f"{want.file} {disk_names.lasting(want.key)}".strip()) if ve else None
        known = file.entry(None, want.key) if layer is None else layer.value
        if not file.unchanged(known, want.value):
            wanted.append(want)
    return tuple(wanted)

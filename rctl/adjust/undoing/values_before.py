"""The values from before an adjustment, as they count now: the end of a timer below it changes them."""

from __future__ import annotations

import msgspec

from ...errors import RctlError
from ..records import disk_names
from ..records.checkpoint import desired_limits
from ..records.desired_limits import Layer
from ..records.record_format import Record
from ..state_folder import State
from ..steps import Set, SetThrough, Step


def as_they_count(state: State, record: Record) -> Record:
    """The adjustment, with the present values from before it.

    Given a timed value, and one for good above it: when the time is over, undo of the latter must not bring the timed
    value back, but the one before both. The record's own values count where the desired limits cannot be read: the
    history has an adjustment of a newer rctl.
    """
    layers: dict[tuple[str, str], Layer] = {}
    try:
        found = desired_limits(state)
    except RctlError:
        return record
    for ve, entry, place in found.layers_of(record.id):
        layers.setdefault((ve.path, entry), ve.entries[entry].layers[place])
    steps: list[Step] = []
    for step in record.steps:
        if isinstance(step, Set):
            layer = layers.pop((step.path, f"{step.file} {disk_names.lasting(step.key)}".strip()), None)
            step = _over(step, layer) if layer and layer.old != step.old else step
        steps.append(step)
    return msgspec.structs.replace(record, steps=tuple(steps))


def _over(step: Set, layer: Layer) -> Set:
    own = step.own if isinstance(step, SetThrough) else ""
    plain = (step.path, step.file, layer.old, step.new, step.key, step.exact, layer.beside, step.why, step.gentle)
    return SetThrough(*plain, layer.writer, layer.kept, own) if layer.writer else Set(*plain)

"""The labels of an adjustment: the differences to write, and those that an undo takes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ... import label
from ...cgroupfs import labels
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import RctlError, UsageError, naming
from ..records.record_format import Record
from ..request import Around, LabelValues
from ..steps import Label, shown_label


def steps(around: Around, tree: Tree, opened: Sequence[Cgroup]) -> list[Label]:
    """The steps that set the labels to ``around.labels``, if they are as in ``around.labelled``.

    Raises RctlError if they are not, UsageError for a wrong label, KernelError for a VE that the caller may not label.
    """
    found: list[Label] = []
    ves = {ve.path: ve for ve in opened}
    for name in dict.fromkeys((*around.labels, *around.labelled)):
        ve = ves[tree.path(name)]
        has = labels.of(ve)
        if (expected := around.labelled.get(name)) is not None:
            others = has.keys() - expected.keys() if name in around.remove else ()
            _check_unchanged(ve, has, expected | dict.fromkeys(others))
        with naming(name):
            found += _steps(name, ve, has, around.labels.get(name, {}))
    return found


def _check_unchanged(ve: Cgroup, has: Mapping[str, str], expected: LabelValues) -> None:
    for key, value in expected.items():
        if has.get(key) != value:
            raise RctlError(
                f"label {key}: on {ve.path} is {shown_label(has.get(key))} now; it was {shown_label(value)} after "
                "that adjustment. Look at it with rctl label, or overwrite it with --force"
            )


def _steps(name: str, ve: Cgroup, has: Mapping[str, str], wanted: LabelValues) -> list[Label]:
    found = [Label(ve.path, key, has.get(key), new) for key, new in wanted.items() if has.get(key) != new]
    label.check({step.key: step.new for step in found if step.new is not None})
    after: dict[str, str | None] = {**has, **wanted}
    label.check_number({key: value for key, value in after.items() if value is not None})
    for step in found:
        ve.check_write(".", ve.path, f"label {step.key} cannot be set")
        try:
            label.check_one(step.key, step.old or "")
        except UsageError:  # a journal with it would be refused
            raise RctlError(
                f"label {step.key}: on {ve.path} has a value that no label can have. "
                f"Take it away: rctl label {name} --remove {step.key}"
            ) from None
    return found


def taken_back(
    tree: Tree, record: Record, left: Collection[str], goes: Collection[str]
) -> tuple[dict[str, dict[str, str | None]], dict[str, dict[str, str | None]]]:
    """Labels before and after the record's adjustment, by VE. ``left``: paths of the VEs that still exist.

    ``goes``: names of VEs that it made and that will be removed; their labels vanish with them.
    """
    before: dict[str, dict[str, str | None]] = {}
    after: dict[str, dict[str, str | None]] = {name: {} for name in goes}
    for step in record.steps:
        if isinstance(step, Label) and step.path in left:
            name = tree.name(step.path)
            after.setdefault(name, {})[step.key] = step.new
            if name not in goes:
                before.setdefault(name, {}).setdefault(step.key, step.old)
    return before, after

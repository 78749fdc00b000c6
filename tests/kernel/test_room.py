"""Limits on how many cgroups there may be, and how deep: named where they stand when no VE can be made."""

from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.errors import NotAvailableError
from rctl.ve import bare
from tests.kernel.helpers import MOUNT


@pytest.mark.parametrize(
    ("file", "value", "says"),
    [
        (
            "cgroup.max.descendants",
            "1",
            "cgroup.max.descendants of {} is 1, and 1 are below it. Raise it, or remove some",
        ),
        ("cgroup.max.depth", "1", "cgroup.max.depth of {} is 1, and this would be level 2 below it. Raise it"),
    ],
)
def test_a_reached_limit_of_cgroups_is_named_and_where(scratch: Path, file: str, value: str, says: str) -> None:
    (scratch / "below").mkdir()
    (scratch / file).write_text(value)
    path = f"/{scratch.relative_to(MOUNT)}"
    with Tree.open(f"{path}/below") as tree, pytest.raises(NotAvailableError) as caught:
        bare.make(tree, "web1")
    assert str(caught.value) == f"{path}/below/web1: cannot be made: {says.format(path)}"
    assert list((scratch / "below").glob("*/")) == []

"""Limits on how many cgroups there may be, and how deep: named where they stand when no VE can be made."""

from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.errors import NotAvailableError
from rctl.ve import bare
from tests.kernel.helpers import MOUNT
from tests.kernel.shell import rctl


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


def test_a_dry_run_foresees_how_many_cgroups_there_may_be(scratch: Path, tmp_path: Path) -> None:
    path = f"/{scratch.relative_to(MOUNT)}"
    spec = tmp_path / "site.toml"
    spec.write_text("version = 1\n" + "".join(f"[ve.web{n}.limits]\npids.max = 9\n" for n in range(3)))
    (scratch / "cgroup.max.descendants").write_text("2")
    for words in (["apply", str(spec), "--dry-run"], ["diff", str(spec)], ["apply", str(spec)]):
        done = rctl(*words, env={"RCTL_TREE": path})
        assert (done.status, done.out) == (1, "")
        assert f"cannot be made: cgroup.max.descendants of {path} is 2, and " in done.err
        assert list(scratch.glob("*/")) == []
    (scratch / "cgroup.max.descendants").write_text("3")
    assert rctl("apply", str(spec), "--dry-run", env={"RCTL_TREE": path}).status == 0

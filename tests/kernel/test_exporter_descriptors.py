"""More cgroups than the exporter may open files, whoever made them: every page is whole, or says what it lacks."""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.exporting import cgroup_path, give
from tests.kernel.figures import read
from tests.kernel.prometheus import exporter, page
from tests.kernel.shell import NOBODY, Done, forked, load_for_all

MANY = 100
OPEN_FILES = 64


@pytest.fixture
def crowd(place: Path) -> Iterator[list[str]]:
    """Far more cgroups than descriptors, all below one parent."""
    give(place, ("memory", "pids"))
    parent = place / "crowd"
    parent.mkdir()
    give(parent, ("memory", "pids"))
    made = [parent / f"c{number}" for number in range(MANY)]
    for path in made:
        path.mkdir()
    yield [cgroup_path(path) for path in made]
    for path in made:
        if path.exists():
            path.rmdir()
    parent.rmdir()


def run(*words: str, more: int) -> Done:
    """`rctl exporter WORDS` where no more than so many files can be opened."""
    load_for_all()
    from rctl.cli import main

    return forked(lambda: _limited(main, ["rctl", "exporter", *words], more))


def _limited(main: Callable[[], None], words: list[str], more: int) -> None:
    limit = len(os.listdir("/proc/self/fd")) + more
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    sys.argv = words
    main()


def whole(text: str, crowd: list[str]) -> None:
    """The page has every VE with all its families, and says that nothing is missing."""
    ves = read(text)
    assert {name for name in ves if name in crowd} == set(crowd)
    assert len({frozenset(key for key in ves[name]) for name in crowd}) == 1
    assert "memory_current_bytes" in {name for name, _ in ves[crowd[0]]}
    assert "memory_effective_limit_bytes" in {name for name, _ in ves[crowd[0]]}
    own = figures(text)
    assert own["rctl_scrape_read_errors"] == own["rctl_scrape_unread_ves"] == 0
    assert {value for name, value in own.items() if name.startswith("rctl_scrape_collector_success")} == {1}


def figures(text: str) -> dict[str, float]:
    """The exporter's own figures."""
    found = [line.rpartition(" ") for line in text.splitlines() if line.startswith("rctl_scrape")]
    return {name: float(value) for name, _, value in found}


def test_once_and_write_work_within_any_limit_of_open_files(crowd: list[str], tmp_path: Path) -> None:
    done = run("once", "--profile", "full", more=16)
    assert (done.status, done.err) == (0, "")
    whole(done.out, crowd)
    target = tmp_path / "rctl.prom"
    done = run("write", str(target), more=16)
    assert (done.status, done.err) == (0, "")
    whole(target.read_text(), crowd)


def test_serve_answers_all_the_time_however_many_cgroups_somebody_makes(crowd: list[str], place: Path) -> None:
    parent = place / "crowd"
    with exporter("--profile", "full", open_files=OPEN_FILES) as address:
        for _ in range(2):
            whole(page(address), crowd)
        late = parent / "late"
        late.mkdir()
        whole(page(address), [*crowd, cgroup_path(late)])
        late.rmdir()
        for path in crowd[:-2]:
            (parent / path.rpartition("/")[2]).rmdir()
        whole(page(address), crowd[-2:])
        whole(page(address), crowd[-2:])
        assert figures(page(address))["rctl_scrape_kept_fds"] <= OPEN_FILES


def test_what_cannot_be_read_is_told_by_status_and_metrics_and_the_old_textfile_stays(
    crowd: list[str], place: Path, tmp_path: Path
) -> None:
    os.chmod(tmp_path, 0o777)
    target = tmp_path / "rctl.prom"
    (place / "crowd" / "c7" / "memory.current").chmod(0o600)
    done = as_nobody("once")
    assert (done.status, figures(done.out)["rctl_scrape_unread_ves"]) == (1, 1)
    assert figures(done.out)['rctl_scrape_collector_success{collector="files"}'] == 0
    path = cgroup_path(place / "crowd" / "c7")
    reason = (
        f"1 VE could not be read in full, the first for this reason: memory.current: cannot read on {path}: EACCES: "
    )
    assert done.err.startswith(f"rctl: {reason}")
    target.write_text("old\n")
    done = as_nobody("write", str(target))
    assert (done.status, target.read_text()) == (1, "old\n")
    assert done.err.startswith(f"rctl: {target} was not written: {reason}")
    (place / "crowd" / "c7" / "memory.current").chmod(0o644)
    assert run("write", str(target), more=128).status == 0
    assert target.read_text() != "old\n"


def as_nobody(*words: str) -> Done:
    """`rctl exporter WORDS` as a user without rights."""
    load_for_all()
    from tests.kernel.shell import rctl

    return rctl("exporter", *words, user=NOBODY)

"""Recovery of a large adjustment: within the usual limit of open files, at the cost of the adjustment itself."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.progress import Event, Progress, quiet
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import left_open
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.limits import decode, nest
from tests.kernel.helpers import LARGE, MOUNT, Ve, enabled, no_journal
from tests.kernel.shell import rctl
from tests.kernel.workload import Worker

OPEN_FILES, MANY = (1024, 1100) if LARGE else (256, 300)
CALLS = ("open", "read", "pread", "write", "close", "fstat", "stat", "access")


class Fleet:
    """Many empty VEs, and one adjustment of all of them."""

    def __init__(self, site: Site, names: list[str]) -> None:
        self.site, self.state, self.names = site, site.state, names
        self.dirs = [MOUNT / site.tree.path(name).strip("/") for name in names]

    def adjust(self, progress: Progress = quiet) -> None:
        """Two limits of each VE."""
        asked = decode(nest({"pids.max": 50, "memory.high": "1G"}), self.site.host)
        adjust(
            msgspec.structs.replace(self.site, progress=progress),
            dict.fromkeys(self.names, asked),
            Options(command="fleet"),
        )

    def recover(self) -> list[str]:
        """What recover tells."""
        return recover(self.site, 30)

    def crash(self, step: int) -> None:
        """Adjust in a process of its own, which is killed after so many steps."""

        def die(event: Event) -> None:
            if event.what == "step" and event.done == step:
                os.kill(os.getpid(), signal.SIGKILL)

        assert Worker(None, lambda _: self.adjust(die)).end(120) == -signal.SIGKILL
        assert len(left_open(self.state)) == 1

    def values(self) -> list[tuple[str, str]]:
        """The two limits of each VE."""
        return [tuple((ve / name).read_text().strip() for name in ("pids.max", "memory.high")) for ve in self.dirs]  # type: ignore[misc]


@pytest.fixture
def fleet(site: Site, place: Path) -> Iterator[Callable[[int], Fleet]]:
    """Makes many VEs that all have the controllers already."""
    made: list[Path] = []

    def make(number: int) -> Fleet:
        for name in ("memory", "pids"):
            if name not in enabled(place):
                (place / "cgroup.subtree_control").write_text(f"+{name}")
        found = Fleet(site, [f"fleet{n}" for n in range(len(made), len(made) + number)])
        for path in found.dirs:
            path.mkdir()
        made.extend(found.dirs)
        return found

    yield make
    for path in made:
        path.rmdir()


@pytest.fixture
def few_files() -> Iterator[Callable[[int], None]]:
    """Limits the open files of this process, hard, from now on to the end of the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("as_root")
def test_a_crash_of_more_ves_than_open_files_is_recovered(
    fleet: Callable[[int], Fleet], few_files: Callable[[int], None]
) -> None:
    ves = fleet(MANY)
    before = ves.values()
    ves.crash(MANY + MANY // 2)
    assert ves.values() != before
    few_files(OPEN_FILES)
    (told,) = ves.recover()
    assert "rolled back to what was there before" in told
    assert ves.values() == before
    assert no_journal()
    assert history(ves.state) == []


@pytest.mark.usefixtures("as_root")
def test_recovery_needs_few_open_files_however_many_ves(
    fleet: Callable[[int], Fleet], few_files: Callable[[int], None]
) -> None:
    ves = fleet(100)
    before = ves.values()
    ves.crash(150)
    few_files(max(map(int, os.listdir("/proc/self/fd"))) + 32)
    assert "rolled back" in ves.recover()[0]
    assert ves.values() == before


@pytest.mark.parametrize("words", ["set web1 web2 pids.max=60 memory.max=70M", "apply -"])
def test_under_few_open_files_an_adjustment_is_made_or_refused_with_nothing_changed(
    ve: Ve, other: Ve, words: str
) -> None:
    ve.set({"pids.max": 50, "memory.max": "50M"})
    spec = "version = 1\n" + "".join(f"[ve.{name}.limits]\npids.max = 60\n" for name in ("web1", "web2", "web3"))
    for most in range(8, 64):
        before = [one.snapshot() for one in (ve, other)]
        done = rctl(*words.split(), stdin=spec, open_files=most)
        if done.status == 0:
            break
        assert done.status == 1, done
        assert "open files: " in done.err or "may open no more files. Raise its limit" in done.err
        assert [one.snapshot() for one in (ve, other)] == before
        assert not (ve.dir.parent / "rctl-web3").exists()
        assert no_journal()
    assert 8 < most < 63
    assert ve.text("pids.max") == other.text("pids.max") == "60"


def test_recovery_costs_at_most_three_adjustments_counted_in_system_calls(
    fleet: Callable[[int], Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def one_more(*args: Any, **keywords: Any) -> Any:
            nonlocal count
            count += 1
            return call(*args, **keywords)

        return one_more

    ves = fleet(100)
    ves.crash(150)
    for name in CALLS:
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    ves.recover()
    recovering, count = count, 0
    ves.adjust()
    assert 0 < recovering < 3 * count

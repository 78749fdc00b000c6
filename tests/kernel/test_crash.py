"""kill -9 at every step of an adjustment, then recover: exactly the old values or exactly the new, and it says which.

The adjustment enables controllers, shrinks memory that is in use, and spans two VEs.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rctl.adjust.progress import Event, quiet
from rctl.adjust.records.history import history
from rctl.adjust.records.journal import left_open
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State
from rctl.host import Host
from tests.kernel.helpers import LARGE, Recorder, Ve, enabled, no_journal, set_all
from tests.kernel.workload import Worker, filler

OLD = {"memory.max": "100M", "memory.high": "90M", "memory.swap.max": "200M"}
NEW: tuple[dict[str, Any], ...] = (
    {"memory.max": "10M", "memory.low": "4M", "cpu.max": 0.5, "cpu.weight": 300, "pids.max": 100},
    {"memory.max": "150M", "memory.high": "max", "pids.max": 50, "cpu.weight": 50},
)
CALLS = ("write", "fsync", "link", "rename", "unlink")


class Killed:
    """Counts the system calls that change something, and ends the process before call number `at` (from 1)."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def patch(self) -> None:
        """From now on, in this process."""
        for name in CALLS:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **keywords: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **keywords)

        return counted


def die() -> None:
    """What kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Scene:
    """Two VEs, the first with 20 MiB in use; only the memory controller is enabled. ``old`` is how it all is now."""

    def __init__(self, ve: Ve, other: Ve, host: Host, state: State) -> None:
        self.ves, self.tree, self.host, self.state = (ve, other), ve.tree, host, state
        set_all(self.tree, {ve: OLD, other: OLD})
        Path(state.history).unlink()
        self.worker = filler(ve.dir, 20)
        self.old = self.now()

    @property
    def site(self) -> Site:
        """Where it happens."""
        return Site(self.tree, self.host, self.state)

    def now(self) -> list[dict[str, str]]:
        """All that can be set in both."""
        return [ve.snapshot() for ve in self.ves]

    def adjust(self, progress: Any) -> None:
        """The adjustment."""
        set_all(self.tree, dict(zip(self.ves, NEW, strict=True)), progress, deadline=30, command="crash")

    def crashed(self, progress: Any, calls: Killed | None = None) -> bool:
        """Adjust in a process of its own; whether it was killed."""

        def main(_: object) -> None:
            if calls:
                calls.patch()
            self.adjust(progress)

        status = Worker(None, main).end(60)
        assert status in (0, -signal.SIGKILL)
        return status != 0

    def killed_in_recovery(self, number: int) -> bool:
        """Recover in a process of its own, killed before a system call; whether it was."""

        def main(_: object) -> None:
            Killed(number).patch()
            self.recover()

        status = Worker(None, main).end(60)
        assert status in (0, -signal.SIGKILL)
        return status != 0

    def reset(self) -> None:
        """Make all as it was at first, behind rctl's back."""
        for ve, files in zip(self.ves, self.old, strict=True):
            for name, text in files.items():
                if name != "parent" and ve.text(name) != text:
                    (ve.dir / name).write_text(text)
        parent = self.ves[0].dir.parent
        for name in enabled(parent):
            if name not in self.old[0]["parent"].split():
                (parent / "cgroup.subtree_control").write_text(f"-{name}")
        Path(self.state.history).unlink(missing_ok=True)
        assert self.worker.hold(0)
        assert self.worker.hold(20)
        assert self.now() == self.old

    def recover(self) -> list[str]:
        """What recover tells."""
        return recover(self.site, 30)

    def check(self, new: list[dict[str, str]], at: str) -> None:
        """All is old or all is new, what recover says of it is true, and the history agrees."""
        told = self.recover()
        now, done = self.now(), [record.command for record in history(self.state)]
        assert no_journal(), at
        assert (now, done) in ((self.old, []), (new, ["crash"])), f"{at}: {told}"
        if told:
            assert len(told) == 1
            assert ("rolled forward" in told[0]) == (now == new), at
            assert ("rolled back to what was there before" in told[0]) == (now == self.old), at
        assert self.recover() == []


@pytest.fixture
def scene(ve: Ve, other: Ve, host: Host, state: State) -> Scene:
    """Where it happens."""
    return Scene(ve, other, host, state)


def said(line: str) -> str:
    """What recover says it did."""
    return next(word for word in ("rolled forward", "rolled back") if word in line)


@pytest.fixture
def half(scene: Scene) -> Scene:
    """The scene after a crash in the middle."""
    assert scene.crashed(Recorder(8, die))
    assert len(left_open(scene.state)) == 1
    return scene


@pytest.mark.usefixtures("swap")
@pytest.mark.parametrize("where", ["event", "system call"] if LARGE else ["system call"])
def test_killed_at_every(where: str, scene: Scene) -> None:
    """Just before each system call that changes something.

    In `make test-large` also at each event of the progress, which leaves what the next call of these finds.
    """
    count = Recorder()
    scene.adjust(count)
    new = scene.now()
    scene.reset()
    number = 1
    while scene.crashed(Recorder(number, die)) if where == "event" else scene.crashed(quiet, Killed(number)):
        scene.check(new, f"{where} {number}")
        scene.reset()
        number += 1
    assert scene.now() == new
    assert number - 1 >= len(count.events) > 12


@pytest.mark.usefixtures("swap")
def test_shrink_of_a_ve_that_grew_since_the_plan_killed_at_every_system_call(scene: Scene) -> None:
    """No step of the plan speaks of ``memory.high`` then, and yet it is lowered on the way and must not stay so."""
    ve = scene.ves[0]

    def grow(event: Event) -> None:
        if event.what == "journal":
            assert scene.worker.hold(20)

    def shrunk(calls: Killed | None) -> bool:
        def main(_: object) -> None:
            if calls:
                calls.patch()
            ve.set({"memory.max": "10M"}, grow, deadline=30, command="crash")

        assert scene.worker.hold(2)
        return Worker(None, main).end(60) != 0

    assert not shrunk(None)
    new = scene.now()
    assert new[0]["memory.high"] == scene.old[0]["memory.high"]
    number = 0
    killed = True
    while killed:
        number += 1
        scene.reset()
        killed = shrunk(Killed(number))
        scene.check(new, f"system call {number}")
    assert number > 8


@pytest.mark.usefixtures("swap")
@pytest.mark.parametrize("from_end", [0, 2, 9])
def test_recover_killed_at_every_system_call_never_changes_its_mind(from_end: int, scene: Scene) -> None:
    """What the first recovery decides, the second one does and says, wherever the first was killed."""
    count = Recorder()
    scene.adjust(count)
    new = scene.now()
    scene.reset()
    at = len([event for event in count.events if event.what != "close"]) - from_end
    assert scene.crashed(Recorder(at, die))
    (decided,) = scene.recover()
    assert scene.now() == (new if "rolled forward" in decided else scene.old)
    number, killed = 0, True
    while killed:
        number += 1
        scene.reset()
        assert scene.crashed(Recorder(at, die))
        killed = scene.killed_in_recovery(number)
        told = scene.recover()
        assert [said(line) for line in told] in ([said(decided)], []), number
        assert scene.now() == (new if "rolled forward" in decided else scene.old), number
        assert no_journal(), number
    assert number > 2


def test_next_adjustment_recovers_first(half: Scene) -> None:
    account = half.ves[0].set({"memory.max": "120M"})
    assert "rolled back to what was there before" in account.notes[0]
    assert half.ves[1].snapshot() == half.old[1]
    assert half.ves[0].snapshot() == half.old[0] | {"memory.max": str(120 << 20)}
    assert [record.command for record in history(half.state)] == [""]


def test_journal_of_a_living_process_is_left_alone(scene: Scene) -> None:
    def main(sock: Any) -> None:
        def wait() -> None:
            sock.send(b"half way")
            sock.recv(1)

        scene.adjust(Recorder(8, wait))

    held = Worker(None, main)
    assert held.answer() == "half way"
    (line,) = scene.recover()
    assert line.startswith("under way: ")
    assert line.endswith(f"process {held.pid}")
    assert len(left_open(scene.state)) == 1
    assert held.tell("go on").end() == 0
    assert no_journal()
    assert scene.ves[1].text("pids.max") == "50"


def test_ve_that_is_gone_since_the_crash_needs_nothing(half: Scene) -> None:
    half.ves[1].dir.rmdir()
    (line,) = half.recover()
    assert "rolled back" in line
    assert half.ves[0].snapshot() == half.old[0]
    assert no_journal()


def test_ve_made_again_since_the_crash_is_left_alone(half: Scene) -> None:
    half.ves[1].dir.rmdir()
    half.ves[1].dir.mkdir()
    half.recover()
    assert half.ves[1].text("memory.max") == "max"
    assert half.ves[0].snapshot() == half.old[0]


def test_limit_changed_by_somebody_else_since_the_crash_stays(half: Scene) -> None:
    (half.ves[0].dir / "memory.max").write_text(str(70 << 20))
    (line,) = half.recover()
    assert f"{half.ves[0].path}: memory.max was changed by somebody else since and stays" in line
    assert half.now() == [half.old[0] | {"memory.max": str(70 << 20)}, half.old[1]]


def test_journal_of_an_earlier_boot_needs_nothing(half: Scene) -> None:
    before = half.now()
    later = Host({"/proc/sys/kernel/random/boot_id": "another-boot"}.__getitem__)
    (line,) = recover(msgspec.structs.replace(half.site, host=later), 30)
    assert "nothing to do" in line
    assert half.now() == before
    assert no_journal()

"""kill -9 before every system call that changes something, of every verb, then `rctl recover`.

All is as before or all is as after, nothing is left, and what recover says is true. With RCTL_KILLS=all, which is what
`make test-kills` sets, each call of each verb is a kill point; else every twelfth.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.records.checkpoint import desired_limits
from rctl.adjust.records.history import history
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, default_state, make
from rctl.cgroupfs.files import this_host
from rctl.cgroupfs.tree import Tree
from rctl.errors import RctlError
from rctl.limits import decode, nest
from rctl.ve import bare
from tests.kernel.conftest import _remove
from tests.kernel.helpers import Ve, content, enabled, no_journal, set_all, settings
from tests.kernel.killer import killed_at
from tests.kernel.real import labels
from tests.kernel.shell import load_for_all, rctl
from tests.kernel.sleepers import end_sleepers
from tests.kernel.workload import Worker, end_all, filler, sleeper

OLD = {"pids.max": 50, "memory.max": "100M"}
SPEC = """
version = 1
[ve.web1.limits]
pids.max = 9
memory.max = "90M"
[ve.web1.labels]
env = "prod"
tier = "front"
[ve.web2.limits]
[ve.new1.limits]
pids.max = 10
cpu.max = 0.5
[ve.new1.labels]
env = "prod"
[ve.new2.limits]
memory.max = "70M"
"""
STEP = 1 if os.environ.get("RCTL_KILLS") == "all" else 12
"""Every so manieth call of each verb is a kill point. The first one differs from verb to verb."""
World = dict[str, Any]


@dataclass
class Scene:
    """The tree that the verbs change: web1 and web2, with limits and a worker each; surplus has neither.

    web1 and surplus have a label.
    """

    tree: Tree
    place: Path
    folder: Path
    before: set[str] = field(default_factory=set)
    workers: dict[int, str] = field(default_factory=dict)

    def build(self, prepare: Callable[["Scene"], None]) -> None:
        """From nothing."""
        make(default_state())
        for name in ("web1", "web2", "surplus"):
            bare.make(self.tree, name).close()
        ves = [Ve(self.tree, name) for name in ("web1", "web2")]
        set_all(self.tree, dict.fromkeys(ves, OLD), command="before")
        assert rctl("label", "web1", "surplus", "env=test").status == 0
        self.worker("first", sleeper(ves[1].dir))
        self.worker("second", sleeper(ves[1].dir))
        prepare(self)

    def worker(self, name: str, worker: Worker) -> None:
        """Know a process by name."""
        self.workers[worker.pid] = name

    def pid(self, name: str) -> str:
        """A worker's process id."""
        return next(str(pid) for pid, known in self.workers.items() if known == name)

    def words(self, text: str) -> list[str]:
        """The words of a command line, with the spec and the processes that it names."""
        named = {
            "SPEC": str(self.folder.parent / "spec.toml"),
            "FIRST": self.pid("first"),
            "SECOND": self.pid("second"),
        }
        return [named.get(word, word) for word in text.split()]

    def clear(self) -> None:
        """To nothing."""
        end_all()
        end_sleepers()
        for path in [path for path in self.place.iterdir() if path.is_dir() and path.name not in self.before]:
            _remove(path)
        for name in enabled(self.place):
            (self.place / "cgroup.subtree_control").write_text(f"-{name}")
        self.workers.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def world(self) -> World:
        """All cgroups with limits, labels and who is in them, the controllers, and the history."""
        found: World = {"/": enabled(self.place)}
        for top in self.place.iterdir():
            if top.is_dir() and top.name not in self.before:
                for path in [top, *(Path(folder, name) for folder, names, _ in os.walk(top) for name in names)]:
                    texts: World = settings(path)
                    kind = texts.pop("cpuset.cpus.partition", "")
                    texts["partition"] = kind.partition(" (")[0]  # the reason may come later
                    texts |= {f"label {key}": value for key, value in labels(path).items()}
                    pids = content(f"{path}/cgroup.procs").split()
                    texts["processes"] = sorted(self.workers.get(int(pid), "command") for pid in pids)
                    found[str(path.relative_to(self.place))] = texts
        records = history(default_state())
        revoked = {r.undoes for r in records if any(r.undoes == o.id and r.command == o.command for o in records)}
        lasting = [record for record in records if not {record.id, record.undoes} & revoked - {None}]
        found["timers"] = len(desired_limits(default_state()).timers)
        found["history"] = [record.command.split()[:2] for record in lasting]
        return found


@pytest.fixture
def scene(tree: Tree, place: Path, state: State) -> Scene:
    """Where it happens."""
    load_for_all()
    before = {path.name for path in place.iterdir() if path.is_dir()}
    assert not enabled(place)
    return Scene(tree, place, Path(os.environ["RCTL_STATE"]), before)


def command(*words: str) -> Callable[[], None]:
    """`rctl WORDS`."""
    from rctl.cli import main

    def run() -> None:
        sys.argv = ["rctl", *words]
        main()

    return run


def nothing(_: Scene) -> None:
    """No more."""


def changed(scene: Scene) -> None:
    """An adjustment that can be undone."""
    assert rctl("set", "web1", "web2", "pids.max=77", "cpu.max=1.5", "memory.max=60M").status == 0


def half(words: str, at: int, before: Callable[[Scene], None] = nothing) -> Callable[[Scene], None]:
    """A verb that was killed before its changing system call number ``at``."""

    def prepare(scene: Scene) -> None:
        before(scene)
        assert killed_at(at, command(*scene.words(words))).killed

    return prepare


def applied(scene: Scene) -> None:
    """An apply that can be undone: it made VEs, and enabled a controller for them."""
    assert rctl(*scene.words("apply SPEC")).status == 0
    assert "cpu" in enabled(scene.place)


def filled(scene: Scene) -> None:
    """20 MiB in use."""
    scene.worker("filler", filler(Ve(scene.tree, "web1").dir, 20))


def populated(scene: Scene) -> None:
    """A cgroup below, and a process in it."""
    below = Ve(scene.tree, "web1").dir / "below"
    below.mkdir()
    scene.worker("below", sleeper(below))


def changed_below(scene: Scene) -> None:
    """An adjustment that can be undone, which enabled controllers on two levels."""
    below = Ve(scene.tree, "web1").dir / "below"
    below.mkdir()
    assert rctl("set", "/rctl-web1/below", "cpu.weight=50", "pids.max=5").status == 0
    assert enabled(below.parent) == ["cpu", "pids"]


def partition(scene: Scene) -> None:
    """A VE that has CPU 1 for itself."""
    assert rctl("set", "web1", "cpuset.cpus=0", "cpuset.mems=0").status == 0
    assert rctl("set", "surplus", "cpuset.cpus=1", "cpuset.partition=root").status == 0


def lost_partition(scene: Scene) -> None:
    """Another one has taken that CPU, so that the partition is invalid; Linux 7 leaves it the CPU."""
    partition(scene)
    assert rctl("set", "web1", "cpuset.cpus=1").status == 0


def drifted(scene: Scene) -> None:
    """Another program has changed limits, and removed a VE that rctl made."""
    assert rctl("run", "new1", "--pids", "10", "--cpus", "0.5", "--", "/bin/true").status == 0
    (scene.place / "rctl-new1").rmdir() if "RCTL_TREE" not in os.environ else (scene.place / "new1").rmdir()
    for name in ("web1", "web2"):
        (Ve(scene.tree, name).dir / "pids.max").write_text("99")
    (Ve(scene.tree, "web1").dir / "memory.max").write_text("max")


def timed_out(scene: Scene) -> None:
    """A timed adjustment whose time is over, and that nobody has ended."""
    limits = {"web1": decode(nest({"pids.max": 77, "cpu.weight": "idle"}), this_host())}
    how = Options(command="rctl set --for 1s", until=time.time() - 1)
    adjust(Site(scene.tree, this_host(), default_state()), limits, how)


SET = "set web1 web2 pids.max=77 cpu.max=1.5 memory.max=60M"
CASES: dict[str, tuple[Callable[[Scene], None], str]] = {
    "set": (nothing, SET),
    "set that shrinks": (filled, "set web1 memory.max=10M pids.max=7"),
    "set that gives a partition its CPU": (lost_partition, "set web1 cpuset.cpus=0 pids.max=7"),
    "set that takes a partition its CPU": (partition, "set web1 cpuset.cpus=1 pids.max=7"),
    "set of a partition that is invalid": (lost_partition, "set surplus web1 cpuset.cpus=0 cpuset.partition=member"),
    "undo": (changed, "undo"),
    "undo that disables controllers on two levels": (changed_below, "undo"),
    "undo that removes VEs": (applied, "undo"),
    "apply": (nothing, "apply SPEC"),
    "apply --prune": (populated, "apply --prune SPEC"),
    "drift --fix": (drifted, "drift --fix"),
    "restore": (drifted, "restore"),
    "set --for": (nothing, "set --for 1h web1 pids.max=77 memory.max=60M"),
    "the end of a timer": (timed_out, "recover"),
    "run": (nothing, "run job --memory 64M --pids 20 -- /bin/true"),
    "run -d": (nothing, "run -d job --memory 64M --pids 20 -- /bin/sleep 1000"),
    "run in one that is there": (nothing, "run -d web1 --memory 64M -- /bin/sleep 1000"),
    "attach": (nothing, "attach web1 FIRST SECOND"),
    "attach to a new one": (nothing, "attach new FIRST SECOND"),
    "rm": (nothing, "rm web1 surplus"),
    "rm --kill": (populated, "rm --kill web1"),
    "rm --kill that gives a partition its CPU": (lost_partition, "rm --kill web1"),
    "rename": (nothing, "rename surplus other"),
    "recover of a set": (half(SET, 12), "recover"),
    "recover of a set that gives a partition its CPU": (
        half("set web1 cpuset.cpus=0 pids.max=7", 11, lost_partition),
        "recover",
    ),
    "recover of an undo": (half("undo", 12, changed), "recover"),
    "recover of an undo on two levels": (half("undo", 12, changed_below), "recover"),
    "recover of an undo that removes VEs": (half("undo", 18, applied), "recover"),
    "recover of an apply": (half("apply SPEC", 14), "recover"),
    "recover of an apply that has just made its VEs": (half("apply SPEC", 9), "recover"),
    "recover of an apply that has put some labels on": (half("apply SPEC", 20), "recover"),
    "recover of an apply that had all but ended": (half("apply SPEC", 23), "recover"),
    "recover of an apply --prune": (half("apply --prune SPEC", 14, populated), "recover"),
    "recover of an apply --prune that removes": (half("apply --prune SPEC", 25, populated), "recover"),
    "recover of an attach": (half("attach new FIRST SECOND", 10), "recover"),
    "recover of a restore": (half("restore", 14, drifted), "recover"),
    "recover of a rm --kill": (half("rm --kill web1 surplus", 11, populated), "recover"),
}


@pytest.mark.parametrize("case", CASES)
def test_killed_before_every_system_call(case: str, scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(SPEC)
    prepare, text = CASES[case]

    def begin() -> Callable[[], None]:
        scene.build(prepare)
        return command(*scene.words(text))

    what = begin()
    old = scene.world()
    whole = killed_at(0, what)
    assert whole.status == 0, whole
    new = scene.world()
    assert no_journal()
    scene.clear()
    if case.startswith("recover"):
        old = new
    bad = []
    first = 1 + list(CASES).index(case) % min(STEP, len(whole.calls))
    for at in range(first, len(whole.calls) + 1, STEP):
        for family in (False, True) if {"clone", "fork", "clone3"}.intersection(whole.calls[:at]) else (False,):
            what = begin()
            ended = killed_at(at, what, family=family)
            trouble = check(scene, old, new, ends=family and not ended.became)
            if trouble:
                bad.append(f"{case}: {at} {ended.calls[-1]} family={family}: {trouble}")
            scene.clear()
    assert not bad, "\n".join(bad)


def check(scene: Scene, old: World, new: World, *, ends: bool) -> str:
    """What is wrong after a kill and a recover; empty for nothing.

    ``ends``: who was about to become the command was killed with all others, maybe when all else was done already.
    """
    try:
        told = settled(scene)
        again = settled(scene)
    except RctlError as error:
        return str(error)
    world = scene.world()
    if ends and world != old:
        new = {key: without_command(value) for key, value in new.items()}
    if world not in (old, new):
        return f"neither old nor new, {told}: {difference(old, world)}"
    if old != new and told and ("rolled forward" in told[0]) != (world == new):
        return f"{told} is not true"
    return "" if no_journal() and not again else f"left: {again}"


def without_command(cgroup: Any) -> Any:
    """A cgroup of the world after its command was killed."""
    if not isinstance(cgroup, dict):
        return cgroup
    return cgroup | {"processes": [name for name in cgroup["processes"] if name != "command"]}


def settled(scene: Scene) -> list[str]:
    """What `rctl recover` tells."""
    return recover(Site(scene.tree, this_host(), default_state()), 10)


def difference(old: World, new: World) -> dict[str, Any]:
    """What is not the same."""
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    both = {key: (old.get(key), new.get(key)) for key in keys}
    return {
        key: difference(a, b) if isinstance(a, dict) and isinstance(b, dict) else f"{a} -> {b}"
        for key, (a, b) in both.items()
    }


ROLLING = "set web1 web2 surplus pids.max=77 memory.max=60M --batch 1"
RAMP = "set web1 web2 surplus pids.max=80 memory.max=160M --over 20ms --steps 3"
START, GOAL = 100 << 20, 160 << 20
STEPS = [(50, START), *((50 + 30 * k // 3, (START + (GOAL - START) * k // 3) // 4096 * 4096) for k in (1, 2, 3))]


@pytest.mark.parametrize("text", [ROLLING, RAMP], ids=["rolling", "ramp"])
def test_a_change_in_parts_that_is_killed_leaves_whole_parts(text: str, scene: Scene) -> None:
    """After recover, each batch is done or not, and all VEs of a ramp are at the same step; all of it can be undone."""

    def begin() -> Callable[[], None]:
        scene.build(all_limited)
        return command(*text.split())

    what = begin()
    old = without_history(scene.world())
    whole = killed_at(0, what)
    assert whole.status == 0, whole
    new = without_history(scene.world())
    scene.clear()
    bad = []
    for at in range(1 + len(text) % STEP, len(whole.calls) + 1, STEP):
        ended = killed_at(at, begin())
        settled(scene)
        trouble = check_parts(scene, text, old, new)
        if trouble:
            bad.append(f"{at} {ended.calls[-1]}: {trouble}")
        scene.clear()
    assert not bad, "\n".join(bad)


def all_limited(scene: Scene) -> None:
    """The three VEs have the same limits."""
    set_all(scene.tree, {Ve(scene.tree, "surplus"): OLD}, command="before")


def without_history(world: World) -> World:
    """What lies in the cgroups."""
    return {key: value for key, value in world.items() if key != "history"}


def check_parts(scene: Scene, text: str, old: World, new: World) -> str:
    """What is wrong after a kill and a recover; empty for nothing."""
    ves = [Ve(scene.tree, name) for name in ("web1", "web2", "surplus")]
    found = [(ve.number("pids.max"), ve.number("memory.max")) for ve in ves]
    if text == ROLLING:
        whole = [(50, START), (77, 60 << 20)]
        if any(one not in whole for one in found) or found != sorted(found, reverse=True):
            return f"half a batch: {found}"
        folder = scene.folder / "run" / "changes"
        for name in [name for name in os.listdir(folder) if "." not in name] if folder.exists() else ():
            done = rctl("set", "--retry", name)
            if done.status != 0 or without_history(scene.world()) != new:
                return f"retry: {done}, {difference(new, without_history(scene.world()))}"
            found = whole[1:]
    elif len(set(found)) > 1 or found[0] not in STEPS:
        return f"half a step: {found}"
    if found[0] != (50, START):
        done = rctl("undo")
        if done.status != 0:
            return f"undo: {done}"
    world = without_history(scene.world())
    return "" if world == old and no_journal() else f"not as before: {difference(old, world)}"

"""The real tree: what others than rctl do there, and what is there."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from rctl.adjust.account import Account
from rctl.adjust.state_folder import default_state, make
from rctl.api.session import Session
from rctl.cgroupfs.files import this_host
from rctl.errors import RctlError
from rctl.host import Host
from tests.kernel.conftest import _remove
from tests.kernel.doing import World
from tests.kernel.helpers import enabled
from tests.kernel.killer import killed_at
from tests.kernel.model_tree import Group, Machine, Record
from tests.kernel.model_words import NEW
from tests.kernel.operations import Op
from tests.kernel.workload import RUNNING, Worker, filler, sleeper

_LABEL = "user.rctl.label."


class RealWorld(World):
    """What is directly below ``place``, but for what is there already."""

    def __init__(self, place: Path, folder: Path) -> None:
        super().__init__(folder)
        self.place = place
        self.workers: dict[str, Worker] = {}
        self.before = {path.name for path in place.iterdir() if path.is_dir()}

    def begin(self) -> None:
        """A new host: no VE, no process, no state of rctl's."""
        for worker in list(self.workers.values()):
            self._end(worker)
        self.workers.clear()
        self.pids.clear()
        self.ids.clear()
        for path in self.place.iterdir():
            if path.is_dir() and path.name not in self.before:
                _remove(path)
        for name in enabled(self.place):
            (self.place / "cgroup.subtree_control").write_text(f"-{name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.environ["RCTL_STATE"] = str(self.folder)
        make(default_state()).close()

    @staticmethod
    def _end(worker: Worker) -> None:
        worker.kill()
        with suppress(ValueError):
            RUNNING.remove(worker)

    def machine(self) -> Machine:
        """What this kernel has."""
        path = self.place / "rctl-probe"
        for name in ("cpuset", "cpu", "io", "memory", "hugetlb", "pids"):
            (self.place / "cgroup.subtree_control").write_text(f"+{name}")
        path.mkdir()
        files = frozenset(name for name in NEW if (path / name).exists())
        weight, reclaims = "0", (path / "memory.reclaim").exists()
        if "cpu.idle" in files:
            (path / "cpu.idle").write_text("1")
            weight = (path / "cpu.weight").read_text().strip()
        path.rmdir()
        possible = {"cpuset.cpus": "devices/system/cpu/possible", "cpuset.mems": "devices/system/node/possible"}
        all_of = {key: Path("/sys", file).read_text().strip() for key, file in possible.items()}
        return Machine(files, weight, all_of, reclaims)

    def host(self) -> Host:
        """This machine's facts."""
        return this_host()

    def killed(self, op: Op, meant: Record | None) -> bool:
        """Do it in a process of its own, and kill that; whether it came to that."""

        def main() -> None:
            self.do(op, meant)

        return killed_at(op.killed, main).killed

    def _fork(self, _: Session, op: Op, __: Record | None) -> None:
        if old := self.workers.pop(op.names[0], None):
            self._end(old)
        self.workers[op.names[0]] = sleeper(self.place)
        self.pids[op.names[0]] = self.workers[op.names[0]].pid

    def _mkdir(self, _: Session, op: Op, __: Record | None) -> None:
        try:
            self._dir(op.names[0]).mkdir()
        except OSError as error:
            raise RctlError(str(error)) from None

    def _outside(self, session: Session, op: Op, _: Record | None) -> None:
        for file, text in op.pairs:
            (self._dir(session.tree.path(op.names[0])) / file).write_text(text)

    def _shrink(self, session: Session, op: Op, _: Record | None) -> Account:
        path = self._dir(session.tree.path(op.names[0]))
        swap = (path / "memory.swap.max").read_text().strip()
        worker = filler(path, 12)
        try:
            soon = 10 if swap == "max" else 0.2
            account = session.adjust({op.names[0]: {"memory.max": "4M"}}, deadline=soon, force=op.force, dry_run=op.dry)
            assert worker.alive, f"{op}: the kernel killed for memory"
            return account
        finally:
            self._end(worker)

    def names(self) -> set[str]:
        tops = [entry for entry in _folders(self.place) if entry.name not in self.before]
        return {f"/{top.name}" for top in tops} | {f"/{t.name}/{one.name}" for t in tops for one in _folders(t)}

    def texts(self, path: str, machine: Machine) -> dict[str, str | None]:
        place = os.open(self._dir(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            return {file: _text(place, file) for file in machine.files}
        finally:
            os.close(place)

    def group(self, path: str) -> Group:
        place = self._dir(path)
        return Group(gives=frozenset(enabled(place)), labels=labels(place))

    def where(self) -> dict[str, str]:
        found = {}
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, worker in self.workers.items():
                if worker.alive:
                    found[name] = (_text(proc, f"{worker.pid}/cgroup") or "").removeprefix("0::")
        finally:
            os.close(proc)
        return found

    def _dir(self, path: str) -> Path:
        return self.place / path.strip("/")


def _folders(place: os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(place) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]


def _text(place: int, name: str) -> str | None:
    try:
        fd = os.open(name, os.O_RDONLY, dir_fd=place)
    except FileNotFoundError:
        return None
    try:
        text = os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)
    return "\n".join(sorted(text.splitlines())) if name == "io.max" else text


def labels(place: Path) -> dict[str, str]:
    """A cgroup's labels."""
    names = [name for name in os.listxattr(place) if name.startswith(_LABEL)]
    return {name.removeprefix(_LABEL): os.getxattr(place, name).decode() for name in names}

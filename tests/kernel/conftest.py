"""A real kernel, a place in its cgroup tree, and nothing left behind after each test.

In the lab the place is the root. With RCTL_TESTS=host it is a cgroup of the tests' own below $RCTL_TREE, a cgroup that
was delegated to you and that holds no processes itself.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rctl.adjust.records.journal import left_open
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, default_state, make
from rctl.cgroupfs import devices
from rctl.cgroupfs.files import this_host
from rctl.cgroupfs.tree import Tree
from rctl.errors import UsageError
from rctl.host import Host
from rctl.ve import bare
from tests.kernel import workload
from tests.kernel.helpers import MOUNT, Ve, enabled

if TYPE_CHECKING:
    from rctl_exporter.scrape import Scraper

CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
IN_LAB = "LAB" in os.environ


@pytest.fixture(scope="session", autouse=True)
def place() -> Iterator[Path]:
    """The cgroup directly below which everything is made."""
    if IN_LAB and os.environ.get("RCTL_TESTS") != "host":
        os.environ.pop("RCTL_TREE", None)
        yield MOUNT
        return
    given = os.environ.get("RCTL_TREE", "").strip("/")
    if os.environ.get("RCTL_TESTS") != "host" or not given:
        pytest.exit(
            "tests/kernel: run `make test-kernel`, or give RCTL_TESTS=host and RCTL_TREE=/a/delegated/cgroup", 2
        )
    above = MOUNT / given
    before = enabled(above)
    own = above / f"rctl-tests-{os.getpid()}"
    own.mkdir()
    try:
        for name in CONTROLLERS:
            (above / "cgroup.subtree_control").write_text(f"+{name}")
        os.environ["RCTL_TREE"] = f"/{given}/{own.name}"
        yield own
    finally:
        os.environ["RCTL_TREE"] = f"/{given}"
        own.rmdir()
        _enable_only(above, before)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """rctl's state in a folder of this test."""
    monkeypatch.setenv("RCTL_STATE", str(tmp_path / "state"))
    return make(default_state())


@pytest.fixture(autouse=True)
def _nothing_left(place: Path, state: State) -> Iterator[None]:
    """Whatever the test does: no worker, process, cgroup, controller or journal outlives it."""
    children, controllers = _children(place), enabled(place)
    yield
    workload.end_all()
    for path in _children(place) - children:
        _remove(path)
    _enable_only(place, controllers)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert left_open(state) == []


@pytest.fixture
def tree() -> Iterator[Tree]:
    """The cgroup tree, held open."""
    with Tree.open() as opened:
        yield opened


@pytest.fixture
def host() -> Host:
    """The facts of this machine."""
    return this_host()


@pytest.fixture
def site(tree: Tree, host: Host, state: State) -> Site:
    """This machine, with rctl's state in a folder of this test."""
    return Site(tree, host, state)


@pytest.fixture
def scratch(place: Path) -> Path:
    """A fresh cgroup with every controller, and no rctl about it."""
    for name in CONTROLLERS:
        (place / "cgroup.subtree_control").write_text(f"+{name}")
    path = place / f"scratch-{os.getpid()}"
    path.mkdir()
    return path


@pytest.fixture
def make_ve(tree: Tree) -> Callable[[str], Ve]:
    """Makes managed VEs."""

    def made(name: str) -> Ve:
        bare.make(tree, name).close()
        return Ve(tree, name)

    return made


@pytest.fixture
def ve(make_ve: Callable[[str], Ve]) -> Ve:
    """A fresh managed VE."""
    return make_ve("web1")


@pytest.fixture
def other(make_ve: Callable[[str], Ve]) -> Ve:
    """Another fresh managed VE."""
    return make_ve("web2")


@pytest.fixture
def exporter(site: Site) -> Iterator[Callable[..., "Scraper"]]:
    """Makes scrapers, told what to collect in the command line's words; closed at the end of the test."""
    from rctl_exporter.scrape import Scraper
    from rctl_exporter.settings import Settings

    with ExitStack() as stack:

        def made(*collect: str, kept_fds: int | None = None, watch: bool = True) -> Scraper:
            settings = Settings.parse(collect=collect, kept_fds=kept_fds)
            return stack.enter_context(Scraper(site, settings, watch=watch))

        yield made


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder on a disk, in the lab on the first scratch disk (ext4)."""
    if IN_LAB:
        return Path(os.environ["LAB_MOUNT"])
    for folder in (tmp_path, Path("/var/tmp")):
        with suppress(UsageError):
            devices.resolve(str(folder))
            return folder
    pytest.skip("neither /tmp nor /var/tmp lies on a disk; the lab has one")


@pytest.fixture
def rawdisk() -> Path:
    """A whole scratch disk that nobody uses."""
    if not IN_LAB:
        pytest.skip("needs a disk to write over: only in the lab")
    return Path(os.environ["LAB_DISKS"].split()[1])


@pytest.fixture
def swap() -> None:
    """The machine has swap."""
    if not IN_LAB and len(Path("/proc/swaps").read_text().splitlines()) < 2:
        pytest.skip("this host has no swap; the lab has")


@pytest.fixture
def as_root() -> None:
    """The test needs rights over the whole machine."""
    if not IN_LAB:
        pytest.skip("changes the whole machine: only in the lab")


def _children(cgroup: Path) -> set[Path]:
    with os.scandir(cgroup) as entries:
        return {Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)}


def _remove(cgroup: Path) -> None:
    """Kill what is in a cgroup and below it, and remove it, in spite of the kernel's own pace."""
    deadline = time.monotonic() + 20
    while True:
        for folder, _, _ in os.walk(cgroup, topdown=False):
            path = Path(folder)
            for pid in (path / "cgroup.threads").read_text().split():  # a threaded one does not tell processes
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            try:
                path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
        if not cgroup.exists():
            return
        time.sleep(0.005)


def _enable_only(cgroup: Path, controllers: list[str]) -> None:
    for name in enabled(cgroup):
        if name not in controllers:
            (cgroup / "cgroup.subtree_control").write_text(f"-{name}")

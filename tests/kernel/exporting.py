"""VEs with a past, and scrapers to show it."""

import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rctl.cgroupfs.tree import Tree
from rctl_exporter.scrape import Scraper
from tests.kernel.conftest import CONTROLLERS
from tests.kernel.figures import COMPUTED, Figures, check, shown, truth, without
from tests.kernel.helpers import MOUNT, Ve
from tests.kernel.workload import MIB, burner, disk_user, filler, forker, huge, until

AWKWARD = 'awk\\ward"1', "in ner"
"""A path that needs escaping."""
HUGE = 2 * MIB

Made = Callable[..., Scraper]


def nested(tree: Tree, place: Path, *names: str) -> Ve:
    """A foreign VE at a path below the tests' place, with every controller all the way."""
    path = place
    for name in names:
        give(path)
        path = path / name
        path.mkdir(exist_ok=True)
    return Ve(tree, cgroup_path(path))


def give(cgroup: Path, names: tuple[str, ...] = CONTROLLERS) -> None:
    """Enable controllers for what is below a cgroup."""
    for name in names:
        (cgroup / "cgroup.subtree_control").write_text(f"+{name}")


def take(cgroup: Path, *names: str) -> None:
    """Disable controllers for what is below a cgroup."""
    for name in names:
        (cgroup / "cgroup.subtree_control").write_text(f"-{name}")


def cgroup_path(path: Path) -> str:
    """The cgroup path of a directory."""
    return "/" + str(path.relative_to(MOUNT)).removeprefix(".")


def put(ve: Ve, **texts: str) -> None:
    """Write files as anybody would, those that this kernel has, such as `memory_max="1G"`."""
    for name, text in texts.items():
        with suppress(FileNotFoundError):
            (ve.dir / name.replace("_", ".")).write_text(text)


def live(ve: Ve, disk: Path, device: str) -> None:
    """Let a VE see everything that can happen to one, and end frozen, so that no figure moves any more."""
    put(ve, cpu_weight="50", cpu_max_burst="1000", memory_low="1M", memory_high="1G", memory_oom_group="0")
    put(ve, io_max=f"{device} wbps={64 * MIB} riops=5000", io_weight="default 200")
    _short_of_cpu(ve)
    _short_of_memory(ve)
    _at_a_disk(ve, disk)
    if ve.has("hugetlb.2MB.max"):
        put(ve, hugetlb_2MB_max=str(2 * HUGE))
        assert huge(ve.dir, 1, HUGE).answer() == "1"
        assert huge(ve.dir, 3, HUGE).answer() is None
    put(ve, pids_max=str(ve.number("pids.current") + 3))
    answer = forker(ve.dir).ask("9")
    assert answer
    assert answer != "9 0"
    freeze(ve)


def freeze(ve: Ve) -> None:
    """Stop all that moves in a VE."""
    (ve.dir / "cgroup.freeze").write_text("1")
    until(lambda: ve.count("cgroup.events", "frozen"), "the VE to be frozen")


def _short_of_cpu(ve: Ve) -> None:
    put(ve, cpu_max="5000 20000")
    worker = burner(ve.dir)
    until(lambda: ve.count("cpu.stat", "nr_throttled"), "a throttled period")
    worker.kill()
    put(ve, cpu_max="50000 100000")


def _short_of_memory(ve: Ve) -> None:
    """Killed for lack of it, then in swap."""
    put(ve, memory_swap_max="0", memory_max="4M")
    assert not filler(ve.dir).hold(16)
    put(ve, memory_swap_max="256M", memory_max="16M")
    assert filler(ve.dir).hold(24)
    assert ve.number("memory.swap.current") > 0


def _at_a_disk(ve: Ve, disk: Path) -> None:
    for write, key in ((True, "wbytes="), (False, "rbytes=")):
        worker = disk_user(ve.dir, disk, 64 << 10, write=write)
        until(lambda: any(part.startswith(key) and part != f"{key}0" for part in ve.text("io.stat").split()), key)  # noqa: B023
        worker.kill()


def all_ves(tree: Tree, place: Path) -> dict[str, Path]:
    """Every VE below a place: what is inside a managed one is its own."""
    found: dict[str, Path] = {}
    for folder, folders, _ in os.walk(place):
        if folder != str(place):
            name = tree.name(cgroup_path(Path(folder)))
            found[name] = Path(folder)
            if not name.startswith("/"):
                folders.clear()
    return found


def all_true(scraper: Scraper, tree: Tree, place: Path, only: Callable[[Figures], Figures] = dict) -> None:
    """The next scrape shows just the VEs that are there, each as its files say. `only`: what is exported of that.

    What the kernel reports it may report some milliseconds later, so that it is one of the next scrapes that shows it.
    """
    ves = all_ves(tree, place)
    before = {name: only(truth(path)) for name, path in ves.items()}
    figures = shown(scraper)
    here = {name for name in figures if name in ves or not name.startswith("/") or below(name, place)}
    assert here == ves.keys()
    for name in ves:
        still = without(figures[name], *COMPUTED) == before[name]
        after = before[name] if still else only(truth(ves[name]))
        check(*(unreported(one) for one in (figures[name], before[name], after)))
        if reported(figures[name]) != reported(after):
            until(
                lambda: reported(shown(scraper)[name]) == reported(only(truth(ves[name]))),  # noqa: B023
                f"the page to show what is reported of {name}",
            )


def reported(figures: Figures) -> Figures:
    """Those that the kernel reports when they change, which are read again only then, and all like them."""
    return {key: value for key, value in figures.items() if _is_reported(key[0])}


def unreported(figures: Figures) -> Figures:
    """All others."""
    return {key: value for key, value in figures.items() if not _is_reported(key[0])}


def _is_reported(name: str) -> bool:
    return name in ("populated", "frozen") or "_events_" in name


def below(name: str, place: Path) -> bool:
    """Whether a foreign VE lies below a place."""
    return name.startswith(cgroup_path(place).rstrip("/") + "/")


def descriptors() -> int:
    """How many this process has open, without those of things that nobody has any more."""
    gc.collect()  # of tests before this one
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

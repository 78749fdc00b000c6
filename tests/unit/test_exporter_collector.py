"""The exporter as others see it: a collector in anyone's registry. Plain directories stand in for cgroups."""

from __future__ import annotations

import errno
import os
import re
import resource
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from rctl.adjust.records.history import append
from rctl.adjust.records.record_format import Record, encode
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Set
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.files import this_host
from rctl.cgroupfs.tree import Tree
from rctl.errors import UsageError
from rctl.host import Host
from rctl_exporter import Collector
from rctl_exporter.request_filter import ALL, Only
from rctl_exporter.scrape import Scraper
from rctl_exporter.self_metrics import Own
from rctl_exporter.settings import COLLECTORS, Settings


def put(place: Path, path: str, files: dict[str, str]) -> None:
    (place / path).mkdir(parents=True, exist_ok=True)
    for name, text in {"cgroup.procs": "", **files}.items():
        (place / path / name).write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RCTL_STATE", str(tmp_path / "state"))
    put(tmp_path / "cgroup", "", {})
    put(
        tmp_path / "cgroup",
        "rctl-web1",
        {"pids.current": "3\n", "pids.max": "max\n", "cpu.stat": "usage_usec 1500000\n"},
    )
    put(tmp_path / "cgroup", "rctl-web1/inner", {"pids.current": "1\n"})
    put(tmp_path / "cgroup", "system.slice", {})
    put(tmp_path / "cgroup", "system.slice/x.service", {"pids.current": "5\n", "pids.max": "7\n"})
    return tmp_path / "cgroup"


@pytest.fixture
def tree(place: Path) -> Iterator[Tree]:
    with Tree(Cgroup("/", os.open(place, os.O_RDONLY))) as found:
        yield found


@pytest.fixture
def site(tree: Tree, tmp_path: Path) -> Iterator[Site]:
    with State(f"{tmp_path}/state/run", f"{tmp_path}/state") as state:
        yield Site(tree, this_host(), state)


def samples(text: str) -> dict[str, float]:
    found = [sample for family in parse(text) for sample in family.samples]
    return {f"{sample.name} {sample.labels.get('ve', '')}": sample.value for sample in found}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestRegistering:
    def test_it_reads_nothing(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        with Collector(tree=tree) as collector:
            monkeypatch.setattr(Scraper, "frame", lambda _: pytest.fail("read on register()"))
            CollectorRegistry(auto_describe=True).register(collector)
            assert list(collector.describe()) == []

    def test_collecting_gives_the_figures_of_now(self, tree: Tree, place: Path) -> None:
        registry = CollectorRegistry()
        with Collector(tree=tree) as collector:
            registry.register(collector)
            found = samples(generate_latest(registry).decode())
            assert found["rctl_ve_pids_current web1"] == 3
            assert found["rctl_ve_cpu_usage_seconds_total web1"] == 1.5
            assert found["rctl_ve_pids_max web1"] == float("inf")
            assert found["rctl_ve_pids_max x.service"] == 7
            assert not any("inner" in name for name in found)
            (place / "rctl-web1" / "pids.current").write_text("4\n")
            assert samples(generate_latest(registry).decode())["rctl_ve_pids_current web1"] == 4

    def test_it_lets_go_of_everything_and_leaves_a_tree_that_is_not_its_own(self, tree: Tree) -> None:
        before = descriptors()
        with Collector(tree=tree) as collector:
            list(collector.collect())
        assert descriptors() == before
        assert tree.root.alive()

    def test_what_cannot_be_leaves_nothing_open(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RCTL_STATE", "relative")
        before = descriptors()
        with pytest.raises(UsageError, match=r"^RCTL_STATE 'relative': must start with /"):
            Collector(tree=tree)
        assert descriptors() == before

    def test_many_threads_at_once(self, tree: Tree) -> None:
        with Collector(tree=tree) as collector:
            found: list[int] = []
            threads = [threading.Thread(target=lambda: found.append(len(list(collector.collect())))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1


class TestNames:
    def test_a_name_that_is_no_utf8_does_not_cost_the_page(self, tree: Tree, place: Path) -> None:
        for name in (b"\xff", b"\xfe"):
            os.mkdir(os.fsencode(place) + b"/" + name)
            Path(os.fsdecode(os.fsencode(place) + b"/" + name), "cgroup.procs").touch()
            Path(os.fsdecode(os.fsencode(place) + b"/" + name), "pids.current").write_text("1\n")
        registry = CollectorRegistry()
        with Collector(tree=tree) as collector:
            registry.register(collector)
            found = samples(generate_latest(registry).decode())
        assert {"rctl_ve_pids_current /\ufffdff", "rctl_ve_pids_current /\ufffdfe"} <= set(found)


class TestScraper:
    @pytest.mark.parametrize("watch", [True, False])
    def test_a_page_has_the_ves_and_then_the_exporter_itself(self, site: Site, watch: bool) -> None:
        with Scraper(site, Settings(), watch) as scraper:
            for _ in range(3):
                found = samples(b"".join(scraper.scrape()).decode())
                assert found["rctl_ve_pids_current web1"] == 3
                assert found["rctl_scrape_ves "] == 3
                assert found["rctl_scrape_read_errors "] == 0

    def test_a_ve_that_is_not_included_is_not_read(self, site: Site) -> None:
        with Scraper(site, Settings.parse(include=["web*"])) as scraper:
            found = samples(b"".join(scraper.scrape()).decode())
            assert found["rctl_scrape_ves "] == 1
            assert {file.rpartition("/")[0] for file in scraper.files()} == {"/rctl-web1"}

    def test_a_history_of_a_newer_rctl_is_an_error_that_page_and_log_tell(self, site: Site) -> None:
        make(site.state)
        with Scraper(site, Settings()) as scraper:
            scraper.scrape()
            assert not scraper.trouble
            append(site.state, site.state.history, b'{"version": 99}')
            found = samples(b"".join(scraper.scrape()).decode())
            assert found["rctl_scrape_read_errors "] == 1
            assert "an adjustment is of a newer rctl (record version 99" in str(scraper.trouble)

    def test_a_host_that_does_not_tell_its_boot_has_all_but_desired_values(self, site: Site) -> None:
        """Given a masked /proc/sys (ProcSubset=pid), when a page is made, then only drift is missing from it."""

        def masked(path: str) -> str:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

        make(site.state)
        with site.tree.open_ve("web1") as ve:
            step = Set(ve.path, "pids.max", "50", "max")
            record = Record("id", 1.0, site.boot_id, "rctl set", {ve.path: ve.ino}, (step,))
        append(site.state, site.state.history, encode(record))
        blind = msgspec.structs.replace(site, host=Host(masked))
        with Scraper(site, Settings()) as seeing, Scraper(blind, Settings()) as scraper:
            whole, found = (samples(b"".join(one.scrape()).decode()) for one in (seeing, scraper))
        assert found["rctl_ve_pids_current web1"] == 3
        assert whole.keys() - found.keys() == {"rctl_ve_limit_drift web1"}

    def test_openmetrics_ends_as_it_must(self, site: Site) -> None:
        with Scraper(site, Settings()) as scraper:
            assert b"".join(scraper.scrape(openmetrics=True)).endswith(b"# EOF\n")


class TestClosing:
    def test_nothing_is_held_in_the_end_though_the_scraper_is(self, site: Site, tmp_path: Path) -> None:
        (tmp_path / "state").mkdir(mode=0o700)
        (tmp_path / "state" / "history.jsonl").touch(mode=0o600)
        before = descriptors()
        scraper = Scraper(site, Settings())
        scraper.scrape()
        assert descriptors() > before
        scraper.close()
        site.state.close()
        assert descriptors() == before


class TestParts:
    @pytest.fixture
    def scraper(self, site: Site) -> Iterator[Scraper]:
        with Scraper(site, Settings.parse(collect=["full,-hugetlb"])) as scraper:
            yield scraper

    def shown(self, scraper: Scraper, only: Only = ALL) -> set[str]:
        return set(samples(b"".join(scraper.scrape(False, only)).decode()))

    def test_parts_of_collectors_make_up_the_whole(self, scraper: Scraper) -> None:
        whole = self.shown(scraper)
        ves = {name for name in whole if name.startswith("rctl_ve_")}
        on = [name for name in COLLECTORS if name not in ("hugetlb", "numa")]
        parts = [self.shown(scraper, Only(collect=frozenset({name}))) for name in on]
        assert set().union(*parts) >= ves
        assert all(part - ves == whole - ves for part in parts)
        for name in ("pids", "cpu"):
            mine = self.shown(scraper, Only(collect=frozenset({name}))) & ves
            assert ves - mine == self.shown(scraper, Only(exclude=frozenset({name}))) & ves
            assert mine

    def test_names_choose_families_of_ves_and_of_the_exporter(self, scraper: Scraper) -> None:
        for name in ("rctl_ve_pids_current", "process_cpu_seconds_total", "rctl_build_info", "process_open_fds"):
            found = self.shown(scraper, Only(names=frozenset({name})))
            assert {one.partition(" ")[0] for one in found} == {name}
        assert self.shown(scraper) >= self.shown(scraper, Only(names=frozenset({"rctl_ve_pids_current"})))

    @pytest.mark.parametrize(
        ("only", "words"),
        [
            (Only(collect=frozenset({"hugetlb"})), "collector 'hugetlb' is switched off. Start the exporter with"),
            (Only(collect=frozenset({"numa", "cpu"})), "collector 'numa' is switched off"),
            (Only(names=frozenset({"rctl_ve_nonsense"})), "'rctl_ve_nonsense' is no metric. See rctl exporter metrics"),
            (Only(names=frozenset({"rctl_ve_memory_stat_nonsense_bytes"})), "is no metric"),
            (Only(names=frozenset({"rctl_ve_memory_stat_pgfault_bytes"})), "is no metric"),
        ],
    )
    def test_what_this_exporter_cannot_show_is_refused(self, scraper: Scraper, only: Only, words: str) -> None:
        with pytest.raises(UsageError, match=re.escape(words)):
            scraper.scrape(False, only)

    @pytest.mark.parametrize(
        "name",
        ["pgfault_total", "pgfault", "anon_bytes", "secondary_pagetables_bytes"],
    )
    def test_the_kernels_own_keys_are_known(self, scraper: Scraper, name: str) -> None:
        scraper.scrape(False, Only(names=frozenset({f"rctl_ve_memory_stat_{name}"})))

    def test_open_files_are_counted(self, scraper: Scraper) -> None:
        found = samples(b"".join(scraper.scrape()).decode())
        assert abs(found["process_open_fds "] - descriptors()) <= 1
        assert found["process_max_fds "] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    @pytest.mark.parametrize("closed", [(), (0,), (3, 4, 90), range(100), range(50, 100)], ids=repr)
    def test_open_files_are_counted_where_the_kernel_does_not_tell(
        self, monkeypatch: pytest.MonkeyPatch, closed: Sequence[int]
    ) -> None:
        stat = os.stat
        monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_size=0) if "self/fd" in path else stat(path))
        opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
        try:
            for number in closed:
                os.close(opened[number])
            (found,) = [m for m in Own().metrics() if m.name == "process_open_fds"]
            assert found.values == {(): descriptors() - 1}  # listing them opens one
        finally:
            for number in set(range(100)) - set(closed):
                os.close(opened[number])

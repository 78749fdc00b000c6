"""A real Prometheus server, a real exporter, tens of VEs under load; a hundred in `make test-large`."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rctl.cgroupfs import devices
from rctl.cgroupfs.tree import Tree
from tests.kernel.exporting import AWKWARD, give, live, nested, put
from tests.kernel.figures import Figures, by_ve, check, core, families, truth
from tests.kernel.helpers import LARGE, Ve, set_all
from tests.kernel.prometheus import Prometheus, exporter, page, promtool, server
from tests.kernel.test_hugetlb import pool  # noqa: F401 (a fixture)
from tests.kernel.workload import burner, burster, disk_user, sleeper, until

MANY = 100 if LARGE else 30
WORDS = "--collect", "web?=full", "--collect", "/**=full"
FULL = re.compile("web.|/.*")
BUSY = range(4)


@pytest.fixture
def ves(place: Path, tree: Tree, rawdisk: Path, swap: None, pool: None) -> list[Ve]:  # noqa: F811
    """Many VEs: four that work, one that has seen it all, one with an awkward name, some that wait."""
    give(place)
    made = [Ve(tree, f"web{number}") for number in range(MANY - 1)]
    for ve in made:
        ve.dir.mkdir()
    limits = {"memory.max": "64M", "cpu.max": "10%"}
    set_all(tree, {ve: limits | {"pids.max": 100 + number} for number, ve in enumerate(made[:20])})
    for number in BUSY[:2]:
        burner(made[number].dir)
    burster(made[2].dir)
    disk_user(made[3].dir, rawdisk, 64 << 10, write=True)
    put(made[3], io_max=f"{devices.resolve(rawdisk.name)} wbps=1048576")
    live(made[4], rawdisk, devices.resolve(rawdisk.name))
    for ve in made[5:10]:
        sleeper(ve.dir)
    return [*made, nested(tree, place, *AWKWARD)]


def figures_of(ve: Ve) -> Figures:
    """What the exporter shows of it, as it is asked below."""
    figures = truth(ve.dir)
    return figures if FULL.fullmatch(ve.name) else core(figures)


def test_prometheus_holds_what_the_files_hold(ves: list[Ve], tmp_path: Path) -> None:
    with exporter(*WORDS) as address, server(address, tmp_path, 5) as prometheus:
        prometheus.next_scrape(0)
        before = {ve.name: figures_of(ve) for ve in ves}
        at = prometheus.next_scrape(time.time())
        figures = prometheus.by_ve(at)
        after = {ve.name: figures_of(ve) for ve in ves}
        for ve in ves:
            mine = [figures.pop(ve.name), before[ve.name], after[ve.name]]
            if ve in ves[: len(BUSY)]:
                counters = {key for key in before[ve.name] if key[0].endswith("_total")}
                mine = [{key: value for key, value in one.items() if key in counters} for one in mine]
            check(*mine)
        assert list(figures) == [ves[-1].path.rpartition("/")[0]]
        _rules_are_well(prometheus)
        assert prometheus.complaints() == ""


def _rules_are_well(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, str]]:
        return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in rules()), "every rule to be evaluated", 90, 0.5)
    assert [rule for rule in rules() if rule["health"] != "ok" or rule.get("lastError")] == []
    assert {rule["type"] for rule in rules()} == {"recording", "alerting"}


def test_a_ve_made_again_under_its_name_gives_no_wrong_counter(make_ve: Callable[[str], Ve], tmp_path: Path) -> None:
    """Evaluated at the time of a scrape, from a first sample of 0, increase() has nothing to extrapolate."""
    usage = 'rctl_ve_cpu_usage_seconds_total{ve="web1"}'
    ve, used, seen = make_ve("web1"), 0.0, 0.0
    with exporter() as address, server(address, tmp_path, 1) as prometheus:
        first = prometheus.next_scrape(0)
        assert [value for _, value in prometheus.query(usage, first)] == [0]
        for life in range(3 if LARGE else 2):
            worker = burner(ve.dir)
            until(lambda: ve.count("cpu.stat", "usage_usec") > 300_000, "some CPU time")
            at = prometheus.next_scrape(time.time())
            worker.kill()
            at = prometheus.next_scrape(time.time())
            last = ve.count("cpu.stat", "usage_usec") / 1e6
            assert [value for _, value in prometheus.query(usage, at)] == [last]
            used += last
            ve.dir.rmdir()
            if life == 1:  # for a while there is none
                at = prometheus.next_scrape(time.time())
                assert prometheus.query(usage, at) == []
            ve.dir.mkdir()
            at = prometheus.next_scrape(time.time())
            assert [value for _, value in prometheus.query(usage, at)] == [0]
            ((_, seen),) = prometheus.query(f"increase({usage}[10m])", at)
            assert seen == pytest.approx(used, rel=1e-9)
        assert prometheus.complaints() == ""


@pytest.mark.usefixtures("pool", "swap")
def test_promtool_has_nothing_to_say_about_the_page(tree: Tree, place: Path, ve: Ve, rawdisk: Path) -> None:
    odd = nested(tree, place, *AWKWARD)
    live(ve, rawdisk, devices.resolve(rawdisk.name))
    with exporter("--collect", "full,numa") as address:
        text = page(address)
        om = page(address, "application/openmetrics-text; version=1.0.0")
    done = promtool("check", "metrics", text=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert by_ve(families(om, om=True)).keys() == by_ve(families(text)).keys()
    assert {ve.name, odd.name} <= by_ve(families(text)).keys()

"""The fast page and prometheus_client's own rendering of the collector say the same, sample for sample."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from rctl.cgroupfs import devices
from rctl.cgroupfs.tree import Tree
from rctl_exporter import Collector, Settings
from rctl_exporter.scrape import Scraper
from tests.kernel.exporting import AWKWARD, Made, freeze, live, nested
from tests.kernel.figures import by_ve, families, read
from tests.kernel.helpers import Ve
from tests.kernel.test_hugetlb import pool  # noqa: F401 (a fixture)
from tests.kernel.workload import sleeper

EVERYTHING = "full,numa"


def of_ves(metrics: list[Metric]) -> dict[str, object]:
    """Kind, help and samples of each family about VEs; the order of samples means nothing."""
    ours = [metric for metric in metrics if metric.name.startswith("rctl_ve")]
    assert len({metric.name for metric in ours}) == len(ours)
    return {
        metric.name: (
            metric.type,
            metric.documentation,
            sorted((name, sorted(labels.items()), value) for name, labels, value, *_ in metric.samples),
        )
        for metric in ours
    }


@pytest.mark.usefixtures("pool", "swap")
def test_page_and_collector_agree(tree: Tree, place: Path, ve: Ve, rawdisk: Path, exporter: Made) -> None:
    odd = nested(tree, place, *AWKWARD)
    (place / b"caf\xe9".decode("utf-8", "surrogateescape")).mkdir()
    sleeper(odd.dir)
    freeze(odd)
    live(ve, rawdisk, devices.resolve(rawdisk.name))
    ve.set({"memory.low": "2M"})
    scraper, registry = exporter(EVERYTHING), CollectorRegistry()
    with Collector(Settings.parse(collect=[EVERYTHING]), tree) as collector:
        registry.register(collector)
        for render in (generate_latest, generate_openmetrics):
            agree(scraper, registry, render)


def agree(scraper: Scraper, registry: CollectorRegistry, render: Callable[[CollectorRegistry], bytes]) -> None:
    """The scraper's page and what the library makes of the collector say the same, in one of the formats."""
    om = render is generate_openmetrics

    def page() -> str:
        return b"".join(scraper.scrape(om)).decode()

    for _ in range(20):  # the kernel brings some of memory.stat up to date late
        before, slow, after = page(), render(registry).decode(), page()
        if of_ves(families(before, om)) == of_ves(families(after, om)):
            break
    fast = of_ves(families(after, om))
    assert fast == of_ves(families(slow, om))
    assert len(fast) > 100
    assert after.endswith("# EOF\n") == om


def test_registering_reads_nothing(tree: Tree, ve: Ve) -> None:
    with Collector(tree=tree) as collector:
        assert list(collector.describe()) == []
        CollectorRegistry().register(collector)
        assert ("web1",) in [tuple(s.labels.values())[-1:] for metric in collector.collect() for s in metric.samples]


def test_both_formats_of_one_page_agree(tree: Tree, place: Path, ve: Ve, exporter: Made) -> None:
    nested(tree, place, *AWKWARD)
    scraper = exporter("full")
    text, om, again = (b"".join(scraper.scrape(om)).decode() for om in (False, True, False))
    names = [metric.name for metric in families(text)]
    assert [metric.name.removesuffix("_info") for metric in families(om, True)] == [
        name.removesuffix("_info") for name in names
    ]
    samples = [[line for line in page.split("\n") if line.startswith("rctl_ve_")] for page in (text, om, again)]
    assert samples[0] == samples[1] == samples[2]
    assert read(text) == read(om) == by_ve(families(text)) == by_ve(families(om, True))

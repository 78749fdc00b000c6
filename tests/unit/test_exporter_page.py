"""The page that Prometheus reads: its text, and that it says what prometheus_client would."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from rctl.sample.member import Member
from rctl_exporter.collector import metrics
from rctl_exporter.columns import FAMILIES
from rctl_exporter.families import Family
from rctl_exporter.frame import INFO, Block, Frame, identity_blocks
from rctl_exporter.memory_stat import family as memory_stat
from rctl_exporter.owner import readable
from rctl_exporter.page import Page, escaped, labels_of

from .exporter_frames import block, framed, member

GOLDEN = Path(__file__).parents[1] / "golden"
EVENTS = memory_stat("pgfault")
FORMATS = pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
assert EVENTS


def rendered(frame: Frame, openmetrics: bool, page: Page | None = None) -> str:
    text = b"".join((page or Page()).render(frame, openmetrics)).decode()
    return text + "# EOF\n" if openmetrics else text


def small() -> Frame:
    web, nginx = member("web1"), member("/system.slice/nginx.service", "/system.slice/nginx.service")
    both = [web, nginx]
    return framed(
        block("pids_max", both, [b"100", b"+Inf"]),
        block("io_read_bytes", [web], [b"4096"], "8:0"),
        block("io_read_bytes", [web], [b"512"], "253:7"),
        block("cpu_usage_seconds", both, [b"1500000", b"0"]),
        block(EVENTS, both, [b"18446744073709551615", b"7"]),
        block("hugetlb_current_bytes", [web], [b"2097152"], "2MB"),
        *identity_blocks(both),
    )


class TestText:
    @FORMATS
    def test_a_small_page(self, openmetrics: bool) -> None:
        golden = GOLDEN / ("page.openmetrics" if openmetrics else "page.prom")
        assert rendered(small(), openmetrics) == golden.read_text()

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("web1", b"web1"),
            ('a"b', rb"a\"b"),
            ("a\\x2db", rb"a\\x2db"),
            ("a\nb", rb"a\nb"),
            ('\\"\n', rb"\\\"\n"),
            ("\N{SNOWMAN}", "\N{SNOWMAN}".encode()),
        ],
    )
    def test_labels_are_escaped(self, text: str, shown: bytes) -> None:
        assert escaped(text) == shown

    def test_bytes_that_are_no_utf8_stay_different(self) -> None:
        names = [labels_of(name, {}).ve for name in ("/\udcff", "/\udcfe", "/?")]
        assert names[0] == 've="/\ufffdff"} '.encode()
        assert len(set(names)) == 3

    @given(
        st.lists(st.sampled_from([b"x", b"\\xff", b"\xff", b"ff", b"\xef\xbf\xbd", b"\xbf", b"\xed\xb3\xbf"])).map(
            b"".join
        ),
        st.binary(),
    )
    def test_no_two_names_share_a_label(self, one: bytes, other: bytes) -> None:
        names = [os.fsdecode(name) for name in (one, other, one.replace(b"\xff", b"\\xff"))]
        assert len({readable(name) for name in names}) == len(set(names))
        assert all(readable(name).encode() or not name for name in names)

    @pytest.mark.parametrize(
        "name", ["/dev-disk-by\\x2duuid.device", "/caf\\xc3\\xa9.service", "/caf\u00e9", "/x\\xff"]
    )
    def test_names_of_valid_text_stay_as_they_are(self, name: str) -> None:
        assert readable(name) == name

    @FORMATS
    def test_a_page_of_nothing(self, openmetrics: bool) -> None:
        assert rendered(framed(), openmetrics) == ("# EOF\n" if openmetrics else "")


class Given(Collector):
    """Shows a frame to prometheus_client."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return metrics(self._frame)


def theirs(frame: Frame, openmetrics: bool) -> str:
    """The page that prometheus_client makes of a frame."""
    registry = CollectorRegistry()
    registry.register(Given(frame))
    if openmetrics:
        return bytes(generate_openmetrics(registry)).decode()  # type: ignore[no-untyped-call]
    return generate_latest(registry).decode()


Parsed = list[tuple[str, str, str, list[tuple[str, tuple[tuple[str, str], ...], float]]]]


def parsed(text: str, openmetrics: bool) -> Parsed:
    """Families in order, each with its samples in order."""
    parse: Callable[[str], Iterable[Metric]] = parse_openmetrics if openmetrics else parse_text
    return [
        (
            family.name,
            family.type,
            family.documentation,
            sorted(
                (sample.name, tuple(sorted(sample.labels.items())), float(sample.value)) for sample in family.samples
            ),
        )
        for family in parse(text)
    ]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=12)
FIGURES = st.integers(0, 2**64 - 1).map(lambda number: b"%d" % number)
LIMITS = st.one_of(FIGURES, st.just(b"+Inf"), st.floats(0, 1e9).map(lambda number: repr(number).encode()))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """VEs with any names, and for some families any figures."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    members = [member(name, draw(st.sampled_from([f"/rctl-{name}", name, f"/machine.slice/{name}"]))) for name in names]
    blocks: list[Block] = identity_blocks(members)
    for family in draw(st.lists(st.sampled_from([*FAMILIES[2:], EVENTS]), max_size=5, unique=True)):
        labels = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)) if family.label else [""]
        for label in labels:
            those = draw(st.lists(st.sampled_from(members), min_size=1, unique=True))
            label = ",".join([label] * max(1, len(family.labels)))
            blocks.append(block(family, those, [draw(FIGURES if family.source else LIMITS) for _ in those], label))
    return framed(*blocks)


class TestBesideTheLibrary:
    @FORMATS
    @given(frame=frames())
    def test_every_page_says_what_prometheus_client_would(self, openmetrics: bool, frame: Frame) -> None:
        assert parsed(rendered(frame, openmetrics), openmetrics) == parsed(theirs(frame, openmetrics), openmetrics)

    @FORMATS
    def test_every_family_is_one_that_both_know(self, openmetrics: bool) -> None:
        web = [member("web1")]
        blocks = [block(family, web, [b"1"], ",".join(["8:0"] * len(family.labels))) for family in FAMILIES]
        found = parsed(rendered(framed(*blocks), openmetrics), openmetrics)
        assert found == parsed(theirs(framed(*blocks), openmetrics), openmetrics)
        assert len(found) == len(FAMILIES)

    def test_no_limit_is_infinity_and_microseconds_are_seconds(self) -> None:
        values = {
            (sample, dict(labels)["ve"]): value
            for *_, samples in parsed(rendered(small(), False), False)
            for sample, labels, value in samples
        }
        assert values["rctl_ve_pids_max", "/system.slice/nginx.service"] == math.inf
        assert values["rctl_ve_cpu_usage_seconds_total", "web1"] == 1.5


VALUES = st.lists(st.tuples(FIGURES, FIGURES, FIGURES), min_size=1, max_size=6)


class TestAgain:
    @FORMATS
    @given(readings=VALUES, alive=st.lists(st.sets(st.integers(0, 2)), min_size=1, max_size=6))
    def test_a_page_that_was_rendered_before_is_as_one_made_anew(
        self, openmetrics: bool, readings: list[tuple[bytes, ...]], alive: list[set[int]]
    ) -> None:
        page, all_ = Page(), [member(f"web{number}") for number in range(3)]
        for values, there in zip(readings, alive, strict=False):
            frame = _reading(all_, values, there)
            assert rendered(frame, openmetrics, page) == rendered(frame, openmetrics)

    def test_a_ve_made_again_under_its_name_has_its_own_lines(self) -> None:
        page = Page()
        for path in ("/a.slice/x", "/b.slice/x"):
            frame = framed(*identity_blocks([member("x", path)]))
            assert f'cgroup="{path}"' in rendered(frame, False, page)

    def test_both_formats_of_one_reading(self) -> None:
        page = Page()
        for openmetrics in (False, True, False):
            assert rendered(small(), openmetrics, page) == rendered(small(), openmetrics)

    def test_ves_that_are_no_more_are_let_go_of(self) -> None:
        page = Page()
        for number in range(1000):
            page.render(framed(*identity_blocks([member(f"web{number}")])), False)
        assert len(page._labels) < 100


def _reading(members: list[Member], values: tuple[bytes, ...], there: set[int]) -> Frame:
    those = [one for number, one in enumerate(members) if number in there]
    figures = [value for number, value in enumerate(values) if number in there]
    families: list[str | Family] = ["cpu_usage_seconds", "memory_current_bytes", "pids_max", EVENTS] if EVENTS else []
    blocks = [block(family, those, figures) for family in families] if those else []
    return framed(*identity_blocks(those), *blocks, *(block("io_reads", [one], [b"1"], "8:0") for one in those))


def test_the_info_family_comes_first() -> None:
    assert next(iter(small())) is INFO

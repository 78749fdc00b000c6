"""Layouts: figures of the kernel's files found once, then picked out of every reading after."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rctl.sample.layout import FigurePlace, Layout

KEYS = st.from_regex(r"[a-z][a-z_.]{0,11}", fullmatch=True)
NUMBERS = st.integers(0, 2**64 - 1)
DEVICES = st.builds("{}:{}".format, st.integers(0, 4095), st.integers(0, 1 << 20))
AVERAGES = st.integers(0, 10000).map(lambda number: f"{number // 100}.{number % 100:02}")

Line = list[str | int]
"""A line of a file in pieces: words as they stand, and integers, which are the figures."""


def flat(keys: list[str], numbers: list[int]) -> list[Line]:
    return [[f"{key} ", number, "\n"] for key, number in zip(keys, numbers, strict=False)]


def nested(heads: list[str], keys: list[str], numbers: list[int]) -> list[Line]:
    rest = iter(numbers * len(heads) * len(keys))
    return [
        [head, *(piece for key in keys for piece in (f" {key}=", next(rest))), "\n"] for head in heads
    ]  # fmt: skip


def pressure(lines: list[str], averages: list[str], total: int) -> list[Line]:
    shown = " ".join(f"avg{window}={value}" for window, value in zip((10, 60, 300), averages, strict=True))
    return [[f"{line} {shown} total=", total, "\n"] for line in lines]


MANY_NUMBERS = st.lists(NUMBERS, min_size=1, max_size=8)
MANY_KEYS = st.lists(KEYS, min_size=1, max_size=8, unique=True)
FILES = st.one_of(
    st.builds(lambda number: [[number, "\n"]], NUMBERS),
    st.builds(flat, MANY_KEYS, MANY_NUMBERS),
    st.builds(nested, st.lists(DEVICES, max_size=4, unique=True), MANY_KEYS, MANY_NUMBERS),
    st.builds(
        pressure, st.sampled_from([["some"], ["full"], ["some", "full"]]), st.lists(AVERAGES, min_size=3, max_size=3),
        NUMBERS,
    ),
)  # fmt: skip
TEXTS = st.dictionaries(st.sampled_from(["a.stat", "b.current", "c.pressure", "d.events"]), FILES, max_size=4)


def text(lines: list[Line]) -> bytes:
    return "".join(str(piece) for line in lines for piece in line).encode()


def figures(files: dict[str, list[Line]]) -> tuple[bytes, ...]:
    return tuple(
        b"%d" % piece for lines in files.values() for line in lines for piece in line if isinstance(piece, int)
    )


def whole(files: dict[str, list[Line]]) -> bytes:
    return b"".join(map(text, files.values()))


def layout(files: dict[str, list[Line]]) -> Layout:
    return Layout({name: text(lines) for name, lines in files.items()}, lambda _: True)


def changed(files: dict[str, list[Line]], numbers: list[int]) -> dict[str, list[Line]]:
    """The same texts with other figures."""
    rest = iter(numbers * (1 + len(figures(files))))
    return {
        name: [[next(rest) if isinstance(piece, int) else piece for piece in line] for line in lines]
        for name, lines in files.items()
    }


class TestRow:
    @given(TEXTS)
    def test_a_row_is_the_figures_as_they_stand(self, files: dict[str, list[Line]]) -> None:
        assert layout(files).row(whole(files)) == figures(files)

    @given(TEXTS, MANY_NUMBERS)
    def test_other_figures_are_read_by_the_same_layout(self, files: dict[str, list[Line]], numbers: list[int]) -> None:
        later = changed(files, numbers)
        assert layout(files).row(whole(later)) == figures(later)

    @given(TEXTS, st.data())
    def test_a_text_that_was_cut_off_is_none(self, files: dict[str, list[Line]], data: st.DataObject) -> None:
        full = whole(files)
        assume(full)
        assert layout(files).row(full[: data.draw(st.integers(0, len(full) - 1))]) is None

    @given(TEXTS, st.data())
    def test_one_file_of_several_that_was_cut_off_is_none(
        self, files: dict[str, list[Line]], data: st.DataObject
    ) -> None:
        texts = {name: text(lines) for name, lines in files.items() if lines}
        assume(texts)
        name = data.draw(st.sampled_from(sorted(texts)))
        texts[name] = texts[name][: data.draw(st.integers(0, len(texts[name]) - 1))]
        assert layout(files).row(b"".join(texts.values())) is None

    @given(TEXTS, st.data())
    def test_another_key_is_none(self, files: dict[str, list[Line]], data: st.DataObject) -> None:
        full = whole(files).decode()
        letters = [at for at, letter in enumerate(full) if letter.isalpha()]
        assume(letters)
        at = data.draw(st.sampled_from(letters))
        other = full[:at] + ("y" if full[at] == "x" else "x") + full[at + 1 :]
        assert layout(files).row(other.encode()) is None

    @given(TEXTS, KEYS)
    def test_one_line_more_is_none(self, files: dict[str, list[Line]], key: str) -> None:
        assert layout(files).row(whole(files) + f"{key} 1\n".encode()) is None

    @given(st.binary(max_size=60))
    def test_whatever_a_file_holds_a_layout_reads_the_text_it_was_made_from(self, odd: bytes) -> None:
        assert Layout({"odd": odd}, lambda _: True).row(odd) is not None


class TestPattern:
    @given(TEXTS, MANY_NUMBERS)
    def test_texts_that_differ_in_figures_alone_have_the_same(
        self, files: dict[str, list[Line]], numbers: list[int]
    ) -> None:
        assert layout(files).pattern == layout(changed(files, numbers)).pattern

    @given(TEXTS, TEXTS)
    def test_texts_that_differ_in_more_have_another(
        self, one: dict[str, list[Line]], two: dict[str, list[Line]]
    ) -> None:
        same = _without_figures(one) == _without_figures(two)
        assert (layout(one).pattern == layout(two).pattern) is same


def _without_figures(files: dict[str, list[Line]]) -> bytes:
    parts = ["#" if isinstance(piece, int) else piece for lines in files.values() for line in lines for piece in line]
    return re.sub(rb"[0-9]+\.[0-9]+", b"~", "".join(parts).encode())


class TestColumns:
    @pytest.mark.parametrize(
        ("file", "held", "columns"),
        [
            ("memory.current", b"4096\n", [("", "")]),
            ("cpu.stat", b"usage_usec 1\nnr_periods 2\n", [("", "usage_usec"), ("", "nr_periods")]),
            (
                "io.stat",
                b"8:0 rbytes=1 wbytes=2\n253:1 rbytes=3\n",
                [("8:0", "rbytes"), ("8:0", "wbytes"), ("253:1", "rbytes")],
            ),
            (
                "cpu.pressure",
                b"some avg10=0.00 avg60=1.50 avg300=100.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
                [("some", "total"), ("full", "total")],
            ),
            ("memory.numa_stat", b"anon N0=1 N1=2\n", [("anon", "N0"), ("anon", "N1")]),
            (
                "rdma.current",
                b"mlx4_0 hca_handle=2 hca_object=7\n",
                [("mlx4_0", "hca_handle"), ("mlx4_0", "hca_object")],
            ),
            ("misc.current", b"sev 3\n", [("", "sev")]),
            ("io.stat", b"", []),
            ("io.stat", b"252:0 ", []),
            ("io.stat", b"7:7 7:6 7:4 rbytes=1 wbytes=2\n", [("7:4", "rbytes"), ("7:4", "wbytes")]),
            ("io.stat", b"(unknown) rbytes=1\n", [("(unknown)", "rbytes")]),
            ("io.stat", b"8:0 cost.usage=5\n", [("8:0", "cost.usage")]),
            ("pids.max", b"max\n", []),
            ("odd", b"1 2 3\n", []),
        ],
    )
    def test_a_figure_is_known_by_file_line_and_key(
        self, file: str, held: bytes, columns: list[tuple[str, str]]
    ) -> None:
        found = Layout({file: held}, lambda _: True)
        assert found.columns == tuple(FigurePlace(file, line, key) for line, key in columns)
        assert found.row(held) is not None

    def test_only_what_is_wanted_is_in_a_row_and_the_rest_may_change(self) -> None:
        found = Layout({"cpu.stat": b"usage_usec 1\nnr_periods 2\n"}, lambda column: column.key == "nr_periods")
        assert found.columns == (FigurePlace("cpu.stat", "", "nr_periods"),)
        assert found.row(b"usage_usec 99\nnr_periods 3\n") == (b"3",)

    def test_files_come_in_their_order(self) -> None:
        found = Layout({"pids.current": b"1\n", "memory.current": b"2\n"}, lambda _: True)
        assert [column.file for column in found.columns] == ["pids.current", "memory.current"]
        assert found.row(b"5\n6\n") == (b"5", b"6")

"""80 columns: tables fit the terminal, progress is one line that goes before anything else is said; a pipe gets all."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import TextIO
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.adjust.progress import Event
from rctl.cli.verbs.doctor import lines
from rctl.cli.verbs.history import history
from rctl.cli.verbs.ls import HEAD, SPARE
from rctl.cli.verbs.ps import ps
from rctl.console import output, terminal
from rctl.doctor import Check
from rctl.errors import RctlError
from rctl.ve.processes import Process
from tests.unit.shell import Shell


class Screen:
    """A terminal of 24 lines and 80 columns, as a stream, and what came to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.stream: TextIO = open(theirs, "w", encoding="utf-8")  # noqa: SIM115 (closed below)

    def shows(self, what: Callable[[], None]) -> str:
        """What it shows of a function's output."""
        with mock.patch.object(sys, "stdout", self.stream), mock.patch.object(sys, "stderr", self.stream):
            what()
        self.stream.write("\0")  # the kernel hands texts over in its own time: this is the end of what is asked for
        self.stream.flush()
        found = b""
        while not found.endswith(b"\0"):
            found += os.read(self._ours, 1 << 16)
        return found[:-1].decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    opened = Screen()
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    yield opened
    opened.close()


N = "a-rather-long-name-of-a-ve"
LONG = [
    (N, "running", "1000", "100:00:00", "1.25", "1023.5M", "1023.5M", "100%", "512.5M", "1000", "max", "0.0%", "rctl"),
    ("web1", "empty", "0", "0:00:00", "-", "-", "-", "-", "-", "-", "-", "-", "kubernetes"),
]  # fmt: skip
RIGHT = frozenset(range(2, len(HEAD) - 1))


def test_a_table_fits_a_terminal_of_80_columns(screen: Screen) -> None:
    text = screen.shows(lambda: output.columns(HEAD, LONG, right=RIGHT, spare=SPARE))
    shown = text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, shown)) <= 80
    assert all(word in shown[0] for word in ("NAME", "PROCS", "MEMORY", "LIMIT", "PRESSURE"))
    assert shown[2].startswith("web1 ")


def test_a_table_in_a_pipe_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    output.columns(HEAD, LONG, right=RIGHT, spare=SPARE)
    text = sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert LONG[0][0] in text
    assert "\x1b" not in text
    assert text.splitlines()[0].split() == list(HEAD)


def test_a_terminal_without_colours_gets_none(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in screen.shows(lambda: output.columns(("VE",), [("web1",)]))


def test_progress_is_one_line_that_never_says_100_while_it_works(screen: Screen) -> None:
    def work() -> None:
        for done in range(4):
            output.progress(Event("step", done, 3, "/rctl-web1: memory.max: " + "9" * 200))

    text = screen.shows(work)
    assert "100%" not in text
    assert " 99%" in text
    assert all(len(line.removeprefix("\x1b[K")) < 80 for line in text.split("\r"))


SAID: dict[str, Callable[[], None]] = {
    "error": lambda: output.report_failure(RctlError("it failed")),
    "note": lambda: output.warn("it failed"),
    "line": lambda: output.say("rctl: it failed"),
}


@pytest.mark.parametrize("kind", SAID)
def test_nothing_is_glued_to_progress(screen: Screen, kind: str) -> None:
    def work() -> None:
        output.progress(Event("step", 1, 2, "half of it"))
        SAID[kind]()

    assert screen.shows(work).endswith("half of it\r\x1b[Krctl: it failed\n")


def test_after_the_end_nothing_is_cleared_twice(screen: Screen) -> None:
    def work() -> None:
        output.progress(Event("step", 1, 1, "all of it"))
        output.progress(Event("close", 1, 1))
        output.say("done")

    assert screen.shows(work).endswith("all of it\r\x1b[Kdone\n")


def test_doctor_wraps_below_its_own_column(screen: Screen) -> None:
    check = Check("controller memory", "fail", "word " * 40, "Do this: " + "step " * 40)

    def work() -> None:
        for line in lines([check]):
            output.say(*terminal.wrapped(line, 25, terminal.width(sys.stdout)))

    shown = screen.shows(work).splitlines()
    assert max(map(len, shown)) <= 80
    assert all(line.startswith(" " * 25) for line in shown[1:])


@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=12),
    st.integers(20, 200),
    st.integers(0, 5),
)
def test_columns_are_cut_and_left_out_only_where_they_must(
    columns: list[tuple[int, bool]], room: int, spares: int
) -> None:
    widths = [width for width, _ in columns]
    texts = [i for i, (_, text) in enumerate(columns) if text]
    spare = [i for i in range(len(columns)) if i not in texts][:spares]
    found = terminal.fit(widths, room, texts, spare)
    assert all(new <= old for new, old in zip(found, widths, strict=True))
    assert all(new in (0, old) for i, (new, old) in enumerate(zip(found, widths, strict=True)) if i not in texts)
    shown = [width for width in found if width]
    assert sum(shown) + 2 * (len(shown) - 1) <= room or len(shown) == 1
    if any(not found[i] for i in range(len(found)) if i not in spare):
        assert not any(found[i] for i in spare), "the spare ones go first"
    if sum(widths) + 2 * (len(widths) - 1) <= room:
        assert found == widths


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300), st.integers(30, 120))
def test_wrapping_loses_no_word(text: str, room: int) -> None:
    assert " ".join(terminal.wrapped(text, 4, room)).split() == text.split()


@pytest.mark.parametrize(("room", "when"), [(80, r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"), (60, r"\d\d-\d\d \d\d:\d\d")])
def test_history_keeps_the_id_whole_for_undo_and_the_time(
    shell: Shell, screen: Screen, monkeypatch: pytest.MonkeyPatch, room: int, when: str
) -> None:
    for number in (5, 6):
        shell.run("set", "web1", f"pids.max={number}", "cpu.max=1.5", "memory.max=1G", "memory.high=1G")
    shell.run("undo")
    monkeypatch.setenv("COLUMNS", str(room))
    head, *rows = _plain(screen.shows(lambda: history())).splitlines()
    assert ("TIME" in head, "COMMAND" in head) == (True, True)
    assert max(map(len, rows)) <= room
    for row in rows:
        assert re.match(rf"\d{{8}}-\d{{6}}-\d{{3}}-[0-9a-f]{{8}}  {when}  .*(rctl se|rctl un)", row)


def _plain(text: str) -> str:
    return text.replace("\x1b[1m", "").replace("\x1b[0m", "")


@pytest.mark.parametrize("room", [80, 70, 60, 50])
def test_a_list_of_ves_leaves_out_a_figure_with_its_limit(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(room))
    head = _plain(screen.shows(lambda: output.columns(HEAD, LONG, right=RIGHT, spare=SPARE))).splitlines()[0].split()
    assert {"NAME", "CPU", "MEMORY", "LIMIT", "PRESSURE"} <= set(head)
    assert head.count("LIMIT") <= 1 + ("PIDS" in head)


@pytest.mark.parametrize("room", range(10, 130, 7))
def test_a_list_of_ves_is_at_most_as_wide_as_the_terminal_and_no_number_is_cut(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(room))
    lines = _plain(screen.shows(lambda: output.columns(HEAD, LONG, RIGHT, SPARE, names=(0,)))).splitlines()
    assert max(map(len, lines)) <= room
    assert all("~" not in cell for line in lines for cell in line.split()[1:])


def test_names_are_cut_in_the_middle_and_ids_shortened(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    id_ = "4f1c0a2e5b7d8c9e" * 4
    names = ("/system.slice/a-very-long-name@nginx.service", "a-very-long-name-of-a-ve-of-rctls-own-kind")
    rows = [(names[0], "1"), (names[1], "2"), (f"docker-{id_}.scope", "3"), ("web1", "4")]
    shown = screen.shows(lambda: output.columns(("NAME", "X"), rows, frozenset({1}), names=(0,)))
    assert [line.split()[0] for line in shown.splitlines()[1:]] == [
        "/system.slic~-long-name@nginx.service",
        "a-very-long-~f-a-ve-of-rctls-own-kind",
        "docker-4f1c0a2e5b7d~.scope",
        "web1",
    ]


def test_in_a_pipe_ids_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    output.columns(("NAME",), [("ab" * 32,)], names=(0,))
    assert "ab" * 32 in sys.stdout.getvalue()  # type: ignore[attr-defined]


def test_of_a_command_line_the_programs_name_is_kept(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    command = "/usr/sbin/nginx -g daemon off; -c /etc/nginx/a-very-long-name-of-a-file.conf"
    found = [Process("web1", 7, "www-data", 1.0, 4096, command)]
    with mock.patch("rctl.api.session.Session.ps", return_value=found):
        line = _plain(screen.shows(lambda: ps(["web1"]))).splitlines()[1]
    assert "  /usr/sbin/nginx" in line
    assert line.endswith("~")
    assert len(line) <= 60


def test_a_label_that_is_longer_than_the_column_goes_on_in_the_next_line(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    label = "a=" + "0123456789" * 12
    rows = [("web1", label)]
    _, *shown = _plain(screen.shows(lambda: output.columns(("VE", "LABELS"), rows, wrap=True))).splitlines()
    assert max(map(len, shown)) <= 60
    assert "".join(line[6:] for line in shown) == label


def test_no_label_is_hidden(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    labels = " ".join(f"key{n}=value-of-{n}" for n in range(12))
    rows = [("web1", labels), ("web2", "env=prod")]
    _, *shown = _plain(screen.shows(lambda: output.columns(("VE", "LABELS"), rows, wrap=True))).splitlines()
    assert max(map(len, shown)) <= 60
    assert " ".join(" ".join(line.split()) for line in shown) == f"web1 {labels} web2 env=prod"
    assert {line[:6].strip() for line in shown} == {"web1", "", "web2"}


def test_a_long_error_breaks_between_words(screen: Screen) -> None:
    text = "cpu.max.burst: cannot write '200000' on /rctl-web1: EINVAL: burst must not exceed the quota in cpu.max"
    shown = screen.shows(lambda: output.warn(text)).splitlines()
    assert " ".join(line.strip() for line in shown) == f"rctl: {text}"
    assert [line.startswith("      ") for line in shown] == [False, True]
    assert all(len(line) <= 80 for line in shown)

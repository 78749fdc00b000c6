"""Escape sequences and line ends in names and values from outside are shown, never sent to the terminal."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.adjust.account import Account, Outcome
from rctl.adjust.progress import Event
from rctl.console import output
from rctl.escape import escaped, escaped_json
from tests.unit.shell import Shell

RED = "\x1b[31m"
ODD = f"a{RED}b\nc\x07\x7f\x9b\u202e\u2028\udcff\r"
PACKAGE = Path(__file__).parents[2] / "rctl"


def harmless(text: str) -> bool:
    """Whether a text holds nothing but lines of what can be printed."""
    return all(line.isprintable() for line in text.split("\n"))


# The text itself


@given(st.text() | st.text(st.sampled_from(ODD)))
def test_escaped_text_is_one_printable_line(text: str) -> None:
    assert escaped(text).isprintable()
    if text.isprintable():
        assert escaped(text) == text


def test_what_cannot_be_printed_is_written_as_python_does() -> None:
    assert escaped(ODD) == r"a\x1b[31mb\nc\x07\x7f\x9b\u202e\u2028\udcff\r"
    assert escaped("Größe → 日本") == "Größe → 日本"


@given(st.dictionaries(st.text(), st.text() | st.text(st.sampled_from(ODD))))
def test_escaped_json_means_the_same(data: dict[str, str]) -> None:
    text = escaped_json(json.dumps(data, indent=2, ensure_ascii=False))
    assert harmless(text)
    assert json.loads(text) == data
    assert escaped_json(text, ascii_only=True).isascii()


# The one door


@pytest.mark.parametrize("name", [ODD, "\udcff", "\x7f", "é"])
def test_json_of_any_name_is_json_and_harmless(name: str) -> None:
    text = output.as_json({"names": [name, Outcome(name, "/", "changed")]})
    assert harmless(text)
    assert json.loads(text)["names"][0] == name
    assert json.loads(text)["names"][1]["name"] == name


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


OURS = re.compile(r"\r\x1b\[K|\x1b\[[01]m")
"""What rctl sends to a terminal on purpose: begin the line anew, bold."""


@pytest.mark.parametrize(
    "show",
    [
        lambda: output.say(ODD),
        lambda: output.say("", ODD, "plain"),
        lambda: output.warn(ODD),
        lambda: output.tell(ODD),
        lambda: output.columns((ODD, "B"), [(ODD, ODD)]),
        lambda: output.progress(Event("write", 0, 1, ODD)),
        lambda: output.report(Account(None, (Outcome(ODD, ODD, "changed"),), (ODD,)), json=False),
        lambda: output.report(Account(None, (Outcome(ODD, ODD, "changed"),), (ODD,)), json=True),
        lambda: output.page([b'a{b="\x1b[31m\xff"} 1\n', b"c 2\n"]),
    ],
    ids=["say", "lines", "warn", "tell", "columns", "progress", "report", "json", "page"],
)
def test_escape_sequences_do_not_reach_the_terminal(monkeypatch: pytest.MonkeyPatch, show: Any) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    show()
    sent = OURS.sub("", terminal.getvalue())
    assert "31m" in sent
    assert harmless(sent)


def test_a_table_is_aligned_by_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output.columns(("NAME", "X"), [(RED, "1"), ("plain", "2")])
    assert [line.rindex(last) for line, last in zip(capsys.readouterr().out.splitlines(), "X12", strict=True)] == [
        10
    ] * 3


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_is_not_utf_8_gets_what_it_can_show(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    output.say("cpu.max → 日")
    output.say(output.as_json({"name": "é→"}))
    sys.stdout.flush()
    line, *rest = raw.getvalue().decode(encoding).split("\n")
    assert line == r"cpu.max \u2192 \u65e5"
    assert json.loads("\n".join(rest)) == {"name": "é→"}


def test_nothing_writes_to_the_terminal_but_the_one_door() -> None:
    """``terminal`` shows what ``output`` has escaped. The benchmarks' children speak to their parent alone."""
    forbidden = re.compile(r"\bprint\(|\becho\(|\bsecho\(|\bstd(out|err)\.(write|writelines|buffer)")
    doors = {"console/output.py", "console/terminal.py"}
    programs = {str(file.relative_to(PACKAGE)) for file in PACKAGE.glob("bench/programs/*.py")}
    allowed = {*doors, *programs, "bench/scraping/scrapers.py"}
    found = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if forbidden.search(re.sub(r'""".*?"""', "", file.read_text(), flags=re.DOTALL))
    }
    assert found <= allowed


# Every door of the command line

DOORS = [
    ["set", "web1", f"io.max={RED} rbps=1M"],
    ["set", "web1", f"io.max=sda {RED}=1M"],
    ["set", "web1", f"{RED}=1"],
    ["set", "web1", f"memory.max={RED}"],
    ["set", "web1", f"files.{RED}=1"],
    ["set", f"web{RED}", "pids.max=1"],
    ["set", f"/a{RED}", "pids.max=1"],
    ["set", f"web{RED}*", "pids.max=1"],
    ["set", "web1", f"--{RED}"],
    ["set", "web1", "pids.max=1", "--deadline", RED],
    ["set", "web1", f"hugetlb.{RED}=1G"],
    [RED],
    ["show", RED],
    ["ls", f"{RED}*"],
    ["ls", "--all", f"{RED}*"],
    ["rm", RED],
    ["attach", "web1", RED],
    ["run", "web9", "--", f"./{RED}"],
    ["run", RED, "--", "true"],
    ["undo", RED],
    ["apply", f"{RED}.toml"],
    ["apply", f"{ODD}.toml"],
    ["bench", "compare", RED, RED],
    ["exporter", "write", f"/nope/{RED}/"],
    ["exporter", "once", "--collect", RED],
    ["exporter", "serve", "--web.config.file", f"/nope/{RED}"],
]


SPECS = {
    "key": '[ve.web1.limits]\n"\\u001b[31m" = 1\n',
    "VE": '[ve."\\u001b[31m".limits]\npids.max = 1\n',
    "table": '["\\u001b[31m"]\n',
    "disk": '[ve.web1.limits]\nio.max."\\u001b[31m".rbps = 5\n',
    "value": '[ve.web1.limits]\npids.max = "\\u001b[31m"\n',
}


def refused_harmlessly(shell: Shell, *words: str) -> None:
    status, out, err = shell.run(*words)
    assert status in (1, 2)
    assert out == ""
    assert "31m" in err
    assert harmless(err)
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", DOORS, ids=lambda words: repr(" ".join(words))[:60])
def test_escape_sequences_in_what_is_typed_are_shown(shell: Shell, words: list[str]) -> None:
    refused_harmlessly(shell, *words)


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
@pytest.mark.parametrize("verb", ["apply", "diff"])
def test_escape_sequences_in_a_spec_are_shown(shell: Shell, verb: str, spec: str) -> None:
    (shell.folder / "spec.toml").write_text(f"version = 1\n{spec}")
    refused_harmlessly(shell, verb, "spec.toml")


@pytest.mark.parametrize("name", ["RCTL_TREE", "RCTL_STATE"])
@pytest.mark.parametrize("value", [f"/{RED}", f"x{RED}"])
def test_escape_sequences_in_the_environment_are_shown(shell: Shell, name: str, value: str) -> None:
    shell.monkeypatch.setenv(name, value)
    for words in (["set", "web1", "pids.max=5"], ["doctor"], ["ls"], ["history"]):
        _, out, err = shell.run(*words)
        assert harmless(out + err)


@pytest.mark.parametrize("verb", [["recover"], ["set", "web1", "pids.max=5"], ["doctor"]])
def test_escape_sequences_in_a_journals_name_are_shown(shell: Shell, verb: list[str]) -> None:
    os.makedirs(f"{shell.state}/run/journal", 0o700)
    os.chmod(f"{shell.state}/run", 0o700)
    Path(shell.state, "run", "journal", f"{ODD}.json").write_bytes(b"\x00\xff")
    _, out, err = shell.run(*verb)
    assert r"\x1b[31m" in out + err
    assert harmless(out + err)


def test_escape_sequences_in_a_foreign_cgroups_name_are_shown(shell: Shell) -> None:
    shell.kernel.make(f"/user{RED}", procs=(7,))
    for words in (["ls", "--all"], ["ls", "--all", "--json"]):
        status, out, err = shell.run(*words)
        assert status == 0
        assert "31m" in out
        assert harmless(out + err)


def test_escape_sequences_in_a_command_are_shown_by_the_history(shell: Shell) -> None:
    """Bytes that are no UTF-8 can be typed, too, and must not break the journal."""
    (shell.folder / "\udcff\x1b[31m.toml").write_text("version = 1\n[ve.web1.limits]\npids.max = 5\n")
    assert shell.run("apply", "\udcff\x1b[31m.toml")[0] == 0
    for words in (["history"], ["history", "--json"]):
        status, out, err = shell.run(*words)
        assert (status, err) == (0, "")
        assert "31m.toml" in out
        assert harmless(out)

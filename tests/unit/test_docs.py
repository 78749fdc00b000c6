"""The documents are true: links lead somewhere, commands exist, and the reference lacks nothing of the code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from docs.generate import files, limits, metrics, verbs
from docs.generate.__main__ import parts
from rctl import limit_reference, other_tools
from rctl.attributes import Limited
from rctl.cli.manual import pages, tree
from rctl.host import Host
from rctl.limits import FILES, keys
from rctl.spec import parse

REPO = Path(__file__).parents[2]
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "examples").glob("*.md")])
PAGES = [page for page in PAGES if "made" not in page.parts]
HOST = Host({"/proc/meminfo": "MemTotal: 4194304 kB\n"}.__getitem__)
VERBS = {verb.name: verb for verb in tree.walk(tree.root())}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub and MyST make them."""
    heads = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command line of rctl on a page, in its blocks and in its text."""
    text = page.read_text()
    lines = [line for kind, block in BLOCK.findall(text) if kind in ("console", "sh") for line in block.splitlines()]
    rest = BLOCK.sub("", text)
    lines += re.findall(r"^    (rctl .*)$", rest, re.MULTILINE) + re.findall(r"`(rctl [^`]+)`", rest)
    for line in lines:
        if match := re.match(r"(?:[#$] )?(rctl .*)", line):
            yield shlex.split(match[1].split("    #")[0].split(" | ")[0].split(" >")[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_commands_have_verbs_and_options_that_there_are(page: Path) -> None:
    for _, *words in commands(page):
        name = " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]
        known = re.findall(r"(?<![\w-])--?[\w.-]+", " ".join(option.name for option in VERBS[name].options))
        own = words[: words.index("--")] if "--" in words else words
        given = {word.partition("=")[0] for word in own if re.match(r"-[^0-9]", word)}  # a number is kill's signal
        assert given <= set(known), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_specs_are_such(page: Path) -> None:
    for kind, block in BLOCK.findall(page.read_text()):
        if kind == "toml" and "[ve" in block:
            assert parse(block.encode(), HOST).ve


# The reference


class Asked(Limited):
    """Remembers what is asked for."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def ask(self, key: str, value: object) -> None:
        self.keys.append(key)


def test_each_limit_is_in_the_reference_with_the_attribute_that_sets_it() -> None:
    found = [*limits.limits(), *limits.verbatim()]
    named = {one.key.split(".")[0] if one.key.startswith(("hugetlb", "files")) else one.key for one in found}
    assert named == set(keys())
    for one in found:
        ve = Asked()
        *groups, last = one.attribute.partition("[")[0].split(".")
        place: Any = reduce(getattr, groups, ve)
        if "[" in one.attribute:
            getattr(place, last)[one.attribute.split('"')[1]] = 1
        else:
            setattr(place, last, 1)
        assert ve.keys == [one.key]


def test_each_file_that_rctl_knows_is_on_the_map() -> None:
    rows = {row.file: row for row in files.rows()}
    assert {file.name for file in FILES} <= set(rows)
    assert {files.general(one.file) for one in metrics.metrics() if one.file} <= set(rows)
    assert set(files._attributes()) <= set(rows)
    assert rows["memory.max"] == files.Row(
        "memory.max", ["memory.max"], ["memory.max"], ["rctl_ve_memory_max_bytes"], "`MemoryMax=`"
    )


def test_what_the_page_of_words_says_is_what_rctl_answers() -> None:
    """Given a word of docker, systemd or OpenVZ in the table, when rctl knows it, then it names the same limit."""
    told = 0
    for line in (REPO / "docs/howto/words.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[3].startswith("`"):
            for word in re.findall(r"`(?:--)?([\w-]+)=?`", " ".join(cells[:3])):
                if answer := other_tools.meant(word):
                    assert answer.startswith(cells[3].strip("`")), word
                    told += 1
    assert told > 15


def test_each_verb_is_in_the_reference_with_all_its_options() -> None:
    text = "\n".join(verbs.sections())
    for name, verb in VERBS.items():
        assert f"# rctl {name}".rstrip() in text
        assert all(f"\n`{option.name}`\n: " in text for option in verb.options)
    assert "`--memory SIZE`\n: Most memory" in text


def test_each_part_of_the_reference_is_included_by_a_page() -> None:
    included = {name for page in PAGES for name in re.findall(r"\{include\} \.\./made/(\S+)", page.read_text())}
    assert set(parts()) == included


# The README


def first_cells(heading: str) -> list[list[str]]:
    """What is in backquotes in the first column of the table below a heading, by row."""
    _, _, below = (REPO / "README.md").read_text().partition(f"\n## {heading}\n")
    table = re.findall(r"^\| (`.*?) \|", below.partition("\n## ")[0], re.MULTILINE)
    return [re.findall(r"`([^`]+)`", cell) for cell in table]


def test_the_readme_names_limits_that_are_there() -> None:
    """A word with a point before it has the resource of the first one: `memory.max` `.high`."""
    told = []
    for first, *others in first_cells("Limits"):
        told += [first, *(first.partition(".")[0] + key if key.startswith(".") else key for key in others)]
    assert set(told) <= {"files.NAME", *(limit.key for limit in limit_reference.limits())}
    assert len(set(told)) == len(told) > 20


def test_the_readme_names_verbs_that_are_there() -> None:
    """In a row of a group, such as `rctl exporter serve` `once`, the words are verbs of the group."""
    told = []
    for first, *others in first_cells("Commands"):
        verb, *more = first.split()[1:]
        if group := VERBS[verb].below:
            own = {word.split()[0] for word in (*more[:1], *others)} - {"..."}
            assert own <= {one.name.split()[-1] for one in group}
        told += [verb, *(other.split()[0] for other in others if not group)]
    assert set(told) <= {verb.name for verb in tree.root().below}
    assert len(set(told)) == len(told) > 20


# Man pages


def test_there_is_a_man_page_for_each_verb() -> None:
    assert set(pages.pages()) == {"rctl.1", "rctl-limits.7", *(f"rctl-{verb.name}.1" for verb in tree.root().below)}


@pytest.mark.parametrize("name", sorted(pages.pages()))
def test_a_man_page_has_no_macro_but_those_of_man(name: str) -> None:
    text = pages.pages()[name]
    assert text.startswith(f".TH {name.rpartition('.')[0].upper()} {name[-1]} ")
    for line in text.splitlines():
        assert not line.startswith("'")
        assert not line.startswith(".") or line.split()[0] in (
            ".TH", ".SH", ".PP", ".TP", ".RS", ".RE", ".nf", ".fi", ".br", ".nh", ".ad",
        )  # fmt: skip
        assert re.sub(r"\\(?:[-e&]|\((?:aq|ga|ha|ti)|f[BR])", "", line).count("\\") == 0


def test_a_man_page_tells_what_the_verb_takes() -> None:
    text = pages.pages()["rctl-set.1"]
    assert ".SH SYNOPSIS\nrctl set [OPTIONS] [VE... [KEY=VALUE...]]\n" in text
    assert ".TP\n\\fB\\-\\-memory SIZE\\fR\nMost memory: 2G, 512MiB, 50%, max\n" in text

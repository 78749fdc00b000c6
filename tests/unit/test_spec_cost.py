"""What it costs to refuse a spec: at most twice what a right one costs, at any size and depth. Counted, not timed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from rctl import spec as specs
from rctl.errors import UsageError
from rctl.ranges import Ranges
from rctl.units import Quantity
from tests.unit.fake_kernel import FakeKernel

HOST = FakeKernel().host


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of quantities that were parsed."""
    seen: list[str] = []
    real = Quantity.parse.__func__  # type: ignore[attr-defined]

    def parse(kind: type[Quantity], text: Any, *, whole: int | None = None) -> Quantity:
        seen.append(text)
        found: Quantity = real(kind, text, whole=whole)
        return found

    monkeypatch.setattr(Quantity, "parse", classmethod(parse))
    return seen


def spec(ves: int, last: str = "5") -> bytes:
    text = "".join(f'[ve.web{n}.limits]\nmemory.max = "1G"\npids.max = 5\n' for n in range(ves - 1))
    return f'version = 1\n{text}[ve.web{ves}.limits]\nmemory.max = "1G"\npids.max = {last}\n'.encode()


@pytest.mark.parametrize("ves", [10, 1000, 4000])
def test_error_search_is_not_quadratic_in_the_number_of_ves(parsed: list[str], ves: int) -> None:
    specs.parse(spec(ves), HOST)
    right = len(parsed)
    parsed.clear()
    with pytest.raises(UsageError, match=rf"^ve\.web{ves}\.limits\.pids\.max: '-1' is not understood"):
        specs.parse(spec(ves, "-1"), HOST)
    assert right == 2 * ves
    assert len(parsed) <= 2 * right


def test_error_search_is_not_quadratic_in_the_number_of_disks(parsed: list[str]) -> None:
    disks = "".join(f"io.max.sd{n}.rbps = 5\n" for n in range(1000))
    with pytest.raises(UsageError, match=r"^ve\.web\.limits\.io\.max\.last\.rbps: 0 is too low"):
        specs.parse(f"version = 1\n[ve.web.limits]\n{disks}io.max.last.rbps = 0\n".encode(), HOST)
    assert len(parsed) <= 4 * 1001


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the TOML parser, whose cost grows with the square of the depth, is given anything."""

    def loads(text: str) -> None:
        pytest.fail(f"parsed {len(text)} characters")

    monkeypatch.setattr(tomllib, "loads", loads)


DEEP = {
    "a long dotted key": "a" + ".a" * 100_000 + " = 1",
    "blanks between the dots": "a" + " . a" * 1000 + " = 1",
    "a long table name": "[" + "a." * 1000 + "a]",
    "keys in quotes": "".join(f'"k{n}".' for n in range(1000)) + "a = 1",
    "a deep array": "a = " + "[" * 100_000,
    "deep inline tables": "a = " + "{a = " * 1000,
    "after a text that ends in four quotes": 'a = """b"""", ' + "a." * 1000 + 'a = "c"',
    "after quotes in a comment": "a = 'b' # '''\n" + "a." * 1000 + "a = '''c'''",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=list(DEEP))
@pytest.mark.usefixtures("untouched")
def test_what_is_nested_deep_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(UsageError, match="nested deeper than 16 levels"):
        specs.parse(text.encode(), HOST)


FLAT = {
    "a comment": "# ......................... [[[[[[[[[[[[[[[[[[[[[[[[[[[[[ a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s",
    "a literal text": 'files."x.y" = \'' + "a." * 50 + "[" * 50 + "'",
    "a text of many lines": 'files."x.y" = """a.b" ' + "a." * 50 + "[" * 50 + '"""',
    "a long array": "cpuset.cpus = [" + "1," * 5000 + "1]",
}


@pytest.mark.parametrize("text", FLAT.values(), ids=list(FLAT))
def test_dots_and_brackets_in_texts_and_comments_are_not_depth(text: str) -> None:
    assert list(specs.parse(f"version = 1\n[ve.web.limits]\n{text}\n".encode(), HOST).ve) == ["web"]


def test_one_long_word_is_looked_at_once() -> None:
    """A pattern that began anew at each letter would take hours."""
    with pytest.raises(UsageError, match="not TOML"):
        specs.parse(b"a" * (3 << 20), HOST)


@pytest.mark.parametrize(
    "text", ["[ve.web.limits]\n{} = 1\n", "[ve.{}.limits]\npids.max = -1\n", "[ve.{}.limits]\npids.max = 1\n"]
)
def test_the_line_of_an_error_is_short_however_long_the_key(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.toml").write_text("version = 1\n" + text.format("x" * 100_000))
    with pytest.raises(UsageError) as caught:
        specs.load(str(tmp_path / "spec.toml"), HOST)
    assert len(str(caught.value)) < 400


def test_a_list_of_cpus_costs_what_its_text_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these names 100,000 CPUs: a thousand VEs of them must not become a hundred million numbers."""
    monkeypatch.setattr(Ranges, "numbers", property(lambda self: pytest.fail("all numbers were made")))
    text = "".join(f'[ve.web{n}.limits]\ncpuset.cpus = "{"0-99999," * 9}5"\n' for n in range(1000))
    assert str(specs.parse(f"version = 1\n{text}".encode(), HOST).ve["web7"].limits.cpuset.cpus) == "0-99999"

"""Lists of CPUs and memory nodes, as people and the kernel write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.ranges import Ranges


@pytest.mark.parametrize(
    ("text", "numbers", "normal"),
    [
        ("0", (0,), "0"),
        ("0-3,8", (0, 1, 2, 3, 8), "0-3,8"),
        ("0,1", (0, 1), "0-1"),
        ("3,1,2,1-2", (1, 2, 3), "1-3"),
        ("1, 2, 1-2", (1, 2), "1-2"),
        ("1 2", (1, 2), "1-2"),
        ("0-1\n", (0, 1), "0-1"),
        ("5-5", (5,), "5"),
        ("", (), ""),
        (" ", (), ""),
        (3, (3,), "3"),
        ([0, 1, 4], (0, 1, 4), "0-1,4"),
        ([], (), ""),
    ],
)
def test_lists_have_one_normal_form(text: object, numbers: tuple[int, ...], normal: str) -> None:
    assert Ranges.parse(text).numbers == numbers
    assert str(Ranges.parse(text)) == normal


@pytest.mark.parametrize(
    "text", ["-", "1-", "-3", "3-1", "1 - 2", "a", "all", "0-3:2/4", "123456", -1, [-1], None, True]
)
def test_what_is_no_list_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a list of numbers\. Write it like 0-3,8"):
        Ranges.parse(text)


@given(st.frozensets(st.integers(0, 99999), max_size=50))
def test_a_list_reads_back_as_it_was_written(numbers: frozenset[int]) -> None:
    ranges = Ranges(tuple(numbers))
    assert Ranges.parse(str(ranges)) == ranges
    assert set(ranges.numbers) == numbers
    assert hash(Ranges.parse(str(ranges))) == hash(ranges)


@given(st.text(alphabet="0123456789,- \n", max_size=12))
def test_the_normal_form_of_a_list_is_its_own_normal_form(text: str) -> None:
    with suppress(ValueError):
        normal = str(Ranges.parse(text))
        assert str(Ranges.parse(normal)) == normal


@given(st.text())
def test_any_text_is_a_list_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        Ranges.parse(text)


def test_a_list_shows_itself() -> None:
    assert repr(Ranges((2, 0, 1))) == "Ranges('0-2')"
    assert Ranges((1,)) != (1,)

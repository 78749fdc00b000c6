"""The batches of a rolling change: every VE in exactly one, in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.errors import UsageError
from rctl.over_time.batches import batches, sizes

WORDS = st.one_of(
    st.integers(1, 2000).map(str),
    st.integers(1, 100).map(lambda share: f"{share}%"),
)
SIZES = st.lists(WORDS, min_size=1, max_size=4).map(",".join)


@given(SIZES, st.integers(0, 3000))
def test_batches_partition_the_ves_exactly(text: str, count: int) -> None:
    names = list(range(count))
    found = batches(names, text)
    assert [name for batch in found for name in batch] == names
    assert all(found)


@given(st.integers(1, 100), st.integers(1, 3000))
def test_no_batch_is_larger_than_its_share_and_none_is_empty(share: int, count: int) -> None:
    for size in sizes(f"{share}%", count):
        assert 1 <= size <= max(1, count * share / 100)


@pytest.mark.parametrize(
    ("text", "count", "found"),
    [
        ("10%", 25, [2] * 12 + [1]),
        ("4", 10, [4, 4, 2]),
        ("100%", 7, [7]),
        ("1,10%,50%", 40, [1, 4, 20, 15]),
        ("1%", 3, [1, 1, 1]),
        ("50", 3, [3]),
        (" 1 , 2 ", 5, [1, 2, 2]),
        ("10%", 0, []),
    ],
)
def test_sizes_as_ansible_and_salt_have_them(text: str, count: int, found: list[int]) -> None:
    assert sizes(text, count) == found


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "1.5", "ten", "10 %", "1,,2", "1_0", "٣", "1e3", "10%,"])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"^--batch: .* is not a size\. Write a number of VEs or a share: 5, 10%, or 1,10%$"
    ):
        sizes(text, 10)


def test_a_share_is_of_all_ves_also_if_only_some_are_left() -> None:
    assert sizes("25%", 45, 60) == [15, 15, 15]

"""Huge pages: https://docs.kernel.org/admin-guide/cgroup-v2.html#hugetlb-interface-files

cgroup v2 has them since Linux 5.6. The page size is part of the file's name, as the kernel writes it:
``hugetlb.2MB.max``. Above that limit, a program that touches a page gets SIGBUS. Above the limit of reservations (5.7,
``hugetlb.2MB.rsvd.max``), mmap(2) fails with ENOMEM.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import ClassVar

from ..formats import File, LimitFigure, LimitMetric, Write, floor_page, size_write
from ..host import Host
from ..late_regex import regex
from ..units import Amount, Size, amount

KEY = regex(r"([1-9][0-9]{0,3})([KMG])B(\.rsvd)?", re.ASCII)
"""A page size; with ``.rsvd`` for the limit of reservations."""
FILE = regex(r"hugetlb\.([^.]*(?:\.rsvd)?)\.max", re.ASCII)

DEFAULT = "max"
_USED = "Most huge pages of this size in use, in bytes. Above it, a program gets SIGBUS."
_RESERVED = "Most reserved huge pages of this size, in bytes. Above it, mmap(2) fails."
METRICS = (LimitMetric("hugetlb_max_bytes", "Most huge pages."),)
"""The metric of reservations: only drift is shown."""

Hugetlb = dict[str, Size]
"""Limits in bytes by page size (``2MB``, ``1GB``); of reservations by page size and ``.rsvd`` (``2MB.rsvd``)."""


class HugePages(File, frozen=True):
    """A limit in bytes. The kernel rounds it down to whole huge pages of the size in its name."""

    label: ClassVar[str] = "page_size"

    def wish(self, text: str, page: int) -> tuple[str, str]:
        size = Size.parse(text)
        return "", floor_page(size.amount, self.page, size.bare)

    def figures(self, text: str) -> Iterator[LimitFigure]:
        yield self.name.split(".")[1], "", amount(text)

    @property
    def page(self) -> int:
        """Bytes of one huge page."""
        number, letter, _ = KEY.fullmatch(self.name.split(".")[1]).groups()  # type: ignore[union-attr]
        return int(number) << 10 * ("KMG".index(letter) + 1)


@lru_cache
def file(key: str) -> HugePages:
    """The file of a limit's key, ``2MB`` or ``2MB.rsvd``. Raises ValueError if the key is not a page size."""
    if not (match := KEY.fullmatch(key)):
        raise ValueError(f"hugetlb: {key!r} is not a page size. Write it as the kernel does: 2MB or 1GB, or 2MB.rsvd")
    since, about, metrics = ("5.7", _RESERVED, ()) if match[3] else ("5.6", _USED, METRICS)
    name = f"hugetlb.{key}.max"
    return HugePages(name, "hugetlb", default=DEFAULT, since=since, unit="bytes", about=about, metrics=metrics)


def writes(limits: Hugetlb, host: Host) -> tuple[Write, ...]:
    """The entries to write for these limits, rounded down to whole huge pages as the kernel does."""
    return tuple(size_write(target := file(key), size, target.page) for key, size in limits.items())


def files(names: Iterable[str]) -> tuple[str, ...]:
    """Of a cgroup's files, those with use and limits of huge pages and of reservations, sorted."""
    ours = (name for name in names if name.startswith("hugetlb."))
    return tuple(sorted(name for name in ours if name.endswith((".current", ".max"))))


def parse(texts: dict[str, str]) -> dict[str, tuple[int, Amount]]:
    """Use and limit in bytes by page size."""
    return {
        name[len("hugetlb.") : -len(".current")]: (int(text), amount(texts.get(name[: -len("current")] + "max", "max")))
        for name, text in texts.items()
        if name.startswith("hugetlb.") and name.endswith(".current") and ".rsvd." not in name
    }


def in_use(texts: dict[str, str]) -> int:
    """Bytes of huge pages of all sizes in use."""
    return sum(use for use, _ in parse(texts).values())

"""Huge pages: the limit is felt as SIGBUS."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.errors import NotAvailableError, UsageError
from tests.kernel.helpers import Ve, refused
from tests.kernel.workload import MIB, huge

POOL = Path("/proc/sys/vm/nr_hugepages")
SIZE = 2 * MIB


@pytest.fixture
def pool(as_root: None) -> Iterator[None]:
    """Eight huge pages."""
    before = POOL.read_text()
    POOL.write_text("8")
    assert int(POOL.read_text()) == 8
    yield
    POOL.write_text(before)


def test_limit_is_written_and_read_back_in_whole_pages(ve: Ve) -> None:
    ve.set({"hugetlb.2MB": "5M"})
    assert ve.number("hugetlb.2MB.max") == 4 * MIB
    ve.set({"hugetlb.2MB.max": "max"})
    assert ve.text("hugetlb.2MB.max") == "max"


@pytest.mark.usefixtures("pool")
def test_pages_beyond_the_limit_are_refused(ve: Ve) -> None:
    ve.set({"hugetlb.2MB": 2 * SIZE})
    inside = huge(ve.dir, 2, SIZE)
    assert inside.answer() == "2"
    assert ve.number("hugetlb.2MB.current") == 2 * SIZE
    inside.kill()
    beyond = huge(ve.dir, 3, SIZE)
    assert beyond.answer() is None
    assert beyond.end() == -signal.SIGBUS
    assert ve.count("hugetlb.2MB.events", "max") > 0


def test_a_page_size_that_the_machine_has_not_is_refused(ve: Ve) -> None:
    with refused(NotAvailableError, "^hugetlb.4MB.max: not there on", ve):
        ve.set({"hugetlb.4MB": "8M", "pids.max": 10})


def test_what_is_no_page_size_is_used_wrongly(ve: Ve) -> None:
    with refused(UsageError, "'2mb' is no page size", ve):
        ve.set({"hugetlb.2mb": "4M"})

"""Huge pages: the limit is felt as SIGBUS, the one of reservations as ENOMEM."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.errors import KernelError, NotAvailableError, UsageError
from tests.kernel.helpers import Ve, refused
from tests.kernel.shell import rctl
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


@pytest.mark.usefixtures("pool")
def test_reservation_limit_is_a_clean_enomem_where_the_other_is_sigbus(ve: Ve) -> None:
    ve.set({"hugetlb.2MB.rsvd": "5M"})
    assert ve.number("hugetlb.2MB.rsvd.max") == 2 * SIZE
    beyond = huge(ve.dir, 3, SIZE)
    assert beyond.answer() == "ENOMEM"
    assert beyond.end() == 0
    inside = huge(ve.dir, 2, SIZE)
    assert inside.answer() == "2"
    inside.kill()
    ve.set({"hugetlb.2MB.rsvd": "default", "hugetlb.2MB": 2 * SIZE})
    assert ve.unset("hugetlb.2MB.rsvd.max")
    assert huge(ve.dir, 3, SIZE).end() == -signal.SIGBUS


@pytest.mark.parametrize("name", ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"])
def test_verbatim_huge_page_limits_are_rounded_like_named_ones(ve: Ve, name: str) -> None:
    ve.set({f"files.{name}": "5M"})
    assert ve.number(name) == 4 * MIB
    ve.set({f"files.{name}": "default"})
    assert ve.unset(name)


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("key", ["hugetlb.2MB", "hugetlb.2MB.rsvd"])
def test_a_huge_page_limit_below_what_is_in_use_is_explained(ve: Ve, key: str) -> None:
    ve.set({key: 4 * SIZE})
    assert huge(ve.dir, 2, SIZE).answer() == "2"
    for dry_run in (True, False):
        with refused(KernelError, rf"^{key}\.max: .*EBUSY: more is in use \(its \.current\).* not reclaimed", ve):
            ve.set({key: SIZE, "pids.max": 10}, dry_run=dry_run)


def test_a_page_size_that_the_machine_has_not_is_refused(ve: Ve) -> None:
    with refused(NotAvailableError, "^hugetlb.4MB.max: this machine has no huge pages of that size", ve):
        ve.set({"hugetlb.4MB": "8M", "pids.max": 10})
    for _ in range(2):
        got = rctl("get", "web1", "hugetlb.4MB")
        assert (got.status, got.out) == (1, "")
        assert "hugetlb.4MB.max: this machine has no huge pages of that size" in got.err
        assert rctl("get", "web1", "hugetlb.2MB").out == "max\n"
        ve.able("hugetlb.2MB.max")


def test_what_is_no_page_size_is_used_wrongly(ve: Ve) -> None:
    with refused(UsageError, "'2mb' is not a page size", ve):
        ve.set({"hugetlb.2mb": "4M"})

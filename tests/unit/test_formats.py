"""What the kernel's files say, what rctl writes to them, and when a change takes something away."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rctl.controllers import core, cpu, cpuset, hugetlb, io, memory, pids, pressure
from rctl.formats import File, Keyed, Nested, Whole, flat_keyed, floor_page, nested_keyed, size_write, unescaped
from rctl.formats import pressure as parse_pressure
from rctl.limits import FILES, file_named
from rctl.ranges import Ranges
from rctl.units import MAX, Ops, Size

PAGE = 4096
NO_LIMIT = "rbps=max wbps=max riops=max wiops=max"
SINGLE = [file for file in FILES if not isinstance(file, Keyed | Nested)]


def by_name(file: File) -> str:
    return file.name


# Every file


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_the_default_is_what_a_file_reads_where_it_is_not_there_yet(file: File) -> None:
    key = "default" if isinstance(file, Keyed) else ""
    assert file.entry(None, key) == file.default


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_a_file_is_found_by_its_name(file: File) -> None:
    assert file_named(file.name) is file


def test_huge_page_files_are_found_by_their_name() -> None:
    assert file_named("hugetlb.2MB.max") == hugetlb.file("2MB")
    assert file_named("hugetlb.2MB.rsvd.max") == hugetlb.file("2MB.rsvd")
    assert isinstance(file_named("hugetlb.2MB.events"), Whole)


def test_other_files_are_taken_verbatim() -> None:
    file = file_named("misc.max")
    assert isinstance(file, Whole)
    assert (file.name, file.controller) == ("misc.max", "misc")
    assert file_named("cgroup.max.depth").controller == ""


@pytest.mark.parametrize("file", SINGLE, ids=by_name)
def test_a_file_with_one_value_reads_without_the_newline(file: File) -> None:
    assert file.entry("1 2\n") == "1 2"


@given(st.sampled_from(SINGLE), st.from_regex(r"[0-9a-z ,-]{0,20}", fullmatch=True).map(str.strip))
def test_what_is_written_to_a_file_is_the_entry_that_it_then_holds(file: File, entry: str) -> None:
    assert file.entry(file.line(entry) + "\n") == entry


def test_an_empty_entry_is_cleared_with_a_lone_newline() -> None:
    assert cpuset.CPUS.line("") == "\n"


@pytest.mark.parametrize("file", [memory.MAX, memory.LOW, pids.MAX, cpu.BURST, hugetlb.file("2MB")], ids=by_name)
def test_a_smaller_number_takes_away(file: File) -> None:
    assert file.lowers("8192", "4096")
    assert not file.lowers("4096", "8192")
    assert not file.lowers("4096", "4096")


@pytest.mark.parametrize("file", [memory.MAX, memory.HIGH, memory.SWAP_MAX, pids.MAX], ids=by_name)
def test_any_number_takes_away_from_no_limit(file: File) -> None:
    assert file.lowers("max", "4096")
    assert not file.lowers("4096", "max")
    assert not file.lowers("max", "max")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [(io.WEIGHT, "200", "100"), (cpuset.PARTITION, "root", "isolated"), (core.verbatim("misc.max"), "res 2", "res 1")],
)
def test_some_changes_are_neither_more_nor_less(file: File, old: str, new: str) -> None:
    assert not file.lowers(old, new)
    assert not file.lowers(new, old)


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_every_default_can_be_put_back(file: File) -> None:
    assert file.settable(file.default)


def test_the_weight_of_an_idle_cgroup_cannot_be_written_back() -> None:
    assert not cpu.WEIGHT.settable("0")


@given(st.sampled_from(FILES), st.text())
def test_any_kernel_text_has_an_entry(file: File, text: str) -> None:
    assert isinstance(file.entry(text), str)
    assert isinstance(file.entry(text, "8:0"), str)


# Wishes: text that a person writes for a file


@pytest.mark.parametrize(
    ("file", "text", "wish"),
    [
        (memory.MAX, "1G", ("", "1073741824")),
        (memory.MAX, "4097", ("", "4096")),
        (memory.LOW, "0", ("", "0")),
        (memory.SWAP_MAX, "max", ("", "max")),
        (memory.OOM_GROUP, "1", ("", "1")),
        (pids.MAX, "500", ("", "500")),
        (cpu.MAX, "50000", ("", "50000")),
        (cpu.MAX, " 50000   100000 ", ("", "50000 100000")),
        (cpu.MAX, "max 20000", ("", "max 20000")),
        (cpu.WEIGHT, "200", ("", "200")),
        (cpu.IDLE, "1", ("", "1")),
        (cpu.BURST, "1000", ("", "1000")),
        (cpuset.CPUS, "3,1,2", ("", "1-3")),
        (cpuset.PARTITION, "root", ("", "root")),
        (io.MAX, "8:0 rbps=1048576 wiops=max", ("8:0", "rbps=1048576 wiops=max")),
        (io.MAX, "8:0  rbps=1M", ("8:0", "rbps=1000000")),
        (io.WEIGHT, "200", ("default", "200")),
        (io.WEIGHT, "default 200", ("default", "200")),
        (io.WEIGHT, "8:0 300", ("8:0", "300")),
        (io.WEIGHT, "8:0 default", ("8:0", "default")),
        (hugetlb.file("2MB"), "5M", ("", "4194304")),
        (hugetlb.file("2MB.rsvd"), "5M", ("", "4194304")),
        (pressure.SWITCH, "0", ("", "0")),
        (core.FREEZE, "1", ("", "1")),
        (core.verbatim("misc.max"), "res_a 3", ("", "res_a 3")),
    ],
)
def test_a_wish_is_in_the_form_that_the_kernel_prints(file: File, text: str, wish: tuple[str, str]) -> None:
    assert file.wish(text, PAGE) == wish


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (memory.MAX, "abc"),
        (memory.MAX, "-1"),
        (pids.MAX, "4194305"),
        (cpu.MAX, "999 100000"),
        (cpu.MAX, "1000 999"),
        (cpu.MAX, "50000 100000 1"),
        (cpu.MAX, "50% 100000"),
        (cpu.WEIGHT, "0"),
        (cpu.WEIGHT, "idle"),
        (cpu.IDLE, "2"),
        (cpuset.MEMS, "all"),
        (cpuset.PARTITION, "root invalid"),
        (memory.LOW, "2K"),
        (hugetlb.file("1GB"), "512M"),
        (io.MAX, "vda rbps=5"),
        (io.MAX, "8:0"),
        (io.MAX, "8:0 rbps"),
        (io.MAX, "8:0 rbps=1"),
        (io.MAX, "8:0 bogus=5"),
        (io.WEIGHT, "vda 100"),
        (io.WEIGHT, "8:0"),
        (io.WEIGHT, "default default"),
        (io.WEIGHT, "10001"),
        (io.BFQ_WEIGHT, "1001"),
    ],
)
def test_a_wish_that_the_kernel_would_refuse_is_refused(file: File, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        file.wish(text, PAGE)


@given(st.sampled_from([*FILES, hugetlb.file("1GB")]), st.text(min_size=1))
@example(cpu.MAX, " ")
@example(io.MAX, "8:0 rbps=²")
def test_any_wish_is_a_key_and_an_entry_or_a_value_error(file: File, text: str) -> None:
    with contextlib.suppress(ValueError):
        key, wanted = file.wish(text, PAGE)
        assert file.wish(f"{key} {wanted}" if key else wanted or "\n", PAGE) == (key, wanted)


# cpu.max


@pytest.mark.parametrize(
    ("old", "wanted", "new"),
    [
        ("max 100000", "cpus=1500000", "150000 100000"),
        ("max 100000", "cpus=1500000 period=20000", "30000 20000"),
        ("50000 100000", "cpus=max", "max 100000"),
        ("50000 100000", "period=50000", "25000 50000"),
        ("max 100000", "period=50000", "max 50000"),
        ("50000 100000", "cpus=max period=20000", "max 20000"),
        ("max 100000", "50000 20000", "50000 20000"),
        ("max 20000", "5000", "5000 20000"),
        ("5000 20000", "max", "max 20000"),
    ],
)
def test_a_part_of_cpu_max_keeps_the_other_part(old: str, wanted: str, new: str) -> None:
    assert cpu.MAX.merge(old, wanted) == new


@pytest.mark.parametrize("wanted", ["cpus=9999", "period=10000", "cpus=100 period=1000000"])
def test_a_quota_below_the_kernels_least_is_refused_and_not_rounded_up(wanted: str) -> None:
    with pytest.raises(ValueError, match=r"the kernel's minimum is 1000\. Raise cpu.period \(up to 1s\) or cpu.max"):
        cpu.MAX.merge("1000 100000", wanted)


PERIODS = st.integers(1000, 10**6)
MILLIONTHS = st.integers(10**6, 10**12)


@given(MILLIONTHS, PERIODS, PERIODS)
def test_cpus_are_never_rounded_up_and_less_than_a_microsecond_down(cpus: int, period: int, old: int) -> None:
    quota, _, new = cpu.MAX.merge(f"max {old}", f"cpus={cpus} period={period}").partition(" ")
    assert int(new) == period
    assert int(quota) * 10**6 <= cpus * period < (int(quota) + 1) * 10**6


@given(MILLIONTHS, PERIODS, st.sampled_from(["cpus={0}", "period={1}", "cpus={0} period={1}", "cpus=max"]))
def test_the_same_wish_again_changes_nothing(cpus: int, period: int, form: str) -> None:
    wanted = form.format(cpus, period)
    once = cpu.MAX.merge("2000000 1000000", wanted)
    assert cpu.MAX.merge(once, wanted) == once


def test_fewer_cpus_take_away_whatever_the_period() -> None:
    assert cpu.MAX.lowers("50000 100000", "40000 200000")
    assert not cpu.MAX.lowers("50000 100000", "100000 200000")
    assert cpu.MAX.lowers("max 100000", "1000000 1000000")


# cpuset


def test_fewer_cpus_in_a_list_take_away() -> None:
    assert cpuset.CPUS.lowers("0-3", "4-6")
    assert not cpuset.CPUS.lowers("4-6", "0-3")


def test_an_empty_list_allows_all_that_the_parent_has() -> None:
    assert cpuset.CPUS.lowers("", "0-127")
    assert not cpuset.CPUS.lowers("0-127", "")


# cpuset.cpus.partition

INVALID = "root invalid (Parent is not a partition root)"


def test_a_partition_that_cannot_be_one_is_not_what_was_asked_for() -> None:
    shown = "root invalid (Cpu list in cpuset.cpus is empty)"
    assert cpuset.PARTITION.entry(shown + "\n") == shown
    assert not cpuset.PARTITION.holds(shown, "root")


def test_a_partition_that_waits_for_its_parents_is_what_was_asked_for() -> None:
    assert cpuset.PARTITION.entry(INVALID + "\n") == INVALID
    assert cpuset.PARTITION.holds(INVALID, "root")
    assert not cpuset.PARTITION.holds(INVALID, "isolated")


@pytest.mark.parametrize("shown", [INVALID, "root invalid", "root invalid (Cpu list in cpuset.cpus is empty)", "root"])
def test_putting_back_a_partition_that_could_not_be_one_writes_the_word_and_the_kernel_decides(shown: str) -> None:
    assert cpuset.PARTITION.line(INVALID) == "root"
    assert cpuset.PARTITION.holds(shown, INVALID)


@pytest.mark.parametrize("shown", ["member", "isolated", "isolated invalid (Cpu list in cpuset.cpus is empty)"])
def test_another_kind_of_partition_is_not_what_was_put_back(shown: str) -> None:
    assert not cpuset.PARTITION.holds(shown, INVALID)


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_every_file_holds_what_it_shows(file: File) -> None:
    assert file.holds("1", "1")
    assert not file.holds("1", "2")


# io.max


def test_a_device_without_a_line_has_no_limit() -> None:
    assert io.MAX.entry("8:16 rbps=5 wbps=max riops=max wiops=max\n", "8:0") == NO_LIMIT


def test_a_device_is_found_among_others_by_its_whole_number() -> None:
    text = "8:16 rbps=5 wbps=max riops=max wiops=max\n8:1 rbps=6 wbps=max riops=max wiops=max\n"
    assert io.MAX.entry(text, "8:1") == "rbps=6 wbps=max riops=max wiops=max"


def test_io_max_is_written_one_device_at_a_time() -> None:
    assert io.MAX.line("rbps=5 wbps=max riops=max wiops=max", "8:0") == "8:0 rbps=5 wbps=max riops=max wiops=max"


RATES = st.dictionaries(
    st.sampled_from(io.MAX.names), st.one_of(st.just("max"), st.integers(Ops.low, Ops.high).map(str)), min_size=1
)


def line(rates: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in rates.items())


@given(RATES, RATES)
def test_io_max_keeps_the_keys_that_are_left_out(before: dict[str, str], wanted: dict[str, str]) -> None:
    old = io.MAX.merge(NO_LIMIT, line(before))
    new = io.MAX.merge(old, line(wanted))
    expected = dict.fromkeys(io.MAX.names, "max") | before | wanted
    assert new == " ".join(f"{key}={expected[key]}" for key in io.MAX.names)
    assert io.MAX.merge(new, line(wanted)) == new


def test_one_lower_rate_of_four_takes_away() -> None:
    old = io.MAX.merge(NO_LIMIT, "rbps=100")
    assert io.MAX.lowers(NO_LIMIT, old)
    assert io.MAX.lowers(old, io.MAX.merge(old, "rbps=200 wiops=5"))
    assert not io.MAX.lowers(old, io.MAX.merge(old, "rbps=200"))


@given(RATES)
def test_what_is_written_to_io_max_reads_back(rates: dict[str, str]) -> None:
    entry = io.MAX.merge(NO_LIMIT, line(rates))
    assert io.MAX.entry(io.MAX.line(entry, "8:0"), "8:0") == entry
    assert io.MAX.wish(io.MAX.line(entry, "8:0"), PAGE) == ("8:0", entry)


# io.weight


@pytest.mark.parametrize(
    ("text", "key", "entry"),
    [
        ("default 100\n", "default", "100"),
        ("default 100\n8:0 300\n", "8:0", "300"),
        ("default 50\n8:0 300\n", "8:16", "default"),
        ("", "default", "100"),
    ],
)
def test_a_device_without_a_weight_of_its_own_has_the_default(text: str, key: str, entry: str) -> None:
    assert io.WEIGHT.entry(text, key) == entry


@pytest.mark.parametrize(("entry", "key", "text"), [("50", "default", "default 50"), ("default", "8:0", "8:0 default")])
def test_a_weight_is_written_for_a_device_or_as_the_default(entry: str, key: str, text: str) -> None:
    assert io.WEIGHT.line(entry, key) == text


# Rounding


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (4096, "4096"), (4097, "4096"), (MAX, "max"), (2**63 - 1, "max")],
)
def test_sizes_round_down_to_pages(size: int, text: str) -> None:
    assert floor_page(size, PAGE) == text


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_the_last_page_of_the_kernels_range_is_no_limit(page: int) -> None:
    assert floor_page(2**63 - page, page) == "max"
    assert floor_page(2**63 - page - 1, page) == str(2**63 - 2 * page)


@pytest.mark.parametrize(
    ("text", "page", "remedy"),
    [
        ("512", 4096, "512 bytes is less than one page (4096). Write 512M, or 4K at least?"),
        ("1.5", 4096, "1 bytes is less than one page (4096). Write 1.5M, or 4K at least?"),
        ("1kB", 4096, "1000 bytes is less than one page (4096). Write 4K at least"),
        ("1KiB", 4096, "1024 bytes is less than one page (4096). Write 4K at least"),
        ("4095", 4096, "4095 bytes is less than one page (4096). Write 4K at least"),
        ("512M", 1 << 30, "536870912 bytes is less than one page (1073741824). Write 1G at least"),
        ("512", 1 << 30, "512 bytes is less than one page (1073741824). Write 1G at least"),
    ],
)
def test_less_than_a_page_would_be_nothing_and_is_refused(text: str, page: int, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(remedy)}$"):
        size_write(memory.MAX, Size.parse(text), page)


@given(st.just(0) | st.integers(65536, 2**63 - 1), st.sampled_from([4096, 16384, 65536]))
def test_a_rounded_size_is_not_rounded_again(size: int, page: int) -> None:
    once = floor_page(size, page)
    assert once == "max" or (floor_page(int(once), page) == once and int(once) <= size < int(once) + page)


# What is read


def test_a_mount_point_is_read_with_its_blanks_and_backslashes() -> None:
    assert unescaped(r"/mnt/a\040b\011c\134d") == "/mnt/a b\tc\\d"


def test_flat_keyed_files_are_names_and_numbers() -> None:
    assert flat_keyed("anon 4096\nfile 0\nodd -\n\nnone\n") == {"anon": 4096, "file": 0}


def test_nested_keyed_files_are_pairs_by_device() -> None:
    assert nested_keyed("8:0 rbytes=5 wbytes=6\n8:16 \n") == {"8:0": {"rbytes": "5", "wbytes": "6"}, "8:16": {}}


def test_a_pressure_file_has_the_lines_that_are_there() -> None:
    found = parse_pressure("some avg10=1.50 avg60=0.00 avg300=0.00 total=42\n")
    assert list(found) == ["some"]
    assert (found["some"].avg10, found["some"].total) == (1.5, 42)


@pytest.mark.parametrize("text", ["some", "some avg10=1", "full avg10=a avg60=0 avg300=0 total=0"])
def test_a_pressure_line_that_lacks_something_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"lacks|could not convert"):
        parse_pressure(text)


@given(
    st.sampled_from([flat_keyed, nested_keyed, parse_pressure]),
    st.one_of(st.text(), st.from_regex(r"(some|full)( (avg10|avg60|avg300|total)=?[0-9a.]*){0,5}", fullmatch=True)),
)
def test_any_text_is_read_or_a_value_error(parse: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text)


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.integers(0, 2**64 - 1)))
def test_flat_keyed_files_read_back(values: dict[str, int]) -> None:
    assert flat_keyed("".join(f"{name} {value}\n" for name, value in values.items())) == values


@given(st.lists(st.integers(0, 300), max_size=20))
def test_a_list_in_a_file_is_in_normal_form(numbers: list[int]) -> None:
    text = ",".join(map(str, numbers))
    _, wanted = cpuset.CPUS.wish(text or "\n", PAGE)
    assert wanted == str(Ranges(tuple(numbers)))

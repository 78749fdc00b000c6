"""What people write for sizes, rates, CPUs and times, and what rctl understands."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rctl.controllers.cpu import Cpus, CpuWeight, Period, Quota
from rctl.units import (
    MAX,
    U64_MAX,
    Amount,
    Bytes,
    Count,
    Deadline,
    Duration,
    Flag,
    Ops,
    PidCount,
    Protected,
    Quantity,
    Rate,
    Size,
    Vcpus,
    Weight,
    amount,
    as_number,
    human_rate,
    human_size,
)

KINDS: list[type[Quantity]] = [
    Size,
    Protected,
    Rate,
    Ops,
    Cpus,
    Duration,
    Deadline,
    Period,
    Quota,
    Weight,
    CpuWeight,
    Count,
    PidCount,
    Vcpus,
    Flag,
]
PLAIN = [kind for kind in KINDS if kind not in (Cpus, CpuWeight, Deadline)]
"""Kinds whose kernel text is also what a person may write."""


def amounts(kind: type[Quantity]) -> st.SearchStrategy[int]:
    """Any amount that the kind can hold."""
    return st.integers(kind.low, kind.high)


def any_of(kinds: list[type[Quantity]]) -> st.SearchStrategy[Quantity]:
    """Any quantity of any of the kinds."""
    return st.sampled_from(kinds).flatmap(lambda kind: amounts(kind).map(kind))


# Max


def test_max_is_greater_than_every_number_and_prints_as_the_kernel_does() -> None:
    assert as_number(MAX) > as_number(U64_MAX)
    assert str(MAX) == "max"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.takes_max])
def test_max_means_no_limit(kind: type[Quantity]) -> None:
    assert kind.parse(" max ").amount is MAX
    assert str(kind(MAX)) == "max"


@pytest.mark.parametrize("kind", [Weight, CpuWeight, Period, Duration, Deadline, Flag])
def test_max_is_refused_where_it_means_nothing(kind: type[Quantity]) -> None:
    with pytest.raises(ValueError, match="Write it like"):
        kind.parse("max")


@pytest.mark.parametrize("text", ["Max", "MAX", "infinity", "unlimited", "-1"])
def test_no_other_word_means_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match=r"Write (it like .* or )?max$"):
        Size.parse(text)


# Sizes


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("4096", 4096),
        ("2K", 2048),
        ("2k", 2048),
        ("512M", 512 << 20),
        ("2G", 2 << 30),
        ("1T", 1 << 40),
        ("1P", 1 << 50),
        ("1E", 1 << 60),
        ("1B", 1),
        ("1KiB", 1024),
        ("1mib", 1 << 20),
        ("1KB", 1000),
        ("1GB", 10**9),
        ("1.5G", 3 << 29),
        ("0.5K", 512),
        ("1.0", 1),
        ("1.9", 1),
        ("3. K", 3072),
        (" 2 G ", 2 << 30),
        ("0.1G", 107374182),
        (4096, 4096),
        (1.5, 1),
    ],
)
def test_sizes_count_in_1024_unless_a_b_alone_says_1000(text: str | int | float, amount: int) -> None:
    assert Size.parse(text).amount == amount


@pytest.mark.parametrize(
    "text", ["", "G", "-1", "1X", "1iB", "1i", "1 2", "1,5G", "1e9", "0x10", "1_000", "१", "1Kıb", "1GG"]
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not understood.*Write (it like 2G|[0-9.]+[KMG]?$|max$)"):
        Size.parse(text)


def test_a_size_that_the_kernel_cannot_hold_is_out_of_range() -> None:
    assert Size.parse(2**63 - 1).amount == 2**63 - 1
    with pytest.raises(ValueError, match="too high: at most 9223372036854775807, or max"):
        Size.parse("8E")


@pytest.mark.parametrize(("text", "amount"), [("50%", 500), ("100%", 1000), ("0%", 0), ("12.5%", 125), ("0.1 %", 1)])
def test_a_percentage_is_of_the_whole(text: str, amount: int) -> None:
    assert Size.parse(text, whole=1000).amount == amount


def test_a_percentage_above_100_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 100%"):
        Size.parse("100.1%", whole=1000)


@pytest.mark.parametrize("kind", [Size, Rate, Ops, PidCount])
def test_a_percentage_of_nothing_is_refused(kind: type[Quantity]) -> None:
    with pytest.raises(ValueError, match="is not understood"):
        kind.parse("50%")


@pytest.mark.parametrize("kind", [Bytes, Rate, Ops, PidCount])
def test_what_is_no_part_of_the_memory_takes_no_per_cent(kind: type[Quantity]) -> None:
    with pytest.raises(ValueError, match="is not understood"):
        kind.parse("50%", whole=1000)


@pytest.mark.parametrize(("text", "amount"), [("1.5G", 3 << 29), ("2MB", 2 * 10**6), (512, 512), ("max", MAX)])
def test_bytes_of_a_disk_have_the_units_of_sizes(text: str | int, amount: Amount) -> None:
    assert Bytes.parse(text).amount == amount


@given(st.integers(0, 100), st.integers(0, 2**50))
def test_a_percentage_never_gives_more_than_its_part(percent: int, whole: int) -> None:
    part = Size.parse(f"{percent}%", whole=whole).amount
    assert isinstance(part, int)
    assert part * 100 <= percent * whole < (part + 1) * 100


@given(st.integers(0, 9999), st.integers(0, 999), st.sampled_from("KMGT"))
def test_a_decimal_fraction_is_exact_and_rounds_down(whole: int, thousandths: int, unit: str) -> None:
    factor = 1024 ** ("KMGT".index(unit) + 1)
    expected = (whole * 1000 + thousandths) * factor // 1000
    assert Size.parse(f"{whole}.{thousandths:03d}{unit}").amount == expected


# Rates


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("20MB/s", 20 * 10**6),
        ("5M", 5 * 10**6),
        ("5M/s", 5 * 10**6),
        ("10MiB/s", 10 << 20),
        ("10 MiB /s", 10 << 20),
        ("1.5K", 1500),
        ("1048576", 1048576),
        ("2", 2),
        ("100/s", 100),
    ],
)
def test_rates_count_in_1000_unless_an_i_says_1024(text: str, amount: int) -> None:
    assert Rate.parse(text).amount == amount


@pytest.mark.parametrize(("text", "amount"), [("5000/s", 5000), ("5k/s", 5000), ("120", 120), ("1.5K", 1500)])
def test_operations_count_in_1000(text: str, amount: int) -> None:
    assert Ops.parse(text).amount == amount


@pytest.mark.parametrize("text", ["5kB", "5KiB/s", "5B", "50%"])
def test_operations_are_not_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="is not understood"):
        Ops.parse(text)


@pytest.mark.parametrize("kind", [Rate, Ops])
@pytest.mark.parametrize("text", ["0", "1"])
def test_a_rate_that_the_kernel_refuses_is_refused_with_the_way_to_clear_it(kind: type[Quantity], text: str) -> None:
    with pytest.raises(ValueError, match="too low: at least 2, or max"):
        kind.parse(text)


@pytest.mark.parametrize(("kind", "most"), [(Rate, 2**64 - 2), (Ops, 2**32 - 2)])
def test_a_rate_that_the_kernel_prints_as_max_is_out_of_range(kind: type[Quantity], most: int) -> None:
    assert kind.parse(str(most)).amount == most
    with pytest.raises(ValueError, match=f"too high: at most {most}, or max"):
        kind.parse(str(most + 1))


# CPUs


@pytest.mark.parametrize(
    ("text", "millionths"),
    [("1.5", 1500000), ("150%", 1500000), ("1500m", 1500000), (2, 2000000), (0.5, 500000), ("0.001", 1000)],
)
def test_cpus_are_counted_in_millionths(text: str | int | float, millionths: int) -> None:
    assert Cpus.parse(text).amount == millionths


@pytest.mark.parametrize(
    ("text", "shown"),
    [("150%", "1.5"), ("12.345678", "12.345678"), ("10", "10"), ("1m", "0.001"), ("1000000", "1000000")],
)
def test_cpus_are_shown_as_a_plain_number(text: str, shown: str) -> None:
    assert str(Cpus.parse(text)) == shown


def test_no_cpu_at_all_is_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"0 is too low: at least 0\.001, or max"):
        Cpus.parse(0)


@given(amounts(Cpus).map(Cpus))
def test_cpus_read_back_as_they_were_written(cpus: Cpus) -> None:
    assert Cpus.parse(str(cpus)) == cpus


# Times


@pytest.mark.parametrize(
    ("text", "micro"),
    [("100ms", 100000), ("20000us", 20000), ("0.5s", 500000), ("20000", 20000), ("2min", 120 * 10**6), ("0", 0)],
)
def test_a_duration_without_a_unit_is_microseconds(text: str, micro: int) -> None:
    assert Duration.parse(text).amount == micro


@pytest.mark.parametrize(("text", "seconds"), [("10", 10), (10, 10), (0.5, 0.5), ("500ms", 0.5), ("2min", 120)])
def test_a_deadline_without_a_unit_is_seconds(text: str | int | float, seconds: float) -> None:
    assert Deadline.parse(text).seconds == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [("9000h", "9000h"), (10**20, f"{10**20}s"), ("600000min", "10000h"), (31536000.5, "31536000500ms")],
)
def test_a_deadline_beyond_a_year_is_refused_in_units_of_time(text: str | float, said: str) -> None:
    assert Deadline.parse("8760h").seconds == 365 * 86400
    with pytest.raises(ValueError, match=f"^{said} is too high: at most 8760h. Write it like 10, 10s"):
        Deadline.parse(text)


@pytest.mark.parametrize("text", ["999us", "1000001", "2s", "0"])
def test_a_period_lies_between_1_ms_and_1_s(text: str) -> None:
    with pytest.raises(ValueError, match=r"out of range 1ms\.\.1s"):
        Period.parse(text)


@pytest.mark.parametrize("text", ["999", str(1 << 44)])
def test_a_quota_lies_within_what_the_scheduler_can_count(text: str) -> None:
    with pytest.raises(ValueError, match=r"too (low|high): at (least 1ms|most \d+us), or max"):
        Quota.parse(text)


# Weights, counts, flags


@pytest.mark.parametrize("kind", [Weight, CpuWeight])
@pytest.mark.parametrize("text", ["0", "10001", "1.5", "-1", "abc", "50%", "default 50"])
def test_a_weight_is_a_whole_number_from_1_to_10000(kind: type[Quantity], text: str) -> None:
    assert kind.parse("1").amount == 1
    assert kind.parse("10000").amount == 10000
    with pytest.raises(ValueError, match="Write it like 100"):
        kind.parse(text)


def test_a_cpu_weight_may_be_idle_and_other_weights_may_not() -> None:
    assert CpuWeight.parse("idle").amount == 0
    with pytest.raises(ValueError, match="is not understood"):
        Weight.parse("idle")


def test_zero_processes_is_a_limit() -> None:
    assert PidCount.parse("0").amount == 0


def test_as_many_processes_as_the_kernel_can_number() -> None:
    assert PidCount.parse(4194304).amount == 4194304
    with pytest.raises(ValueError, match="at most 4194304, or max"):
        PidCount.parse(4194305)


def test_a_ve_sees_at_least_one_cpu() -> None:
    assert Vcpus.parse(1).amount == 1
    with pytest.raises(ValueError, match="at least 1, or max"):
        Vcpus.parse(0)


@pytest.mark.parametrize("text", ["1", "true", "yes", "on", "TRUE", True, 1])
def test_words_for_yes(text: object) -> None:
    assert str(Flag.parse(text)) == "1"


@pytest.mark.parametrize("text", ["0", "false", "no", "off", " Off ", False, 0])
def test_words_for_no(text: object) -> None:
    assert str(Flag.parse(text)) == "0"


@pytest.mark.parametrize("text", ["2", "abc", "", None, 1.0, [], -1])
def test_everything_else_is_neither_yes_nor_no(text: object) -> None:
    with pytest.raises(ValueError, match="not a yes or no"):
        Flag.parse(text)


# All quantities


@given(any_of(PLAIN))
def test_the_kernels_text_reads_back_as_the_same_quantity(quantity: Quantity) -> None:
    again = type(quantity).parse(str(quantity))
    assert again == quantity
    assert hash(again) == hash(quantity)
    assert str(again) == str(quantity)


def read_or_refused(kind: type[Quantity], text: str | int | float) -> bool:
    """Whether the text is understood. Lets every other error than ValueError through."""
    try:
        kind.parse(text)
    except ValueError as error:
        return not str(error)
    return True


@given(st.sampled_from(KINDS), st.one_of(st.text(), st.integers(), st.floats()))
@example(Size, "9" * 5000)
@example(Size, 10**5000)
@example(Size, "1." + "0" * 5000)
@example(Cpus, "²")
def test_any_text_is_a_quantity_or_a_value_error_with_a_reason(kind: type[Quantity], text: str | int | float) -> None:
    read_or_refused(kind, text)


@given(st.sampled_from(KINDS), st.from_regex(r"[0-9]{0,20}\.?[0-9]{0,20} ?[KMGTPEiBmush%/]{0,4}", fullmatch=True))
def test_what_looks_like_a_quantity_is_one_or_a_value_error(kind: type[Quantity], text: str) -> None:
    read_or_refused(kind, text)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Flag])
@pytest.mark.parametrize("thing", [None, True, [], {}, b"1"])
def test_only_text_and_numbers_are_quantities(kind: type[Quantity], thing: object) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity\. Write it like"):
        kind.parse(thing)  # type: ignore[arg-type]


def test_quantities_of_different_kinds_are_never_equal() -> None:
    assert Size(5) != Rate(5)
    assert Size(5) != 5
    assert repr(Size(5)) == "Size(5)"
    assert repr(Size(MAX)) == "Size(MAX)"


# The kernel's single values


@pytest.mark.parametrize(("text", "value"), [("2048\n", 2048), ("max\n", MAX), ("0", 0), ("-12345", 0)])
def test_a_kernel_value_is_a_number_or_max(text: str, value: object) -> None:
    assert amount(text) == value


@pytest.mark.parametrize("text", ["", "some", "1.5", "1 2", "MAX"])
def test_what_is_no_kernel_value_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        amount(text)


# For people


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (MAX, "max"), (0, "0"), (1023, "1023"), (1536, "1.5K"), (2 << 30, "2G"), (3 << 60, "3072P")],
)
def test_sizes_for_people(value: int | None, shown: str) -> None:
    assert human_size(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(20_000_000, "20M/s"), (999, "999/s"), (MAX, "max"), (None, "-")])
def test_rates_for_people(value: int | None, shown: str) -> None:
    assert human_rate(value) == shown


OFTEN_MEANT = [
    (Size, "1,5G", "the decimal sign is a point. Write 1.5G"),
    (Size, "1,500M", "digits stand without anything between them. Write 1500M"),
    (Size, "1_000_000", "digits stand without anything between them. Write 1000000"),
    (Size, "1e9", "it needs a number without an exponent. Write 1000000000"),
    (Size, "1.5E3", "it needs a number without an exponent. Write 1500"),
    (Size, "0x10", "a decimal number is needed. Write 16"),
    (Size, "+5G", "it needs no sign. Write 5G"),
    (Size, ".5G", "a digit is missing before the point. Write 0.5G"),
    (Size, "1M/s", "it is not a rate. Write 1M"),
    (Size, "2 gigs", "the unit is G. Write 2G"),
    (Size, "2 Gigabytes", "the unit is GB. Write 2GB"),
    (Size, "5 bytes", "the unit is B. Write 5B"),
    (Size, "-5", "it is less than 0. Write it like 2G"),
    (Size, "", "it is empty. Write it like 2G"),
    (Size, "MAX", "it is written in small letters. Write max"),
    (Rate, "10Mbit/s", "it is in bits, and bytes are needed. Write 1250000"),
    (Ops, "500 iops", "the number alone is needed. Write 500"),
    (Ops, "5kIOPS", "the number alone is needed. Write 5k"),
    (Ops, "5k/sec", "the unit is k/s. Write 5k/s"),
    (Rate, "500 /second", "the unit is B/s. Write 500B/s"),
    (Ops, "10Mbit", "is not understood"),
    (Ops, "1,5k", "the decimal sign is a point. Write 1.5k"),
    (Cpus, "2 CPUs", "the number alone is needed. Write 2"),
    (Cpus, "1,5", "the decimal sign is a point. Write 1.5"),
    (Cpus, "-1", "no limit is called max. Write max"),
    (Duration, "5 seconds", "the unit is s. Write 5s"),
    (Duration, "5m", "the unit is min. Write 5min"),
    (Duration, "2days", "the longest unit is h. Write 48h"),
    (Duration, "-1", "it is less than 0. Write it like 100ms"),
    (PidCount, "5k", "a whole number without a unit is needed. Write 5000"),
    (PidCount, "5 procs", "a whole number without a unit is needed. Write 5"),
    (Weight, "1e3", "it needs a number without an exponent. Write 1000"),
    *((kind, word, "no limit is called max. Write max") for kind in (Size, Rate, Ops, Cpus, PidCount, Vcpus)
      for word in ("unlimited", "nolimit", "inf", "Infinity", "-1")),
    *((kind, word, "is not understood. Write 0 for nothing, max for no limit") for kind in (Size, Count, PidCount)
      for word in ("off", "no", "None", "never")),
    *((kind, word, "is not understood. Write max for no limit") for kind in (Rate, Ops, Cpus, Vcpus)
      for word in ("off", "no", "None", "never")),
    *((Protected, word, "it protects, and is no limit. Write 0 for no protection")
      for word in ("off", "no", "None", "never", "unlimited", "-1")),
    (Duration, "off", "is not understood. Write it like 100ms"),
    (Protected, "lots", "is not understood. Write it like 2G, 512MiB, 1.5G, 50%, 1073741824 or 0"),
    *((Rate, f"20{unit}", "the unit is MB/s. Write 20MB/s") for unit in ("MB/sec", "MBps", "MBPS", " MBytes/s")),
    *((Rate, f"20{unit}", "it is in bits, and bytes are needed. Write 2500000")
      for unit in ("Mbps", "mbps", "Mbit", "MBIT/s", " Mbits/sec")),
    (Rate, "20 MiBps", "the unit is MiB/s. Write 20MiB/s"),
    (Rate, "5 gibibytes", "the unit is GiB/s. Write 5GiB/s"),
    (Rate, "20000 Bps", "the unit is B/s. Write 20000B/s"),
    (Size, "20 MiBps", "it is not a rate. Write 20MiB"),
    (Size, "5gib/s", "it is not a rate. Write 5GiB"),
    (Size, "5mb/sec", "it is not a rate. Write 5MB"),
    (Size, "2 kibytes", "the unit is KiB. Write 2KiB"),
    (Size, "2 mebibytes", "the unit is MiB. Write 2MiB"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "words"), OFTEN_MEANT)
def test_what_is_not_understood_is_told_how_to_be_written(kind: type[Quantity], text: str, words: str) -> None:
    with pytest.raises(ValueError, match="is not understood") as caught:
        kind.parse(text)
    assert "bits" not in str(caught.value) or kind is Rate
    assert words in str(caught.value)


@given(
    st.sampled_from(KINDS), st.text(max_size=12) | st.from_regex(r"[+-]?[0-9]{1,4}[.,_]?[0-9]{0,3} ?[a-zA-Z/%]{0,8}")
)
@example(CpuWeight, "0 shares")
def test_a_spelling_that_is_offered_works(kind: type[Quantity], text: str) -> None:
    for one in offered(kind, text):
        kind.parse(one)


def offered(kind: type[Quantity], text: str) -> list[str]:
    """The spellings that the refusal of a text proposes; none where it is taken, or answered by examples."""
    try:
        kind.parse(text)
    except ValueError as error:
        start, _, words = str(error).rpartition(". Write ")
        if " is not understood" in start and not words.startswith("it like"):
            return [one.partition(" for ")[0] for one in words.split(", ")]
    return []


NUMBERS = ["0", "2", "10", "1.5", "1,5", ".5", "1e3", "0x10", "1_000", "1,000,000", "+2", "-1", "007"]
UNITS = """
    k K kb kB KB KiB M MB MiB Mi G GB GiB Gi T TB b B bytes KiBytes MiBytes megabytes gibibytes gigs bps Kbps Mbps Gbps
    kbit Mbit/s Mbits/sec Mb/s MB/s MiB/s GiB/s KB/sec MB/sec MiB/sec GiB/second MBps MiBps b/s B/s Bps m/s M/s k/s /s
    /sec /second iops kIOPS ops/s io/sec % CPUs cores m s sec seconds ms msec us min minutes h hours d weeks procs
    shares
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_spelling_that_is_offered_for_usual_numbers_and_units_works(kind: type[Quantity]) -> None:
    texts = [number + space + unit for number in NUMBERS for space in ("", " ") for unit in UNITS.split()]
    proposed = {one for text in [*texts, *NUMBERS, "unlimited", "Max", "none", ""] for one in offered(kind, text)}
    assert proposed or kind is Flag
    for one in proposed:
        kind.parse(one)


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_of_a_quantity_are_taken(kind: type[Quantity]) -> None:
    whole = 1 << 34 if "%" in kind.examples and issubclass(kind, Size) else None
    for one in re.split(r", | or ", re.sub(r" \(.*?\)|, 1ms to 1s", "", kind.examples)):
        kind.parse(one, whole=whole)


def test_the_bits_of_a_network_are_never_offered_as_the_bytes_of_a_size() -> None:
    assert offered(Size, "2Gbps") == []
    assert offered(Size, "2 GBps") == ["2GB"]


@given(st.from_regex(r"[0-9]{1,4}[kmgKMG]?[bB]", fullmatch=True))
def test_a_small_b_means_the_same_whether_it_is_taken_or_advised(text: str) -> None:
    taken = {}
    for end in "/s", "/sec":
        try:
            taken[end] = Rate.parse(text + end)
        except ValueError as error:
            offered = str(error).rpartition(". Write ")[2]
            taken[end] = Rate.parse(offered) if offered[0].isdecimal() and end == "/sec" else Rate(MAX)
    assert taken["/s"] == taken["/sec"]


@pytest.mark.parametrize("text", ["0", "5", "1.5", "1023", "5B", "4096"])
def test_a_size_holds_a_number_that_every_encoder_takes(text: str) -> None:
    size = Size.parse(text)
    assert type(size.amount) is int
    assert msgspec.json.encode(size.amount) == str(size.amount).encode()

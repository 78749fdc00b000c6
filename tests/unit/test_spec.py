"""The spec: a TOML file of many VEs, what is said when it is wrong, and its JSON Schema."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from rctl.errors import UsageError
from rctl.limits import keys
from rctl.spec import Spec, load
from rctl.units import MAX, Protected, Size
from tests.unit.fake_kernel import FakeKernel

HOST = FakeKernel().host


def read(place: Path, text: str | bytes) -> Spec:
    """Load bytes as they are, text below its version."""
    file = place / "spec.toml"
    file.write_bytes(text if isinstance(text, bytes) else f"version = 1\n{text}".encode())
    return load(str(file), HOST)


def refusal(place: Path, text: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        read(place, text)
    message = str(caught.value)
    assert message.startswith(f"{place}/spec.toml: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{place}/spec.toml: ")


def test_limits_are_read_by_the_kernels_names(tmp_path: Path) -> None:
    spec = read(tmp_path, '[ve.web1.limits]\nmemory.max = "2G"\ncpu.max = 1.5\nio.max."/var" = { wbps = "20MB/s" }\n')
    limits = spec.ve["web1"].limits
    assert limits.memory.max == Size(2 << 30)
    assert str(limits.io.max["/var"].wbps) == "20000000"


def test_a_limit_that_is_not_given_stays_unset(tmp_path: Path) -> None:
    from msgspec import UNSET

    assert read(tmp_path, "[ve.web1.limits]\npids.max = 5\n").ve["web1"].limits.memory.max is UNSET


def test_max_is_no_limit(tmp_path: Path) -> None:
    assert read(tmp_path, '[ve.web1.limits]\nmemory.max = "max"\n').ve["web1"].limits.memory.max == Size(MAX)


def test_a_per_cent_is_of_the_hosts_memory(tmp_path: Path) -> None:
    assert read(tmp_path, '[ve.web1.limits]\nmemory.max = "50%"\n').ve["web1"].limits.memory.max == Size(4 << 30)


def test_a_spec_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"version = 1\n[ve.web1.limits]\npids.max = 5\n")
    os.close(writer)
    kept = os.dup(0)
    try:
        os.dup2(reader, 0)
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        assert list(load("-", HOST).ve) == ["web1"]
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reader)


# What is wrong is named, on one line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[ve.web1.limits]\nmemory.max = \n", "not TOML: Invalid value (at line 3"),
        ("[ve.web1", "not TOML: "),
        ("[ve.web1.limits]\nmemory.max = 1G # most\n", 'column 15). Write text in quotes: memory.max = "1G"'),
        ("[ve.unit:nginx.limits]\npids.max = 5", 'Write the name in quotes: [ve."unit:nginx".limits]'),
        ("[ve./app/db.labels]", 'Write the name in quotes: [ve."/app/db".labels]'),
        ("[ve.getty@tty1.service]", 'Write the name in quotes: [ve."getty@tty1.service".limits]'),
        ("[ve.nginx.service.limits]", 'a name with a dot stands in quotes. Write [ve."nginx.service".limits]'),
        ("[ve.web1.limits]\ncpu.weight=idle", 'Write text in quotes: cpu.weight = "idle"'),
        (
            "web1:\n  memory: 1G\n",
            'A spec is written like this: version = 1, then [ve.web1.limits], and below it memory.max = "1G"',
        ),
        (
            '{"ve": {"web1": {}}}',
            'A spec is written like this: version = 1, then [ve.web1.limits], and below it memory.max = "1G"',
        ),
        ("\x00\x01", "not TOML: "),
        (b"\x7fELF\xff\xfe\x00", "not UTF-8 text at byte 4"),
        ("a = " + "[" * 5000, "nested deeper than 16 levels"),
        ("a = " + "{a=" * 5000, "nested deeper than 16 levels"),
        ("[ve.web1.limits]\npids.max = " + "9" * 5000 + "\n", "999...: no limit has a number of so many digits"),
        ("[ve.web1.limits]\npids.max = 0x" + "f" * 5000 + "\n", "0xfff"),
        ("[ve.web1.limits]\ncpuset.cpus = 0b" + "1" * 20000 + "\n", "0b111"),
        ("", "ve: there is no VE in it"),
        ("ve = 5\n", "ve: "),
        ("[other]\n", "other"),
        ("[ve]\nweb1 = 5\n", "ve.web1: must be a table, not a whole number"),
        ('[ve."a b".limits]\npids.max = -1\n', "ve.\"a b\".limits.pids.max: '-1' is not understood"),
        ('[ve."a/b".limits]\npids.max = 1\n', 've."a/b": not a VE\'s name. Use letters'),
        (
            "[ve.web1.limits]\nmemory.max = 100\n",
            "ve.web1.limits.memory.max: 100 bytes is less than one page (4096). Write 100M, or",
        ),
        (
            "[ve.web1.limits]\nmemory.max = 0.5\n",
            "ve.web1.limits.memory.max: '0.5' is not understood: it is less than 1",
        ),
        ('[ve.web1.limits]\nhugetlb.3XB = "1G"\n', "ve.web1.limits.hugetlb: '3XB' is not a page size"),
        ('[ve.web1.limits]\nvcpus = 1\ncpuset.cpus = "0"\n', "ve.web1.limits.vcpus: given together with cpuset.cpus"),
        ("[ve.web1.limits]\nmemory.maxx = 5\n", "ve.web1.limits.memory.maxx"),
        ("[ve.web1.limits.memory.swap]\nmin = 5\n", "ve.web1.limits.memory.swap.min"),
        ('[ve.web1.limits]\nmemory.max = "2 Gigs"\n', "ve.web1.limits.memory.max: '2 Gigs' is not understood"),
        ("[ve.web1.limits]\nmemory.max = -1\n", "ve.web1.limits.memory.max: '-1' is not understood"),
        ("[ve.web1.limits]\nmemory.max = true\n", "ve.web1.limits.memory.max: true is not a quantity"),
        ("[ve.web1.limits]\nmemory.max = [1]\n", "ve.web1.limits.memory.max: "),
        ("[ve.web1.limits]\nmemory.max = 2026-11-22\n", "ve.web1.limits.memory.max: "),
        ("[ve.web1.limits]\nmemory.max = nan\n", "ve.web1.limits.memory.max: "),
        ("[ve.web1.limits]\nmemory.max = inf\n", "ve.web1.limits.memory.max: "),
        ("[ve.web1.limits]\nmemory = 5\n", "ve.web1.limits.memory: "),
        ('[ve.web1.limits]\nmemory.max = "16E"\n', "ve.web1.limits.memory.max: "),
        ('[ve.web1.limits]\nmemory.max = "101%"\n', "ve.web1.limits.memory.max: "),
        ("[ve.web1.limits]\ncpu.weight = 10001\n", "ve.web1.limits.cpu.weight: 10001 is out of range"),
        ("[ve.web1.limits]\ncpu.weight = 0\n", "ve.web1.limits.cpu.weight: 0 is out of range 1..10000"),
        ('[ve.web1.limits]\ncpu.period = "2s"\n', "ve.web1.limits.cpu.period: "),
        ("[ve.web1.limits]\npids.max = 4194305\n", "ve.web1.limits.pids.max: 4194305 is too high"),
        ("[ve.web1.limits]\npids.max = 1.5\n", "ve.web1.limits.pids.max: '1.5' is not understood"),
        ('[ve.web1.limits]\ncpuset.cpus = "3-1"\n', "ve.web1.limits.cpuset.cpus: '3-1' is not a list"),
        ('[ve.web1.limits]\ncpuset.partition = "gold"\n', "ve.web1.limits.cpuset.partition: "),
        ("[ve.web1.limits]\nvcpus = 0\n", "ve.web1.limits.vcpus: 0 is too low"),
        ("[ve.web1.limits]\nio.max.vda.rbps = 0\n", "ve.web1.limits.io.max.vda.rbps: 0 is too low"),
        ("[ve.web1.limits]\nio.max.vda.speed = 5\n", "ve.web1.limits.io.max.vda.speed"),
        ("[ve.web1.limits]\nhugetlb.2MB = -5\n", "ve.web1.limits.hugetlb.2MB: "),
        (
            "[ve.web1.limits]\nhugetlb.2MB.rsvd = 0\n",
            've.web1.limits.hugetlb.2MB: is not a group of limits. Write hugetlb.2MB = "1G" or ',
        ),
        ('[ve.web1.limits]\nfiles."memory.max" = 1.5\n', "ve.web1.limits.files.memory.max: "),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_the_error_names_the_file_and_the_key_and_says_why(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert told in refusal(tmp_path, text)


def test_the_first_of_many_ves_that_is_wrong_is_named(tmp_path: Path) -> None:
    text = "".join(f"[ve.web{n}.limits]\npids.max = {5 if n != 7 else -1}\n" for n in range(20))
    assert refusal(tmp_path, text).startswith("ve.web7.limits.pids.max: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[web]\nmemory.max = "1G"\n', "web: VEs are tables below ve. Write [ve.web.limits]"),
        ('memory.max = "1G"\n', "memory: a limit must stand below its VE. Write [ve.NAME.limits] above it"),
        ("[ve.web]\npids.max = 5\n", "ve.web.pids: a limit must stand below limits. Write [ve.web.limits] above it"),
        ("[ve.web]\nlabel.env = 'x'\n", "ve.web.label: a VE has only limits and labels. Write [ve.web.limits] above"),
        (
            "[ve.web.limits]\nlabels.env = 'x'\n",
            "ve.web.limits.labels: stands beside limits, not below them. Write [ve.web.labels]",
        ),
        ("[ve.web.labels]\nenv = 5\n", "ve.web.labels.env: must be text, not a whole number"),
        ("[ve.web]\nlimits = 5\n", "ve.web.limits: must be a table, not a whole number"),
        ("[[ve]]\n", "ve: there is no VE in it. Write [ve.NAME.limits], and limits below it"),
        ('[ve.web.limits]\nmemory = "1G"\n', "ve.web.limits.memory: is a group of limits. Write memory.max"),
        ('[ve.web.limits]\ncpuset = "0-3"\n', "ve.web.limits.cpuset: is a group of limits. Write cpuset.cpus"),
        ("[ve.web.limits]\npids = 5\n", "ve.web.limits.pids: is a group of limits. Write pids.max"),
        ('[ve.web.limits]\nswap = "1G"\n', "ve.web.limits.swap: there is no such limit. Did you mean memory.swap.max?"),
        ("[ve.web.limits]\ncpus = 2\n", "ve.web.limits.cpus: there is no such limit. Did you mean cpu.max?"),
        ('[ve.web.limits]\nmems = "0"\n', "ve.web.limits.mems: there is no such limit. Did you mean cpuset.mems?"),
        (
            '[ve.web.limits]\nmemory-high = "1G"\n',
            "ve.web.limits.memory-high: there is no such limit. Did you mean memory.high?",
        ),
        (
            '[ve.web.limits]\nio.max = "vda rbps=2M"\n',
            "ve.web.limits.io.max: is a group of limits. Write io.max.DEVICE = { rbps",
        ),
        (
            '[ve.web.limits]\n"memory.max" = "1G"\n',
            "ve.web.limits.memory.max: quotes make it a single key. Write",
        ),
        (
            '[ve.web.limits]\ncpuset.partition = "gold"\n',
            "ve.web.limits.cpuset.partition: 'gold' is not possible. Write member or root",
        ),
        ("[ve.web.limits]\nmemory.max = 2026-11-22\n", "ve.web.limits.memory.max: 2026-11-22 is not a quantity"),
        (
            '[ve.web.limits]\nfiles."memory.max" = 1.5\n',
            "files.memory.max: must be a whole number or text, not a number",
        ),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_spec_errors_say_what_to_write(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text)


# Versions


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "version: is missing. Write version = 1 as the first line"),
        (b"[ve.web.limits]\npids.max = 5\n", "version: is missing. Write version = 1 as the first line"),
        (b"[ve.web]\nlabels.env = 'prod'\n", "version: is missing. Write version = 1 as the first line"),
        (b"version = 2\n[ve.web.what-comes]\n", "version: 2 is of a newer rctl; this one knows 1. Use the newer rctl"),
        (b"version = 0\n[ve.web]\n", "version: '0' is not a version of a spec. Write version = 1"),
        (b"version = true\n[ve.web]\n", "version: 'True' is not a version of a spec. Write version = 1"),
        (b"version = '1'\n[ve.web]\n", "version: '1' is not a version of a spec. Write version = 1"),
    ],
    ids=repr,
)
def test_a_spec_states_a_version_that_this_rctl_knows(tmp_path: Path, text: bytes, told: str) -> None:
    assert refusal(tmp_path, text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            b"[ve.empty]\n[ve.web]\nmemory.max = '1G'\npids.max = 5\n[ve.db]\npids.max = 5\n",
            "ve.web.memory: limits have their own table since version 1. "
            "Write version = 1 as the first line, then [ve.web.limits] in the place of [ve.web]",
        ),
        (
            b"[ve.'a b']\nlabels.env = 'prod'\nvcpus = 2\n",
            've."a b".vcpus: limits have their own table since version 1. Write version = 1 as the first line, '
            'then [ve."a b".limits] in the place of [ve."a b"], and labels below [ve."a b".labels]',
        ),
    ],
    ids=["limits", "limits and labels"],
)
def test_a_spec_of_the_old_form_is_told_the_new_form_of_its_first_table(tmp_path: Path, text: bytes, told: str) -> None:
    assert refusal(tmp_path, text) == told


def test_what_the_old_form_is_told_is_right(tmp_path: Path) -> None:
    """Given a spec of the old form, when what the error says is done, then it is a spec."""
    old = "[ve.web]\nmemory.max = '1G'\nio.max.sda = { rbps = 5 }\n"
    assert "version = 1 as the first line, then [ve.web.limits] in the place of [ve.web]" in refusal(
        tmp_path, old.encode()
    )
    new = read(tmp_path, old.replace("[ve.web]", "[ve.web.limits]")).ve["web"]
    assert (new.limits.memory.max, list(new.limits.io.max)) == (Size(1 << 30), ["sda"])


def test_labels_stand_beside_limits_and_are_texts_alone(tmp_path: Path) -> None:
    """``default`` is a word of limits: as the value of a label it is a text, whatever the label is called."""
    web = read(tmp_path, "[ve.web.labels]\nvcpus = 'default'\n[ve.web.limits]\nmemory.low = 'default'\n").ve["web"]
    assert (web.labels, web.limits.memory.low) == ({"vcpus": "default"}, Protected(0))


def test_a_byte_order_mark_is_no_part_of_the_spec(tmp_path: Path) -> None:
    place = tmp_path / "spec.toml"
    place.write_bytes(b"\xef\xbb\xbfversion = 1\n[ve.web1.limits]\npids.max = 5\n")
    assert list(load(str(place), HOST).ve) == ["web1"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nope\.toml: cannot be read: No such file"):
        load(str(tmp_path / "nope.toml"), HOST)


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(str(tmp_path), HOST)


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with open(tmp_path / "spec.toml", "wb") as file:
        file.truncate((4 << 20) + 1)
    with pytest.raises(UsageError, match=r"larger than 4 MiB\. Split it"):
        load(str(tmp_path / "spec.toml"), HOST)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_spec(path: str) -> None:
    with pytest.raises(UsageError, match=f"{path}: is a device. Give a regular file"):
        load(path, HOST)


def test_a_fifo_is_no_spec_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "spec.toml")
    with pytest.raises(UsageError, match=r"spec\.toml: is a FIFO\. Give a regular file"):
        load(str(tmp_path / "spec.toml"), HOST)


def test_the_pipe_that_a_shell_hands_over_is_read() -> None:
    """As in ``rctl diff <(command)``: the shell gives the path of an unnamed pipe."""
    reader, writer = os.pipe()
    with open(reader), open(writer, "wb") as command:
        command.write(b"version = 1\n[ve.web1.limits]\npids.max = 5\n")
        command.close()
        assert list(load(f"/dev/fd/{reader}", HOST).ve) == ["web1"]


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(UsageError, match="no file has such a name"):
        load("a\0b", HOST)


# Keys


def test_keys_are_the_kernels_names() -> None:
    assert {"memory.max", "memory.swap.max", "cpu.weight", "cpuset.cpus", "pids.max", "vcpus"} <= set(keys())


def test_keys_come_once() -> None:
    assert len(keys()) == len(set(keys()))


def test_what_takes_a_part_of_the_users_own_ends_there() -> None:
    assert {"io.max", "hugetlb", "files"} <= set(keys())

"""The spec: a TOML file of many VEs, what is said when it is wrong, and its JSON Schema."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rctl.errors import UsageError
from rctl.limits import keys
from rctl.spec import Spec, load, schema
from rctl.units import MAX, Size
from tests.unit.fake_kernel import FakeKernel

HOST = FakeKernel().host
EXAMPLES = sorted(Path(__file__).parents[2].joinpath("examples").glob("*.toml"))


def read(place: Path, text: str | bytes) -> Spec:
    file = place / "spec.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(str(file), HOST)


def refusal(place: Path, text: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        read(place, text)
    message = str(caught.value)
    assert message.startswith(f"{place}/spec.toml: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{place}/spec.toml: ")


def test_limits_are_read_by_the_kernels_names(tmp_path: Path) -> None:
    spec = read(tmp_path, '[ve.web1]\nmemory.max = "2G"\ncpu.max = 1.5\nio.max."/var" = { wbps = "20MB/s" }\n')
    limits = spec.ve["web1"]
    assert limits.memory.max == Size(2 << 30)
    assert str(limits.io.max["/var"].wbps) == "20000000"


def test_a_limit_that_is_not_given_stays_unset(tmp_path: Path) -> None:
    from msgspec import UNSET

    assert read(tmp_path, "[ve.web1]\npids.max = 5\n").ve["web1"].memory.max is UNSET


def test_max_is_no_limit(tmp_path: Path) -> None:
    assert read(tmp_path, '[ve.web1]\nmemory.max = "max"\n').ve["web1"].memory.max == Size(MAX)


def test_a_per_cent_is_of_the_hosts_memory(tmp_path: Path) -> None:
    assert read(tmp_path, '[ve.web1]\nmemory.max = "50%"\n').ve["web1"].memory.max == Size(4 << 30)


def test_a_spec_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"[ve.web1]\npids.max = 5\n")
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
        ("[ve.web1]\nmemory.max = \n", "not TOML: Invalid value (at line 2"),
        ("[ve.web1", "not TOML: "),
        ("\x00\x01", "not TOML: "),
        (b"\x7fELF\xff\xfe\x00", "not UTF-8 text at byte 4"),
        ("a = " + "[" * 5000, "not TOML: "),
        ("a = " + "{a=" * 5000, "not TOML: "),
        ("[ve.web1]\npids.max = " + "9" * 5000 + "\n", "not TOML: "),
        ("", "`ve`"),
        ("ve = 5\n", "ve: "),
        ("[other]\n", "other"),
        ("[ve]\nweb1 = 5\n", "ve.web1: "),
        ("[ve.web1]\nmemory.maxx = 5\n", "ve.web1.memory.maxx"),
        ("[ve.web1.memory.swap]\nmin = 5\n", "ve.web1.memory.swap.min"),
        ('[ve.web1]\nmemory.max = "2 Gigs"\n', "ve.web1.memory.max: '2 Gigs' is not understood"),
        ("[ve.web1]\nmemory.max = -1\n", "ve.web1.memory.max: '-1' is not understood"),
        ("[ve.web1]\nmemory.max = true\n", "ve.web1.memory.max: True is no quantity"),
        ("[ve.web1]\nmemory.max = [1]\n", "ve.web1.memory.max: "),
        ("[ve.web1]\nmemory.max = 2026-11-22\n", "ve.web1.memory.max: "),
        ("[ve.web1]\nmemory.max = nan\n", "ve.web1.memory.max: "),
        ("[ve.web1]\nmemory.max = inf\n", "ve.web1.memory.max: "),
        ("[ve.web1]\nmemory = 5\n", "ve.web1.memory: "),
        ('[ve.web1]\nmemory.max = "16E"\n', "ve.web1.memory.max: "),
        ('[ve.web1]\nmemory.max = "101%"\n', "ve.web1.memory.max: "),
        ("[ve.web1]\ncpu.weight = 10001\n", "ve.web1.cpu.weight: 10001 is out of range"),
        ("[ve.web1]\ncpu.weight = 0\n", "ve.web1.cpu.weight: 0 is out of range 1..10000"),
        ('[ve.web1]\ncpu.period = "2s"\n', "ve.web1.cpu.period: "),
        ("[ve.web1]\npids.max = 4194305\n", "ve.web1.pids.max: 4194305 is out of range"),
        ("[ve.web1]\npids.max = 1.5\n", "ve.web1.pids.max: '1.5' is not understood"),
        ('[ve.web1]\ncpuset.cpus = "3-1"\n', "ve.web1.cpuset.cpus: '3-1' is no list"),
        ('[ve.web1]\ncpuset.partition = "gold"\n', "ve.web1.cpuset.partition: "),
        ("[ve.web1]\nvcpus = 0\n", "ve.web1.vcpus: 0 is out of range"),
        ("[ve.web1]\nio.max.vda.rbps = 0\n", "ve.web1.io.max.vda.rbps: 0 is out of range"),
        ("[ve.web1]\nio.max.vda.speed = 5\n", "ve.web1.io.max.vda.speed"),
        ("[ve.web1]\nhugetlb.2MB = -5\n", "ve.web1.hugetlb.2MB: "),
        ('[ve.web1]\nfiles."memory.max" = 1.5\n', "ve.web1.files.memory.max: "),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_the_error_names_the_file_and_the_key_and_says_why(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert told in refusal(tmp_path, text)


def test_the_first_of_many_ves_that_is_wrong_is_named(tmp_path: Path) -> None:
    text = "".join(f"[ve.web{n}]\npids.max = {5 if n != 7 else -1}\n" for n in range(20))
    assert refusal(tmp_path, text).startswith("ve.web7.pids.max: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nope\.toml: cannot be read: No such file"):
        load(str(tmp_path / "nope.toml"), HOST)


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(str(tmp_path), HOST)


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with open(tmp_path / "spec.toml", "wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(UsageError, match=r"larger than 16 MiB\. Split it"):
        load(str(tmp_path / "spec.toml"), HOST)


def test_a_file_without_end_is_refused_too() -> None:
    with pytest.raises(UsageError, match="larger than 16 MiB"):
        load("/dev/zero", HOST)


# The schema


def at(path: str) -> dict[str, Any]:
    """The part of the schema that a dotted key ends at, references followed."""
    whole = schema()
    place: dict[str, Any] = whole
    for part in [None, *path.split(".")]:
        if part is not None:
            place = place["properties"][part] if "properties" in place else place["additionalProperties"]
        options = [o for o in place.get("anyOf", ()) if "$ref" in o]
        while "$ref" in place or options:
            reference = (options.pop() if options else place)["$ref"]
            place = whole["$defs"][reference.rpartition("/")[2]]
    return place


def test_the_schema_says_what_it_is() -> None:
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema()["title"] == "rctl spec"


@pytest.mark.parametrize("key", [key for key in keys() if key not in ("io.max", "hugetlb", "files")])
def test_every_limit_is_in_the_schema(key: str) -> None:
    assert at(f"ve.web1.{key}")


def test_a_quantity_may_be_a_text_or_a_number_and_has_an_example() -> None:
    place = at("ve.web1.memory.max")
    assert place["type"] == ["string", "number"]
    assert "512MiB" in place["description"]


def test_an_unknown_key_is_refused_by_the_schema_as_by_rctl() -> None:
    assert at("ve.web1.memory")["additionalProperties"] is False


def allows(place: dict[str, Any], data: Any, whole: dict[str, Any]) -> bool:
    """A small part of JSON Schema, as much as this schema uses."""
    if "$ref" in place:
        return allows(whole["$defs"][place["$ref"].rpartition("/")[2]], data, whole)
    if "anyOf" in place:
        return any(allows(option, data, whole) for option in place["anyOf"])
    if "enum" in place:
        return data in place["enum"]
    types = place.get("type", [])
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    name = names[type(data)]
    if name not in types and not (name == "integer" and "number" in types):
        return False
    if not isinstance(data, dict):
        return True
    rest = place.get("additionalProperties", True)
    return all(
        allows(place["properties"][key], value, whole)
        if key in place.get("properties", {})
        else rest is not False and (rest is True or allows(rest, value, whole))
        for key, value in data.items()
    )


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        ({"ve": {"web1": {"memory": {"max": "2G"}, "cpu": {"max": 1.5}, "cpuset": {"cpus": [0, 1]}}}}, True),
        ({"ve": {"web1": {"io": {"max": {"vda": {"wbps": "20MB/s"}}}, "memory": {"oom": {"group": True}}}}}, True),
        ({"ve": {"web1": {"memory": {"maxx": "2G"}}}}, False),
        ({"ve": {"web1": {"memory": {"max": [1]}}}}, False),
        ({"ve": {"web1": {"cpuset": {"partition": "gold"}}}}, False),
    ],
)
def test_the_schema_takes_what_rctl_takes(data: dict[str, Any], fits: bool) -> None:
    assert allows(schema(), data, schema()) is fits


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_spec_and_fits_the_schema(example: Path) -> None:
    import tomllib

    assert load(str(example), HOST).ve
    assert allows(schema(), tomllib.loads(example.read_text()), schema())


# Keys


def test_keys_are_the_kernels_names() -> None:
    assert {"memory.max", "memory.swap.max", "cpu.weight", "cpuset.cpus", "pids.max", "vcpus"} <= set(keys())


def test_keys_come_once() -> None:
    assert len(keys()) == len(set(keys()))


def test_what_takes_a_part_of_the_users_own_ends_there() -> None:
    assert {"io.max", "hugetlb", "files"} <= set(keys())

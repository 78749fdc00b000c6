"""The spec's JSON Schema: it takes what rctl takes, and refuses what rctl refuses, as editors see it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rctl import units
from rctl.console.output import as_json
from rctl.errors import UsageError
from rctl.limits import BY_DEVICE, keys, kinds
from rctl.schema import schema
from rctl.spec import checked, load, parse
from tests.unit.fake_kernel import FakeKernel

HOST = FakeKernel().host
EXAMPLES = Path(__file__).parents[2] / "examples"
SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_a_json_schema_and_says_what_it_is() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "rctl spec"


@pytest.mark.parametrize("key", [key for key in keys() if key not in (*BY_DEVICE, "hugetlb", "files")])
def test_every_limit_is_in_the_schema(key: str) -> None:
    place: Any = SCHEMA["$defs"]["Limits"]
    for part in key.split("."):
        place = place["properties"][part]
        place = SCHEMA["$defs"][place["$ref"].rpartition("/")[2]] if "$ref" in place else place
    assert place


def test_a_quantity_has_an_example() -> None:
    assert "512MiB" in SCHEMA["$defs"]["SizeValue"]["description"]


BAD = [
    "[web]\nmemory.max = 5000",
    "",
    "[ve]\nweb = 5",
    '[ve."a/b".limits]\npids.max = 5',
    '[ve."docker:*".limits]\npids.max = 5',
    '[ve."/a/../b".limits]\npids.max = 5',
    '[ve."docker:web/..".limits]\npids.max = 5',
    '[ve."/a//b".limits]\npids.max = 5',
    '[ve."docker:".limits]\npids.max = 5',
    '[ve."lxc:web".limits]\npids.max = 5',
    '[ve."/app/*".limits]\npids.max = 5',
    '[ve."/".limits]\npids.max = 5',
    f"[ve.{'x' * 65}.limits]\npids.max = 5",
    '[ve.web.limits]\nmemory = "1G"',
    '[ve.web.limits]\n"memory.max" = "1G"',
    "[ve.web.limits]\nmemory.maxx = 5",
    '[ve.web.limits]\nmemory.max = "2 Gigs"',
    "[ve.web.limits]\nmemory.max = -1",
    "[ve.web.limits]\nmemory.max = 512",
    '[ve.web.limits]\nmemory.max = "512"',
    '[ve.web.limits]\nmemory.max = "16E"',
    '[ve.web.limits]\nmemory.max = "101%"',
    "[ve.web.limits]\nmemory.max = true",
    "[ve.web.limits]\nmemory.max = 9223372036854775808",
    '[ve.web.limits]\nmemory.oom.group = "maybe"',
    "[ve.web.limits]\nmemory.oom.group = 2",
    "[ve.web.limits]\ncpu.max = 0",
    '[ve.web.limits]\ncpu.max = "1.5 CPUs"',
    "[ve.web.limits]\ncpu.weight = 0",
    "[ve.web.limits]\ncpu.weight = 10001",
    '[ve.web.limits]\ncpu.weight = "max"',
    '[ve.web.limits]\ncpu.period = "2s"',
    "[ve.web.limits]\ncpu.period = 999",
    '[ve.web.limits]\ncpu.burst = "max"',
    "[ve.web.limits]\nvcpus = 0",
    "[ve.web.limits]\nvcpus = 1.5",
    '[ve.web.limits]\nvcpus = 2\ncpuset.cpus = "0-1"',
    '[ve.web.limits]\ncpuset.cpus = "a-b"',
    "[ve.web.limits]\ncpuset.cpus = [-1]",
    "[ve.web.limits]\ncpuset.cpus = 123456",
    '[ve.web.limits]\ncpuset.partition = "gold"',
    "[ve.web.limits]\npids.max = 1.5",
    "[ve.web.limits]\npids.max = 4194305",
    '[ve.web.limits]\npids.max = "5k"',
    "[ve.web.limits]\nio.weight = 0",
    '[ve.web.limits]\nio.weight = "idle"',
    '[ve.web.limits]\nio.max = "vda rbps=2M"',
    "[ve.web.limits]\nio.max.vda.rbps = 0",
    "[ve.web.limits]\nio.max.vda.speed = 5",
    '[ve.web.limits]\nio.max.vda.riops = "5MiB"',
    "[ve.web.limits]\nio.latency.vda.target = 0",
    '[ve.web.limits]\nio.latency.vda.rbps = "5M"',
    '[ve.web.limits]\nhugetlb.3XB = "1G"',
    '[ve.web.limits]\nfiles."cgroup.procs" = 5',
    '[ve.web.limits]\nfiles."memory.reclaim" = 5000',
    '[ve.web.limits]\nfiles."../x" = 5',
    '[ve.web.limits]\nfiles."memory.max" = 1.5',
    '[ve.web.limits]\nfiles."misc.max" = ""',
    '[ve.web.limits]\nfiles."misc.max" = "a\\nb"',
    '[ve.web]\nlabels.env = "a\\tb"',
    "[ve.web]\n" + "".join(f"labels.l{number} = ''\n" for number in range(101)),
]


@pytest.mark.parametrize("text", BAD)
def test_json_schema_refuses_what_rctl_refuses(text: str) -> None:
    text = f"version = 1\n{text}"
    with pytest.raises(UsageError):
        parse(text.encode(), HOST)
    assert not VALIDATOR.is_valid(tomllib.loads(text))


GOOD = [
    '[ve.web1.limits]\nmemory.max = "2G"\ncpu.max = 1.5\ncpuset.cpus = [0, 1]',
    '[ve.web1.limits]\nio.max.vda = { wbps = "20MB/s" }\nmemory.oom.group = true\nmemory.swap.max = 0',
    '[ve."a.b@c+d-e_f".limits]\nio.max."/var/lib".rbps = "max"\ncpu.weight = "idle"\nvcpus = "max"',
    '[ve.web1.limits]\ncpuset.cpus = ""\ncpuset.mems = 0\nhugetlb.2MB = 0\nhugetlb."2MB.rsvd" = 0',
    '[ve.web1.limits]\nfiles."memory.max" = "1G"',
    '[ve.web1.limits]\ncpuset.cpus = " 0-3, 8  9"\nmemory.high = "50%"\ncpu.period = "100ms"\npids.max = 5.0',
    "[ve.web1.limits]",
    '[ve."/app/d b".limits]\npids.max = 5\n[ve."docker:web".limits]\n[ve."unit:bob/worker.service".limits]',
    f'[ve."{"x" * 65}.service".limits]\npids.max = 5',
    '[ve.web1.limits]\nmemory.low = "default"\nio.max.vda = "default"\nio.max.vdb.wbps = "default"',
    '[ve.web1.limits]\nio.latency.vda = "default"\nio.latency.vdb.target = "10ms"\nio.latency.vdc.target = "max"',
    '[ve.web1.limits]\ncpu.period = "default"',
    '[ve.web1.limits]\ncpuset.cpus = "default"\ncpuset.partition = "default"\nmemory.oom.group = "default"',
]


@pytest.mark.parametrize("text", GOOD)
def test_json_schema_takes_what_rctl_takes(text: str) -> None:
    text = f"version = 1\n{text}"
    assert parse(text.encode(), HOST).ve
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []


NUMBERS = st.one_of(
    st.integers(0, 2**65).map(str),
    st.sampled_from(["0", "1", "2", "7", "8", "100", "101", "999", "1000", "4095", "4096", "8192", "10000", "10001"]),
    st.decimals(0, 10**6, places=3).map(str),
)
UNITS = st.sampled_from(["", "%", "m", "us", "ms", "s", "min", "h", "B", "K", "kb", "KiB", "g", "T", "P", "EiB", "M/s"])
TEXTS = st.one_of(
    st.builds("{}{}{}{}".format, st.sampled_from(["", "0", " "]), NUMBERS, st.sampled_from(["", " "]), UNITS),
    st.sampled_from(["max", "idle", " max ", "true", "Off", "yes"]),
)
VALUES = st.one_of(TEXTS, st.integers(0, 2**65), st.floats(0, 10**9), st.booleans())
KINDS = {
    kind.__name__: kind
    for types in (kinds().values(), *(file.kinds.values() for file in BY_DEVICE.values()))
    for declared in types
    for kind in (declared, *get_args(declared))
    if isinstance(kind, type) and issubclass(kind, units.Quantity)
}
"""Every quantity of a limit, by its name."""


def test_every_quantity_of_a_limit_is_in_the_schema() -> None:
    assert {f"{name}Value" for name in KINDS} | {"RangesValue"} == {n for n in SCHEMA["$defs"] if n.endswith("Value")}


@pytest.mark.parametrize("name", sorted(KINDS))
@settings(max_examples=100, deadline=None)
@given(value=VALUES)
def test_whatever_quantity_rctl_takes_the_schema_takes(name: str, value: Any) -> None:
    kind = KINDS[name]
    try:
        taken = kind.parse(value, whole=10**10)
    except ValueError:
        return
    if isinstance(taken, units.Size) and taken.amount is not units.MAX and 0 < taken.amount < 4096:
        return  # less than one page, which rctl refuses when it makes the writes
    assert Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}Value"}).is_valid(value)


DOCUMENTS = st.dictionaries(
    st.sampled_from(["version", "ve", "web", "memory"]),
    st.one_of(
        st.sampled_from([0, 1, 1.0, 2, 1.5, "1", True, [1]]),
        st.dictionaries(
            st.sampled_from(["web1", "a/b"]),
            st.one_of(
                st.sampled_from([5, "x"]),
                st.dictionaries(
                    st.sampled_from(["limits", "labels", "pids", "vcpus"]),
                    st.dictionaries(st.sampled_from(["vcpus", "env"]), st.sampled_from([1, 0, "max", "default"])),
                ),
            ),
        ),
    ),
)


@settings(max_examples=500, deadline=None)
@given(plain=DOCUMENTS)
@example(plain={"version": 1, "ve": {"web1": {"limits": {"vcpus": 1}, "labels": {"vcpus": "default"}}}})
@example(plain={"version": 1.0, "ve": {}})
@example(plain={"ve": {"web1": {}}})
def test_rctl_and_the_schema_agree_on_the_form(plain: dict[str, Any]) -> None:
    try:
        checked(plain, HOST)
        taken = True
    except UsageError:
        taken = False
    assert VALIDATOR.is_valid(plain) == taken


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_every_example_is_a_spec_fits_the_schema_and_names_it(example: Path) -> None:
    text = example.read_text()
    assert load(str(example), HOST).ve
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    first = text.splitlines()[0]
    assert first.startswith("#:schema ")
    assert json.loads((EXAMPLES / first.removeprefix("#:schema ")).read_text()) == SCHEMA


def test_the_schema_beside_the_examples_is_that_of_this_rctl() -> None:
    """When it is not: ``rctl schema > examples/rctl.schema.json``."""
    assert (EXAMPLES / "rctl.schema.json").read_text() == as_json(SCHEMA) + "\n"

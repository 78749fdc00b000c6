"""The examples are true: the spec is one that rctl takes, and the scripts at least compile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rctl.host import Host
from rctl.limits import writes
from rctl.spec import load, parse

EXAMPLES = Path(__file__).parents[2] / "examples"
HOST = Host({"/proc/meminfo": "MemTotal: 4194304 kB\n"}.__getitem__)


def test_the_spec_says_what_each_ve_may_use() -> None:
    spec = load(str(EXAMPLES / "web.toml"), HOST)
    assert sorted(spec.ve) == ["batch", "db", "web"]
    found = {write.file.name: write.wanted for write in writes(spec.ve["web"].limits, HOST)}
    assert found["memory.max"] == str(512 << 20)
    assert found["cpu.max"] == "cpus=1500000"


def test_the_spec_in_the_readme_is_one() -> None:
    text = (EXAMPLES.parent / "README.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert list(parse(block.encode(), HOST).ve) == ["web1"]


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_each_script_compiles(script: Path) -> None:
    compile(script.read_text(), str(script), "exec")

"""Units and containers by name on a real cgroup tree, made by hand as systemd and docker would make it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.conftest import IN_LAB
from tests.kernel.shell import rctl

pytestmark = pytest.mark.skipif(not IN_LAB, reason="makes units at the root of the tree, which is a host's own")
WEB = "4f1c0a2e5b7d" + "8" * 52
UNIT = "system.slice/rctl-test-nginx.service"
LOADED = """
import sys
sys.argv = ["rctl", *sys.argv[1:]]
from rctl import cli
status = cli._status()
print(*(name for name in sys.modules if name.startswith("rctl.names")), file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture
def units(place: Path) -> Path:
    for path in (UNIT, f"system.slice/docker-{WEB}.scope"):
        (place / path).mkdir(parents=True)
    (place / "cgroup.subtree_control").write_text("+pids")
    (place / "system.slice/cgroup.subtree_control").write_text("+pids")
    return place


def test_a_limit_is_set_by_the_name_of_a_unit_and_undone(units: Path) -> None:
    done = rctl("set", "rctl-test-nginx", "pids.max=50")
    assert (done.status, done.out.splitlines()[0]) == (0, "rctl-test-nginx.service: changed")
    assert (units / UNIT / "pids.max").read_text() == "50\n"
    assert json.loads(rctl("get", "rctl-test-nginx.service", "pids.max", "--json").out) == {"pids.max": 50}
    assert len(json.loads(rctl("history", "rctl-test-nginx", "--json").out)) == 1
    assert rctl("undo", "--ve", "rctl-test-nginx").status == 0
    assert (units / UNIT / "pids.max").read_text() == "max\n"


def test_a_container_is_named_by_the_beginning_of_its_id(units: Path) -> None:
    done = rctl("set", WEB[:6], "pids.max=7")
    assert (done.status, done.out.splitlines()[0]) == (0, "docker:4f1c0a2e5b7d: changed")
    assert (units / f"system.slice/docker-{WEB}.scope/pids.max").read_text() == "7\n"


def test_a_ve_of_rctls_own_comes_first(units: Path) -> None:
    (units / "rctl-rctl-test-nginx.service").mkdir()
    assert rctl("set", "rctl-test-nginx.service", "pids.max=9").status == 0
    assert (units / UNIT / "pids.max").read_text() == "max\n"
    assert (units / "rctl-rctl-test-nginx.service/pids.max").read_text() == "9\n"
    assert rctl("set", "unit:rctl-test-nginx", "pids.max=8").status == 0
    assert (units / UNIT / "pids.max").read_text() == "8\n"


def test_nothing_that_looks_elsewhere_is_loaded_for_a_ve_of_rctls_own(units: Path) -> None:
    (units / "rctl-web1").mkdir()
    loaded = {}
    for name in ("web1", "rctl-test-nginx"):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, "set", name, "pids.max=5"], capture_output=True, text=True, check=True
        )
        loaded[name] = set(done.stderr.split())
    assert loaded["web1"] == {"rctl.names", "rctl.names.patterns"}
    assert "rctl.names.look_up" in loaded["rctl-test-nginx"]

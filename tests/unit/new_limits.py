"""Run in a copy of rctl that has two limits more, ``memory.cap`` and ``io.depth``: tells what becomes of them, as JSON.

test_declared.py makes the copy. What is asked here is asked of a fake kernel that has both files.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stdout
from typing import Any
from unittest import mock

from tests.unit import fake_files

SCALAR, BY_DEVICE = "memory.cap", "io.depth"
fake_files.DEFAULTS["memory"][SCALAR] = "max"
fake_files.DEFAULTS["io"][BY_DEVICE] = ""
fake_files.HOME.update({SCALAR: "memory", BY_DEVICE: "io"})
fake_files.BY_DEVICE[BY_DEVICE] = ("reads", "writes")

import rctl  # noqa: E402 (as the fake kernel is made when it is first imported)
from docs.generate.files import rows  # noqa: E402
from docs.generate.limits import table  # noqa: E402
from rctl import cli  # noqa: E402
from rctl.cgroupfs import devices  # noqa: E402
from rctl.doctor.controllers import files  # noqa: E402
from rctl.doctor.probe import kernel_files  # noqa: E402
from rctl.sample.limits_in_force import Standing  # noqa: E402
from rctl.schema import schema  # noqa: E402
from rctl_exporter.columns import FAMILIES  # noqa: E402
from rctl_exporter.limit_families import values  # noqa: E402
from rctl_exporter.table import page  # noqa: E402
from tests.unit.fake_kernel import FakeKernel, state_folder  # noqa: E402


def said(*words: str) -> str:
    """What a command prints."""
    sys.argv = ["rctl", *words]
    out = io.StringIO()
    with redirect_stdout(out):
        cli._status()
    return out.getvalue()


def adjusted(session: rctl.Session, kernel: FakeKernel) -> dict[str, Any]:
    """What the kernel has after the limits were set, and after that was taken back; and what reads them."""
    found: dict[str, Any] = {}
    session.adjust({"web1": {SCALAR: "64M", BY_DEVICE: "8:0 reads=5"}})
    found["set"] = [kernel.get("/rctl-web1", name) for name in (SCALAR, BY_DEVICE)]
    found["get"] = dict(session.get("web1", SCALAR, BY_DEVICE))
    limits = session.sample("web1")["web1"].limits
    found["sample"] = [limits[SCALAR], limits[BY_DEVICE]["8:0"]["reads"]]
    (view,) = session.show("web1")
    found["effective"] = view.effective[SCALAR].limit
    with session.open("web1") as ve:
        found["attributes"] = [ve.memory.cap, dict(ve.io.depth)]  # type: ignore[attr-defined]
        ve.memory.cap = "32M"  # type: ignore[attr-defined]
    found["attribute"] = kernel.get("/rctl-web1", SCALAR)
    found["export"] = session.export("web1")[0]
    session.reset("web1", SCALAR, BY_DEVICE)
    found["reset"] = [kernel.get("/rctl-web1", name) for name in (SCALAR, BY_DEVICE)]
    session.undo(last=3)
    found["undone"] = [kernel.get("/rctl-web1", name) for name in (SCALAR, BY_DEVICE)]
    missing = files(dict.fromkeys(kernel_files(session.tree), False))
    found["doctor"] = {check.name: check.found for check in missing}
    found["doctor sees"] = [kernel_files(session.tree)[name] for name in (SCALAR, BY_DEVICE)]
    return found


def main() -> None:
    """Print it."""
    kernel = FakeKernel()
    kernel.make("/rctl-web1", procs=(101,))
    disks = mock.patch.object(devices, "resolve", lambda name: name)
    with state_folder() as state, kernel.installed(), disks:
        os.environ["RCTL_STATE"] = state.keep
        with rctl.session() as session:
            found = adjusted(session, kernel)
        found["complete"] = [said("complete", "zsh", "set", "web1", word) for word in (SCALAR, BY_DEVICE)]
        found["help"] = [said("help", key) for key in (SCALAR, BY_DEVICE)]
        found["flags"] = said("help", "limits")
    in_force = Standing({SCALAR: "max\n", BY_DEVICE: "8:0 reads=5 writes=max\n"}, {})
    found["metrics"] = {f"{s.family.name} {s.label}".strip(): v.decode() for s, v in values(in_force, {}).items()}
    found["families"] = [family.name for family in FAMILIES if family.name in ("memory_cap_bytes", "io_depth_reads")]
    found["metrics page"] = page()
    properties = {kind: schema()["$defs"][kind]["properties"] for kind in ("Memory", "Io")}
    found["schema"] = [sorted(properties["Memory"]), sorted(properties["Io"])]
    found["reference"] = "\n".join(table())
    found["map"] = {row.file: [row.limits, row.attributes, row.metrics, row.systemd] for row in rows()}
    json.dump(found, sys.stdout)


main()

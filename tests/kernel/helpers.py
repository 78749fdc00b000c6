"""A VE as the tests hold it, and the promise that every refused adjustment keeps."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rctl.adjust.account import Account
from rctl.adjust.engine import Options, adjust
from rctl.adjust.progress import Event, Progress, quiet
from rctl.adjust.records.journal import left_open
from rctl.adjust.site import Site
from rctl.adjust.state_folder import default_state
from rctl.adjust.undoing.undo import undo as take_back
from rctl.cgroupfs.files import this_host
from rctl.cgroupfs.tree import Tree, cgroup2_mount
from rctl.errors import KernelError, NotAvailableError, RctlError
from rctl.host import Host
from rctl.limits import FILES, decode, file_named, nest

MOUNT = Path(cgroup2_mount())
RELEASE = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
"""The kernel's version, such as (6, 1)."""
_SET = re.compile("|".join([*(re.escape(file.name) for file in FILES), r"hugetlb\..*\.max"]))
LARGE = bool(os.environ.get("RCTL_LARGE"))
"""Whether what is done in great numbers is done in all of them, as ``make test-large`` asks."""


def undo(tree: Tree, host: Host, options: Options, wanted: str | None = None) -> Account:
    """Take one adjustment back: the last one, or the one with an id. Returns its account."""
    (one,) = take_back(Site(tree, host, default_state()), options, wanted)
    assert one.account is not None
    return one.account


def counter(text: str, name: str) -> int:
    """The number behind a name in a flat keyed text; 0 when it is not there."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name), 0)


class Ve:
    """A VE by name (or a cgroup by path): its directory, its files, and how to set its limits."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.tree, self.name = tree, name
        self.path = tree.path(name)
        self.dir = MOUNT / self.path.strip("/")

    def __repr__(self) -> str:
        return self.name

    def text(self, file: str) -> str:
        """What the kernel shows in a file."""
        return content(f"{self.dir}/{file}").strip()

    def number(self, file: str) -> int:
        """A file's only number."""
        return int(self.text(file))

    def count(self, file: str, name: str) -> int:
        """One counter of a flat keyed file."""
        return counter(self.text(file), name)

    def has(self, file: str) -> bool:
        """Whether the file is there now."""
        return (self.dir / file).exists()

    def set(self, wanted: Mapping[str, Any], progress: Progress = quiet, **options: Any) -> Account:
        """Adjust this VE through the engine."""
        return set_all(self.tree, {self: wanted}, progress, **options)

    def unset(self, file: str) -> bool:
        """Whether no limit is set: the file shows its default, or went with its controller."""
        return not self.has(file) or self.text(file) == file_named(file).default

    def able(self, file: str) -> bool:
        """Whether this kernel has the file, which shows once the controller is enabled for the VE."""
        controller = file.partition(".")[0]
        if controller != "cgroup":
            (self.dir.parent / "cgroup.subtree_control").write_text(f"+{controller}")
        return self.has(file)

    def snapshot(self) -> dict[str, str]:
        """The text of everything that can be set, and the controllers that the parent gives."""
        return settings(self.dir) | {"parent": " ".join(sorted(enabled(self.dir.parent)))}


def content(file: str) -> str:
    """A file's text, by the fewest steps that read it: under emulation each step counts, and tests read thousands."""
    fd = os.open(file, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b"")).decode()
    finally:
        os.close(fd)


def settings(cgroup: Path) -> dict[str, str]:
    """The text of everything that can be set in a cgroup."""
    return {name: content(f"{cgroup}/{name}").strip() for name in os.listdir(cgroup) if _SET.fullmatch(name)}


def enabled(cgroup: Path) -> list[str]:
    """The controllers that a cgroup enables for its children."""
    return content(f"{cgroup}/cgroup.subtree_control").split()


def set_all(tree: Tree, wanted: Mapping[Ve, Mapping[str, Any]], progress: Progress = quiet, **options: Any) -> Account:
    """One adjustment of several VEs."""
    host = this_host()
    asked = {ve.name: decode(nest(pairs), host) for ve, pairs in wanted.items()}
    return adjust(Site(tree, host, default_state(), progress), asked, Options(**options))


def lacks(ve: Ve, file: str, wanted: Mapping[str, Any]) -> bool:
    """Whether this kernel has no such file; then the wish, which needs it, must be refused for just that reason."""
    if ve.able(file):
        return False
    with refused(NotAvailableError, f"^{re.escape(file)}: this kernel has no such file on {ve.path}", ve):
        ve.set(wanted)
    return True


@contextmanager
def refused(kind: type[RctlError], match: str, *ves: Ve) -> Iterator[pytest.ExceptionInfo[RctlError]]:
    """What runs inside fails with a one-line error, leaves the VEs exactly as they were, and no journal open."""
    before = [ve.snapshot() for ve in ves]
    with pytest.raises(kind, match=match) as caught:
        yield caught
    assert type(caught.value) is kind or (kind is RctlError and type(caught.value) is KernelError)
    assert "\n" not in str(caught.value)
    assert [ve.snapshot() for ve in ves] == before
    assert no_journal()


def no_journal() -> bool:
    """Whether nothing is left in the folder of open journals, half-written ones included."""
    folder = default_state().journals
    return not left_open(default_state()) and not (os.path.isdir(folder) and os.listdir(folder))


class Recorder:
    """Progress that remembers the events, and calls `then` at event number `at` (from 1)."""

    def __init__(self, at: int = 0, then: Any = None) -> None:
        self.at, self.then = at, then
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) == self.at:
            self.then()

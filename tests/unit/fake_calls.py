"""System calls on the fake kernel, in the place of ``os``: each is an operation, before which a fault may strike."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rctl.adjust import fork
from tests.unit.fake_files import HOME, require
from tests.unit.fake_machine import Node

if TYPE_CHECKING:
    from tests.unit.fake_kernel import FakeKernel

_ACTIONS = frozenset(("cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "memory.reclaim"))
INTERRUPT = "interrupt"
CRASH = "crash"


class Crash(BaseException):
    """The process was killed: nothing that it does from here on has any effect."""


@dataclass(frozen=True)
class Operation:
    """One file operation: ``kind`` is open, read, write or a journal's; ``text`` what was written."""

    kind: str
    path: str
    file: str
    text: str = ""


class Calls:
    """The system calls that ``rctl.cgroupfs`` makes; all else is the real ``os``."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _at(self, fd: int | None) -> Node:
        return self._kernel.root if fd is None else self._kernel.fds[fd][0]

    def _given(self, node: Node, file: str | None) -> int:
        kernel = self._kernel
        kernel.next_fd += 1
        kernel.fds[kernel.next_fd] = (node, file)
        kernel.most_open = max(kernel.most_open, len(kernel.fds))
        return kernel.next_fd

    def open(self, name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        kernel = self._kernel
        if dir_fd is None:
            return self._given(kernel.root, None)
        node = self._at(dir_fd)
        kernel.tick(Operation("open", node.path, name))
        if flags & os.O_DIRECTORY:
            if set(name.split("/")) == {".."} and not node.removed:
                for _ in name.split("/"):
                    node = node.parent or node
                return self._given(node, None)
            if name in node.children and not node.removed:
                return self._given(node.children[name], None)
            raise OSError(errno.ENOTDIR if kernel.has(node, name) else errno.ENOENT, name)
        if not kernel.has(node, name):
            raise OSError(errno.ENOENT, name)
        return self._given(node, name)

    def dup(self, fd: int) -> int:
        return self._given(self._at(fd), None)

    def close(self, fd: int) -> None:
        del self._kernel.fds[fd]

    def fstat(self, fd: int) -> Any:
        node, file = self._kernel.fds[fd]
        mode = 0o644 if file in node.files or file in _ACTIONS else 0o444
        return SimpleNamespace(st_ino=node.ino, st_nlink=2 + len(node.children), st_mode=mode)

    def access(self, name: str, mode: int, *, dir_fd: int, **_: bool) -> bool:
        node = self._at(dir_fd)
        return not node.removed and (name == "." or name in node.children or self._kernel.has(node, name))

    def stat(self, name: str, *, dir_fd: int, **_: bool) -> Any:
        return SimpleNamespace(st_nlink=2 + len(self._at(dir_fd).children[name].children))

    def listdir(self, fd: int) -> list[str]:
        with self.scandir(fd) as entries:
            return [entry.name for entry in entries]

    @contextmanager
    def scandir(self, fd: int) -> Iterator[list[Any]]:
        here = self._at(fd)
        children = sorted(here.children.items())
        files = [name for name in HOME if self._kernel.has(here, name)]
        yield [
            SimpleNamespace(name=name, is_dir=lambda follow_symlinks: True, inode=lambda node=node: node.ino)
            for name, node in children
        ] + [SimpleNamespace(name=name, is_dir=lambda follow_symlinks: False) for name in files]

    def listxattr(self, fd: int) -> list[str]:
        return list(self._at(fd).labels)

    def getxattr(self, fd: int, name: str) -> bytes:
        if name not in (labels := self._at(fd).labels):
            raise OSError(errno.ENODATA, name)
        return labels[name]

    def setxattr(self, fd: int, name: str, value: bytes) -> None:
        self._kernel.tick(Operation("label", self._at(fd).path, name, value.decode()))
        self._at(fd).labels[name] = value

    def removexattr(self, fd: int, name: str) -> None:
        self._kernel.tick(Operation("label", self._at(fd).path, name))
        if self._at(fd).labels.pop(name, None) is None:
            raise OSError(errno.ENODATA, name)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        node, file = self._kernel.fds[fd]
        assert file is not None
        if offset == 0:
            self._kernel.tick(Operation("read", node.path, file))
        if not self._kernel.has(node, file):
            raise OSError(errno.ENODEV, file)
        return self._kernel.text(node, file).encode()[offset : offset + size]

    def write(self, fd: int, data: bytes) -> int:
        node, file = self._kernel.fds[fd]
        assert file is not None
        operation = Operation("write", node.path, file, data.decode())
        self._kernel.tick(operation)
        if not self._kernel.has(node, file):
            raise OSError(errno.ENODEV, file)
        self._kernel.store(node, file, data.decode())
        self._kernel.watch(operation)
        return len(data)

    def mkdir(self, name: str, mode: int, *, dir_fd: int) -> None:
        node = self._at(dir_fd)
        self._kernel.tick(Operation("mkdir", node.path, name))
        if name in node.children or self._kernel.has(node, name):
            raise FileExistsError(errno.EEXIST, name)
        require("\n" not in name)
        self._kernel.born(node, name)

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        self._kernel.tick(Operation("rmdir", self._at(dir_fd).path, name))
        node = self._at(dir_fd).children.get(name)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, name)
        require(not node.procs and not node.children, errno.EBUSY)
        self._kernel.remove(node.path)


class JournalCalls:
    """The system calls of the journal: real ones, each an operation; a crash tears a write in two."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        if name not in ("fsync", "link", "rename", "unlink", "fstat", "pread"):
            return getattr(os, name)

        def call(*args: Any, **more: Any) -> Any:
            self._kernel.tick(Operation(f"journal {name}", "", ""))
            return getattr(os, name)(*args, **more)

        return call

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        self._kernel.tick(Operation("journal open", "", path))
        fd = os.open(path, flags, mode, dir_fd=dir_fd)
        self._kernel.journal_fds.add(fd)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        kernel = self._kernel
        if kernel.faults.get(len(kernel.operations)) == CRASH and not kernel.dead:
            os.write(fd, data[: len(data) // 2])
        kernel.tick(Operation("journal write", "", ""))
        return os.write(fd, data)

    def close(self, fd: int) -> None:
        if fd in self._kernel.journal_fds:
            self._kernel.journal_fds.remove(fd)
            os.close(fd)

    def let_go(self, fd: int) -> None:
        self._kernel.journal_fds.discard(fd)
        fork.let_go(fd)

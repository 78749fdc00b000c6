"""Labels of a VE: ``KEY=VALUE`` for people and patterns, kept on the cgroup itself as extended attributes.

They go with the cgroup, need no file of rctl's own, and anybody who may list the cgroup can read them. ``user.*``
attributes on cgroup2 came with Linux 5.7: 128 of them, 128 KiB in all (KERNFS_MAX_USER_XATTRS in
include/linux/kernfs.h).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from .. import label
from ..errors import KernelError, NotAvailableError, RctlError
from .cgroup import Cgroup

_PREFIX = "user.rctl.label."


def of(cgroup: Cgroup) -> dict[str, str]:
    """A cgroup's labels; none where the kernel keeps none. Raises GoneError."""
    try:
        names = [name for name in os.listxattr(cgroup.fd) if name.startswith(_PREFIX)]
        return {
            name[len(_PREFIX) :]: os.getxattr(cgroup.fd, name).decode("utf-8", "surrogateescape")
            for name in sorted(names)
        }
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES):
            return {}
        raise cgroup.gone() from None


def put(cgroup: Cgroup, labels: Mapping[str, str], without: frozenset[str] = frozenset()) -> bool:
    """Set labels, and remove those ``without``. Returns whether anything changed; on failure all is as before.

    Raises UsageError, NotAvailableError, RctlError.
    """
    label.check(labels)
    before = of(cgroup)
    after = {key: value for key, value in before.items() if key not in without} | dict(labels)
    label.check_number(after)
    try:
        _make(cgroup, before, after)
    except OSError as error:
        _make(cgroup, of(cgroup), before)
        if error.errno == errno.ENOTSUP:
            raise NotAvailableError(
                f"{cgroup.path}: this kernel keeps no labels on cgroups (they came with Linux 5.7). Boot a newer one"
            ) from None
        if error.errno in (errno.ENOSPC, errno.E2BIG):
            raise RctlError(
                f"{cgroup.path}: label: a cgroup keeps 128 attributes of 128 KiB, those of others among them. "
                "Use fewer and shorter ones"
            ) from None
        raise KernelError(cgroup.path, "", "", error.errno or 0, "label") from None
    return before != after


@contextmanager
def put_all(wanted: Sequence[tuple[Cgroup, Mapping[str, str]]]) -> Iterator[None]:
    """Set labels of many cgroups, all or nothing: when that fails, or the block does, each has those that it had.

    Raises as ``put``.
    """
    before = [(cgroup, of(cgroup)) for cgroup, _ in wanted]
    try:
        for cgroup, labels in wanted:
            put(cgroup, labels)
        yield
    except BaseException:
        for cgroup, labels in before:
            restore(cgroup, labels)
        raise


def restore(cgroup: Cgroup, labels: Mapping[str, str]) -> None:
    """Give a cgroup the labels that it had, as far as it is still there."""
    with suppress(RctlError, OSError):
        _make(cgroup, of(cgroup), labels)


def _make(cgroup: Cgroup, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    for key in before.keys() - after.keys():
        os.removexattr(cgroup.fd, _PREFIX + key)
    for key, value in after.items():
        if before.get(key) != value:
            os.setxattr(cgroup.fd, _PREFIX + key, value.encode("utf-8", "surrogateescape"))

"""Labels of a VE: ``KEY=VALUE`` for people and patterns, stored on the cgroup as extended attributes.

They vanish with the cgroup and need no file of rctl's own. Every user who may list the cgroup can read them. ``user.*``
attributes on cgroup2 came with Linux 5.7: 128 of them, 128 KiB in total (KERNFS_MAX_USER_XATTRS in
include/linux/kernfs.h).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from .. import label
from ..errors import KernelError, NotAvailableError, RctlError
from .cgroup import Cgroup

_PREFIX = "user.rctl.label."


def of(cgroup: Cgroup) -> dict[str, str]:
    """A cgroup's labels; empty if the kernel keeps none. Raises GoneError."""
    return cgroup.attributes(_PREFIX)


def get(cgroup: Cgroup, key: str) -> str | None:
    """One label; ``None`` if it is not set. Raises GoneError."""
    return of(cgroup).get(key)


def write(cgroup: Cgroup, key: str, value: str | None) -> None:
    """Set one label; ``None`` removes it. Raises NotAvailableError, RctlError."""
    try:
        if value is None:
            os.removexattr(cgroup.fd, _PREFIX + key)
        else:
            os.setxattr(cgroup.fd, _PREFIX + key, value.encode("utf-8", "surrogateescape"))
    except OSError as error:
        if value is None and error.errno == errno.ENODATA:
            return
        if error.errno == errno.ENOTSUP:
            raise NotAvailableError(
                f"{cgroup.path}: this kernel keeps no labels on cgroups (they came with Linux 5.7). Boot a newer one"
            ) from None
        if error.errno in (errno.ENOSPC, errno.E2BIG):
            raise RctlError(
                f"{cgroup.path}: label: a cgroup holds at most 128 attributes, and 128 KiB of them, of all programs. "
                "Use fewer and shorter ones"
            ) from None
        raise KernelError(cgroup.path, "", "", error.errno or 0, "label") from None


def put(cgroup: Cgroup, labels: Mapping[str, str], without: Iterable[str] = ()) -> None:
    """Set labels, and remove those in ``without``; after a failure all labels are as before.

    Raises UsageError, NotAvailableError, RctlError.
    """
    label.check(labels)
    before = of(cgroup)
    after = {key: value for key, value in before.items() if key not in without} | dict(labels)
    label.check_number(after)
    try:
        _make(cgroup, before, after)
    except RctlError:
        restore(cgroup, before)
        raise


def restore(cgroup: Cgroup, labels: Mapping[str, str]) -> None:
    """Give a cgroup its old labels back, if it still exists."""
    with suppress(RctlError):
        _make(cgroup, of(cgroup), labels)


def _make(cgroup: Cgroup, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    for key in before.keys() - after.keys():
        write(cgroup, key, None)
    for key, value in after.items():
        if before.get(key) != value:
            write(cgroup, key, value)

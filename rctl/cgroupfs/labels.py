"""Labels of a VE: ``KEY=VALUE`` for people and patterns, kept on the cgroup itself as extended attributes.

They go with the cgroup, need no file of rctl's own, and anybody who may list the cgroup can read them. ``user.*``
attributes on cgroup2 came with Linux 5.7: 128 of them, 128 KiB in all (KERNFS_MAX_USER_XATTRS in
include/linux/kernfs.h).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from .. import label
from ..errors import READ_ONLY, NotAvailableError, RctlError
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
        why = f"{error.strerror}. Run as root, or use fewer and shorter ones"
        raise RctlError(f"{cgroup.path}: label: {READ_ONLY if error.errno == errno.EROFS else why}") from None
    return before != after


def _make(cgroup: Cgroup, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    for key in before.keys() - after.keys():
        os.removexattr(cgroup.fd, _PREFIX + key)
    for key, value in after.items():
        if before.get(key) != value:
            os.setxattr(cgroup.fd, _PREFIX + key, value.encode("utf-8", "surrogateescape"))

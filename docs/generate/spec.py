"""The keys of a spec's limits, with their values."""

from __future__ import annotations

from collections.abc import Iterator

from rctl.limit_reference import limits
from rctl.limits import BY_DEVICE


def table() -> Iterator[str]:
    """The table of all keys below ``[ve.NAME.limits]``."""
    yield from ("| key | values | unit of a number without one |", "|---|---|---|")
    for one in limits():
        yield f"| `{_toml(one.key)}` | {one.values} | {one.unit} |"
    yield '| `files."NAME"` | any file of the kernel, by its name | as the kernel takes it |'


def _toml(key: str) -> str:
    if limit := BY_DEVICE.get(key):
        return f'{key}."DISK" = {{ {", ".join(limit.names)} }}'
    first, _, rest = key.partition(".")
    return f'{first}."{rest}"' if first == "hugetlb" and "." in rest else key

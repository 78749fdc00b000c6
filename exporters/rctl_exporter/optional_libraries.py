"""The libraries of the extra ``rctl[exporter]``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rctl.errors import not_installed

_PACKAGES = {"h11": "h11", "yaml": "PyYAML", "bcrypt": "bcrypt"}


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Put around imports of these libraries. Raises NotAvailableError that names the missing one and the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").split(".")[0]
        if name not in _PACKAGES:
            raise
        raise not_installed(_PACKAGES[name], "exporter", "rctl exporter serve") from None

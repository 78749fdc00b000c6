"""Regular expressions that are compiled at their first use: a verb needs few of them, and compiling costs much."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any


class _Late:
    """It has all that ``re.Pattern`` has; ``pattern``, the text, compiles nothing."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self.pattern, self._flags), name)
        setattr(self, name, found)  # so the next use costs no more than with a compiled one
        return found


if TYPE_CHECKING:
    regex = re.compile
else:
    regex = _Late

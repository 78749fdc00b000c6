"""Shell patterns for names and paths: ``*``, ``?`` and ``[...]``, as in glob(7). Pure."""

from __future__ import annotations


def fits(name: str, pattern: str) -> bool:
    """True if a shell pattern fits a name or a path. ``*`` does not cross a slash."""
    from fnmatch import fnmatchcase

    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))

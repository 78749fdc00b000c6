"""The web configuration in force. It is read again when its file, or a file that it names, has changed.

Most servers have none, so the parser is imported when it is first needed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from rctl.errors import RctlError, UsageError

from .log import Log

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Executor

    from .users import Users

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Rules(NamedTuple):
    """The rules for a connection. ``context`` unset: plain HTTP. ``users`` unset: no passwords."""

    context: ssl.SSLContext | None = None
    sans: list[str] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Users | None = None


class Live:
    """The rules in force, from one file and the certificates that it names."""

    def __init__(self, path: str | None, log: Log, passwords: Executor) -> None:
        """``path`` unset: no TLS, no users. Raises UsageError, NotAvailableError if a file cannot be used."""
        self._path = path
        self._log = log
        self._passwords = passwords
        self._rules = Rules()
        self._watched: tuple[str, ...] = () if path is None else (path,)
        self._stamp: _Stamp = ()
        if path is not None:
            self._rules = self._read(path)

    def rules(self) -> Rules:
        """The rules for now.

        A changed file is read. If it is broken, or would remove TLS or all users from a server that had them, the old
        rules stay, and the log says so once for each change.
        """
        if self._path is None or self._stamp == _stamp(self._watched):
            return self._rules
        try:
            rules = self._read(self._path)
            self._guard(rules)
        except RctlError as error:
            self._log.warn("web config", f"{error} (the old configuration stays in force)")
        else:
            self._rules = rules
            self._log.warn("web config", f"{self._path}: read again; in force now")
        return self._rules

    def _read(self, path: str) -> Rules:
        from . import config, tls
        from .users import Users

        self._stamp = _stamp(self._watched)  # before the read, so that a later change is noticed
        found = config.read(path)
        self._watched = (path, *found.files)
        self._stamp = self._stamp[:1] + _stamp(found.files)
        return Rules(
            tls.context(found.tls, path) if found.tls else None,
            found.tls.client_allowed_sans if found.tls else None,
            tuple((name, value) for name, value in found.headers.items() if value),
            Users(found.users, self._passwords) if found.users else None,
        )

    def _guard(self, rules: Rules) -> None:
        """Refuse rules with less protection: a file that is just being written may look incomplete."""
        for what, old, new in (
            ("TLS", self._rules.context, rules.context),
            ("basic_auth_users", self._rules.users, rules.users),
        ):
            if old is not None and new is None:
                raise UsageError(f"{self._path}: would remove {what}. Restart rctl-exporter if you want that")


def _stamp(paths: tuple[str, ...]) -> _Stamp:
    return tuple(_file_stamp(path) for path in paths)


def _file_stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size

"""Read a file of lines that others add to, as it grows, and go on when it begins anew (``FILE`` to ``FILE.1``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import OUT_OF


class Follower:
    """The lines that came since the last look. ``close()`` it. A file that is not there, or may not be read, has none.

    A file that was cut short is read from its beginning.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._open(f"{path}.1")

    def lines(self) -> Iterator[bytes]:
        """Each whole line since the last call; at the first, all that there are, those of ``FILE.1`` too."""
        yield from self._rest()
        if self._begun_anew():
            yield from self._rest()  # what came just before it began anew
            self._open(self._path)
            yield from self._rest()

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()
        self._file = None

    def _open(self, path: str) -> None:
        """Raises OSError where this process or machine has no descriptor left; then what was open stays so."""
        found = None
        try:
            found = open(path, "rb")  # noqa: SIM115 (as long as it is followed)
        except OSError as error:
            if error.errno in OUT_OF:
                raise
        self.close()
        self._file = found

    def _begun_anew(self) -> bool:
        try:
            now = os.stat(self._path)
        except OSError:
            return False
        if self._file is None:
            return True
        here = os.fstat(self._file.fileno())
        cut = now.st_size < self._file.tell()
        return cut or (here.st_dev, here.st_ino) != (now.st_dev, now.st_ino)

    def _rest(self) -> Iterator[bytes]:
        while self._file:
            begin = self._file.tell()
            line = self._file.readline()
            if not line.endswith(b"\n"):  # not written to its end yet
                self._file.seek(begin)
                return
            yield line

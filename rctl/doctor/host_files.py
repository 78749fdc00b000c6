"""The host's own files, for the doctor. A test passes a folder with the same layout."""

from __future__ import annotations

import os

from ..errors import OUT_OF


class Machine:
    """``root``: the folder that holds /proc, /sys and /run; unset: this host."""

    def __init__(self, root: str = "") -> None:
        self.root = root

    def read(self, path: str) -> str | None:
        """A file's text; ``None`` if it is missing or may not be read (PSI that is off answers EOPNOTSUPP)."""
        try:
            with open(self.root + path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError as error:
            _raise_if_out_of(error)
            return None

    def present(self, path: str) -> str:
        """As ``read``. Raises FileNotFoundError if it is missing or may not be read."""
        if (text := self.read(path)) is None:
            raise FileNotFoundError(path)
        return text

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; empty if it cannot be listed."""
        try:
            return sorted(os.listdir(self.root + folder))
        except OSError as error:
            _raise_if_out_of(error)
            return []

    def has_folder(self, path: str) -> bool:
        """True if the folder exists."""
        return os.path.isdir(self.root + path)


def _raise_if_out_of(error: OSError) -> None:
    """Raise an error of exhausted resources of this process or machine: it does not mean that the file is missing."""
    if error.errno in OUT_OF:
        raise error

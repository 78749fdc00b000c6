"""Verbs by name: rows of a table, or files of a folder. The file of a verb is imported when the verb is first used.

So the start of rctl, the list of verbs and completion cost the same, whatever the number of verbs.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from .declare import QUIET, Parameter, parameters


class VerbRow:
    """A verb, or a group of verbs.

    ``place``: ``MODULE:NAME`` of its function, or of the rows of a group. ``about``: its purpose in one line; the
    function's docstring begins with the same line. ``hidden``: it is in no list.
    """

    def __init__(self, name: str, place: str, about: str, hidden: bool = False) -> None:
        self.name, self.place, self.about, self.hidden = name, place, about, hidden

    def load(self) -> Any:
        """The function of the verb, or the rows of the group. Imports its file."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


class VerbFile:
    """A verb with a file of its own, ``FOLDER/NAME.py``. Its function has the same name, or ``NAME_``."""

    hidden = False

    def __init__(self, package: str, folder: str, name: str) -> None:
        self.name = name
        self.place = f"{package}.{name}"
        self._file = f"{folder}/{name}.py"

    @property
    def about(self) -> str:
        """Its purpose: the first line of the function's docstring, read without importing the file."""
        with open(self._file, encoding="utf-8") as file:
            found = re.search(rf'^def {self.name}_?\(.*?"""(.*?)(?:\n|""")', file.read(), re.DOTALL | re.MULTILINE)
        return found[1] if found else ""

    def load(self) -> Any:
        """The function of the verb. Imports its file."""
        module = import_module(self.place)
        return getattr(module, self.name, None) or getattr(module, f"{self.name}_")


VerbSource = VerbRow | VerbFile


def verb_files(package: str, folder: str, order: Sequence[str]) -> list[VerbFile]:
    """A verb for each file of a folder; those in ``order`` come first."""
    names = sorted(file[:-3] for file in os.listdir(folder) if file.endswith(".py") and not file.startswith("_"))
    ranks = {name: rank for rank, name in enumerate(order)}
    return [VerbFile(package, folder, name) for name in sorted(names, key=lambda name: ranks.get(name, len(ranks)))]


class Verbs(Mapping[str, Any]):
    """What ``make`` makes of each row, by name, when it is first used. ``shown``: the rows of the list of verbs."""

    def __init__(self, rows: Sequence[VerbSource], make: Callable[[VerbSource], Any]) -> None:
        self._rows = {row.name: row for row in rows}
        self._make = make
        self._made: dict[str, Any] = {}
        self.shown = [row for row in rows if not row.hidden]

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make(self._rows[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Declared:
    """A verb as it is declared: its ``function``. For a group, the verbs below it: ``commands``."""

    def __init__(self, name: str, found: Any) -> None:
        self.name = name
        if isinstance(found, Sequence):
            self.commands = Verbs(found, lambda row: Declared(row.name, row.load()))
        else:
            self.function = found

    @property
    def params(self) -> list[Parameter]:
        """Its options and arguments, --quiet too."""
        if not hasattr(self, "function"):
            return []
        quiet = [Parameter("quiet", bool, False, QUIET, bool)] * getattr(self.function, "changes", False)
        return [*(one for one in parameters(self.function) if one.declared), *quiet]

"""``python -m docs.generate parts FOLDER`` writes the tables of the reference's pages, ``man FOLDER`` the man pages."""

from __future__ import annotations

import sys
from pathlib import Path

from rctl.cli.manual import pages

from . import api, files, limits, metrics, spec, verbs


def parts() -> dict[str, str]:
    """The generated part of each page of the reference, by its name."""
    made = {
        "verbs": verbs.sections,
        "limits": limits.table,
        "caveats": limits.caveats,
        "files": files.table,
        "metrics": metrics.table,
        "spec": spec.table,
        "api": api.sections,
    }
    return {f"{name}.md": "\n".join([*lines(), ""]) for name, lines in made.items()}


def main(arguments: list[str]) -> None:
    """Write the files. A file that would not change is left alone, so that a second build is fast."""
    made = {"parts": parts, "man": pages.pages}
    if len(arguments) != 2 or arguments[0] not in made:
        sys.exit("usage: python -m docs.generate parts|man FOLDER")
    folder = Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    found = made[arguments[0]]()
    for old in folder.iterdir():
        if old.name not in found:
            old.unlink()
    for name, text in found.items():
        if not (place := folder / name).exists() or place.read_text() != text:
            place.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])

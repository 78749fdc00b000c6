"""The Python sessions on a page of the documents, run as they stand.

A block of ```` ```pycon ```` is what one types after ``>>> ``, and what comes of it; ``...`` stands for any text. All
blocks of a page are one session. A block of TOML whose first line is a file's name is that file.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Container
from pathlib import Path

_BLOCK = re.compile(r"^```pycon\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"^```toml\n# (\S+\.toml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def sections(page: str) -> dict[str, str]:
    """What is typed and printed below each heading, by heading, in order."""
    parts = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: "\n".join(_BLOCK.findall(part)) for part in parts}


def wrong(page: Path, folder: Path, leave: Container[str] = ()) -> str:
    """What a session on the page prints otherwise than the page says; empty: nothing. ``leave``: headings to pass over.

    ``folder``: the working directory, where the page's files are put.
    """
    text = page.read_text()
    for name, content in _FILE.findall(text):
        (folder / name).write_text(content)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names: dict[str, object] = {}
    for heading, session in sections(text).items():
        if heading not in leave:
            test = doctest.DocTestParser().get_doctest(session, names, heading, str(page), 0)
            test.globs = names  # the next section goes on with what is there
            runner.run(test, out=told.append, clear_globs=False)
    return "".join(told)

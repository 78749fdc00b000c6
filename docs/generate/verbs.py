"""The reference of all verbs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rctl.cli.manual.tree import ManualVerb, root, walk


def sections() -> Iterator[str]:
    """A section for each verb."""
    for verb in walk(root()):
        yield from _section(verb)


def _section(verb: ManualVerb) -> Iterator[str]:
    depth = "##" if verb.name.count(" ") == 0 else "###"
    yield f"(verb-{verb.name.replace(' ', '-') or 'rctl'})="
    yield f"{depth} rctl {verb.name}".rstrip()
    yield ""
    yield from (line for part in verb.about for line in (text(part), ""))
    yield from ("```text", verb.usage, "```", "")
    for example in verb.examples:
        yield from ("For example:", "", "```sh", example, "```", "")
    for option in (*verb.arguments, *verb.options):
        yield from (f"`{option.name}`", f": {text(option.about)}", "")


def text(plain: str) -> str:
    """Plain text in Markdown; no character of it has a special meaning."""
    return re.sub(r"([\\`*_{}\[\]<>|$])", r"\\\1", plain)

"""Every verb with its arguments and options, from Typer's own tree: for the man pages and the reference."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .. import app

_DEFAULTS = re.compile(r"\s*\[(required)\]$")


class ManualOption(NamedTuple):
    """An option or argument: its form, and its effect."""

    name: str
    about: str


class ManualVerb(NamedTuple):
    """A verb. ``name``: the words after rctl. ``below``: the verbs of a group."""

    name: str
    usage: str
    about: Sequence[str]
    examples: Sequence[str]
    arguments: Sequence[ManualOption]
    options: Sequence[ManualOption]
    below: Sequence[ManualVerb]

    @property
    def summary(self) -> str:
        """The first sentence, for lists."""
        return self.about[0]


def root() -> ManualVerb:
    """rctl itself; its ``below`` are the verbs."""
    return _verb(app.root(), "", None)


def walk(verb: ManualVerb) -> Iterator[ManualVerb]:
    """The verb and all below it."""
    yield verb
    for below in verb.below:
        yield from walk(below)


def _verb(command: Any, name: str, above: Any) -> ManualVerb:
    word = name.rpartition(" ")[2] or "rctl"
    context = command.context_class(command, info_name=word, parent=above, **command.context_settings)
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]
    examples = [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]
    found: dict[str, list[ManualOption]] = {"argument": [], "option": []}
    for parameter in command.get_params(context):
        if record := parameter.get_help_record(context):
            found[parameter.param_type_name].append(ManualOption(record[0], _DEFAULTS.sub("", record[1])))
    below = [
        _verb(one, f"{name} {word}".strip(), context)
        for word, one in getattr(command, "commands", {}).items()
        if not one.hidden
    ]
    return ManualVerb(
        name,
        context.command_path + "".join(f" {piece}" for piece in command.collect_usage_pieces(context)),
        [part for part in paragraphs if not part.startswith("Example: ")],
        examples,
        found["argument"],
        found["option"],
        below,
    )

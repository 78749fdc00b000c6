"""The Python API from its docstrings: the names in ``rctl.__all__``, and their public methods."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec

import rctl
from rctl import errors
from rctl.adjust.account import Outcome
from rctl.adjust.records.record_format import Record
from rctl.adjust.undoing.undo import Undone
from rctl.doctor import Check
from rctl.sample.overview import Row
from rctl.sample.view import View
from rctl.ve.apply import Applied
from rctl.ve.processes import Process
from rctl.ve.reclaim import Reclaimed
from rctl.ve.remove import Removal
from rctl.ve.run import Ran

_NAMES = ("Session", "open", "VE", "transaction", "Options", "Account", "Limits", "Sample", "MAX", "RctlError")
"""The names in the order of the page; ``session`` is another name of Session."""
_RETURNED: tuple[type[Any], ...] = (
    Outcome, Row, View, Process, Check, Record, Undone, Applied, Removal, Ran, Reclaimed
)  # fmt: skip
"""The types of methods' results, or of their parts."""
_LONGEST = 80
"""Most characters of a signature on one line."""


def sections() -> Iterator[str]:
    """A section for each name of ``rctl``, and the errors."""
    for name in _NAMES:
        yield from _described(name, getattr(rctl, name))
    yield from ("## Types of results", "")
    for kind in _RETURNED:
        yield from (f"### {kind.__name__}", "", *_class(kind.__name__, kind))
    yield from ("## Errors", "", *_errors())


def _described(name: str, thing: Any) -> Iterator[str]:
    yield from (f"## rctl.{name}", "")
    if inspect.isclass(thing):
        yield from _class(f"rctl.{name}", thing)
    elif inspect.isfunction(thing):
        yield from _entry("function", f"rctl.{name}{_signature(thing)}", thing)
    else:
        yield from (
            "No limit. In a request it is the word `max`; in a result it is greater than any number.",
            "",
        )


def _class(name: str, kind: type[Any]) -> Iterator[str]:
    yield from _docstring(kind)
    if issubclass(kind, msgspec.Struct):
        yield from ("| field | type |", "|---|---|")
        for field in kind.__struct_fields__:
            yield f"| `{field}` | `{_plain(kind.__annotations__.get(field, ''))}` |"
        yield ""
        return
    if kind is rctl.Session and (text := inspect.getdoc(kind.__init__)):
        yield from _entry("class", f"{name}{_signature(kind.__init__)}", kind.__init__, text)
    for word, member in _members(kind):
        if not word.startswith("_"):
            yield from _member(f"{name}.{word}", member)


def _members(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """The members of a class of rctl, those inherited from other classes of rctl first."""
    found: dict[str, Any] = {}
    for part in reversed(kind.__mro__):
        if part.__module__.startswith("rctl."):
            found |= vars(part)
    yield from found.items()


def _member(name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property) or hasattr(member, "func"):
        yield from _entry("property", name, getattr(member, "func", None) or member.fget)
    elif inspect.isfunction(member):
        yield from _entry("method", f"{name}{_signature(member)}", member)


def _entry(kind: str, title: str, thing: Any, text: str = "") -> Iterator[str]:
    name = title.partition("(")[0]
    if kind in ("function", "class"):
        yield from ("```python", title, "```", "")
    else:
        yield from (f"(api-{name.replace('.', '-')})=", f"### {name.removeprefix('rctl.')}", "")
        yield from ("```python", title.removeprefix("rctl."), "```", "")
    yield _fenced(text or inspect.getdoc(thing) or "")
    yield ""


def _fenced(text: str) -> str:
    """The text with each session after ``>>> `` as a block of code."""
    return re.sub(r"^>>> .*?(?=\n\n|\Z)", r"```pycon\n\g<0>\n```", text, flags=re.MULTILINE | re.DOTALL)


def _docstring(kind: type[Any]) -> Iterator[str]:
    yield from (inspect.getdoc(kind) or "", "")


def _signature(function: Any) -> str:
    found = inspect.signature(function)
    kept = [_shown(one) for one in found.parameters.values() if one.name != "self"]
    back = found.return_annotation
    shown = str(found.replace(parameters=kept, return_annotation=inspect.Signature.empty))
    if len(shown) > _LONGEST:
        lines = ["*" if one.kind is one.KEYWORD_ONLY else "" for one in kept]
        first = lines.index("*") if "*" in lines else len(kept)
        parts = [*map(str, kept[:first]), *(["*"] if first < len(kept) else []), *map(str, kept[first:])]
        shown = "(\n" + "".join(f"    {part},\n" for part in parts) + ")"
    return shown + ("" if back in (inspect.Signature.empty, "None") else f" -> {_plain(back)}")


def _shown(one: inspect.Parameter) -> inspect.Parameter:
    default = _Bare(one.default) if inspect.isroutine(one.default) else one.default
    return one.replace(annotation=_Bare(one.annotation), default=default)


class _Bare:
    """An annotation that is shown exactly as it is written."""

    def __init__(self, text: Any) -> None:
        self.text = _plain(text)

    def __repr__(self) -> str:
        return self.text


def _plain(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _errors() -> Iterator[str]:
    yield from (
        "All errors are in `rctl.errors`, and are kinds of `rctl.RctlError`.",
        "",
        "| error | what it says |",
        "|---|---|",
    )
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, rctl.RctlError):
            first = (inspect.getdoc(kind) or "").split("\n\n")[0]
            yield f"| `{name}` | {' '.join(first.split())} |"

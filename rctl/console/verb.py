"""What all verbs have in common: how their usage is written, and --quiet of those that change something."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from typer.core import TyperCommand, TyperOption

F = TypeVar("F", bound=Callable[..., Any])
_WHOLE = re.compile(r"-?[0-9]+")


class Verb(TyperCommand):
    """A verb, whose usage line is written as man pages write it, and whose numbers are plain digits."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for parameter in self.params:
            if parameter.type.name.startswith("int"):
                _take_digits(parameter.type)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does; every refusal knows its verb, so that it can name the help that tells more."""
        try:
            found: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            if vars(error).get("ctx", error) is None:
                vars(error)["ctx"] = ctx
            raise
        return found

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """As Typer does, without the braces around what must be given."""
        return [re.sub(r"^\{(.*)\}$", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]


class Changes(Verb):
    """A verb that changes something, and so may be told to say nothing about it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.params.append(
            TyperOption(
                param_decls=["--quiet", "-q"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_be_quiet,
                help="Say nothing when all went well",
            )
        )


def shaped(shape: type[Verb]) -> Callable[[F], F]:
    """Have the command of a verb's function be of this class. Without it, it is a Verb."""

    def mark(function: F) -> F:
        function.__dict__["shape"] = shape
        return function

    return mark


changes = shaped(Changes)


def class_of(function: Callable[..., Any]) -> type[Verb]:
    """The class that ``shaped`` gave the function's command."""
    found = vars(function).get("shape", Verb)
    assert issubclass(found, Verb)
    return found  # type: ignore[no-any-return]


def _take_digits(kind: Any) -> None:
    """Have a type of whole numbers take nothing else that Python's ``int()`` does: ``1_0``, digits of other scripts."""
    if "convert" in vars(kind):
        return
    convert = kind.convert

    def digits(value: Any, parameter: Any, context: Any) -> Any:
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            kind.fail(f"{value!r} is not a valid {kind.name}.", parameter, context)
        return convert(value, parameter, context)

    kind.convert = digits


def _be_quiet(context: Any, parameter: Any, wanted: bool) -> None:
    if wanted:
        from .output import be_quiet

        be_quiet()

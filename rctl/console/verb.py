"""The classes of all verbs: the form of their usage line, and --quiet for those that change something."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from typer.core import TyperCommand, TyperOption

F = TypeVar("F", bound=Callable[..., Any])
_WHOLE = re.compile(r"-?[0-9]+")


class Verb(TyperCommand):
    """A verb. Its usage line has the form of man pages; its numbers are plain digits."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for parameter in self.params:
            if parameter.type.name.startswith("int"):
                _take_digits(parameter.type)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does; every error knows its verb, so that the message can name the verb's help."""
        try:
            found: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            if vars(error).get("ctx", error) is None:
                vars(error)["ctx"] = ctx
            raise
        return found

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line as Typer makes it, without braces around required arguments."""
        return [re.sub(r"^\{(.*)\}$", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]


class Changes(Verb):
    """A verb that changes something; it has --quiet."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.params.append(
            TyperOption(
                param_decls=["--quiet", "-q"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_be_quiet,
                help="Print nothing on success",
            )
        )


def shaped(shape: type[Verb]) -> Callable[[F], F]:
    """Make the command of a verb's function an instance of this class; the default is Verb."""

    def mark(function: F) -> F:
        function.__dict__["shape"] = shape
        return function

    return mark


changes = shaped(Changes)


def class_of(function: Callable[..., Any]) -> type[Verb]:
    """The class that ``shaped`` set for the function's command."""
    found = vars(function).get("shape", Verb)
    assert issubclass(found, Verb)
    return found  # type: ignore[no-any-return]


def _take_digits(kind: Any) -> None:
    """Make a type of whole numbers refuse what Python's ``int()`` takes besides digits: ``1_0``, other scripts."""
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

"""Verbs as Typer has them: their classes, the form of their usage line, and --quiet for those that change something."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from .declare import QUIET, REQUIRED, Parameter, parameters

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
                param_decls=[*QUIET.words],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_be_quiet,
                **QUIET.more,
            )
        )


def class_of(function: Callable[..., Any]) -> type[Verb]:
    """The class of the function's command: the one that ``shaped`` names, with --quiet if it changes something."""
    module, _, name = getattr(function, "shape", f"{__name__}:Verb").partition(":")
    found: type[Verb] = getattr(import_module(module), name)
    return type(name, (Changes, found), {}) if getattr(function, "changes", False) else found


def for_typer(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the signature that Typer reads: its declarations as Typer's own."""

    def called(**given: Any) -> Any:
        return function(**given)

    called.__doc__, called.__name__ = function.__doc__, function.__name__
    found = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is REQUIRED else one.default,
            annotation=_annotation(one),
        )
        for one in parameters(function)
    ]
    called.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in found}
    return called


def _annotation(one: Parameter) -> Any:
    if one.declared is None:
        return one.annotation
    make: Any = typer.Option if one.param_type_name == "option" else typer.Argument
    return Annotated[one.annotation.__origin__, make(*one.declared.words, **one.declared.more)]


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

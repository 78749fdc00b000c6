"""How a verb declares its options and arguments: in the annotations of its function, as Typer has it.

The table that is read from them serves all: the words of a command line (``words``), completion, and Typer, which
prints help and explains wrong usage. Nothing here loads Typer.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

F = TypeVar("F", bound=Callable[..., Any])
REQUIRED: Any = ...
"""The default of what must be given."""


class Exit(Exception):  # noqa: N818 (no error: a verb has ended)
    """Ends a verb with this status; what there is to say is said."""

    def __init__(self, code: int = 0) -> None:
        self.exit_code = code


class Option:
    """An option of a verb: its words, such as ``--json``, and Typer's texts and bounds (``metavar``, ``help``)."""

    kind: Literal["option", "argument"] = "option"

    def __init__(self, *words: str, **more: Any) -> None:
        self.words, self.more = words, more


class Argument(Option):
    """An argument of a verb."""

    kind = "argument"


class Parameter:
    """An option or argument of a verb, with the names that Typer gives to the same.

    ``type``: of one value. ``listed``: it takes several. ``declared``: unset for what only Typer passes.
    """

    def __init__(
        self,
        name: str,
        annotation: Any,
        default: Any,
        declared: Option | None,
        type: Any = str,  # noqa: A002 (as Typer calls it)
        listed: bool = False,
    ) -> None:
        self.name, self.annotation, self.default = name, annotation, default
        self.declared, self.type, self.listed = declared, type, listed

    @property
    def param_type_name(self) -> str:
        """``option`` or ``argument``."""
        return self.declared.kind if self.declared else ""

    @property
    def opts(self) -> tuple[str, ...]:
        """The words of an option; unset, its name. Words that say the opposite (``--above/--below``) are Typer's."""
        if self.param_type_name != "option" or not self.declared:
            return ()
        words = self.declared.words or (f"--{self.name.replace('_', '-')}",)
        return tuple(word.partition("/")[0] for word in words)

    @property
    def is_flag(self) -> bool:
        """True if it is an option without a value."""
        return self.type is bool

    @property
    def nargs(self) -> int:
        """The number of words of an argument; -1: all that are left."""
        return -1 if self.listed and self.param_type_name == "argument" else 1

    @property
    def help(self) -> str:
        """Its text in the help."""
        return str(self.declared.more.get("help", "")) if self.declared else ""


QUIET = Option("--quiet", "-q", help="Print nothing on success")


def changes(function: F) -> F:
    """Mark the function of a verb that changes something; the verb has --quiet."""
    function.__dict__["changes"] = True
    return function


def shaped(place: str, *, parses: bool = False) -> Callable[[F], F]:
    """Give a verb a class of its own for Typer, ``MODULE:NAME``. ``parses``: it reads words in a way of its own."""

    def mark(function: F) -> F:
        function.__dict__.update(shape=place, parses=parses)
        return function

    return mark


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The options and arguments of a verb, in the order of its function."""
    own = getattr(function, "__wrapped__", function)
    names = own.__code__.co_varnames[: own.__code__.co_argcount + own.__code__.co_kwonlyargcount]
    defaults = dict(zip(reversed(names), reversed(own.__defaults__ or ()), strict=False))
    more = getattr(function, "limits", ())
    return [
        *(_parameter(name, own, defaults.get(name, REQUIRED)) for name in names if not (more and name == "flags")),
        *more,
    ]


def _parameter(name: str, function: Any, default: Any) -> Parameter:
    annotation = function.__annotations__[name]
    if isinstance(annotation, str):
        annotation = eval(annotation, function.__globals__)  # noqa: S307 (the text of our own source)
    declared = next((one for one in getattr(annotation, "__metadata__", ()) if isinstance(one, Option)), None)
    return parameter(name, annotation, default, declared)


def parameter(name: str, annotation: Any, default: Any, declared: Option | None) -> Parameter:
    """A row of the table, from an annotation such as ``Annotated[list[str] | None, ...]``."""
    plain = getattr(annotation, "__origin__", annotation) if declared else annotation
    if get_origin(plain) not in (None, list, Literal):  # None is only the default
        (plain,) = (one for one in get_args(plain) if one is not type(None))
    listed = get_origin(plain) is list
    return Parameter(name, annotation, default, declared, get_args(plain)[0] if listed else plain, listed)

"""The man pages: rctl(1), one for each verb as rctl-set(1), and rctl-limits(7), in the macros of man(7).

https://man7.org/linux/man-pages/man7/man.7.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...limit_reference import limits, verbatim
from ...version import __version__
from .tree import ManualOption, ManualVerb, root, walk

_STATUS = (
    ManualOption("0", "Done."),
    ManualOption("1", "Failed, and nothing changed."),
    ManualOption("2", "Used wrongly."),
    ManualOption("3", "Something could not be put back. rctl recover tries again."),
    ManualOption("4", "A part of a rolling change is done and stays."),
)
_ENVIRONMENT = (
    ManualOption(
        "RCTL_TREE",
        "The cgroup below which VEs live. Unset: the root, or a unit for each VE under systemd.",
    ),
    ManualOption("RCTL_STATE", "The folder for journals and history. Unset: the folders below FILES."),
    ManualOption("RCTL_MOUNT", "The cgroup2 mount to work on. Unset: the one of your cgroup namespace."),
    ManualOption("NO_COLOR", "Set: no colours."),
)
_FILES = (
    ManualOption("/run/rctl", "Journals and locks, until the next boot."),
    ManualOption("/var/lib/rctl", "The history of adjustments."),
    ManualOption("$XDG_RUNTIME_DIR/rctl, $XDG_STATE_HOME/rctl", "The same, of a user."),
)


def pages() -> dict[str, str]:
    """The text of each man page, by its file name. They have no date, so the same rctl makes the same pages."""
    top = root()
    found = {"rctl.1": _page("rctl", 1, "set limits of containers, services and cgroups while they run", _top(top))}
    for verb in top.below:
        found[f"rctl-{verb.name}.1"] = _page(f"rctl-{verb.name}", 1, _lower(verb.summary), _verb(verb))
    found["rctl-limits.7"] = _page("rctl-limits", 7, "the limits that rctl sets", _limits())
    return dict(sorted(found.items()))


def _page(name: str, section: int, summary: str, body: Iterator[str]) -> str:
    head = f'.TH {name.upper()} {section} "" "rctl {__version__}" "rctl"'
    return "\n".join([head, ".nh", ".ad l", ".SH NAME", f"{_text(name)} \\- {_text(summary.rstrip('.'))}", *body, ""])


def _top(top: ManualVerb) -> Iterator[str]:
    yield from _synopsis([top])
    yield from (".SH DESCRIPTION", *_paragraphs(top.about))
    yield from (".SH VERBS", *_terms([ManualOption(f"rctl-{verb.name}(1)", verb.summary) for verb in top.below]))
    yield from (".SH OPTIONS", *_terms(top.options))
    yield from (".SH EXIT STATUS", *_terms(_STATUS))
    yield from (".SH ENVIRONMENT", *_terms(_ENVIRONMENT))
    yield from (".SH FILES", *_terms(_FILES))
    yield from _see("rctl-limits(7)", "cgroups(7)", "systemd.resource-control(5)")


def _verb(verb: ManualVerb) -> Iterator[str]:
    yield from _synopsis([one for one in walk(verb) if not one.below])
    yield from (".SH DESCRIPTION", *_paragraphs(verb.about))
    for one in walk(verb):
        if one is not verb and not one.below:
            yield from (f".SH RCTL {_text(one.name.upper())}", *_paragraphs(one.about))
            yield from _terms([*one.arguments, *one.options])
            yield from _examples(one.examples)
    if not verb.below:
        yield from (".SH OPTIONS", *_terms([*verb.arguments, *verb.options]))
        if verb.examples:
            yield from (".SH EXAMPLES", *_examples(verb.examples))
    yield from (".SH EXIT STATUS", *_terms(_STATUS))
    yield from _see("rctl(1)", "rctl-limits(7)")


def _limits() -> Iterator[str]:
    yield ".SH DESCRIPTION"
    yield from _paragraphs(
        [
            "rctl set takes limits as KEY=VALUE. A spec for rctl apply has them below [ve.NAME.limits] as KEY = VALUE.",
            "A limit that you do not name stays as it is. max is no limit. 0 is a value. default is that of a new VE.",
        ]
    )
    yield ".SH LIMITS"
    for limit in (*limits(), *verbatim()):
        since = f" Linux {limit.file.since} or newer." if limit.file else ""
        files = f"File: {' and '.join(limit.files)}. Default: {limit.default}.{since}"
        yield from _terms([ManualOption(limit.key, f"{limit.about} Values: {limit.values.replace('`', '')}. {files}")])
    yield from _terms([ManualOption("files.NAME", "Any file of the kernel by its name, as the kernel takes it.")])
    yield from _see("rctl-set(1)", "rctl-apply(1)", "cgroups(7)")


def _synopsis(verbs: Sequence[ManualVerb]) -> Iterator[str]:
    yield ".SH SYNOPSIS"
    for number, verb in enumerate(verbs):
        yield from ([".br"] if number else [])
        yield _text(verb.usage)


def _paragraphs(parts: Sequence[str]) -> Iterator[str]:
    for number, part in enumerate(parts):
        yield from ([".PP"] if number else [])
        yield _text(part)


def _terms(options: Sequence[ManualOption]) -> Iterator[str]:
    for option in options:
        yield from (".TP", f"\\fB{_text(option.name)}\\fR", _text(option.about))


def _examples(examples: Sequence[str]) -> Iterator[str]:
    for number, example in enumerate(examples):
        yield from ([".PP"] if number else [])
        yield from (".RS 4", ".nf", _text(example), ".fi", ".RE")


def _see(*names: str) -> Iterator[str]:
    yield from (".SH SEE ALSO", ", ".join(f"\\fB{_text(name[:-3])}\\fR{name[-3:]}" for name in names))


def _lower(summary: str) -> str:
    return summary[0].lower() + summary[1:]


def _text(plain: str) -> str:
    """Plain text, in which no character is a macro or an escape."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    escaped = escaped.replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped

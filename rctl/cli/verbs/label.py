"""``rctl label``: labels for people and patterns, stored on the VE's cgroup."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument, Option, changes
from ...console.flags import Json


@changes
def label(
    labelled: Annotated[
        list[str],
        Argument(metavar="VE... [KEY=VALUE...]", help="Names or patterns, then labels to set: env=prod"),
    ],
    remove: Annotated[list[str] | None, Option("--remove", metavar="KEY", help="Remove this label. Repeatable")] = None,
    json: Json = False,
) -> None:
    """Show, set and remove labels of VEs.

    label:KEY=VALUE then names these VEs in every verb. Labels are stored on the cgroup and end with it. rctl undo takes
    back labels that rctl apply set, but not those that rctl label set.

    Example: rctl label web1 env=prod; rctl set label:env=prod memory.max=2G
    """
    from ...console.flags import is_ve
    from ...console.output import as_json, columns, done, say
    from ...console.session import session
    from ...errors import UsageError

    names = [word for word in labelled if is_ve(word)]
    pairs = {key: value for word in labelled if not is_ve(word) for key, _, value in [word.partition("=")]}
    given = [word.partition("=")[0] for word in labelled if not is_ve(word)] + list(set(remove or ()))
    if twice := next((key for key in given if given.count(key) > 1), ""):
        raise UsageError(f"label: {twice}: given twice. Set it once, or remove it")
    if not names:
        raise UsageError("label: no VE given. Write: rctl label NAME env=prod")
    with session() as s:
        found = s.label(*names, labels=pairs, remove=remove or ())
    if json:
        (done if pairs or remove else say)(as_json(found))
    elif pairs or remove:
        for name, labels in found.items():
            done(f"{name}: {' '.join(f'{key}={value}' for key, value in labels.items()) or 'no labels'}")
    else:
        rows = [(n, " ".join(f"{k}={v}" for k, v in ls.items())) for n, ls in found.items()]
        columns(("VE", "LABELS"), rows, names=(0,), wrap=True)

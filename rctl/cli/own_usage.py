"""Verbs whose words or help differ from those of all others."""

from __future__ import annotations

import re
from typing import Any

from ..console.verb import Verb

_SIGNAL = re.compile(r"-([0-9]+|[A-Z][A-Z0-9]+)")


class SetVerb(Verb):
    """``set``. Its help ends with every key."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Print the keys, from the declarations of the limits."""
        from ..limits import keys

        below = {"hugetlb": "hugetlb.2MB hugetlb.2MB.rsvd", "files": "files.NAME"}
        formatter.write_paragraph()
        with formatter.section("Keys"):
            formatter.write_text(" ".join(below.get(key, key) for key in keys()))


class RunVerb(Verb):
    """``run``. Its command begins at ``--``; words after that are never taken for the VE's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does. Raises UsageError if no word before ``--`` is the name, or if one is a limit."""
        from ..errors import UsageError

        before = args[: args.index("--")] if "--" in args else list(args)
        given = self.make_parser(ctx).parse_args(list(before))[0]
        name = given.get("name")
        if not isinstance(name, str) and not {"--help", "-h"}.intersection(before):
            raise UsageError("run: the VE's name is missing. Write: rctl run NAME -- CMD")
        between = given.get("command") if "--" in args else None
        if limit := next((word for word in between or () if "=" in word), ""):
            raise UsageError(f"run: {limit}: a limit needs an option before it. Write: --limit {limit}")
        return super().parse_args(ctx, args)


class KillVerb(Verb):
    """``kill``; it also takes a signal as kill(1) does: ``-9``, ``-HUP``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does, after the signal is taken out."""
        words = list(args)
        for at, word in enumerate(args):
            if (match := _SIGNAL.fullmatch(word)) and (not at or args[at - 1] not in ("-s", "--signal")):
                words[at] = f"--signal={match[1]}"
        return super().parse_args(ctx, words)

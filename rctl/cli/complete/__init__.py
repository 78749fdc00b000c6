"""``rctl completion`` and ``rctl complete``: the words that a shell offers after Tab.

The shell's script (``rctl.bash``, ``rctl.zsh``, ``rctl.fish``) asks ``rctl complete`` with the words so far. The answer
is one line for each candidate, in three parts with tabs between: the word; ``+`` if more follows it without a blank,
else ``.``; a text about it. ``:files`` and ``:commands`` ask the shell to offer files and commands.
"""

from __future__ import annotations

from typing import Annotated, Literal

from ...console.declare import Argument

Shell = Literal["bash", "zsh", "fish"]


def completion(shell: Annotated[Shell, Argument(metavar="SHELL", help="bash, zsh or fish")]) -> None:
    """Print the script for completion in a shell.

    It completes verbs, VEs, limits and values. rctl setup puts it where the shell looks for it. By hand:

    bash: rctl completion bash >/etc/bash_completion.d/rctl

    zsh: rctl completion zsh >/usr/share/zsh/vendor-completions/_rctl

    fish: rctl completion fish >/etc/fish/completions/rctl.fish
    """
    from importlib.resources import files

    from ...console.output import say

    say(*files(__package__).joinpath(f"rctl.{shell}").read_text().splitlines())


def complete(
    shell: Annotated[Shell, Argument()],
    words: Annotated[list[str] | None, Argument()] = None,
) -> None:
    """Answer a shell's script. bash passes its word breaks and its line; the others pass the words after rctl."""
    from ...console.output import Shown, say
    from ..app import declared
    from . import line, place

    root = declared()
    if shell == "bash":
        breaks, text = words or ["", ""]
        typed = line.split(text)
        shown = line.for_bash(place.candidates(root, typed.words[1:] or [""]), typed, breaks)
    else:
        shown = list(place.candidates(root, words or [""]))
    if shown:
        say(*(Shown(candidate.as_line()) for candidate in shown))

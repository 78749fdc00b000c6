"""What ``rctl setup`` does, as data: first planned, then shown or carried out. Pure, but for what the caller reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from ..errors import RctlError
from .host import HostFacts
from .mark import state
from .parts import PARTS


class WriteFile(NamedTuple):
    """Write a file. ``why``: what is there now."""

    path: str
    text: str
    why: Literal["new", "changed", "replaced"]

    def describe(self) -> str:
        """The step in one line."""
        note = {"new": "", "changed": " (changed)", "replaced": " (replaces a file that is not rctl's, or was edited)"}
        return f"write {self.path}{note[self.why]}"


class RemoveFile(NamedTuple):
    """Remove a file of rctl's."""

    path: str

    def describe(self) -> str:
        """The step in one line."""
        return f"remove {self.path}"


class RunCommand(NamedTuple):
    """Run a command."""

    words: tuple[str, ...]

    def describe(self) -> str:
        """The step in one line."""
        return f"run {' '.join(self.words)}"


SetupStep = WriteFile | RemoveFile | RunCommand


class Look(NamedTuple):
    """How the plan sees the host. ``there``: the text at a path, ``None`` if nothing is there, ``""`` if it is no file.

    ``enabled``: whether a unit starts at boot. ``active``: whether it runs now.
    """

    there: Callable[[str], str | None]
    enabled: Callable[[str], bool]
    active: Callable[[str], bool]


class SetupRequest(NamedTuple):
    """What the user wants. ``parts``: their names."""

    parts: Sequence[str]
    start: bool = False
    force: bool = False


def to_write(
    asked: SetupRequest, files: Mapping[str, Mapping[str, str]], left: Sequence[str], host: HostFacts, look: Look
) -> list[SetupStep]:
    """The steps that write the parts' ``files`` and enable their units.

    ``left``: paths of files of an earlier version, no longer wanted. Raises RctlError for a file that is not rctl's.
    """
    if any(PARTS[part].units for part in files) and host.system and host.not_roots and not asked.force:
        raise RctlError(
            f"setup: {host.not_roots}: another user than root may change it, and so what root's services run. "
            "Install rctl, and its Python, as root; check the rights with ls -ld; or use --force"
        )
    steps: list[SetupStep] = []
    for path, text in ((path, text) for part in files.values() for path, text in part.items()):
        found = state(look.there(path), text)
        if found in ("foreign", "edited") and not asked.force:
            cause = "was edited since rctl setup wrote it" if found == "edited" else "was not written by rctl setup"
            raise RctlError(f"{path}: {cause}. Nothing is changed. To replace it, use --force")
        if found != "same":
            steps.append(
                WriteFile(path, text, "new" if found == "absent" else "changed" if found == "older" else "replaced")
            )
    steps += _removals(left, asked, look)
    return [*steps, *_commands(asked, steps, host, look)]


def to_remove(asked: SetupRequest, paths: Sequence[str], host: HostFacts, look: Look) -> list[SetupStep]:
    """The steps that take away the files at ``paths`` that are rctl's, and stop their units first.

    Raises RctlError for a file that was edited.
    """
    removals = _removals(paths, asked, look)
    names = [step.path.rpartition("/")[2] for step in removals if _is_unit(step.path, host)]
    on = [name for name in names if look.enabled(name) or look.active(name)]
    steps: list[SetupStep] = [RunCommand(host.systemctl("disable", "--now", *sorted(on, reverse=True)))] if on else []
    return [*steps, *removals, *([RunCommand(host.systemctl("daemon-reload"))] if names else [])]


def _removals(paths: Sequence[str], asked: SetupRequest, look: Look) -> list[RemoveFile]:
    found = []
    for path in paths:
        match state(look.there(path), None):
            case "older":
                found.append(RemoveFile(path))
            case "edited":
                if not asked.force:
                    raise RctlError(
                        f"{path}: was edited since rctl setup wrote it. Nothing is changed. To remove it, use --force"
                    )
                found.append(RemoveFile(path))
    return found


def _commands(asked: SetupRequest, steps: Sequence[SetupStep], host: HostFacts, look: Look) -> Iterator[RunCommand]:
    written = [
        step.path.rpartition("/")[2] for step in steps if not isinstance(step, RunCommand) and _is_unit(step.path, host)
    ]
    if written:
        yield RunCommand(host.systemctl("daemon-reload"))
    again = [name for name in written if name != "rctl-restore.service" and look.active(name)]
    if again:
        yield RunCommand(host.systemctl("restart", *again))
    for part in asked.parts:
        unit, starts = PARTS[part].enabled, PARTS[part].starts
        if not unit or (starts and not asked.start):
            continue
        if not look.enabled(unit) or (starts and not look.active(unit)):
            yield RunCommand(host.systemctl("enable", *["--now"] * starts, unit))


def _is_unit(path: str, host: HostFacts) -> bool:
    return path.startswith(f"{host.folders.units}/")

"""The table of all verbs, and the help of ``rctl`` itself."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperOption

from ..console.table import VerbGroup, VerbRow

VERBS = (
    VerbRow("doctor", "rctl.cli.doctor:doctor", "Check this host: what works, what is missing, how to fix it."),
    VerbRow("ls", "rctl.cli.ls:ls", "List VEs with their use, limits and memory pressure."),
    VerbRow("show", "rctl.cli.show:show", "Show limits, use, pressure and the room left."),
    VerbRow("get", "rctl.cli.get:get", "Print limits of a VE as rctl set takes them."),
    VerbRow("set", "rctl.cli.set:set_limits", "Change limits of running VEs, all or nothing."),
    VerbRow("reset", "rctl.cli.reset:reset", "Set limits of VEs back to what a new VE has, all or nothing."),
    VerbRow("copy", "rctl.cli.copy:copy", "Give VEs the limits of another VE, all or nothing."),
    VerbRow("apply", "rctl.cli.apply:apply", "Make and change VEs to match a spec, all or nothing."),
    VerbRow("diff", "rctl.cli.diff:diff", "Show what rctl apply would change."),
    VerbRow("export", "rctl.cli.export:export", "Print VEs as a spec for rctl apply."),
    VerbRow("undo", "rctl.cli.undo:undo", "Take back the last adjustment, or the one with this ID."),
    VerbRow("history", "rctl.cli.history:history", "Show the last adjustments, newest first."),
    VerbRow("recover", "rctl.cli.recover:recover", "Complete or put back adjustments that a crash left open."),
    VerbRow("run", "rctl.cli.run:run", "Run a command in a VE; make the VE if it is missing."),
    VerbRow("attach", "rctl.cli.attach:attach", "Move running processes into a VE, all of them or none."),
    VerbRow("ps", "rctl.cli.ps:ps", "List the processes of VEs."),
    VerbRow("freeze", "rctl.cli.freeze:freeze", "Stop all processes of VEs until rctl thaw, all VEs or none."),
    VerbRow("thaw", "rctl.cli.freeze:thaw", "Let the processes of frozen VEs continue, all VEs or none."),
    VerbRow("kill", "rctl.cli.kill:kill", "Send a signal to all processes of VEs."),
    VerbRow("reclaim", "rctl.cli.reclaim:reclaim", "Free memory of a VE now, without a limit."),
    VerbRow("label", "rctl.cli.label:label", "Show, set and remove labels of VEs."),
    VerbRow("rename", "rctl.cli.rename:rename", "Give an empty VE another name."),
    VerbRow("rm", "rctl.cli.rm:rm", "Remove VEs."),
    VerbRow("schema", "rctl.cli.schema:schema", "Print the JSON Schema of the spec that apply and diff read."),
    VerbRow("help", "rctl.cli.help:help_of", "Show the help of a verb, a limit or a topic."),
    VerbRow("completion", "rctl.cli.complete:completion", "Print the script for completion in a shell."),
    VerbRow("complete", "rctl.cli.complete:complete", "Answer a shell's script.", hidden=True),
    VerbRow("bench", "rctl.bench.verbs:VERBS", "Measure the cost of rctl, as ratios within one run."),
    VerbRow("exporter", "rctl_exporter.verbs:VERBS", "Serve every figure of every VE to Prometheus."),
)
"""All verbs, in the order of their list."""


def root() -> VerbGroup:
    """``rctl`` itself, as Typer runs it."""
    version = TyperOption(
        param_decls=["--version", "-V"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_version,
        help="Show the version",
    )
    return VerbGroup(
        VERBS,
        name="rctl",
        help="Set resource limits of containers, services and cgroups while they run.\n\n"
        "A VE is a cgroup with its processes: one of rctl's own by its name (web1), any other by its path "
        "(/docker/ID).",
        params=[version],
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _version(context: Any, parameter: Any, wanted: bool) -> None:
    if wanted:
        from ..console.output import say
        from ..version import __version__

        say(f"rctl {__version__}")
        raise typer.Exit

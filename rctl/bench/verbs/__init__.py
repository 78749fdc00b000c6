"""``rctl bench``: measures the cost of rctl, as ratios within one run. Each verb has its own file."""

from __future__ import annotations

from ...console.rows import VerbRow

VERBS = (
    VerbRow(
        "overhead", f"{__name__}.overhead:overhead", "Measure the same work bare and in a VE, by turns. Needs root."
    ),
    VerbRow("explain", f"{__name__}.overhead:explain", "Measure the cost of each part of a VE. Needs root."),
    VerbRow("adjust", f"{__name__}.parts:adjust", "Measure adjustments beside bare writes and reads."),
    VerbRow("exporter", f"{__name__}.exporter:exporter", "Measure scrapes of the exporter beside a bare loop."),
    VerbRow("life", f"{__name__}.parts:life", "Measure the time to make, enter and remove a bare VE."),
    VerbRow("density", f"{__name__}.parts:density", "Measure how many bare VEs fit into 1 GB."),
    VerbRow("virtual", f"{__name__}.parts:virtual", "Measure work bare, in a VE and in a virtual machine."),
    VerbRow("all", f"{__name__}.everything:everything", "Run all benchmarks and judge the claims of 2006. Needs root."),
    VerbRow("report", f"{__name__}.everything:report", "Make an HTML page of results in JSON."),
    VerbRow("compare", f"{__name__}.everything:compare", "Compare two runs."),
)

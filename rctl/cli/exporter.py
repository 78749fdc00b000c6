"""``rctl exporter``: every figure of every VE for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .flags import Json

if TYPE_CHECKING:
    from rctl_exporter.settings import Settings

app = typer.Typer(help="Every figure of every VE for Prometheus.", rich_markup_mode=None)

Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include", metavar="PATTERN", help="Export these VEs alone: web*, '/system.slice/**'. Again for more"
    ),
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="PATTERN", help="Export all but these VEs. Again for more")
]
Collect = Annotated[
    list[str] | None,
    typer.Option(
        "--collect",
        metavar="[PATTERN=]WORD,...",
        help="What is exported of the VEs that match, instead of what was before: core, full, or collectors alone "
        "(cpu,memory); beside a profile they are added (full,numa); -pressure takes one away. The last wins",
    ),
]
ProfileWord = Annotated[
    str | None, typer.Option("--profile", metavar="core|full", help="About 35 or about 150 series a VE [core]")
]
KeptFds = Annotated[
    int | None,
    typer.Option(
        "--kept-fds", metavar="N", help="Most kernel files kept open between scrapes [by the open-file limit]"
    ),
]
OpenMetrics = Annotated[bool, typer.Option("--openmetrics", help="OpenMetrics instead of the Prometheus text format")]
Listen = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        "--web.listen-address",
        metavar="ADDRESS:PORT",
        help="Where to answer [127.0.0.1:19939, or systemd's socket]. A port alone (:19939) is loopback's; "
        "0.0.0.0:19939 is every network's. Again for more",
    ),
]
WebConfig = Annotated[
    str | None,
    typer.Option(
        "--web.config.file",
        metavar="FILE",
        help="TLS, users and headers, as other exporters take them; re-read on change",
    ),
]
AllowedHost = Annotated[
    list[str] | None,
    typer.Option(
        "--web.allowed-host",
        metavar="NAME",
        help="Answer requests for this host name, too [on loopback localhost and this host's name; elsewhere any]. "
        "Again for more",
    ),
]


@app.callback()
def _root() -> None:
    pass


@app.command("serve")
def serve(
    listen: Listen = None,
    web_config: WebConfig = None,
    allowed_host: AllowedHost = None,
    profile: ProfileWord = None,
    include: Include = None,
    exclude: Exclude = None,
    collect: Collect = None,
    kept_fds: KeptFds = None,
) -> None:
    """Answer Prometheus on HTTP until told to end. Each scrape reads the kernel anew."""
    from rctl_exporter.serve import serve as run

    run(_settings(include, exclude, collect, profile, kept_fds), listen or (), web_config, allowed_host or ())


@app.command("once")
def once(
    openmetrics: OpenMetrics = False,
    profile: ProfileWord = None,
    include: Include = None,
    exclude: Exclude = None,
    collect: Collect = None,
) -> None:
    """Print one page of figures. Exit status 1 when something could not be read; the page lacks it."""
    from ..errors import NotAvailableError
    from .output import page

    text, trouble = _page(_settings(include, exclude, collect, profile, 0), openmetrics)
    page(text)
    if trouble:
        raise NotAvailableError(trouble)


@app.command("write")
def write(
    file: Annotated[str, typer.Argument(help="The file, such as /var/lib/prometheus/node-exporter/rctl.prom")],
    profile: ProfileWord = None,
    include: Include = None,
    exclude: Exclude = None,
    collect: Collect = None,
) -> None:
    """Write one page of figures to a file, whole or not at all, for node_exporter's textfile collector.

    When something cannot be read, the file stays as it was, and the exit status is 1.
    """
    from rctl_exporter import textfile

    from ..errors import NotAvailableError
    from .output import warn

    textfile.check(file)
    if not file.endswith(".prom"):
        warn(f"{file}: node_exporter reads files that end in .prom alone")
    page, trouble = _page(_settings(include, exclude, collect, profile, 0), openmetrics=False)
    if trouble:
        raise NotAvailableError(f"{file} was not written: {trouble}")
    textfile.write(file, page)


@app.command("metrics")
def metrics(json: Json = False) -> None:
    """List every metric: name, labels, profile, the kernel's file that it comes from, what it says."""
    from rctl_exporter import table

    from .output import as_json, columns, say

    found = list(table.entries())
    if json:
        say(as_json(found))
    else:
        head = ("METRIC", "LABELS", "PROFILE", "FROM", "WHAT")
        rows = [(e.name, ",".join(e.labels), e.profile, e.source.replace("`", "") or "-", e.help) for e in found]
        columns(head, rows)


def _settings(
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
    collect: Sequence[str] | None,
    profile: str | None,
    kept_fds: int | None,
) -> Settings:
    from rctl_exporter.settings import Settings

    return Settings.parse(include or (), exclude or (), collect or (), profile, kept_fds)


def _page(settings: Settings, openmetrics: bool) -> tuple[list[bytes], str]:
    """A page, and what is missing in it; empty when nothing is."""
    from rctl_exporter.scrape import Scraper

    from ..cgroupfs.files import allow_open_files
    from ..cgroupfs.tree import Tree

    allow_open_files()
    with Tree.open() as tree, Scraper(tree, settings, watch=False) as scraper:
        return scraper.scrape(openmetrics), str(scraper.trouble)

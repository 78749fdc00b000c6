"""``rctl exporter``: every figure of every VE for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from rctl.console.declare import Argument, Option
from rctl.console.flags import Json
from rctl.console.rows import VerbRow

if TYPE_CHECKING:
    from .settings import Settings

VERBS = (
    VerbRow("serve", f"{__name__}:serve", "Answer Prometheus on HTTP until a signal ends it."),
    VerbRow("once", f"{__name__}:once", "Print one page of figures."),
    VerbRow("write", f"{__name__}:write", "Write one page of figures to a file, for node_exporter."),
    VerbRow("metrics", f"{__name__}:metrics", "List every metric."),
)

Include = Annotated[
    list[str] | None,
    Option("--include", metavar="PATTERN", help="Export only these VEs: web*, '/system.slice/**'. Repeatable"),
]
Exclude = Annotated[
    list[str] | None, Option("--exclude", metavar="PATTERN", help="Do not export these VEs. Repeatable")
]
Collect = Annotated[
    list[str] | None,
    Option(
        "--collect",
        metavar="[PATTERN=]WORD,...",
        help="Export this of the VEs that match PATTERN: a profile (core, full), collectors (cpu,memory), or both "
        "(full,numa). -pressure takes a collector away. The last one that matches a VE counts. Repeatable",
    ),
]
ProfileWord = Annotated[
    str | None, Option("--profile", metavar="core|full", help="About 35 or about 150 series for each VE [core]")
]
KeptFds = Annotated[
    int | None,
    Option(
        "--kept-fds",
        metavar="N",
        help="Most kernel files kept open between scrapes [from the limit of open files; in core, not all of them]",
    ),
]
OpenMetrics = Annotated[bool, Option("--openmetrics", help="Print OpenMetrics instead of the Prometheus text format")]
Listen = Annotated[
    list[str] | None,
    Option(
        "--listen",
        "--web.listen-address",
        metavar="ADDRESS:PORT",
        help="Address to listen on [127.0.0.1:19939, or systemd's socket]. :19939 is that port on loopback, "
        "0.0.0.0:19939 that port on all networks. Repeatable",
    ),
]
WebConfig = Annotated[
    str | None,
    Option(
        "--web.config.file",
        metavar="FILE",
        help="TLS, users and headers, in exporter-toolkit's format. Read again when it changes",
    ),
]
AllowedHost = Annotated[
    list[str] | None,
    Option(
        "--web.allowed-host",
        metavar="NAME",
        help="Also answer requests for this host name [on loopback: localhost and this host's name; elsewhere: any]. "
        "Repeatable",
    ),
]


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
    """Answer Prometheus on HTTP until a signal ends it.

    Each scrape reads the kernel anew.
    """
    from .serve import serve as run

    run(_settings(include, exclude, collect, profile, kept_fds), listen or (), web_config, allowed_host or ())


def once(
    openmetrics: OpenMetrics = False,
    profile: ProfileWord = None,
    include: Include = None,
    exclude: Exclude = None,
    collect: Collect = None,
) -> None:
    """Print one page of figures.

    What cannot be read is left out, and the exit status is then 1.
    """
    from rctl.console.output import page
    from rctl.errors import NotAvailableError

    text, trouble = _page(_settings(include, exclude, collect, profile, 0), openmetrics)
    page(text)
    if trouble:
        raise NotAvailableError(trouble)


def write(
    file: Annotated[
        str, Argument(metavar="FILE", help="The file, such as /var/lib/prometheus/node-exporter/rctl.prom")
    ],
    profile: ProfileWord = None,
    include: Include = None,
    exclude: Exclude = None,
    collect: Collect = None,
) -> None:
    """Write one page of figures to a file, for node_exporter.

    It is for the textfile collector. The file is replaced as a whole. When something cannot be read, the file stays
    as it was, and the exit status is 1.
    """
    from rctl.console.output import warn
    from rctl.errors import NotAvailableError

    from . import textfile

    textfile.check(file)
    if not file.endswith(".prom"):
        warn(f"{file}: node_exporter reads files that end in .prom alone")
    page, trouble = _page(_settings(include, exclude, collect, profile, 0), openmetrics=False)
    if trouble:
        raise NotAvailableError(f"{file} was not written: {trouble}")
    textfile.write(file, page)


def metrics(json: Json = False) -> None:
    """List every metric.

    Shows its name, labels, profile, the kernel's file that it comes from, and what it means.
    """
    from rctl.console.output import as_json, columns, say

    from . import table

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
    from .settings import Settings

    return Settings.parse(include or (), exclude or (), collect or (), profile, kept_fds)


def _page(settings: Settings, openmetrics: bool) -> tuple[list[bytes], str]:
    """A page, and what is missing in it; empty when nothing is."""
    from rctl.cgroupfs.files import allow_open_files
    from rctl.console.session import session

    from .scrape import Scraper

    allow_open_files()
    with session() as s, Scraper(s.site, settings, watch=False) as scraper:
        return scraper.scrape(openmetrics), str(scraper.trouble)

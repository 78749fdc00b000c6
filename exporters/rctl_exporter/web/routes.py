"""The answers to requests: the pages, and one line for everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rctl.errors import BusyError, RctlError, UsageError
from rctl.version import __version__

from ..request_filter import Only
from .hosts import Hosts
from .log import Log
from .metrics import Metrics
from .negotiate import TEXT, content_type, wants_gzip
from .reload import Rules

_METHODS = ("GET", "HEAD")
_ONE_LINE = "text/plain; charset=utf-8"
_PATHS = ("/metrics", "/", "/-/healthy")

_LANDING = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>rctl exporter</title></head>
<body>
<h1>rctl exporter</h1>
<p>Version {__version__}. Limits, use, pressure and events of this host's VEs (cgroup v2), read anew on each scrape.</p>
<ul>
<li><a href="/metrics">/metrics</a>: all figures, for Prometheus</li>
<li><a href="/-/healthy">/-/healthy</a>: checks that this server answers; reads no figures</li>
</ul>
</body>
</html>
""".encode()


class Request(NamedTuple):
    """A request's head. ``headers``: names in lower case, values of repeated ones joined with commas.

    ``loopback``: it came to an address that only this host reaches.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    has_body: bool = False
    client: str = ""
    loopback: bool = False


class Answer(NamedTuple):
    """A response: its status, its own headers, its body as chunks."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: Sequence[bytes]

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.body))


def line(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """An answer of one line of text."""
    return Answer(status, (("Content-Type", _ONE_LINE), *headers), [f"{' '.join(text.split())}\n".encode()])


class WebSite:
    """All pages of this server."""

    def __init__(self, metrics: Metrics, log: Log, hosts: Hosts) -> None:
        self._metrics = metrics
        self._log = log
        self._hosts = hosts

    async def refusal(self, request: Request, rules: Rules) -> Answer | None:
        """The refusal of a request, by the rules in force and the host's name; ``None`` if it is allowed."""
        for host in _hosts_of(request):
            if not self._hosts.allow(host, loopback=request.loopback):
                self._log.warn("host", f"{request.client}: refused the host {host[:80]!r}. See --web.allowed-host")
                return line(421, "not a name of this host. Ask for its address, or see --web.allowed-host")
        if not rules.users or await rules.users.allow(request.headers.get("authorization", "")):
            return None
        if "authorization" in request.headers:
            self._log.warn("password", f"{request.client}: wrong user or password")
        return line(401, "not authorized", ("WWW-Authenticate", 'Basic realm="rctl", charset="UTF-8"'))

    async def answer(self, request: Request) -> Answer:
        """The answer to a request; a failure is an answer, too."""
        path = _path(request.target)
        if path is None:
            return line(400, "not a request target")
        if path not in _PATHS:
            return line(404, "no such page. See /")
        if request.method not in _METHODS:
            return line(405, f"{path} takes only GET and HEAD", ("Allow", ", ".join(_METHODS)))
        if request.has_body:
            return line(413, f"{path} takes no request body")
        if path == "/metrics":
            return await self._page(request)
        if path == "/-/healthy":
            return line(200, "rctl-exporter is healthy")
        policy = ("Content-Security-Policy", "default-src 'none'")
        return Answer(200, (("Content-Type", "text/html; charset=utf-8"), policy), [_LANDING])

    async def _page(self, request: Request) -> Answer:
        kind = content_type(request.headers.get("accept", ""))
        gzip = wants_gzip(request.headers.get("accept-encoding", ""))
        try:
            only = Only.parse(request.target.partition("?")[2].partition("#")[0])
            chunks = await self._metrics.get(openmetrics=kind != TEXT, gzip=gzip, only=only)
        except UsageError as error:
            return line(400, str(error))
        except BusyError as error:
            return line(503, str(error), ("Retry-After", "1"))
        except (RctlError, OSError) as error:
            self._log.warn("scrape", f"scrape failed: {error}")
            return line(500, f"scrape failed: {error}")
        except Exception as error:  # noqa: BLE001 (a bug must not end the server; the log has it)
            self._log.warn("fault", f"a bug in rctl made the scrape fail: {_told(error)}")
            return line(500, "a bug in rctl made the scrape fail. See its log")
        headers = [("Content-Type", kind), ("Vary", "Accept, Accept-Encoding")]
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        return Answer(200, tuple(headers), chunks)


def _path(target: str) -> str | None:
    """The path of a request's target, which may be a whole URL (RFC 9112, 3.2.2); ``None`` if it is neither."""
    _, target = _split(target)
    if not target.startswith("/"):
        return None
    return target.partition("?")[0].partition("#")[0]


def _split(target: str) -> tuple[str, str]:
    """A target's host and port (empty if it is no whole URL), and the rest."""
    for scheme in ("http://", "https://"):
        if target.lower().startswith(scheme):
            host, slash, rest = target[len(scheme) :].partition("/")
            return host, slash + rest or "/"
    return "", target


def _hosts_of(request: Request) -> list[str]:
    """The hosts that a request asks for: in its target and in its header. HTTP/1.0 needs neither."""
    return [host for host in (_split(request.target)[0], request.headers.get("host", "")) if host]


def _told(error: BaseException) -> str:
    """An error of an unknown kind, with the place that raised it."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}: {error}{where}"

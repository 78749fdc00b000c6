"""The HTTP API of a container engine on its socket, for one container.

docker: https://docs.docker.com/reference/api/engine/. podman: https://docs.podman.io/en/latest/_static/api.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import GoneError, NotAvailableError, NotFoundError, RctlError, explained

_SECONDS = 60.0
"""For an answer: on a busy host, an engine and its runtime need seconds for an update."""
_MOST = 4 << 20


class Engine(msgspec.Struct, frozen=True):
    """A container engine. ``name``: of its command. ``prefix``: of its paths. ``status``: of an update that succeeded.

    ``permitted``: the remedy if the caller may not use the socket. ``silent``: if nobody answers there.
    """

    name: str
    prefix: str
    status: int
    permitted: str
    silent: str


class Inspected(msgspec.Struct, frozen=True):
    """A container as its engine knows it: its ``HostConfig``. ``version``: of podman; empty if it is another engine."""

    config: dict[str, Any]
    running: bool
    version: str


class EngineContainer(msgspec.Struct, frozen=True):
    """A container: its id, and the engine and the socket of that engine.

    ``uid``: of the user who must have opened the socket; ``None``: any.
    """

    id: str
    socket: str
    engine: Engine
    uid: int | None = None

    def update(self, body: Mapping[str, Any]) -> None:
        """Change its stored limits, and those in force if it runs. Raises as ``inspected``; RctlError if refused."""
        self._ask("POST", "update", self.engine.status, body)

    def config(self) -> dict[str, Any]:
        """Its ``HostConfig``. Raises GoneError if it does not run, and as ``inspected``."""
        found, name = self.inspected(), self.engine.name
        if not found.running:
            raise GoneError(f"{name}: container {self.id[:12]} does not run. Start it: {name} start {self.id[:12]}")
        return found.config

    def inspected(self) -> Inspected:
        """What the engine knows of it. Raises NotAvailableError, NotFoundError."""
        found, headers = self._ask("GET", "json", 200)
        try:
            config, running = found["HostConfig"], found["State"]["Running"]
            if not isinstance(config, dict):
                raise TypeError
        except (KeyError, TypeError):
            raise self.strange() from None
        return Inspected(config, running is True, headers.get("libpod-api-version", ""))

    def strange(self, why: object = "") -> NotAvailableError:
        """The error for an answer that is not of this engine."""
        name = self.engine.name
        return NotAvailableError(
            f"{name}: the answer at {self.socket} is not {name}'s{f': {why}' if why else ''}. {self.engine.silent}"
        )

    def _ask(
        self, method: str, what: str, wanted: int, body: Mapping[str, Any] | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        """The answer to a request about it, and its headers."""
        from . import unix_http

        name, path = self.engine.name, f"{self.engine.prefix}/containers/{self.id}/{what}"
        data = msgspec.json.encode(body) if body is not None else b""
        try:
            answer = unix_http.ask(self.socket, method, path, data, seconds=_SECONDS, most=_MOST, uid=self.uid)
            if answer.status == wanted and body is not None:
                return {}, answer.headers  # podman's is no JSON
            found = msgspec.json.decode(answer.body) if answer.body else {}
        except PermissionError:
            raise NotAvailableError(f"{name}: this user may not use {self.socket}. {self.engine.permitted}") from None
        except TimeoutError:
            raise self._silent(f" in {_SECONDS:g} s") from None
        except RecursionError:
            raise self._silent(": it is nested too deeply") from None
        except (OSError, ValueError) as error:
            raise self._silent(f": {explained(error) if isinstance(error, OSError) else error}") from None
        if answer.status == wanted:
            return found, answer.headers
        said = found.get("message", "") if isinstance(found, dict) else ""
        why = " ".join(str(said).split()).removeprefix(f"Cannot update container {self.id}: ")[:400]
        if answer.status == 404:
            raise NotFoundError(f"{name}: {why or 'no such container'}. See {name} ps")
        raise RctlError(f"{name} refuses to update {self.id[:12]}: {why or answer.status}")

    def _silent(self, why: str) -> NotAvailableError:
        return NotAvailableError(f"{self.engine.name}: no answer at {self.socket}{why}. {self.engine.silent}")

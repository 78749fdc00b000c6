"""The spec: a TOML file that says what many VEs may use, and its JSON Schema for editors.

[ve.web1]
memory.max = "2G"
cpu.max = 1.5
io.max."/var/lib" = { wbps = "20MB/s" }
"""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec

from .errors import UsageError
from .host import Host
from .limits import Limits, decode
from .units import Flag, Quantity, Ranges

_LARGEST = 16 << 20


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits by VE name. A VE that is not there is made; a limit that is not given stays as it is."""

    ve: dict[str, Limits]


def load(path: str, host: Host) -> Spec:
    """Read and check a spec; ``-`` is standard input. Raises UsageError with the file, the place and the reason."""
    try:
        with open(0 if path == "-" else path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise UsageError(f"{path}: larger than {_LARGEST >> 20} MiB. Split it")
    try:
        plain = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text at byte {error.start}. A spec is a TOML file") from None
    except (ValueError, RecursionError) as error:  # ValueError: not TOML, or a number of more digits than Python reads
        raise UsageError(f"{path}: not TOML: {error}") from None
    try:
        spec: Spec = decode(plain, host, Spec)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return spec


def schema() -> dict[str, Any]:
    """The spec's JSON Schema (2020-12)."""
    found = msgspec.json.schema(Spec, schema_hook=_schema_of)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "rctl spec", **found}


def _schema_of(kind: type) -> dict[str, Any]:
    if issubclass(kind, Ranges):
        types: list[str] = ["string", "integer", "array"]
        return {"type": types, "items": {"type": "integer"}, "description": f"For example {kind.examples}"}
    if issubclass(kind, Quantity):
        types = ["string", "integer", "boolean"] if issubclass(kind, Flag) else ["string", "number"]
        first = (kind.__doc__ or "").strip().splitlines()[0]
        return {"type": types, "description": f"{first} For example {kind.examples}"}
    raise NotImplementedError(kind)

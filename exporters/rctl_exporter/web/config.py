"""The file of ``--web.config.file``: TLS, users and headers, in the format of Prometheus' exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. A setting that Python's ssl cannot
follow is refused with the reason, never ignored.
"""

from __future__ import annotations

import os
import re
from typing import Literal

import msgspec

from .yaml_file import Document

TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
ClientAuth = Literal[
    "",
    "NoClientCert",
    "RequestClientCert",
    "RequireClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
]
VERIFYING = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")

_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}\Z", re.ASCII)
_VALUE = re.compile(r"[\t -~]*\Z", re.ASCII)
_HEADERS: dict[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tls_server_config``. Paths are relative to the file's own folder."""

    cert_file: str = ""
    key_file: str = ""
    client_auth_type: ClientAuth = ""
    client_ca_file: str = ""
    client_allowed_sans: list[str] | None = None
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"
    cipher_suites: list[str] | None = None
    prefer_server_cipher_suites: bool = True
    curve_preferences: list[str] | None = None
    cert: str = ""
    key: str = ""
    client_ca: str = ""


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``http_server_config``. ``http2`` is accepted and has no effect: the server speaks HTTP/1.1."""

    http2: bool = True
    headers: dict[str, str] | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tls_server_config: Tls | None = None
    http_server_config: Http | None = None
    basic_auth_users: dict[str, str] | None = None


class Config(msgspec.Struct, frozen=True):
    """The checked file. ``tls`` unset: plain HTTP. ``users``: bcrypt hashes by name; empty: no passwords are asked."""

    tls: Tls | None
    headers: dict[str, str]
    users: dict[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it names; they are watched with it."""
        return tuple(filter(None, (self.tls.cert_file, self.tls.key_file, self.tls.client_ca_file) if self.tls else ()))


def read(path: str) -> Config:
    """Read and check the file. Raises UsageError with file, line and remedy."""
    document = Document(path)
    if document.data is None:
        raise document.error("the file is empty. Write tls_server_config or basic_auth_users, or drop the flag")
    file = document.convert(_File)
    tls = file.tls_server_config
    if tls == Tls():
        tls = None
    if tls:
        _check_tls(document, tls)
        tls = _placed(tls, os.path.dirname(path))
    headers = (file.http_server_config or Http()).headers or {}
    _check_headers(document, headers)
    users = file.basic_auth_users or {}
    _check_users(document, users)
    return Config(tls, headers, users)


def _placed(tls: Tls, folder: str) -> Tls:
    names = ("cert_file", "key_file", "client_ca_file")
    return msgspec.structs.replace(tls, **{n: os.path.join(folder, p) for n in names if (p := getattr(tls, n))})


def _check_tls(document: Document, tls: Tls) -> None:
    place = "tls_server_config"
    for name, other in (("cert", "cert_file"), ("key", "key_file"), ("client_ca", "client_ca_file")):
        if getattr(tls, name):
            raise document.error(
                f"{place}.{name}: must not stand in this file. Name another file with {other}", place, name
            )
    if not tls.cert_file or not tls.key_file:
        missing = "cert_file" if not tls.cert_file else "key_file"
        raise document.error(f"{place}: {missing} is missing. Give both cert_file and key_file", place)
    if tls.curve_preferences:
        text = f"{place}.curve_preferences: Python's ssl cannot set them. Remove the line"
        raise document.error(text, place, "curve_preferences")
    if tls.min_version > tls.max_version:
        text = f"{place}.min_version: {tls.min_version} is above max_version {tls.max_version}. Change one"
        raise document.error(text, place, "min_version")
    _check_clients(document, tls, place)


def _check_clients(document: Document, tls: Tls, place: str) -> None:
    kind = tls.client_auth_type
    at = (place, "client_auth_type")
    if kind in ("RequestClientCert", "RequireClientCert", "RequireAnyClientCert"):
        raise document.error(f"{'.'.join(at)}: {kind} accepts any certificate. Use {VERIFYING[1]}", *at)
    if kind in VERIFYING and not tls.client_ca_file:
        raise document.error(f"{'.'.join(at)}: {kind} needs client_ca_file. Name the authority's certificate", *at)
    if kind not in VERIFYING and tls.client_ca_file:
        text = f"{place}.client_ca_file: has no effect without client_auth_type. Add client_auth_type: {VERIFYING[1]}"
        raise document.error(text, place, "client_ca_file")
    if tls.client_allowed_sans is not None and kind != VERIFYING[1]:
        text = f"{place}.client_allowed_sans: needs client_auth_type: {VERIFYING[1]}. Add it"
        raise document.error(text, place, "client_allowed_sans")


def _check_headers(document: Document, headers: dict[str, str]) -> None:
    at = ("http_server_config", "headers")
    for name, value in headers.items():
        if name not in _HEADERS:
            raise document.error(f"{'.'.join(at)}: {name[:40]!r} cannot be set. Use {', '.join(_HEADERS)}", *at, name)
        allowed = _HEADERS[name]
        if (allowed and value not in ("", *allowed)) or not _VALUE.match(value):
            text = " or ".join(allowed) or "printable ASCII"
            raise document.error(f"{'.'.join(at)}: {name}: {value[:40]!r} is not allowed. Use {text}", *at, name)


def _check_users(document: Document, users: dict[str, str]) -> None:
    for name, value in users.items():
        at = ("basic_auth_users", name)
        if not name or ":" in name:
            raise document.error(f"basic_auth_users: {name[:40]!r} is not a user's name. Use one without a colon", *at)
        if not _HASH.match(value):  # the value is never shown: it may be a password
            raise document.error(
                f"basic_auth_users: {name[:40]}: not a bcrypt hash. Make one with htpasswd -nBC 10 {name[:40]}", *at
            )

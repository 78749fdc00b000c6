"""TLS by the web configuration: the context for new connections, and the check of client certificates."""

from __future__ import annotations

import ipaddress
import ssl
import warnings
from collections.abc import Mapping
from typing import Any

from rctl import input_files
from rctl.errors import UsageError

from .config import Tls

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_LARGEST = 16 << 20
_VERIFY = {"VerifyClientCertIfGiven": ssl.CERT_OPTIONAL, "RequireAndVerifyClientCert": ssl.CERT_REQUIRED}
_SUITES = {
    f"TLS_ECDHE_{key}_WITH_{long}": f"ECDHE-{key}-{short}"
    for key in ("ECDSA", "RSA")
    for long, short in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("CHACHA20_POLY1305", "CHACHA20-POLY1305"),
    )
}
"""Go's names of the suites, which the format uses, to OpenSSL's names."""
_ALWAYS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""The suites of TLS 1.3; neither Go nor Python lets anyone choose among these."""


def context(tls: Tls, path: str) -> ssl.SSLContext:
    """The context for new connections. ``path``: of the configuration, for errors.

    Raises UsageError for files and suites that cannot be used.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # the file asks for TLS 1.0 on purpose
        made.minimum_version = _VERSIONS[tls.min_version]
        made.maximum_version = _VERSIONS[tls.max_version]
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if tls.prefer_server_cipher_suites:
        made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_alpn_protocols(["http/1.1"])
    if suites := _suites(tls.cipher_suites or [], path):
        made.set_ciphers(":".join(suites))
    _load(tls, made)
    return made


def _suites(names: list[str], path: str) -> list[str]:
    for name in names:
        if name not in _SUITES and name not in _ALWAYS:
            raise UsageError(
                f"{path}: tls_server_config.cipher_suites: {name[:60]!r} is not known or not safe. "
                f"Use some of {', '.join(_SUITES)}"
            )
    return [_SUITES[name] for name in names if name in _SUITES]


def _load(tls: Tls, made: ssl.SSLContext) -> None:
    _readable(tls.cert_file)
    _readable(tls.key_file)
    try:
        made.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise UsageError(
            f"{tls.cert_file}, {tls.key_file}: no certificate with its key in PEM: {_reason(error)}. Check both files"
        ) from None
    if tls.client_auth_type in _VERIFY:
        _readable(tls.client_ca_file)
        try:
            made.load_verify_locations(tls.client_ca_file)
        except (ssl.SSLError, OSError) as error:
            raise UsageError(f"{tls.client_ca_file}: no certificates in PEM: {_reason(error)}. Check it") from None
        made.verify_mode = _VERIFY[tls.client_auth_type]


def _readable(path: str) -> None:
    """Check first: OpenSSL says little about a file that it cannot read, and waits for ever at a FIFO."""
    input_files.read(path, _LARGEST)


def _no_password() -> str:
    """Refuse an encrypted key; OpenSSL would ask for its password on the terminal."""
    raise ValueError("the key is encrypted, and a server cannot ask for its password")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)


def allowed(certificate: Mapping[str, Any] | None, names: list[str] | None) -> bool:
    """True if a verified client certificate has one of ``names`` in its subjectAltName; without ``names``: always."""
    if names is None:
        return True
    own = (certificate or {}).get("subjectAltName", ())
    return any(_plain(kind, value) in names for kind, value in own if kind in ("DNS", "IP Address", "email", "URI"))


def _plain(kind: str, value: str) -> str:
    if kind != "IP Address":
        return value
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return value

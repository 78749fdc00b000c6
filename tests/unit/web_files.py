"""Files for ``--web.config.file``, certificates that they name, and clients that hold some."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import NamedTuple

import bcrypt
import trustme

SECRET = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Certificates(NamedTuple):
    folder: Path
    server: ssl.SSLContext
    """A client's context that trusts the server and has no certificate."""
    known: ssl.SSLContext
    """The same with a certificate for ``prometheus.example`` by the clients' authority."""
    stranger: ssl.SSLContext
    """The same with a certificate by somebody else."""


def certificates_in(folder: Path) -> Certificates:
    """Certificates and keys in files, and clients that have some of them."""
    authority, clients, others = trustme.CA(), trustme.CA(), trustme.CA()
    mine = authority.issue_cert("localhost")
    mine.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, part in enumerate(mine.cert_chain_pems):
        part.write_to_path(str(folder / "cert.pem"), append=number > 0)
    clients.cert_pem.write_to_path(str(folder / "clients.pem"))

    def client(issuer: trustme.CA | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if issuer:
            issuer.issue_cert("prometheus.example", "::1").configure_cert(context)
        return context

    return Certificates(folder, client(None), client(clients), client(others))


def written(folder: Path, text: str, name: str = "web.yml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


PLAIN_TLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
MUTUAL_TLS = f"{PLAIN_TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n"

"""``--web.config.file``: TLS, users and headers in the exporter-toolkit's format; broken files are told by line."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.errors import UsageError
from rctl_exporter.web import config, tls

from .web_files import PLAIN_TLS, Certificates, certificates_in, written

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("certificates"))


class TestFile:
    def test_everything_that_is_taken(self, tmp_path: Path) -> None:
        found = config.read(
            written(
                tmp_path,
                f"""
tls_server_config:
  cert_file: cert.pem
  key_file: /etc/key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: sub/ca.pem
  client_allowed_sans: [a.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=1
basic_auth_users:
  alice: {HASH}
""",
            )
        )
        assert found.tls is not None
        assert found.files == (f"{tmp_path}/cert.pem", "/etc/key.pem", f"{tmp_path}/sub/ca.pem")
        assert found.tls.client_allowed_sans == ["a.example", "10.0.0.1"]
        assert found.headers == {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=1"}
        assert found.users == {"alice": HASH}

    def test_empty_parts_are_as_if_they_were_left_away(self, tmp_path: Path) -> None:
        path = written(tmp_path, "tls_server_config: {}\nhttp_server_config:\nbasic_auth_users:\n")
        assert config.read(path) == config.Config(None, {}, {})

    @pytest.mark.parametrize(
        ("text", "line", "words"),
        [
            ("", 0, "the file is empty"),
            ("# only a comment\n", 0, "the file is empty"),
            ("just words", 0, "Expected"),
            ("- a\n- b\n", 0, "Expected"),
            ("a: b: c", 1, "mapping values are not allowed"),
            ("basic_auth_users:\n\ta: b\n", 2, "cannot start any token"),
            ("basic_auth_users: {a: [}\n", 1, "not YAML"),
            ("x: !!python/object:os.system {}\n", 1, "constructor"),
            ("a: &a\n  b: *a\n", 1, "contains itself"),
            ("a: \0", 0, "not YAML"),
            ("a: 2001-99-99\n", 0, "not YAML"),
            ("[" * 1100, 0, "not YAML"),
            (
                "basic_auth_user:\n  a: b\n",
                1,
                "unknown field basic_auth_user. Use tls_server_config, http_server_config, basic_auth_users",
            ),
            ("http_server_config:\n  http2: maybe\n", 2, "http_server_config.http2: Expected bool, got str"),
            (f"basic_auth_users:\n  a: {HASH}\n  a: {HASH}\n", 3, "a given twice"),
            ("basic_auth_users:\n  a: 5\n", 1, "Expected str, got int"),
            ("basic_auth_users:\n  b:\n", 1, "Expected str, got null"),
            ("basic_auth_users:\n  alice: password\n", 2, "alice: not a bcrypt hash. Make one with htpasswd"),
            (
                "basic_auth_users:\n  alice: $2y$99$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n",
                2,
                "not a bcrypt",
            ),
            (f"basic_auth_users:\n  'a:b': {HASH}\n", 2, "is not a user's name"),
            ("tls_server_config:\n  cert_file: a\n", 1, "key_file is missing"),
            ("tls_server_config:\n  key_file: a\n", 1, "cert_file is missing"),
            ("tls_server_config:\n  cert_file: [a]\n", 2, "tls_server_config.cert_file: Expected str, got array"),
            ("tls_server_config:\n  certfile: a\n", 2, "unknown field certfile. Use cert_file, key_file"),
            (f"{PLAIN_TLS}  min_version: TLS14\n", 4, "'TLS14' is not known. Use TLS10, TLS11, TLS12, TLS13"),
            (f"{PLAIN_TLS}  min_version: TLS13\n  max_version: TLS12\n", 4, "above max_version"),
            (f"{PLAIN_TLS}  client_auth_type: Sometimes\n", 4, "'Sometimes' is not known. Use NoClientCert, "),
            (f"{PLAIN_TLS}  client_auth_type: RequireAnyClientCert\n", 4, "accepts any certificate"),
            (f"{PLAIN_TLS}  client_auth_type: RequireAndVerifyClientCert\n", 4, "needs client_ca_file"),
            (f"{PLAIN_TLS}  client_ca_file: a\n", 4, "has no effect without client_auth_type"),
            (f"{PLAIN_TLS}  client_allowed_sans: [a]\n", 4, "needs client_auth_type"),
            (f"{PLAIN_TLS}  curve_preferences: [X25519]\n", 4, "cannot set them"),
            (f"{PLAIN_TLS}  cert: |\n    PEM\n", 4, "Name another file with cert_file"),
            ("http_server_config:\n  headers:\n    X-Other: a\n", 3, "'X-Other' cannot be set"),
            ("http_server_config:\n  headers:\n    X-Frame-Options: allow\n", 3, "Use deny or sameorigin"),
            ('http_server_config:\n  headers:\n    X-XSS-Protection: "a\\r\\nb"\n', 3, "is not allowed"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_line(self, tmp_path: Path, text: str, line: int, words: str) -> None:
        path = written(tmp_path, text)
        with pytest.raises(UsageError) as caught:
            config.read(path)
        told = str(caught.value)
        assert told.startswith(f"{path}:{line}: " if line else f"{path}: ")
        assert words in told
        assert "\n" not in told

    def test_a_password_by_mistake_is_not_shown(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            config.read(written(tmp_path, "basic_auth_users:\n  alice: hunter2\n"))
        assert "hunter2" not in str(caught.value)

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "binary").write_bytes(b"a: b\n\xff\xfe")
        (tmp_path / "huge").write_bytes(b"#" * (2 << 20))
        for path, words in (
            (tmp_path / "missing", "No such file"),
            (tmp_path, "Is a directory"),
            (tmp_path / "binary", ":2: not UTF-8"),
            (tmp_path / "huge", "larger than 1 MiB"),
        ):
            with pytest.raises(UsageError, match=words):
                config.read(str(path))

    def test_a_fifo_as_configuration_is_refused_at_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(UsageError, match=r"fifo: is a FIFO. Give a regular file"):
            config.read(str(tmp_path / "fifo"))

    @given(
        st.one_of(st.binary(max_size=200), st.text(alphabet="{}[]:,&*!|>'\"%@`#- \n\tab0", max_size=80).map(str.encode))
    )
    def test_any_bytes_are_a_configuration_or_a_usage_error(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "any.yml"
        path.write_bytes(content)
        with contextlib.suppress(UsageError):
            assert isinstance(config.read(str(path)), config.Config)


class TestCertificates:
    def test_files_that_are_none_are_named(self, certificates: Certificates, tmp_path: Path) -> None:
        folder = certificates.folder
        (tmp_path / "empty").touch()
        cases = (
            (config.Tls(cert_file="/none", key_file=f"{folder}/key.pem"), "/none: cannot be read"),
            (config.Tls(cert_file=f"{folder}/cert.pem", key_file=f"{tmp_path}/empty"), "empty: no certificate with"),
            (config.Tls(cert_file=f"{folder}/key.pem", key_file=f"{folder}/cert.pem"), "no certificate with its key"),
            (
                config.Tls(
                    cert_file=f"{folder}/cert.pem",
                    key_file=f"{folder}/key.pem",
                    client_auth_type="RequireAndVerifyClientCert",
                    client_ca_file=f"{tmp_path}/empty",
                ),
                "empty: no certificates in PEM",
            ),
            (
                config.Tls(cert_file=f"{folder}/cert.pem", key_file=f"{folder}/key.pem", cipher_suites=["TLS_RSA"]),
                "'TLS_RSA' is not known or not safe",
            ),
        )
        for case, words in cases:
            with pytest.raises(UsageError) as caught:
                tls.context(case, "web.yml")
            assert words in str(caught.value)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["cert_file", "key_file", "client_ca_file"])
    def test_a_fifo_as_certificate_is_refused_at_once(
        self, certificates: Certificates, tmp_path: Path, name: str
    ) -> None:
        os.mkfifo(tmp_path / "fifo")
        files = {"cert_file": "cert.pem", "key_file": "key.pem", "client_ca_file": "clients.pem"}
        paths = {key: str(certificates.folder / file) for key, file in files.items()} | {name: str(tmp_path / "fifo")}
        with pytest.raises(UsageError, match=r"fifo: is a FIFO. Give a regular file"):
            tls.context(config.Tls(**paths, client_auth_type="RequireAndVerifyClientCert"), "web.yml")

    def test_every_suite_that_is_named_is_known_to_openssl(self, certificates: Certificates) -> None:
        folder = certificates.folder
        for name in tls._SUITES:
            made = tls.context(
                config.Tls(cert_file=f"{folder}/cert.pem", key_file=f"{folder}/key.pem", cipher_suites=[name]),
                "web.yml",
            )
            assert tls._SUITES[name] in [cipher["name"] for cipher in made.get_ciphers()]

    @pytest.mark.parametrize(
        ("names", "allowed"),
        [
            (None, True),
            ([], False),
            (["prometheus.example"], True),
            (["example"], False),
            (["::1"], True),
            (["me@example"], True),
            (["spiffe://a/b"], True),
            (["weird"], False),
        ],
    )
    def test_names_are_matched_whole(self, names: list[str] | None, allowed: bool) -> None:
        certificate = {
            "subject": ((("commonName", "example"),),),
            "subjectAltName": (
                ("DNS", "prometheus.example"),
                ("IP Address", "0:0:0:0:0:0:0:1"),
                ("email", "me@example"),
                ("URI", "spiffe://a/b"),
                ("othername", "weird"),
            ),
        }
        assert tls.allowed(certificate, names) is allowed
        assert tls.allowed(None, names) is (names is None)

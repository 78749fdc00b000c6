"""The web configuration in force: TLS and its clients, users, headers, and what happens when a file changes."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from rctl.errors import RctlError
from rctl_exporter.web import config
from rctl_exporter.web.connection import Deadlines
from rctl_exporter.web.users import Users

from .web_files import MUTUAL_TLS, PLAIN_TLS, SECRET, Certificates, basic, certificates_in, written
from .web_server import descriptors, serving, until


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("certificates"))


class TestTls:
    @pytest.fixture(autouse=True)
    def _nothing_is_left(self) -> Iterator[None]:
        before = descriptors()
        yield
        until(lambda: descriptors() <= before, "descriptors are left")

    def test_who_trusts_the_certificate_is_served(self, certificates: Certificates) -> None:
        with serving(config=written(certificates.folder, PLAIN_TLS)) as served:
            assert served.get(context=certificates.server).body == b"up 1\n"
            with served.client(certificates.server) as client:
                assert [client.get().status for _ in range(3)] == [200] * 3
                client.send(b"nonsense\r\n\r\n")
                assert client.reply().status == 400

    def test_a_large_page_is_whole(self, certificates: Certificates) -> None:
        page = [bytes([number]) * 700_000 for number in range(8)]
        with serving(lambda openmetrics, only: page, config=written(certificates.folder, PLAIN_TLS)) as served:
            assert served.get(context=certificates.server).body == b"".join(page)

    def test_wrong_clients_are_let_go_and_told_of_in_the_log(self, certificates: Certificates) -> None:
        short = Deadlines(handshake=0.3)
        with serving(config=written(certificates.folder, PLAIN_TLS), deadlines=short) as served:
            with served.client() as plain:
                plain.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                assert plain.ended()
            with pytest.raises(ssl.SSLError):
                served.client(ssl.create_default_context())
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            with pytest.deprecated_call():
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                served.client(old)
            with served.client() as silent:
                assert silent.ended()
            with served.client() as leaving:
                leaving.send(b"\x16\x03\x01")
            until(lambda: served.server.connections[0] == 0, "all are let go")
            assert served.get(context=certificates.server).status == 200
        lines = served.log.getvalue().splitlines()
        assert len(lines) > 3
        assert [line for line in lines if not line.startswith("rctl-exporter: 127.0.0.1: no TLS connection: ")] == []

    def test_silent_ones_keep_nobody_out(self, certificates: Certificates) -> None:
        with serving(config=written(certificates.folder, PLAIN_TLS), most=5) as served:
            silent = [served.client() for _ in range(30)]
            assert served.get(context=certificates.server).status == 200
            for one in silent:
                one.__exit__()

    def test_only_certificates_of_the_authority_are_let_in(self, certificates: Certificates) -> None:
        with serving(config=written(certificates.folder, MUTUAL_TLS)) as served:
            assert served.get(context=certificates.known).status == 200
            for context in (certificates.server, certificates.stranger):
                with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
                    served.get(context=context)
            assert served.get(context=certificates.known).status == 200

    def test_a_certificate_may_be_left_away_where_the_file_says_so(self, certificates: Certificates) -> None:
        text = MUTUAL_TLS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
        with serving(config=written(certificates.folder, text)) as served:
            assert served.get(context=certificates.known).status == 200
            assert served.get(context=certificates.server).status == 200
            with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
                served.get(context=certificates.stranger)

    def test_only_certificates_with_an_allowed_name_are_let_in(self, certificates: Certificates) -> None:
        text = f"{MUTUAL_TLS}  client_allowed_sans: [%s]\n"
        for name, let_in in (("prometheus.example", True), ("'::1'", True), ("grafana.example", False)):
            with serving(config=written(certificates.folder, text % name)) as served:
                if let_in:
                    assert served.get(context=certificates.known).status == 200
                else:
                    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
                        served.get(context=certificates.known)
                    assert "has no name from client_allowed_sans" in served.log.getvalue()


class TestUsers:
    def test_only_users_with_their_password_are_let_in(self, tmp_path: Path) -> None:
        path = written(tmp_path, f"basic_auth_users:\n  alice: {SECRET}\n")
        with serving(config=path) as served:
            assert served.get(authorization=basic("alice", "secret")).status == 200
            for header in ("", "Basic", "Basic !", "Bearer x", basic("alice", "Secret"), basic("bob", "secret")):
                for page in ("/metrics", "/", "/-/healthy", "/none"):
                    reply = served.get(page, authorization=header)
                    assert (reply.status, reply.text) == (401, "not authorized\n")
                    assert reply.headers["www-authenticate"].startswith("Basic ")
            assert served.get().status == 401
            assert served.get(authorization=basic("alice", "secret").replace("Basic", "basic")).status == 200
            assert "wrong user or password" in served.log.getvalue()
            assert "secret" not in served.log.getvalue().lower()

    def test_an_unknown_user_costs_a_check_as_a_known_one_does(self) -> None:
        checked: list[bytes] = []
        users, ask = asked({"alice": SECRET})
        real = users._check

        def check(password: bytes, stored: bytes) -> bool:
            checked.append(password)
            return real(password, stored)

        users._check = check
        assert not ask("bob", "secret")
        assert not ask("alice", "wrong")
        assert ask("alice", "secret")
        assert checked == [b"secret", b"wrong", b"secret"]
        assert not ask("bob", "secret")
        assert not ask("alice", "wrong")
        assert ask("alice", "secret")
        assert len(checked) == 3, "a verdict is remembered"

    def test_who_waits_for_the_check_of_a_password_keeps_nobody_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def check(password: bytes, stored: bytes) -> bool:
            begun.set()
            assert go_on.wait(20)
            return password == b"secret"

        monkeypatch.setattr(bcrypt, "checkpw", check)
        path = written(tmp_path, f"basic_auth_users:\n  alice: {SECRET}\n")
        with serving(config=path, most=3) as served, ExitStack() as stack:
            guessing = [stack.enter_context(served.client()) for _ in range(3)]
            for number, one in enumerate(guessing):
                one.send(
                    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: %b\r\n\r\n" % basic("alice", f"{number}").encode()
                )
            assert begun.wait(20)
            with ThreadPoolExecutor(1) as thread:
                right = thread.submit(served.get, authorization=basic("alice", "secret"))
                assert guessing[0].ended()
                go_on.set()
                assert right.result().status == 200

    def test_wrong_passwords_do_not_push_out_right_ones(self) -> None:
        users, ask = asked({"alice": SECRET})
        assert ask("alice", "secret")
        users._check = lambda password, stored: False
        for number in range(300):
            assert not ask("alice", f"wrong{number}")
        assert ask("alice", "secret")
        assert len(users._wrong) <= 256

    @pytest.mark.parametrize("password", ["", "\0", "secret\0", "a:b", "ä", "x" * 72, "x" * 73, "x" * 5000])
    def test_any_password_is_checked(self, password: str) -> None:
        stored = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)) if "\0" not in password else None
        _, ask = asked({"alice": stored.decode() if stored else SECRET})
        assert ask("alice", password) is (stored is not None)
        assert not ask("alice", "another")

    @given(st.text(alphabet=st.characters(max_codepoint=255), max_size=100))
    def test_any_header_is_a_verdict(self, header: str) -> None:
        assert not asyncio.run(Users({"alice": SECRET}, Here()).allow(header))


def asked(hashes: dict[str, str]) -> tuple[Users, Callable[[str, str], bool]]:
    """Users, and a way to ask for one with a password."""
    users = Users(hashes, Here())
    return users, lambda user, password: asyncio.run(users.allow(basic(user, password)))


class Here(Executor):
    """Work is done where it is asked for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class TestHeaders:
    def test_those_of_the_file_are_on_every_answer(self, tmp_path: Path) -> None:
        text = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Content-Security-Policy: sandbox\n"
        with serving(config=written(tmp_path, text)) as served:
            for page in ("/metrics", "/", "/none"):
                headers = served.get(page).headers
                assert headers["x-frame-options"] == "deny"
                assert headers["content-security-policy"] == "sandbox"


class TestChange:
    def renamed(self, path: str, text: str) -> None:
        Path(f"{path}.new").write_text(text)
        os.rename(f"{path}.new", path)

    def test_a_changed_file_holds_from_the_next_request(self, tmp_path: Path) -> None:
        path = written(tmp_path, f"basic_auth_users:\n  alice: {SECRET}\n")
        with serving(config=path) as served, served.client() as client:
            assert client.get(authorization=basic("alice", "secret")).status == 200
            self.renamed(path, f"basic_auth_users:\n  bob: {SECRET}\n")
            assert client.get(authorization=basic("alice", "secret")).status == 401
            assert served.get(authorization=basic("bob", "secret")).status == 200
            assert f"{path}: read again" in served.log.getvalue()

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("basic_auth_users:\n  bob: x\n", ":2: basic_auth_users: bob: not a bcrypt hash"),
            ("", "the file is empty"),
            ("http_server_config: {}\n", "would remove basic_auth_users"),
        ],
    )
    def test_a_broken_one_changes_nothing_and_is_told_once(self, tmp_path: Path, text: str, words: str) -> None:
        path = written(tmp_path, f"basic_auth_users:\n  alice: {SECRET}\n")
        with serving(config=path) as served:
            self.renamed(path, text)
            for _ in range(10):
                assert served.get(authorization=basic("alice", "secret")).status == 200
                assert served.get().status == 401
            told = [line for line in served.log.getvalue().splitlines() if words in line]
            assert len(told) == 1
            os.unlink(path)
            assert served.get().status == 401
            self.renamed(path, f"basic_auth_users:\n  carol: {SECRET}\n")
            assert served.get(authorization=basic("carol", "secret")).status == 200

    def test_a_renewed_certificate_is_shown_to_the_next_client(
        self, certificates: Certificates, tmp_path: Path
    ) -> None:
        for name in ("cert.pem", "key.pem"):
            (tmp_path / name).write_bytes((certificates.folder / name).read_bytes())
        path = written(tmp_path, PLAIN_TLS)
        authority = trustme.CA()
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        renewed = authority.issue_cert("localhost")
        with serving(config=path) as served:
            assert served.get(context=certificates.server).status == 200
            renewed.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
            assert served.get(context=certificates.server).status == 200, "half of the pair is not taken"
            renewed.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
            assert served.get(context=trusting).status == 200
            assert "the old configuration stays in force" in served.log.getvalue()

    def test_what_stood_in_the_way_may_be_mended_in_the_certificate_alone(
        self, certificates: Certificates, tmp_path: Path
    ) -> None:
        path = written(tmp_path, "http_server_config: {}\n")
        with serving(config=path) as served:
            self.renamed(path, PLAIN_TLS)
            assert served.get().status == 200, "there is no certificate yet"
            for name in ("key.pem", "cert.pem"):
                (tmp_path / name).write_bytes((certificates.folder / name).read_bytes())
            assert served.get(context=certificates.server).status == 200


def test_a_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = written(tmp_path, f"basic_auth_users:\n  alice: {SECRET}\n")
    for module, package in (("yaml", "PyYAML"), ("bcrypt", "bcrypt")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(RctlError, match=rf"{package}: not installed.*pip install '\.\[exporter\]'"):
                Users(config.read(path).users, Here())

"""Clients that are slow, silent, wrong or hostile: the exporter serves everybody else, and keeps nothing of them."""

from __future__ import annotations

import errno
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rctl_exporter.web import server
from rctl_exporter.web.connection import Deadlines
from rctl_exporter.web.log import Log
from rctl_exporter.web.users import Users

from .web_files import SECRET, basic
from .web_server import Client, Served, descriptors, serving, until

SHORT = Deadlines(handshake=0.2, request=0.2, idle=0.2, answer=0.2, linger=0.2)
HEAD = b"GET /metrics HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before, threads = descriptors(), threading.active_count()
    yield
    until(lambda: threading.active_count() <= threads, "threads are left")
    until(lambda: descriptors() <= before, "descriptors are left")


def serves(served: Served) -> bool:
    return served.get("/metrics").status == 200 and served.get("/-/healthy").status == 200


def open_connections(served: Served) -> int:
    return served.server.connections[0]


class TestSlowClients:
    def test_who_never_sends_is_let_go(self) -> None:
        with serving(deadlines=SHORT) as served, served.client() as silent:
            assert silent.ended()
            assert serves(served)

    def test_a_request_that_drips_has_one_deadline_in_all(self) -> None:
        with serving(deadlines=SHORT) as served, served.client() as dripping:
            ended = threading.Event()

            def drip() -> None:
                while not ended.wait(0.02):  # each byte alone would be in time
                    try:
                        dripping.send(b"G")
                    except OSError:
                        return

            with ThreadPoolExecutor(1) as thread:
                thread.submit(drip)
                reply = dripping.reply()
                ended.set()
            assert (reply.status, reply.text) == (408, "no whole request within 0.2 s\n")
            assert serves(served)

    def test_who_sends_half_a_request_is_told_and_let_go(self) -> None:
        with serving(deadlines=SHORT) as served, served.client() as half:
            half.send(HEAD)
            assert half.reply().status == 408
            assert half.ended()

    def test_who_asks_nothing_more_is_let_go(self) -> None:
        with serving(deadlines=SHORT) as served, served.client() as idle:
            assert idle.get("/-/healthy").status == 200
            assert idle.ended()

    def test_who_does_not_take_the_answer_is_let_go(self) -> None:
        page = [bytes(1 << 20)] * 30
        with serving(lambda openmetrics, only: page, deadlines=SHORT) as served, served.client() as slow:
            slow.send(HEAD + b"\r\n")
            until(lambda: open_connections(served) == 1, "it is taken in")
            until(lambda: open_connections(served) == 0, "it is let go")
            assert served.get("/-/healthy").status == 200

    def test_more_silent_connections_than_places_keep_nobody_out(self) -> None:
        with serving(most=10) as served, ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(served.client())
            assert serves(served)
            until(lambda: open_connections(served) <= 11, "the oldest made room")

    def test_a_crowd_that_comes_at_once_holds_no_more_descriptors_than_there_are_places(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, all_there, held = socket.socket.accept, threading.Event(), []

        def accept(self: socket.socket) -> tuple[socket.socket, object]:
            assert all_there.wait(20)
            held.append(open_connections(served))
            return real(self)

        with serving(most=5) as served, ExitStack() as stack:
            monkeypatch.setattr(socket.socket, "accept", accept)
            for _ in range(60):
                stack.enter_context(served.client())
            all_there.set()
            assert serves(served)
        assert len(held) > 60
        assert max(held) == 5

    def test_an_answer_under_way_never_makes_room(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def page(openmetrics: bool, only: object) -> list[bytes]:
            begun.set()
            assert go_on.wait(20)
            return [b"whole\n"]

        with serving(page, most=5) as served, served.client() as asking, ExitStack() as stack:
            asking.send(HEAD + b"\r\n")
            assert begun.wait(20)
            for _ in range(30):
                stack.enter_context(served.client())
            assert served.get("/-/healthy").status == 200
            go_on.set()
            assert asking.reply().body == b"whole\n"

    def test_who_takes_an_answer_slowly_makes_room_last(self) -> None:
        page = [bytes(1 << 20)] * 10  # five of them fit into the memory for answers
        with (
            serving(lambda openmetrics, only: page, deadlines=Deadlines(slow=0.0), most=5) as served,
            ExitStack() as stack,
        ):
            for _ in range(5):
                stack.enter_context(served.client()).send(HEAD + b"\r\n")
            until(lambda: served.server.sending == 5, "all places are taken by slow ones")
            assert served.get("/-/healthy").status == 200

    def test_when_all_places_are_busy_newcomers_are_turned_away_and_the_others_answered(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def page(openmetrics: bool, only: object) -> list[bytes]:
            begun.set()
            assert go_on.wait(20)
            return [b"whole\n"]

        with serving(page, most=3) as served, ExitStack() as stack:
            asking = [stack.enter_context(served.client()) for _ in range(3)]
            for one in asking:
                one.send(HEAD + b"\r\n")
            until(lambda: served.server.connections[1] == 3, "all places busy")
            assert stack.enter_context(served.client()).ended()
            go_on.set()
            assert [one.reply().body for one in asking] == [b"whole\n"] * 3

    def test_when_descriptors_run_out_the_oldest_makes_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with serving() as served, served.client() as silent:
            until(lambda: open_connections(served) == 1, "it is taken in")
            real, failures = socket.socket.accept, [errno.EMFILE, errno.ECONNABORTED]

            def accept(self: socket.socket) -> tuple[socket.socket, object]:
                if failures:
                    raise OSError(failures.pop(0), "no")
                return real(self)

            monkeypatch.setattr(socket.socket, "accept", accept)
            assert serves(served)
            assert silent.ended()
            assert "cannot accept a connection" in served.log.getvalue()

    def test_a_login_that_waits_for_bcrypt_is_not_idle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = tmp_path / "web.yml"
        config.write_text(f"basic_auth_users: {{prometheus: {SECRET}}}\n")
        begun, go_on, real = threading.Event(), threading.Event(), Users._fits

        def fits(users: Users, password: bytes, stored: bytes) -> bool:
            begun.set()
            assert go_on.wait(20)
            return real(users, password, stored)

        monkeypatch.setattr(Users, "_fits", fits)
        with serving(config=str(config), most=4) as served, served.client() as login, ExitStack() as stack:
            login.send(HEAD + f"Authorization: {basic('prometheus', 'secret')}\r\n\r\n".encode())
            assert begun.wait(20)
            silent = [stack.enter_context(served.client()) for _ in range(20)]
            assert silent[0].ended()
            go_on.set()
            assert login.reply().status == 200

    def test_logins_that_are_checked_keep_out_nobody_who_is_known(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = tmp_path / "web.yml"
        config.write_text(f"basic_auth_users: {{prometheus: {SECRET}}}\n")
        go_on, real = threading.Event(), Users._fits
        right = basic("prometheus", "secret")
        with serving(config=str(config), most=4) as served, ExitStack() as stack:
            assert served.get(authorization=right).status == 200
            monkeypatch.setattr(Users, "_fits", lambda *given: go_on.wait(20) and real(*given))
            for number in range(6):
                wrong = stack.enter_context(served.client())
                wrong.send(HEAD + f"Authorization: {basic('prometheus', str(number))}\r\n\r\n".encode())
            assert served.get(authorization=right).status == 200
            go_on.set()

    def test_answers_under_way_have_a_cap_over_all_and_slow_clients_pay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "_LARGEST", 100 << 20)
        pages = iter(range(1000))

        def page(openmetrics: bool, only: object) -> list[bytes]:
            return [b"%d\n" % next(pages), bytes(30 << 20)]

        with serving(page, deadlines=Deadlines(slow=60.0)) as served, ExitStack() as stack:
            for number in range(1, 4):
                stack.enter_context(served.client()).send(HEAD + b"\r\n")
                until(lambda: served.server.sending == number, "it is being sent")  # noqa: B023
            reply = served.get()
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            assert served.get("/-/healthy").status == 200
            served.server._deadlines = Deadlines(slow=0.0)
            assert served.get().status == 200

    def test_one_answer_is_sent_however_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "_LARGEST", 1)
        with serving() as served:
            assert served.get().status == 200


class TestWrongClients:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"GET /metrics\r\n\r\n", 400),
            (b"GET\r\n\r\n", 400),
            (b"\0\0\0\0\r\n\r\n", 400),
            (b"\r\n\r\n\r\n", 400),
            (b"G\xc3\x84T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
            (b"GET /metrics HTTP/9.9\r\nHost: a\r\n\r\n", 505),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            (b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
            (b"GET /metrics HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", 400),
            (b"GET /metrics HTTP/1.1\r\nHost: a\r\n continued\r\n\r\n" + b"x" * 9, 421),
            (b"GET /met\0rics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET //metrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
            (b"GET /../metrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
            (b"CONNECT host:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (HEAD + b"Content-Length: x\r\n\r\n", 400),
            (HEAD + b"Content-Length: -1\r\n\r\n", 400),
            (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            (HEAD + b"Transfer-Encoding: brotli\r\n\r\n", 501),
            (HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (HEAD + b"Content-Length: 3\r\n\r\nabc", 413),
            (HEAD + b"Content-Length: 99999999999\r\n\r\n" + bytes(300_000), 413),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + bytes(300_000), 413),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n", 400),
            (HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", 413),
            (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789", 405),
            (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
            (HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431),
            (HEAD + b"X: a\r\n" * 10_000 + b"\r\n", 431),
            (HEAD + b"Accept: " + bytes(range(128, 256)) + b"\r\n\r\n", 200),
            (HEAD + b"Accept-Encoding: \xff,;;=\r\n\r\n", 200),
            (HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200),
            (HEAD + b"Authorization: Basic \xff\xff\r\n\r\n", 200),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)) + b"\r\n\r\n", 400),
        ],
    )
    def test_it_is_told_in_a_line(self, data: bytes, status: int) -> None:
        with serving() as served:
            with served.client() as client:
                client.send(data)
                reply = client.reply()
                assert reply.status == status
                assert reply.body.count(b"\n") == 1
            assert serves(served)

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_request_smuggled_by_content_length_with_transfer_encoding_is_not_answered(self, order: int) -> None:
        lengths = [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"][::order]
        with serving() as served, served.client() as client:
            client.send(HEAD + b"".join(lengths) + b"\r\n0\r\n\r\n" + HEAD + b"\r\n")
            assert client.reply().status == 400
            assert client.ended()

    def test_who_leaves_in_the_middle_takes_nothing_along(self) -> None:
        page = [bytes(1 << 20)] * 20
        with serving(lambda openmetrics, only: page) as served:
            for data in (b"", b"G", HEAD, HEAD + b"\r\n", HEAD + b"Content-Length: 9\r\n\r\n"):
                for _ in range(5):
                    with served.client() as client:
                        client.send(data)
            until(lambda: open_connections(served) == 0, "all are let go")
            assert served.get("/metrics").status == 200
        assert served.log.getvalue() == ""

    def test_who_resets_the_connection_is_no_news(self) -> None:
        with serving() as served:
            for _ in range(20):
                client = Client(served.port)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.send(HEAD + b"\r\n")
                client.__exit__()
            assert serves(served)
        assert served.log.getvalue() == ""

    @settings(max_examples=60)
    @given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([HEAD, b"\r\n", b"\r\n\r\n"])), max_size=6))
    def test_any_bytes_are_answered_or_dropped(self, parts: list[bytes]) -> None:
        with served_once().client() as client:
            try:
                client.send(b"".join(parts))
                client.socket.shutdown(socket.SHUT_WR)
                while True:
                    assert client.reply().status in (200, 400, 404, 405, 413, 421, 431, 501, 505)
            except (EOFError, ConnectionError, OSError):
                pass
        assert served_once().get("/-/healthy").status == 200


_once: list[Served] = []


def served_once() -> Served:
    return _once[0]


@pytest.fixture(scope="module", autouse=True)
def _one_for_many_examples() -> Iterator[None]:
    with serving() as served:
        served.get()  # the scrape's thread is there from now on
        _once.append(served)
        yield
    assert [line for line in served.log.getvalue().splitlines() if "--web.allowed-host" not in line] == []


class TestLoad:
    def test_fifty_at_once_are_all_answered_by_two_threads(self) -> None:
        before = threading.active_count()
        with serving() as served, ThreadPoolExecutor(50) as clients:
            replies = [clients.submit(served.get) for _ in range(200)]
            most = max(threading.active_count() for reply in replies if reply.result().status == 200)
            assert most - before <= 50 + 2

    def test_a_thousand_scrapes_on_one_connection_leave_nothing(self) -> None:
        with serving() as served, served.client() as client:
            for _ in range(100):
                assert client.get(accept_encoding="gzip").status == 200
            before = descriptors()
            tracemalloc.start()
            try:
                kept, _ = tracemalloc.get_traced_memory()
                for _ in range(1000):
                    assert client.get(accept_encoding="gzip").status == 200
                assert tracemalloc.get_traced_memory()[0] - kept < 100_000, "100 bytes a request would be a leak"
            finally:
                tracemalloc.stop()
            assert descriptors() == before


class TestLog:
    def test_the_same_trouble_is_told_five_times_a_minute(self, capsys: pytest.CaptureFixture[str]) -> None:
        now = [0.0]
        log = Log(clock=lambda: now[0])
        for number in range(100):
            log.warn("scrape", f"trouble {number}")
        log.warn("tls", "other trouble")
        now[0] = 61.0
        log.warn("scrape", "trouble again")
        assert capsys.readouterr().err.splitlines() == [
            *(f"rctl-exporter: trouble {number}" for number in range(5)),
            "rctl-exporter: other trouble",
            "rctl-exporter: 95 more messages of the kind 'scrape' in the last minute",
            "rctl-exporter: trouble again",
        ]

    def test_a_message_is_one_line_of_what_can_be_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        Log().say("a\nb\x1b[31mc" + "d" * 1000)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("rctl-exporter: a b?[31mcddd")
        assert len(line) < 600

"""What the exporter's web server answers to clients that behave."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import choose_encoder

from rctl.errors import NotAvailableError, UsageError
from rctl.version import __version__
from rctl_exporter.request_filter import ALL, Only
from rctl_exporter.web import compress, crc
from rctl_exporter.web.connection import pieces
from rctl_exporter.web.listen import Address, is_local, open_all, url
from rctl_exporter.web.negotiate import OPENMETRICS, OPENMETRICS_0, TEXT, content_type, wants_gzip

from .web_server import Served, serving, until

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as server:
        yield server


class TestPages:
    def test_metrics_are_text_for_who_asks_for_nothing_else(self, served: Served) -> None:
        reply = served.get("/metrics")
        assert (reply.status, reply.body) == (200, b"up 1\n")
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert reply.headers["vary"] == "Accept, Accept-Encoding"
        assert "content-encoding" not in reply.headers

    def test_metrics_are_openmetrics_for_prometheus(self, served: Served) -> None:
        reply = served.get("/metrics", accept=PROMETHEUS_3)
        assert reply.body == b"up 1\n# EOF\n"
        assert reply.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"

    def test_metrics_are_compressed_for_who_takes_that(self, served: Served) -> None:
        reply = served.get("/metrics", accept_encoding="br, gzip")
        assert reply.headers["content-encoding"] == "gzip"
        assert gzip.decompress(reply.body) == b"up 1\n"

    def test_the_landing_page_names_the_others_and_the_version(self, served: Served) -> None:
        reply = served.get("/")
        assert reply.status == 200
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["content-security-policy"] == "default-src 'none'"
        for word in ('href="/metrics"', 'href="/-/healthy"', __version__):
            assert word in reply.text
        assert "<script" not in reply.text

    def test_another_query_changes_nothing(self, served: Served) -> None:
        assert served.get("/metrics?a=b&a=%00").body == b"up 1\n"

    def test_a_proxy_may_ask_with_the_whole_url(self, served: Served) -> None:
        assert served.get("http://localhost/metrics").body == b"up 1\n"
        assert served.get("http://localhost").status == 200

    @pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy"])
    def test_head_has_the_headers_and_no_body(self, served: Served, path: str) -> None:
        with served.client() as client:
            full, head = client.get(path), client.get(path, "HEAD")
            full.headers.pop("date")
            head.headers.pop("date")
            assert head == full._replace(body=b"")
            assert client.get("/-/healthy").status == 200, "the connection goes on"

    def test_what_is_not_there_is_a_line(self, served: Served) -> None:
        reply = served.get("/metric")
        assert (reply.status, reply.text) == (404, "no such page. See /\n")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
    def test_other_methods_are_refused_in_a_line(self, served: Served, method: str) -> None:
        with served.client() as client:
            reply = client.get("/metrics", method)
        assert (reply.status, reply.text.count("\n")) == (405, 1)
        assert reply.headers["allow"] == "GET, HEAD"

    def test_many_requests_use_one_connection(self, served: Served) -> None:
        with served.client() as client:
            assert [client.get("/-/healthy").status for _ in range(5)] == [200] * 5

    def test_requests_may_come_before_answers(self, served: Served) -> None:
        with served.client() as client:
            client.send(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /x HT")
            assert client.reply().text == "rctl-exporter is healthy\n"
            assert client.reply().text == "up 1\n"
            client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
            assert client.reply().status == 404

    def test_http_1_0_ends_with_its_answer(self, served: Served) -> None:
        with served.client() as client:
            client.send(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert client.reply().body == b"up 1\n"
            assert client.ended()


@given(st.lists(st.integers(0, 600_000), max_size=6), st.integers(0, 2000))
def test_a_body_is_sent_whole_in_few_pieces(sizes: list[int], small: int) -> None:
    chunks = [bytes([number]) * size for number, size in enumerate(sizes)] + [b"line\n"] * small
    found = list(pieces(chunks))
    assert b"".join(found) == b"".join(chunks)
    assert max(map(len, found)) <= 256 * 1024
    assert len(found) <= 2 + 2 * sum(map(len, chunks)) // (256 * 1024)


def test_a_server_imports_no_more_than_it_needs() -> None:
    """Each of these takes 10 ms and more; a server without TLS and users needs none."""
    code = (
        "import sys, rctl_exporter.serve, rctl_exporter.web.server, rctl_exporter.web.routes, rctl_exporter.scrape\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    spared = {"hashlib", "rctl_exporter.web.config", "rctl_exporter.web.tls"}
    assert spared.isdisjoint(done.stdout.split())


class TestParts:
    """https://github.com/prometheus/node_exporter#filtering-enabled-collectors."""

    @pytest.mark.parametrize(
        ("query", "only"),
        [
            ("", ALL),
            ("target=x&collect=cpu", ALL),
            ("collect[]=cpu", Only(collect=frozenset({"cpu"}))),
            ("collect%5B%5D=cpu&collect[]=io", Only(collect=frozenset({"cpu", "io"}))),
            ("exclude[]=memory_stat", Only(exclude=frozenset({"memory_stat"}))),
            ("name[]=a&name[]=b&collect[]=cpu", Only(frozenset({"cpu"}), frozenset(), frozenset({"a", "b"}))),
        ],
    )
    def test_the_query_chooses(self, query: str, only: Only) -> None:
        asked = []
        with serving(lambda openmetrics, only: asked.append(only) or []) as served:  # type: ignore[func-returns-value]
            assert served.get(f"/metrics?{query}").status == 200
        assert asked == [only]

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("collect[]=cpu&exclude[]=io", "collect[] and exclude[] at once. Give one of them"),
            ("collect[]=nonsense", "'nonsense' is no collector. Use identity, cpu,"),
            ("exclude[]=", "'' is no collector. Use identity, cpu,"),
            ("collect[]=cpu,io", "'cpu,io' is no collector"),
            ("collect[]=%0a%1b[31m", "is no collector"),
            ("&".join(["name[]=x"] * 1001), "the query has more than 1000 parts"),
        ],
    )
    def test_an_unknown_one_is_refused_in_a_line(self, query: str, words: str) -> None:
        with serving() as served:
            reply = served.get(f"/metrics?{query}")
        assert (reply.status, reply.text.count("\n")) == (400, 1)
        assert words in reply.text
        assert "\x1b" not in reply.text

    def test_more_than_a_few_parts_at_a_time_are_not_waited_for(self) -> None:
        go_on = threading.Event()

        def page(openmetrics: bool, only: object) -> Sequence[bytes]:
            assert go_on.wait(20)
            return [b"x\n"]

        with serving(page) as served, ThreadPoolExecutor(8) as clients:
            names = [f"/metrics?name[]={number}" for number in range(4)]
            parts = [clients.submit(served.get, name) for name in names]
            until(lambda: served.server.connections[1] == 4, "four wait")
            reply = served.get("/metrics?name[]=5")
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            whole = clients.submit(served.get)
            go_on.set()
            assert {part.result().status for part in [*parts, whole]} == {200}


class TestScrapes:
    def test_every_request_reads_anew(self) -> None:
        numbers = iter(range(100))
        with serving(lambda openmetrics, only: [b"%d\n" % next(numbers)]) as served:
            assert [served.get().text for _ in range(3)] == ["0\n", "1\n", "2\n"]

    def test_the_other_pages_do_not_scrape(self) -> None:
        scrapes: list[bool] = []
        with serving(lambda openmetrics, only: scrapes.append(openmetrics) or []) as served:  # type: ignore[func-returns-value]
            served.get("/")
            served.get("/-/healthy")
            served.get("/nothing")
        assert scrapes == []

    @pytest.mark.parametrize("encoding", ["", "gzip"])
    def test_requests_during_a_scrape_share_it_and_health_is_answered_meanwhile(self, encoding: str) -> None:
        begun, go_on = threading.Event(), threading.Event()
        scrapes = []

        def page(openmetrics: bool, only: object) -> Sequence[bytes]:
            scrapes.append(openmetrics)
            begun.set()
            assert go_on.wait(20)
            return [b"%d\n" % len(scrapes)]

        with serving(page) as served, ThreadPoolExecutor(50) as clients:
            try:
                first = clients.submit(served.get, accept_encoding=encoding)
                assert begun.wait(20)
                others = [
                    clients.submit(served.get, accept_encoding="gzip" if number % 2 else "") for number in range(49)
                ]
                until(lambda: served.server.connections[1] == 50, "all wait")
                assert served.get("/-/healthy").status == 200
            finally:
                go_on.set()
            replies = [one.result() for one in (first, *others)]
        assert {reply.status for reply in replies} == {200}
        assert len(scrapes) == 1
        plain = {gzip.decompress(r.body) if "content-encoding" in r.headers else r.body for r in replies}
        assert plain == {b"1\n"}

    def test_formats_do_not_mix(self) -> None:
        with (
            serving(lambda openmetrics, only: [b"o" if openmetrics else b"t"]) as served,
            ThreadPoolExecutor(20) as clients,
        ):
            accepts = [PROMETHEUS_3, "text/plain"] * 10
            replies = [clients.submit(served.get, accept=accept) for accept in accepts]
            assert [one.result().text for one in replies] == ["o", "t"] * 10

    def test_a_scrape_that_fails_is_a_line_and_the_next_one_is_tried(self) -> None:
        errors: list[Exception | None] = [
            NotAvailableError("cgroup2: gone.\nMount it"),
            OSError(24, "Too many"),
            ZeroDivisionError(),
            None,
        ]

        def page(openmetrics: bool, only: object) -> Sequence[bytes]:
            if error := errors.pop(0):
                raise error
            return [b"fine\n"]

        with serving(page) as served:
            replies = [served.get() for _ in range(4)]
            log = served.log.getvalue()
        assert [reply.status for reply in replies] == [500, 500, 500, 200]
        assert replies[0].text == "scrape failed: cgroup2: gone. Mount it\n"
        assert replies[2].text == "a bug in rctl made the scrape fail. See its log\n"
        assert log.count("\n") == 3
        assert "ZeroDivisionError" in log

    def test_the_end_waits_for_the_scrape_under_way(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def page(openmetrics: bool, only: object) -> Sequence[bytes]:
            begun.set()
            assert go_on.wait(20)
            return [b"whole\n"]

        with serving(page) as served, ThreadPoolExecutor(2) as others, served.client() as idle:
            reply = others.submit(served.get)
            assert begun.wait(20)
            ending = others.submit(served.stop)
            assert idle.ended(), "who only waits is let go at once"
            go_on.set()
            assert reply.result().body == b"whole\n"
            ending.result()
        assert served.log.getvalue() == ""


class TestNegotiation:
    @pytest.mark.parametrize(
        "accept",
        [
            "",
            "*/*",
            BROWSER,
            PROMETHEUS_2,
            PROMETHEUS_3,
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            ",;,;;q=,",
        ],
    )
    def test_it_chooses_as_prometheus_client_does(self, accept: str) -> None:
        _, theirs = choose_encoder(accept)
        ours = content_type(accept)
        assert ours.split(";")[0] == theirs.split(";")[0]

    @pytest.mark.parametrize(
        ("accept", "wants"),
        [
            ("application/openmetrics-text;q=0.1, text/plain;q=0.2", False),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.1", True),
            ("application/openmetrics-text;q=0, */*", False),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.1, */*;q=0.9", True),
            ("APPLICATION/OpenMetrics-Text ; Q=0.5 , text/plain ; q=0.4", True),
        ],
    )
    def test_weights_decide(self, accept: str, wants: bool) -> None:
        assert (content_type(accept) == OPENMETRICS) is wants

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("application/openmetrics-text; version=0.0.1", OPENMETRICS_0),
            ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS_0),
            (f"{OPENMETRICS_0}; q=0.9, {OPENMETRICS}", OPENMETRICS),
            (f"{OPENMETRICS_0}, {OPENMETRICS}; q=0.5", OPENMETRICS_0),
            ("application/openmetrics-text; version=0.0.1; q=0.3,text/plain; q=0.4", TEXT),
            ("application/openmetrics-text; version=2.0.0", TEXT),
            ("application/json", TEXT),
        ],
    )
    def test_openmetrics_0_0_1_is_answered_as_such(self, accept: str, kind: str) -> None:
        assert content_type(accept) == kind
        with serving() as served:
            assert served.get(accept=accept).headers["content-type"] == kind

    @pytest.mark.parametrize(
        ("accept", "wants"),
        [
            ("", False),
            ("gzip", True),
            ("deflate, GZIP;q=0.5", True),
            ("x-gzip", True),
            ("gzip;q=0", False),
            ("*", True),
            ("*, gzip;q=0", False),
            ("identity", False),
            ("gzip;q=0.000", False),
        ],
    )
    def test_gzip_is_for_who_takes_it(self, accept: str, wants: bool) -> None:
        assert wants_gzip(accept) is wants

    @given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
    def test_any_header_is_understood_somehow(self, accept: str) -> None:
        assert content_type(accept) in (OPENMETRICS, OPENMETRICS_0, TEXT)
        assert wants_gzip(accept) in (True, False)


@given(
    st.lists(st.lists(st.binary(max_size=2000) | st.builds(bytes, st.integers(4000, 9000)), max_size=10), max_size=4)
)
def test_a_compressed_page_is_the_page(pages: list[list[bytes]]) -> None:
    compressor, known = compress.Gzip(), {chunk: chunk for page in pages for chunk in page}
    for page in pages:
        same = [known[chunk] for chunk in page]  # equal chunks are the same object, as in the pages of a server
        assert gzip.decompress(b"".join(compressor.page(same))) == b"".join(page)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_of_joined_texts_is_that_of_the_whole(one: bytes, two: bytes) -> None:
    assert crc.joined(zlib.crc32(one), zlib.crc32(two), crc.shift(len(two))) == zlib.crc32(one + two)


def test_a_chunk_that_is_the_same_again_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = []

    class Counting:
        def compress(self, data: bytes) -> bytes:
            compressed.append(data)
            return b""

        def flush(self, mode: int) -> bytes:
            return b""

    monkeypatch.setattr(compress, "_library", lambda: (Counting(), zlib.crc32))
    compressor, still = compress.Gzip(), b"a" * 1000
    compressor.page([still, b"first"])
    compressor.page([still, b"second"])
    assert compressed == [still, b"first", b"second"]


def test_tiny_chunks_are_compressed_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = []

    class Counting:
        def compress(self, data: bytes) -> bytes:
            compressed.append(data)
            return b""

        def flush(self, mode: int) -> bytes:
            return b""

    monkeypatch.setattr(compress, "_library", lambda: (Counting(), zlib.crc32))
    compress.Gzip().page([b"a", b"b", b"c" * 5000, b"d", b"", b"e"])
    assert compressed == [b"ab", b"c" * 5000, b"de"]


def test_a_page_is_compressed_without_isal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    assert gzip.decompress(b"".join(compress.Gzip().page([b"a" * 1000, b"", b"b"]))) == b"a" * 1000 + b"b"


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:19939", ("127.0.0.1", 19939)),
            ("0.0.0.0:80", ("0.0.0.0", 80)),
            ("[::1]:19939", ("::1", 19939)),
            ("[::]:0", ("::", 0)),
            ("localhost:1", ("127.0.0.1", 1)),
            ("19939", ("127.0.0.1", 19939)),
            (":19939", ("127.0.0.1", 19939)),
        ],
    )
    def test_they_are_an_ip_address_and_a_port(self, text: str, address: tuple[str, int]) -> None:
        assert Address.parse(text) == address

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "",
                ":",
                "a",
                "127.0.0.1",
                "127.0.0.1:",
                "127.0.0.1:x",
                "127.0.0.1:65536",
                "127.0.0.1:-1",
                "::1:1",
            ),
            *("[127.0.0.1]:1", "[::1]", "[::1:1", "example.org:1", "127.0.0.1:٣", "256.0.0.1:1", "http://127.0.0.1:1"),
            *("127.0.0.1:1\n", "127.0.0.1:000001", "\0:1", "[]:1", "[fe80::1%]:1"),
        ],
    )
    def test_others_are_told_what_to_write(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"--listen .* Write 127.0.0.1:19939"):
            Address.parse(text)

    @given(st.text(max_size=30))
    def test_any_text_is_an_address_or_a_usage_error(self, text: str) -> None:
        with contextlib.suppress(UsageError):
            assert Address.parse(text).port in range(65536)

    def test_a_port_in_use_and_an_address_of_others_are_told_with_a_remedy(self) -> None:
        with Address("127.0.0.1", 0).open() as taken:
            port = taken.getsockname()[1]
            with pytest.raises(NotAvailableError, match=f"127.0.0.1:{port}: cannot listen: another process listens"):
                open_all([f"127.0.0.1:{port}"], {})
        with pytest.raises(NotAvailableError, match=r"192.0.2.1:1: cannot listen: no interface of this host"):
            open_all(["192.0.2.1:1"], {})

    def test_only_loopback_is_only_for_this_host(self) -> None:
        with Address("127.0.0.1", 0).open() as local, Address("0.0.0.0", 0).open() as open_to_all:
            assert is_local(local)
            assert not is_local(open_to_all)
            assert url(local, tls=False) == f"http://127.0.0.1:{local.getsockname()[1]}/metrics"
            assert url(open_to_all, tls=True) == f"https://0.0.0.0:{open_to_all.getsockname()[1]}/metrics"


class TestSocketsOfSystemd:
    """In a process of its own: descriptors from 3 on are the ones handed over."""

    PROGRAM = """
import os, socket, sys
from rctl.errors import RctlError
from rctl_exporter.web.listen import open_all, url
if sys.argv[1] == "mine":
    os.environ["LISTEN_PID"] = str(os.getpid())
try:
    for listener in open_all(sys.argv[2:]):
        print(url(listener, tls=False), os.get_inheritable(listener.fileno()))
except RctlError as error:
    print(error)
print(*(name for name in os.environ if name.startswith("LISTEN_")))
"""

    def run(self, handed: Sequence[socket.socket], count: str, *words: str) -> list[str]:
        def hand_over() -> None:
            for number, one in enumerate(high):
                os.dup2(one, 3 + number)

        high = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, 100) for one in handed]
        try:
            done = subprocess.run(
                [sys.executable, "-c", self.PROGRAM, *words],
                env={**os.environ, "LISTEN_FDS": count, "LISTEN_PID": "1", "LISTEN_FDNAMES": "a"},
                preexec_fn=hand_over,
                close_fds=False,
                capture_output=True,
                text=True,
                check=True,
            )
        finally:
            for one in high:
                os.close(one)
        return done.stdout.splitlines()

    def test_they_are_served_instead_of_the_default(self, tmp_path: Path) -> None:
        with Address("127.0.0.1", 0).open() as one, socket.socket(socket.AF_UNIX) as other:
            other.bind(str(tmp_path / "s"))
            other.listen()
            expected = [f"{url(one, tls=False)} False", f"unix:{tmp_path}/s False", ""]
            assert self.run([one, other], "2", "mine") == expected

    def test_those_of_another_process_are_not_taken(self) -> None:
        with Address("127.0.0.1", 0).open() as one:
            (line, _) = self.run([one], "1", "another's", "127.0.0.1:0")
            assert line.startswith("http://127.0.0.1:")
            assert line != f"{url(one, tls=False)} False"

    @pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
    def test_what_does_not_listen_is_refused(self, kind: socket.SocketKind) -> None:
        with socket.socket(socket.AF_INET, kind) as one:
            one.bind(("127.0.0.1", 0))
            (line, _) = self.run([one], "1", "mine")
            assert line.startswith("LISTEN_FDS: descriptor 3 is no listening stream socket")

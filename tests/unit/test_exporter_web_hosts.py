"""By which names the exporter may be asked: a page of another site must not read it through the browser."""

from __future__ import annotations

import socket

import pytest

from rctl.errors import UsageError
from rctl_exporter.web.hosts import Hosts

from .web_server import serving

OWN = [
    "localhost", "localhost:19939", "LocalHost.", "web.localhost",
    "127.0.0.1:19939", "127.9.9.9", "[::1]:19939", "10.0.0.7",
]  # fmt: skip
FOREIGN = [
    "evil.example", "evil.example:19939", "127.0.0.1.evil.example", "localhost.evil.example",
    "[evil]", "::1", "[1.2.3.4]", "a b", ":80",
]  # fmt: skip


class TestNames:
    @pytest.mark.parametrize("host", OWN)
    def test_on_loopback_addresses_and_localhost_are_this_host(self, host: str) -> None:
        assert Hosts().allow(host, loopback=True)

    def test_so_is_its_own_name(self) -> None:
        assert Hosts().allow(f"{socket.gethostname()}:19939", loopback=True)

    @pytest.mark.parametrize("host", FOREIGN)
    def test_on_loopback_no_other_name_is(self, host: str) -> None:
        assert not Hosts().allow(host, loopback=True)

    @pytest.mark.parametrize("host", [*OWN, "node1.example.com:19939"])
    def test_a_server_for_the_network_is_asked_by_any_name(self, host: str) -> None:
        assert Hosts().allow(host, loopback=False)

    @pytest.mark.parametrize("loopback", [True, False])
    def test_names_that_are_given_hold_on_every_address(self, loopback: bool) -> None:
        hosts = Hosts(["Metrics.example.com"])
        assert hosts.allow("metrics.example.com:443", loopback=loopback)
        assert not hosts.allow("evil.example", loopback=loopback)

    @pytest.mark.parametrize("name", ["", "a:80", "http://a", "*.example.com", "a b", "a\n", ".", "-a", "ä.example"])
    def test_what_is_no_name_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match=r"^--web.allowed-host .*: not a host's name. Write it like metrics"):
            Hosts([name])


class TestServer:
    @pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/nowhere"])
    def test_a_rebound_name_is_misdirected_and_logged(self, path: str) -> None:
        with serving() as served, served.client() as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: evil.example:1\r\n\r\n".encode())
            reply = client.reply()
            assert reply.status == 421
            assert "up 1" not in reply.text
            assert "refused the host 'evil.example:1'. See --web.allowed-host" in served.log.getvalue()

    def test_the_host_within_the_target_counts_too(self) -> None:
        with serving() as served, served.client() as client:
            client.send(b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.reply().status == 421

    def test_who_gives_none_is_no_browser(self) -> None:
        with serving() as served, served.client() as client:
            client.send(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert client.reply().status == 200

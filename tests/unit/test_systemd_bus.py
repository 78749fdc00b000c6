"""The connection to a systemd manager, against a small one: calls, refusals, silence, a manager that starts anew."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, HeaderFields, Message, Parser, new_error, new_method_return, new_signal

from rctl.errors import BusyError, NotAvailableError, NotFoundError, RctlError
from rctl.systemd import bus
from rctl.systemd.bus import Bus, BusError, unit_path

Answer = Callable[[Message], Message | None]


class Manager:
    """Listens as a user's systemd does. ``answer``: to a call; ``None``: it closes the connection."""

    def __init__(self, place: Path) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.greetings: list[bytes] = []
        self.refuses = False
        self.at_once = b""
        self.answer: Answer = lambda call: new_method_return(call, "", ())
        self._place, self._anew = place, False
        self.listen()

    def listen(self) -> None:
        """Listen at a new socket."""
        self._place.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._place))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            self._wire = wire
            with wire:
                self.greetings.append(wire.recv(1024))
                wire.sendall(b"REJECTED EXTERNAL\r\n" if self.refuses else b"OK 0123\r\n" + self.at_once)
                self._talk(wire)

    def _talk(self, wire: socket.socket) -> None:
        parser = Parser()
        while data := wire.recv(4096):
            parser.add_data(data)
            while (call := parser.get_next_message()) is not None:
                self.calls.append((call.header.fields[HeaderFields.member], call.body))
                if (answer := self.answer(call)) is None:
                    return
                wire.sendall(answer.serialise(1))

    def send_first(self, data: bytes, answer: Message) -> Message:
        """Send something before an answer."""
        self._wire.sendall(data)
        return answer

    def execute_anew(self, call: Message) -> Message | None:
        """Close all before the answer, as systemd does; the test says when it listens again."""
        if self._anew:
            return new_method_return(call, "s", ("here",))
        self._anew = True
        self.close()
        return None

    def hang_up(self) -> None:
        """Close the connection, and not the socket."""
        self._wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):  # it is closed
            self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._listener.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setattr(bus, "USERS_PRIVATE", str(tmp_path / "{uid}"))
    made = Manager(tmp_path / "7")
    yield made
    made.close()


def connected() -> Bus:
    return Bus(7, deadline=5)


def refusing(name: str, text: str = "because") -> Answer:
    return lambda call: new_error(call, f"org.freedesktop.{name}", "s", (text,))


def test_a_signal_that_comes_with_the_greeting_is_no_part_of_an_answer(manager: Manager) -> None:
    place = DBusAddress("/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager")
    signal = new_signal(place, "UnitNew", "so", ("app.service", "/org/freedesktop/systemd1/unit/app_2eservice"))
    manager.at_once = signal.serialise(9)[:50]
    rest = signal.serialise(9)[50:]
    manager.answer = lambda call: manager.send_first(rest, new_method_return(call, "s", ("done",)))
    with connected() as made:
        assert made.call("Reload") == ("done",)


def test_a_connection_is_looked_at_with_many_open_files(high_descriptors: None, manager: Manager) -> None:
    with connected() as made:
        made.call("Reload")
        manager.hang_up()
        made.reach()
        assert made.call("Reload") == ()


def test_a_connection_that_was_closed_is_made_anew_before_it_is_needed(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "_ANEW", 0.1)
    with connected() as made:
        made.call("Reload")
        made.reach()
        assert len(manager.greetings) == 1, "it is still open"
        manager.hang_up()
        made.reach()
        assert len(manager.greetings) == 2
        assert made.call("Reload") == ()
        manager.close()
        manager.hang_up()
        with pytest.raises(NotAvailableError, match="cannot be reached"):
            made.reach()


def test_begin_comes_with_the_first_message(manager: Manager) -> None:
    with connected():
        pass
    assert manager.greetings[0].startswith(b"\0AUTH EXTERNAL ")
    assert manager.greetings[0].endswith(b"\r\nBEGIN\r\n")


def test_all_properties_go_in_one_call_and_the_files_are_written_when_it_returns(manager: Manager) -> None:
    def answer(call: Message) -> Message:
        return (
            new_method_return(call, "v", (("as", ["/etc/a.conf"]),))
            if call.body[1] == "DropInPaths"
            else new_method_return(call)
        )

    manager.answer = answer
    with connected() as wire:
        found = wire.set("web.service", [("MemoryMax", ("t", 5)), ("CPUWeight", ("t", 7))], runtime=True)
    assert found == ["/etc/a.conf"]
    assert [name for name, _ in manager.calls] == ["SetUnitProperties", "Get"]
    assert manager.calls[0][1] == ("web.service", True, [("MemoryMax", ("t", 5)), ("CPUWeight", ("t", 7))])


def test_a_property_that_the_manager_does_not_know_is_left_out(manager: Manager) -> None:
    def answer(call: Message) -> Message:
        if call.body[1] == "New":
            return new_error(call, "org.freedesktop.DBus.Error.UnknownProperty", "s", ("no",))
        return new_method_return(call, "v", (("t", 9),))

    manager.answer = answer
    with connected() as wire:
        assert wire.get("web.service", "Service", ["MemoryMax", "New"]) == {"MemoryMax": 9}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("systemd1.NoSuchUnit", NotFoundError),
        ("DBus.Error.AccessDenied", NotAvailableError),
        ("systemd1.TransactionIsDestructive", BusyError),
        ("DBus.Error.InvalidArgs", RctlError),
    ],
)
def test_a_refusal_is_told(manager: Manager, name: str, kind: type[RctlError]) -> None:
    manager.answer = refusing(name)
    with connected() as wire, pytest.raises(kind, match="because"):
        wire.call("GetUnit", "s", "web.service")


def test_any_other_refusal_has_a_remedy_too(manager: Manager) -> None:
    manager.answer = refusing("DBus.Error.InvalidArgs", "Value specified in MemoryMax is out of range")
    with connected() as wire, pytest.raises(BusError) as refused:
        wire.call("SetUnitProperties")
    assert str(refused.value) == (
        "systemd: Value specified in MemoryMax is out of range. See systemd.resource-control(5), and systemctl status"
    )


def test_a_manager_that_starts_anew_is_asked_again(manager: Manager) -> None:
    def once(call: Message) -> Message | None:
        return new_method_return(call, "s", ("here",)) if len(manager.calls) > 1 else None

    manager.answer = once
    with connected() as wire:
        assert wire.call("GetUnit", "s", "web.service") == ("here",)
    assert len(manager.greetings) == 2


def test_a_manager_that_executes_itself_anew_is_waited_for(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.answer = manager.execute_anew
    monkeypatch.setattr("time.sleep", lambda _: manager.listen())
    with connected() as wire:
        assert wire.call("GetUnit", "s", "web.service") == ("here",)


def test_the_systems_manager_is_waited_for_from_the_start(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "PRIVATE", bus.USERS_PRIVATE.format(uid=7))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("time.sleep", lambda _: manager.listen())
    manager.close()
    with Bus(deadline=5) as wire:
        assert wire.call("Reload") == ()


def test_a_users_manager_that_has_ended_is_told_at_once(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: manager.listen())
    manager.close()
    with pytest.raises(NotAvailableError, match="the systemd of user 7 cannot be reached"):
        connected()


def test_a_manager_that_closes_each_connection_is_told(manager: Manager) -> None:
    manager.answer = lambda call: None
    with connected() as wire, pytest.raises(NotAvailableError, match="the systemd of user 7 does not answer"):
        wire.call("GetUnit", "s", "web.service")


def test_a_manager_that_is_away_for_a_while_is_asked_again(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "_ANEW", 0)
    manager.answer = lambda call: None
    place, aside = tmp_path / "7", tmp_path / "aside"
    with connected() as wire:
        place.rename(aside)
        with pytest.raises(NotAvailableError, match="cannot be reached"):
            wire.call("GetUnit", "s", "web.service")
        aside.rename(place)
        manager.answer = lambda call: new_method_return(call, "s", ("here",))
        assert wire.call("GetUnit", "s", "web.service") == ("here",)


def test_a_silent_manager_is_told_at_the_deadline(manager: Manager) -> None:
    never = threading.Event()
    manager.answer = lambda call: new_method_return(call, "", ()) if never.wait(5) else None
    with Bus(7, deadline=0.05) as wire, pytest.raises(NotAvailableError, match=r"no answer in 0\.05 s"):
        wire.call("GetUnit", "s", "web.service")


def test_a_user_that_the_manager_refuses_is_told(manager: Manager) -> None:
    manager.refuses = True
    with pytest.raises(NotAvailableError, match="refuses this user"):
        connected()


def test_no_manager_is_told_with_the_remedy_for_a_user(manager: Manager) -> None:
    with pytest.raises(NotAvailableError, match="the systemd of user 8 cannot be reached") as failure:
        Bus(8)
    assert str(failure.value).endswith(
        "Start it: systemctl start user@8.service; or at each boot: loginctl enable-linger 8"
    )


@pytest.mark.parametrize(
    ("unit", "path"),
    [
        ("nginx.service", "nginx_2eservice"),
        ("7.scope", "_37_2escope"),
        ("docker-a1.scope", "docker_2da1_2escope"),
        ("ü.service", "_c3_bc_2eservice"),
    ],
)
def test_the_object_of_a_unit(unit: str, path: str) -> None:
    assert unit_path(unit) == f"/org/freedesktop/systemd1/unit/{path}"

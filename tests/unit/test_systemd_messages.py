"""D-Bus messages: what rctl sends, jeepney reads; what a manager sends, rctl reads as jeepney does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, Endianness, HeaderFields, Message, Parser, new_error, new_method_return, new_signal
from jeepney.low_level import Header, MessageType

from rctl.systemd import dbus_messages
from rctl.systemd.dbus_messages import Stream, call

PATH, NAME = "/org/freedesktop/systemd1", "org.freedesktop.systemd1"
CALL = Message(Header(Endianness.little, MessageType.method_call, 0, 1, 0, 5, {}), ())
PROPERTIES: list[tuple[str, tuple[str, Any]]] = [
    ("MemoryMax", ("t", 5)), ("AllowedCPUs", ("ay", b"\3\1")), ("CPUWeight", ("t", (1 << 64) - 1)),
    ("MemoryAccounting", ("b", True)), ("IOReadBandwidthMax", ("a(st)", [("/dev/vdc", 7)])), ("TasksMax", ("t", 0)),
]  # fmt: skip


def sent(signature: str = "", *arguments: Any, method: str = "Reload") -> Message:
    """A call of rctl's as jeepney reads it."""
    parser = Parser()
    parser.add_data(call(3, PATH, f"{NAME}.Manager", NAME, method, signature, arguments))
    message = parser.get_next_message()
    assert message is not None
    assert parser.buf.bytes_buffered == 0
    return message


def received(message: Message, serial: int = 9, pieces: int = 1 << 16) -> dbus_messages.Message:
    """A message of jeepney's as rctl reads it, when it comes in pieces of so many bytes."""
    stream, data = Stream(), message.serialise(serial)
    for at in range(0, len(data), pieces):
        assert stream.next() is None
        stream.add(data[at : at + pieces])
    found = stream.next()
    assert found is not None
    assert stream.next() is None
    return found


def test_a_call_without_arguments() -> None:
    message = sent()
    assert message.header.serial == 3
    assert message.header.fields == {
        HeaderFields.path: PATH, HeaderFields.interface: f"{NAME}.Manager", HeaderFields.member: "Reload",
        HeaderFields.destination: NAME,
    }  # fmt: skip
    assert message.body == ()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), st.permutations(PROPERTIES))
def test_a_call_with_properties(unit: str, properties: list[tuple[str, tuple[str, Any]]]) -> None:
    message = sent("sba(sv)", unit, True, properties, method="SetUnitProperties")
    assert message.header.fields[HeaderFields.signature] == "sba(sv)"
    assert message.body == (unit, True, properties)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), st.integers(0, 3))
def test_a_call_with_numbers_alone(unit: str, number: int) -> None:
    properties = [("MemoryMax", ("t", 5)), ("CPUWeight", ("t", (1 << 64) - 1)), ("IOWeight", ("t", 0))][:number]
    assert sent("sba(sv)", unit, True, properties, method="SetUnitProperties").body == (unit, True, properties)


@pytest.mark.parametrize("pieces", [1, 7, 16, 1000])
def test_an_answer_may_come_in_pieces(pieces: int) -> None:
    found = received(new_method_return(CALL, "v", (("t", 7),)), pieces=pieces)
    assert (found.kind, found.answers, found.name, found.body) == (2, 5, "", (("t", 7),))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9), max_size=5))
def test_a_list_of_strings(strings: list[str]) -> None:
    assert received(new_method_return(CALL, "v", (("as", strings),))).body == (("as", strings),)


def test_an_error_has_its_name_and_its_text() -> None:
    found = received(new_error(CALL, "org.freedesktop.DBus.Error.Failed", "s", ("because",)))
    assert (found.kind, found.answers, found.name) == (dbus_messages.ERROR, 5, "org.freedesktop.DBus.Error.Failed")
    assert found.body == ("because",)


def test_a_signal_answers_nothing() -> None:
    found = received(new_signal(DBusAddress(PATH, interface=f"{NAME}.Manager"), "JobRemoved", "us", (1, "done")))
    assert (found.answers, found.name, found.body) == (0, "JobRemoved", (1, "done"))


def test_messages_that_come_together_are_told_apart() -> None:
    stream = Stream()
    stream.add(new_method_return(CALL, "s", ("a",)).serialise(1) + new_method_return(CALL, "s", ("b",)).serialise(2))
    assert [message.body for message in iter(stream.next, None)] == [("a",), ("b",)]


def test_a_message_in_the_other_byte_order() -> None:
    answer = new_method_return(CALL, "v", (("as", ["a", "bc"]),))
    answer.header.endianness = Endianness.big
    found = received(answer)
    assert (found.answers, found.body) == (5, (("as", ["a", "bc"]),))


def test_what_is_no_message_is_refused() -> None:
    stream = Stream()
    stream.add(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(ValueError, match="does not begin with b'H'"):
        stream.next()

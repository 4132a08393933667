"""Every recorded session with a real Asterisk replays: all messages, all outcomes, every action answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dialer.ami.actions import Action
from dialer.ami.connection import AmiConnection, Authentication
from dialer.ami.events import (
    AmiEvent,
    Closed,
    EventReceived,
    LoggedIn,
    LoginRefused,
    ResponseReceived,
    UnmatchedResponse,
)
from dialer.ami.framing import Decoder
from dialer.ami.messages import Message

DATA = Path(__file__).parent.parent / "data" / "ami"
NAMES = sorted(path.name.removesuffix(".rx.txt") for path in DATA.glob("*.rx.txt"))
TABLE: Mapping[str, Mapping[str, Any]] = {row["name"]: row for row in json.loads((DATA / "table.json").read_text())}


def received(name: str) -> list[Message]:
    decoder = Decoder()
    messages = decoder.receive_data((DATA / f"{name}.rx.txt").read_bytes())
    assert decoder.error is None
    assert decoder.buffered_bytes == 0
    return messages


def actions_of(name: str) -> list[Message]:
    return Decoder(expect_banner=False).receive_data((DATA / f"{name}.tx.txt").read_bytes())


def test_all_are_here() -> None:
    assert len(NAMES) == 47
    assert set(TABLE) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_belongs_to_a_message(name: str) -> None:
    data = (DATA / f"{name}.rx.txt").read_bytes()
    messages = received(name)
    banner, _, rest = data.partition(b"\r\n")
    assert banner == b"Asterisk Call Manager/11.0.0"
    written = b"".join(
        b"".join(f"{key}: {value}\r\n".encode() for key, value in message.pairs) + b"\r\n" for message in messages
    )
    assert rest == written
    if name in TABLE:
        assert TABLE[name]["nev"] == len(messages)
        # In one, the name of a folder was shortened after it was recorded.
        assert name.startswith("33") or TABLE[name]["bytes"] == len(data)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_outcomes_are_those_of_the_table(name: str) -> None:
    row = TABLE[name]
    messages = received(name)
    (answer,) = [m for m in messages if m.event == "OriginateResponse" and m.get("Uniqueid") == row["ouid"]]
    assert (row["resp"], row["reason"], row["ochan"]) == (
        answer.get("Response"),
        answer.get("Reason"),
        answer.get("Channel"),
    )
    (hangup,) = [m for m in messages if m.event == "Hangup" and m.get("Uniqueid") == row["ouid"]]
    assert (row["cause"], row["causetxt"], row["tech"]) == (
        hangup.get("Cause"),
        hangup.get("Cause-txt"),
        hangup.get("TechCause"),
    )


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("60", "61", "62", "64"))])
def test_a_connection_replays_it_with_every_action_answered(name: str) -> None:
    md5 = name.startswith("63")
    connection = AmiConnection(
        username="dialer",
        secret="dialer",
        now=0.0,
        authentication=Authentication.MD5 if md5 else Authentication.PLAIN,
        events="on",
    )
    sent = actions_of(name)
    wanted = [m for m in sent if m.action not in {"Login", "Challenge", "Logoff"}]
    logoffs = {m.action_id for m in sent if m.action == "Logoff"}
    # The recording's own ids of the log-in become those of this connection; all else is as recorded.
    data = (DATA / f"{name}.rx.txt").read_bytes()
    for number, message in enumerate((m for m in sent if m.action in {"Login", "Challenge"}), start=1):
        data = data.replace(f"ActionID: {message.action_id}\r\n".encode(), f"ActionID: ami/{number}\r\n".encode())
    split = data.index(b"accepted\r\n\r\n") + len(b"accepted\r\n\r\n")
    events: list[AmiEvent] = list(connection.receive_data(data[:split], 0.0))
    assert [LoggedIn(version=(11, 0, 0))] == events
    if md5:
        key = next(m.get("Key") for m in sent if m.action == "Login")
        (_, login) = Decoder(expect_banner=False).receive_data(connection.data_to_send())
        assert key == login.get("Key")
    for message in wanted:
        fields = tuple(pair for pair in message.pairs if pair[0] not in {"Action", "ActionID"})
        connection.send(Action(message.action or "", fields), message.action_id or "", 0.0)
    for start in range(split, len(data), 1000):
        events += connection.receive_data(data[start : start + 1000], 0.0)
    assert not any(isinstance(event, Closed | LoginRefused) for event in events)
    answered = [event.action_id for event in events if isinstance(event, ResponseReceived)]
    assert sorted(m.action_id or "" for m in wanted) == sorted(answered)
    assert logoffs == {e.message.action_id for e in events if isinstance(e, UnmatchedResponse)}
    count = sum(isinstance(e, EventReceived | UnmatchedResponse) for e in events)
    count += sum(1 + len(e.events) for e in events if isinstance(e, ResponseReceived))
    assert len(received(name)) == count + (2 if md5 else 1)


def test_lists_in_a_recorded_session_are_complete() -> None:
    connection = AmiConnection(username="raw", secret="raw", now=0.0, authentication=Authentication.PLAIN)
    data = (
        (DATA / "70-queue-member-pause-status.rx.txt")
        .read_bytes()
        .replace(b"ActionID: act-1\r\n", b"ActionID: ami/1\r\n")
    )
    split = data.index(b"accepted\r\n\r\n") + len(b"accepted\r\n\r\n")
    connection.receive_data(data[:split], 0.0)
    connection.send(Action("QueueStatus"), "qstatus", 0.0)
    connection.send(Action("QueueSummary"), "qsum", 0.0)
    lists = [e for e in connection.receive_data(data[split:], 0.0) if isinstance(e, ResponseReceived)]
    assert [[m.event for m in item.events] for item in lists] == [
        ["QueueParams", "QueueMember", "QueueStatusComplete"],
        ["QueueSummary", "QueueSummaryComplete"],
    ]


@pytest.mark.parametrize("name", ["60-login-bad-secret", "61-login-unknown-user"])
def test_refused_logins(name: str) -> None:
    (login,) = [m for m in actions_of(name) if m.action == "Login"]
    data = (DATA / f"{name}.rx.txt").read_bytes().replace(f"{login.action_id}".encode(), b"ami/1")
    connection = AmiConnection(username="dialer", secret="wrong", now=0.0, authentication=Authentication.PLAIN)
    events = connection.receive_data(data, 0.0)
    assert LoginRefused(reason="Authentication failed") == events[0]


def test_no_login_before_the_servers_own_timeout() -> None:
    connection = AmiConnection(username="dialer", secret="x", now=0.0)
    assert connection.receive_data((DATA / "64-no-login-timeout.rx.txt").read_bytes(), 0.0) == []
    (closed,) = connection.receive_eof()
    assert isinstance(closed, Closed)


def test_command_output_and_characters_beyond_ascii() -> None:
    output = [m.output for m in received("85-command-output") if m.output]
    assert [lines[3] for lines in output if len(lines) > 3] == ["38 calls processed"]
    values = [m.get("Value") for m in received("82-unicode-variables") if m.get("Variable") == "NAME"]
    assert values[:1] == ["Zoë Ñandú 東京"]

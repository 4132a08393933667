"""The client's side of a connection: log-in, correlation, lists, time-outs, signs of life."""

from __future__ import annotations

import hashlib

import pytest

from dialer.ami import actions
from dialer.ami.actions import encode
from dialer.ami.connection import TRANSITIONS, AmiConnection, AmiState, Authentication
from dialer.ami.events import (
    ActionTimedOut,
    Closed,
    EventReceived,
    LoggedIn,
    LoginRefused,
    PongReceived,
    ResponseReceived,
    UnmatchedResponse,
)
from dialer.ami.framing import Decoder
from dialer.ami.messages import Message
from dialer.errors import LocalProtocolError, RemoteProtocolError

BANNER = b"Asterisk Call Manager/11.0.0\r\n"


def plain(now: float = 0.0, **options: object) -> AmiConnection:
    arguments: dict[str, object] = {
        "username": "dialer",
        "secret": "sesame",
        "now": now,
        "authentication": Authentication.PLAIN,
        "login_timeout_s": 10.0,
        "action_timeout_s": 5.0,
        "ping_interval_s": 20.0,
        **options,
    }
    return AmiConnection(**arguments)  # type: ignore[arg-type]  # options of one test each


def sent(connection: AmiConnection) -> list[Message]:
    return Decoder(expect_banner=False).receive_data(connection.data_to_send())


def answer(message: Message, *more: tuple[str, str], response: str = "Success") -> bytes:
    return encode([("Response", response), ("ActionID", message.action_id or ""), *more])


def ready(now: float = 0.0, **options: object) -> AmiConnection:
    connection = plain(now, **options)
    connection.receive_data(BANNER, now)
    (login,) = sent(connection)
    (logged_in,) = connection.receive_data(answer(login), now)
    assert LoggedIn(version=(11, 0, 0)) == logged_in
    return connection


def test_plain_login() -> None:
    connection = plain(events="call,user")
    assert connection.data_to_send() == b""
    states = [connection.state]
    assert connection.receive_data(BANNER, 0.0) == []
    states.append(connection.state)
    assert states == [AmiState.CONNECTING, AmiState.LOGIN]
    (login,) = sent(connection)
    assert (
        login.action,
        login.get("Username"),
        login.get("Secret"),
        login.get("Events"),
    ) == ("Login", "dialer", "sesame", "call,user")
    assert [LoggedIn(version=(11, 0, 0))] == connection.receive_data(answer(login), 0.1)
    assert AmiState.READY is connection.state


def test_md5_login_never_sends_the_secret() -> None:
    connection = plain(authentication=Authentication.MD5)
    connection.receive_data(BANNER, 0.0)
    (challenge,) = sent(connection)
    assert (challenge.action, challenge.get("AuthType")) == ("Challenge", "MD5")
    assert AmiState.CHALLENGE is connection.state
    connection.receive_data(answer(challenge, ("Challenge", "408317938")), 0.0)
    (login,) = sent(connection)
    assert hashlib.md5(b"408317938sesame").hexdigest() == login.get("Key")
    assert login.get("Secret") is None
    assert login.get("Events") == "off"
    assert [LoggedIn(version=(11, 0, 0))] == connection.receive_data(answer(login), 0.0)


@pytest.mark.parametrize("authentication", list(Authentication))
def test_a_wrong_secret_is_a_refusal_and_the_end(authentication: Authentication) -> None:
    connection = plain(authentication=authentication)
    connection.receive_data(BANNER, 0.0)
    (first,) = sent(connection)
    if authentication is Authentication.MD5:
        connection.receive_data(answer(first, ("Challenge", "1")), 0.0)
        (first,) = sent(connection)
    events = connection.receive_data(answer(first, ("Message", "Authentication failed"), response="Error"), 0.0)
    assert [
        LoginRefused(reason="Authentication failed"),
        Closed(reason="log-in refused: Authentication failed"),
    ] == events
    assert connection.closed
    assert connection.next_deadline() is None


def test_a_server_without_challenges_refuses_md5() -> None:
    connection = plain(authentication=Authentication.MD5)
    connection.receive_data(BANNER, 0.0)
    (challenge,) = sent(connection)
    events = connection.receive_data(answer(challenge, ("Message", "Must specify AuthType"), response="Error"), 0.0)
    assert LoginRefused(reason="Must specify AuthType") == events[0]


def test_a_secret_that_cannot_be_written_is_refused_by_ourselves() -> None:
    connection = plain(secret="a\r\nAction: Originate")
    events = connection.receive_data(BANNER, 0.0)
    assert isinstance(events[0], LoginRefused)
    assert isinstance(events[1], Closed)
    assert connection.data_to_send() == b""


def test_too_old_a_server_is_refused() -> None:
    (closed,) = plain().receive_data(b"Asterisk Call Manager/1.1\r\n", 0.0)
    assert isinstance(closed, Closed)
    assert "too old" in closed.reason
    assert isinstance(closed.error, RemoteProtocolError)


def test_no_greeting_in_time() -> None:
    connection = plain()
    assert connection.next_deadline() == 10.0
    assert connection.handle_timer(9.9) == []
    (closed,) = connection.handle_timer(10.0)
    assert isinstance(closed, Closed)
    assert "no Asterisk greeting within 10 s" in closed.reason


def test_no_answer_to_the_login_in_time() -> None:
    connection = plain()
    connection.receive_data(BANNER, 9.0)
    (closed,) = connection.handle_timer(10.0)
    assert isinstance(closed, Closed)
    assert "no answer to the log-in" in closed.reason
    assert closed.unanswered == ()


def test_something_else_on_the_port() -> None:
    connection = plain()
    (closed,) = connection.receive_data(b"HTTP/1.1 400 Bad Request\r\n\r\n", 0.0)
    assert isinstance(closed, Closed)
    assert isinstance(closed.error, RemoteProtocolError)
    assert "not an Asterisk manager interface" in closed.reason
    assert connection.receive_data(BANNER, 0.0) == []
    assert connection.receive_eof() == []
    assert connection.handle_timer(99.0) == []
    assert connection.close(99.0) == []


def test_nothing_is_sent_before_the_login() -> None:
    connection = plain()
    with pytest.raises(LocalProtocolError, match="connecting"):
        connection.send(actions.ping(), "a", 0.0)
    connection.receive_data(BANNER, 0.0)
    with pytest.raises(LocalProtocolError, match="login"):
        connection.send(actions.ping(), "a", 0.0)


def test_responses_belong_to_the_action_with_their_id_in_any_order() -> None:
    connection = ready()
    for name in ("a", "b", "c"):
        connection.send(actions.hangup(name), name, 1.0)
    first, second, third = sent(connection)
    events = connection.receive_data(answer(third, ("N", "3")) + answer(first, ("N", "1")) + answer(second), 1.0)
    assert [event.action_id for event in events if isinstance(event, ResponseReceived)] == ["c", "a", "b"]
    assert isinstance(events[0], ResponseReceived)
    assert events[0].ok
    assert events[0].message.get("N") == "3"
    assert connection.outstanding == 0


def test_unknown_repeated_and_missing_ids_answer_nothing() -> None:
    connection = ready()
    connection.send(actions.ping(), "a", 1.0)
    strange = encode([("Response", "Error"), ("Message", "Missing action in request")])
    data = encode([("Response", "Success"), ("ActionID", "never")]) + strange
    events = connection.receive_data(data, 1.0)
    assert [UnmatchedResponse] * 2 == [type(event) for event in events]
    assert connection.outstanding == 1
    (message,) = sent(connection)
    events = connection.receive_data(answer(message) + answer(message), 1.0)
    assert [ResponseReceived, UnmatchedResponse] == [type(event) for event in events]


def test_an_id_that_waits_for_its_response_cannot_be_used_again() -> None:
    connection = ready()
    connection.send(actions.ping(), "a", 1.0)
    before = connection.data_to_send()
    with pytest.raises(LocalProtocolError, match="ActionID"):
        connection.send(actions.ping(), "a", 1.0)
    assert before
    assert connection.data_to_send() == b""
    connection.receive_data(encode([("Response", "Success"), ("ActionID", "a")]), 1.0)
    connection.send(actions.ping(), "a", 1.0)


def test_what_cannot_be_encoded_leaves_no_trace() -> None:
    connection = ready()
    with pytest.raises(LocalProtocolError):
        connection.send(actions.hangup("a\r\nb"), "a", 1.0)
    assert connection.data_to_send() == b""
    assert connection.outstanding == 0


def test_outstanding_actions_are_bounded() -> None:
    connection = ready(max_outstanding=2)
    connection.send(actions.ping(), "a", 1.0)
    connection.send(actions.ping(), "b", 1.0)
    with pytest.raises(LocalProtocolError, match="2 actions have no response"):
        connection.send(actions.ping(), "c", 1.0)


def test_lists_come_with_their_response_and_other_events_pass_between() -> None:
    connection = ready()
    connection.send(actions.core_show_channels(), "list", 1.0)
    connection.send(actions.ping(), "ping", 1.0)
    row = encode([("Event", "CoreShowChannel"), ("ActionID", "list"), ("Channel", "PJSIP/a-1")])
    other = encode([("Event", "Hangup"), ("Uniqueid", "x")])
    data = (
        encode([("Response", "Success"), ("ActionID", "list"), ("EventList", "start")])
        + row
        + other
        + encode([("Response", "Success"), ("ActionID", "ping")])
        + row
        + encode([("Event", "CoreShowChannelsComplete"), ("ActionID", "list"), ("EventList", "Complete")])
    )
    events = connection.receive_data(data, 1.0)
    assert [EventReceived, ResponseReceived, ResponseReceived] == [type(event) for event in events]
    last = events[-1]
    assert isinstance(last, ResponseReceived)
    assert [m.event for m in last.events] == ["CoreShowChannel", "CoreShowChannel", "CoreShowChannelsComplete"]


def test_an_originate_response_is_an_event_not_a_list_member() -> None:
    connection = ready()
    connection.send(actions.ping(), "c-1", 1.0)
    event = encode([("Event", "OriginateResponse"), ("ActionID", "c-1"), ("Response", "Success")])
    (early,) = connection.receive_data(event, 1.0)
    assert isinstance(early, EventReceived)
    assert connection.outstanding == 1
    events = connection.receive_data(encode([("Response", "Success"), ("ActionID", "c-1")]) + event, 1.0)
    assert [ResponseReceived, EventReceived] == [type(item) for item in events]


def test_a_list_is_alive_as_long_as_it_goes_on_and_times_out_when_it_stops() -> None:
    connection = ready()
    connection.send(actions.core_show_channels(), "list", 0.0)
    connection.receive_data(encode([("Response", "Success"), ("ActionID", "list"), ("EventList", "start")]), 4.0)
    row = encode([("Event", "CoreShowChannel"), ("ActionID", "list")])
    connection.receive_data(row, 8.0)
    assert connection.handle_timer(12.9) == []
    assert [ActionTimedOut(action_id="list", name="CoreShowChannels")] == connection.handle_timer(13.0)
    (late,) = connection.receive_data(row, 13.1)
    assert isinstance(late, EventReceived)


def test_an_endless_list_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.ami.connection.MAX_LIST_EVENTS", 3)
    connection = ready()
    connection.send(actions.core_show_channels(), "list", 0.0)
    row = encode([("Event", "CoreShowChannel"), ("ActionID", "list")])
    data = encode([("Response", "Success"), ("ActionID", "list"), ("EventList", "start")]) + row * 4
    (closed,) = connection.receive_data(data, 0.0)
    assert isinstance(closed, Closed)
    assert closed.unanswered == ("list",)


def test_every_action_times_out_once_and_is_not_sent_again() -> None:
    connection = ready()
    connection.send(actions.ping(), "a", 1.0)
    connection.send(actions.ping(), "b", 1.5, timeout_s=2.0)
    connection.data_to_send()
    assert connection.next_deadline() == 3.5
    assert [ActionTimedOut(action_id="b", name="Ping")] == connection.handle_timer(3.5)
    assert connection.next_deadline() == 6.0
    assert [ActionTimedOut(action_id="a", name="Ping")] == connection.handle_timer(6.0)
    assert connection.data_to_send() == b""
    (late,) = connection.receive_data(encode([("Response", "Success"), ("ActionID", "a")]), 6.1)
    assert isinstance(late, UnmatchedResponse)


def test_silence_is_met_with_a_ping_and_then_the_end() -> None:
    connection = ready()
    assert connection.next_deadline() == 20.0
    assert connection.handle_timer(20.0) == []
    (ping,) = sent(connection)
    assert ping.action == "Ping"
    connection.send(actions.core_show_channels(), "mine", 20.0, timeout_s=60.0)
    assert connection.next_deadline() == 25.0
    assert [Closed(reason="no sign of life for 25 s", unanswered=("mine",))] == connection.handle_timer(25.0)


def test_a_pong_gives_the_round_trip_and_starts_the_interval_anew() -> None:
    connection = ready()
    connection.handle_timer(20.0)
    (ping,) = sent(connection)
    assert [PongReceived(round_trip_s=0.25)] == connection.receive_data(answer(ping, ("Ping", "Pong")), 20.25)
    assert connection.next_deadline() == 40.25


def test_any_byte_is_a_sign_of_life() -> None:
    connection = ready()
    connection.handle_timer(20.0)
    connection.data_to_send()
    connection.receive_data(b"Event: Ha", 24.0)
    # The ping itself is given up at 25, and a new one asked for after a new silence.
    assert connection.handle_timer(25.0) == []
    assert connection.next_deadline() == 44.0
    assert connection.handle_timer(44.0) == []
    assert len(sent(connection)) == 1


def test_cut_in_the_middle_of_an_event() -> None:
    connection = ready()
    connection.send(actions.ping(), "a", 0.0)
    assert connection.receive_data(b"Event: Hangup\r\nUniq", 1.0) == []
    assert [
        Closed(reason="the server closed the connection in the middle of a message", unanswered=("a",))
    ] == connection.receive_eof()


def test_messages_before_garbage_are_delivered_and_then_it_is_over() -> None:
    connection = ready()
    events = connection.receive_data(encode([("Event", "Hangup")]) + b"\x00garbage", 1.0)
    assert [EventReceived, Closed] == [type(event) for event in events]
    assert connection.closed


def test_an_action_from_a_server_is_nonsense() -> None:
    connection = ready()
    (closed,) = connection.receive_data(encode([("Action", "Ping")]), 1.0)
    assert isinstance(closed, Closed)
    assert isinstance(closed.error, RemoteProtocolError)


def test_logging_off() -> None:
    connection = ready()
    assert connection.close(1.0) == []
    assert AmiState.CLOSING is connection.state
    assert connection.close(1.0) == []
    (logoff,) = sent(connection)
    assert logoff.action == "Logoff"
    with pytest.raises(LocalProtocolError, match="closing"):
        connection.send(actions.ping(), "a", 1.0)
    assert [Closed(reason="logged off")] == connection.receive_data(answer(logoff, response="Goodbye"), 1.1)


def test_logging_off_from_a_server_that_is_gone() -> None:
    connection = ready()
    connection.close(1.0)
    assert connection.next_deadline() == 6.0
    assert [Closed(reason="no goodbye within 5 s")] == connection.handle_timer(6.0)
    connection = ready()
    connection.close(1.0)
    assert [Closed(reason="logged off")] == connection.receive_eof()


def test_closing_before_the_login_is_the_end() -> None:
    assert [Closed(reason="closed before the log-in")] == plain().close(0.0)


def test_every_state_can_end_and_no_row_leaves_the_end() -> None:
    ends = {state for (state, step) in TRANSITIONS if step == "end"}
    assert set(AmiState) - {AmiState.CLOSED} == ends
    assert AmiState.CLOSED not in {state for (state, _) in TRANSITIONS}
    assert set(AmiState) == {*TRANSITIONS.values(), AmiState.CONNECTING}

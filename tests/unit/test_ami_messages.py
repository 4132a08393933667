"""Messages: access to headers by name, repeated headers, nothing private in a repr."""

from __future__ import annotations

import pytest

from dialer.ami.actions import Action
from dialer.ami.messages import Message


def test_names_are_compared_without_case_and_the_first_of_a_repeated_one_wins() -> None:
    message = Message.from_text("Event: UserEvent\r\nUniqueid: a\r\nvariable: X=1\r\nVariable: Y=2")
    assert "a" == message.get("UNIQUEID") == message.get("Uniqueid")
    assert ("X=1", "Y=2") == message.get_all("Variable")
    assert message.get("Nothing") is None
    assert "d" == message.get("Nothing", "d")
    assert "uniqueid" in message
    assert "nothing" not in message


def test_a_repeated_name_gives_its_first_value() -> None:
    message = Message.from_text("Response: Success\r\nOutput: one\r\nOutput: two\r\nOutput: ")
    assert "one" == message.get("Output")
    assert ("one", "two", "") == message.output


def test_an_event_with_a_response_header_is_an_event() -> None:
    message = Message.from_text("Event: OriginateResponse\r\nResponse: Failure\r\nActionID: c-1")
    assert "OriginateResponse" == message.event
    assert message.response is None
    assert "Failure" == message.get("Response")
    assert "c-1" == message.action_id


def test_an_action_may_name_itself_anywhere() -> None:
    message = Message.from_text("ActionID: 1\r\nAction: Ping")
    assert "Ping" == message.action
    assert message.event is None
    assert message.response is None
    assert Message.from_text("Event: X\r\nAction: y").action is None


def test_values_keep_colons_blanks_and_emptiness() -> None:
    message = Message.from_text("Event: X\r\nAppData: a: b:c\r\nAccountCode: \r\nTight:v\r\nPad:  two ")
    assert "a: b:c" == message.get("AppData")
    assert "" == message.get("AccountCode")
    assert "v" == message.get("Tight")
    assert " two " == message.get("Pad")


def test_a_line_without_a_colon_goes_on_with_the_value_above() -> None:
    message = Message.from_text("Event: X\r\nText: one\r\ntwo\r\n\r\nMore: m".replace("\r\n\r\n", "\r\n"))
    assert "one\ntwo" == message.get("Text")
    assert "m" == message.get("More")


def test_variables_by_name() -> None:
    message = Message.from_text(
        "Event: Newchannel\r\nChanVariable(PJSIP/a-1): CALL=c=1\r\nChanVariable(PJSIP/b-2): AGENT=x\r\nVariable: Z=9\r\nVariable: none"
    )
    assert {"CALL": "c=1", "AGENT": "x"} == message.variables("ChanVariable")
    assert {"Z": "9"} == message.variables()


def test_equal_by_headers_however_made() -> None:
    text = Message.from_text("Event: X\r\nA: 1")
    pairs = Message([("Event", "X"), ("A", "1")])
    assert text == pairs
    assert hash(text) == hash(pairs)
    assert "X" == pairs.event
    assert "1" == pairs.get("a")
    assert text != Message([("A", "1"), ("Event", "X")])
    assert text != "Event: X"


def test_immutable() -> None:
    message = Message.from_text("Event: X")
    with pytest.raises(AttributeError, match="immutable"):
        message._text = "Event: Y"
    with pytest.raises(AttributeError, match="immutable"):
        del message._text
    with pytest.raises(AttributeError):
        message.event = "Y"  # type: ignore[misc]  # that it cannot be set is what is tested


def test_no_secret_and_no_number_in_a_repr() -> None:
    message = Message([("Secret", "swordfish"), ("Channel", "PJSIP/+34600111222@t")])
    action = Action("Login", (("Secret", "swordfish"), ("Channel", "PJSIP/+34600111222@t")))
    for shown in (repr(message), repr(action)):
        assert "swordfish" not in shown
        assert "600111" not in shown
    assert "Event: Hangup" in repr(Message([("Event", "Hangup"), ("CallerIDNum", "+34600111222")]))
    assert "600111" not in repr(Message([("Event", "Hangup"), ("CallerIDNum", "+34600111222")]))

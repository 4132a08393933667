"""Messages: access to headers by name, repeated headers, nothing private in a repr."""

from __future__ import annotations

import pytest

from dialer.ami.actions import Action
from dialer.ami.messages import Message


def test_names_are_compared_without_case_and_the_first_of_a_repeated_one_wins() -> None:
    message = Message.from_text("Event: UserEvent\r\nUniqueid: a\r\nvariable: X=1\r\nVariable: Y=2")
    assert "a" == message.get("UNIQUEID") == message.get("Uniqueid")
    assert message.get_all("Variable") == ("X=1", "Y=2")
    assert message.get("Nothing") is None
    assert message.get("Nothing", "d") == "d"
    assert "uniqueid" in message
    assert "nothing" not in message


def test_a_repeated_name_gives_its_first_value() -> None:
    message = Message.from_text("Response: Success\r\nOutput: one\r\nOutput: two\r\nOutput: ")
    assert message.get("Output") == "one"
    assert message.output == ("one", "two", "")


def test_an_event_with_a_response_header_is_an_event() -> None:
    message = Message.from_text("Event: OriginateResponse\r\nResponse: Failure\r\nActionID: c-1")
    assert message.event == "OriginateResponse"
    assert message.response is None
    assert message.get("Response") == "Failure"
    assert message.action_id == "c-1"


def test_an_action_may_name_itself_anywhere() -> None:
    message = Message.from_text("ActionID: 1\r\nAction: Ping")
    assert message.action == "Ping"
    assert message.event is None
    assert message.response is None
    assert Message.from_text("Event: X\r\nAction: y").action is None


def test_values_keep_colons_blanks_and_emptiness() -> None:
    message = Message.from_text("Event: X\r\nAppData: a: b:c\r\nAccountCode: \r\nTight:v\r\nPad:  two ")
    assert message.get("AppData") == "a: b:c"
    assert message.get("AccountCode") == ""
    assert message.get("Tight") == "v"
    assert message.get("Pad") == " two "


def test_a_line_without_a_colon_goes_on_with_the_value_above() -> None:
    message = Message.from_text("Event: X\r\nText: one\r\ntwo\r\n\r\nMore: m".replace("\r\n\r\n", "\r\n"))
    assert message.get("Text") == "one\ntwo"
    assert message.get("More") == "m"


def test_variables_by_name() -> None:
    message = Message.from_text(
        "Event: Newchannel\r\nChanVariable(PJSIP/a-1): CALL=c=1\r\nChanVariable(PJSIP/b-2): AGENT=x\r\n"
        "Variable: Z=9\r\nVariable: none"
    )
    assert message.variables("ChanVariable") == {"CALL": "c=1", "AGENT": "x"}
    assert message.variables() == {"Z": "9"}


def test_equal_by_headers_however_made() -> None:
    text = Message.from_text("Event: X\r\nA: 1")
    pairs = Message([("Event", "X"), ("A", "1")])
    assert text == pairs
    assert hash(text) == hash(pairs)
    assert pairs.event == "X"
    assert pairs.get("a") == "1"
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

"""Actions as bytes: exact wire form, escaping for Asterisk's second reading, refusals."""

from __future__ import annotations

import pytest

from dialer.ami import actions
from dialer.ami.actions import Action, encode, encode_action
from dialer.ami.framing import Decoder
from dialer.errors import LocalProtocolError


def test_an_originate_as_it_stands_on_the_wire() -> None:
    action = actions.originate(
        "PJSIP/+34600111222@trunk",
        context="cadencia",
        exten="answered",
        channel_id="c-1",
        timeout_s=29.5,
        caller=actions.caller_id('Ann "A" <b>', "+34911222333"),
        variables={"CALL": "c-1", "__NAME": 'Zoë, "Z" (x\\y)'},
    )
    assert (
        "Action: Originate\r\nActionID: c-1\r\nChannel: PJSIP/+34600111222@trunk\r\nContext: cadencia\r\n"
        "Exten: answered\r\nPriority: 1\r\nTimeout: 29500\r\nAsync: true\r\nChannelId: c-1\r\n"
        'CallerID: "Ann A b" <+34911222333>\r\nVariable: CALL=c-1\r\n'
        'Variable: __NAME=Zoë\\, \\"Z\\" \\(x\\\\y\\)\r\n\r\n'
    ).encode() == encode_action(action, "c-1")


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "PJSIP",
        "PJSIP/",
        "PJSIP/1@t&PJSIP/2@t",
        "PJSIP/1@t,30",
        "PJSIP/1 2@t",
        "PJSIP/1@t\r\nX: y",
        "/1@t",
        "PJSIP/é@t",
    ],
)
def test_a_channel_is_one_plain_dial_string(channel: str) -> None:
    with pytest.raises(LocalProtocolError, match="channel"):
        actions.originate(channel, context="c", exten="s", channel_id="i", timeout_s=1)


@pytest.mark.parametrize("timeout_s", [0, -1, 86_400, float("nan"), float("inf")])
def test_a_ring_timeout_is_above_zero_and_below_a_day(timeout_s: float) -> None:
    with pytest.raises(LocalProtocolError, match="ring time-out"):
        actions.originate("PJSIP/1@t", context="c", exten="s", channel_id="i", timeout_s=timeout_s)


@pytest.mark.parametrize("name", ["", "A B", "A=B", "A,B", "1A", "A\r\nB", "___A", "CALLERID(num)", "É"])
def test_names_of_variables_are_plain(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="variable"):
        encode_action(Action("Originate", (), ((name, "x"),)), "i")
    with pytest.raises(LocalProtocolError, match="variable"):
        actions.setvar("PJSIP/a-1", name, "x")
    with pytest.raises(LocalProtocolError, match="variable"):
        actions.getvar("PJSIP/a-1", name)


@pytest.mark.parametrize("number", ["", "12 3", "1\r\n2", "<1>", '"1"', "+"])
def test_numbers_of_caller_ids_are_plain(number: str) -> None:
    with pytest.raises(LocalProtocolError, match="caller id"):
        actions.caller_id("Ann", number)
    assert actions.caller_id('"<>', "5550100") == "<5550100>"


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\n", "é", "(x)", " A"])
def test_names_of_headers_are_plain(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="header name"):
        encode([(name, "x")])


@pytest.mark.parametrize("action_id", ["", " ", "a b", "a\r\nb", "é", "a" * 129])
def test_action_ids_are_plain(action_id: str) -> None:
    with pytest.raises(LocalProtocolError, match="ActionID"):
        encode_action(actions.ping(), action_id)


def test_what_asterisk_would_throw_away_is_not_sent() -> None:
    longest = "x" * (actions.MAX_ACTION_LINE_BYTES - 2 - len("Command: "))
    encode_action(actions.command(longest), "i")
    with pytest.raises(LocalProtocolError, match="'Command' is longer than the 1024"):
        encode_action(actions.command(longest + "x"), "i")
    most = [(f"V{i}", "x") for i in range(actions.MAX_ACTION_LINES - 2)]
    encode_action(Action("Originate", (), tuple(most)), "i")
    with pytest.raises(LocalProtocolError, match="129 lines"):
        encode_action(Action("Originate", (), (*most, ("W", "x"))), "i")


def test_a_message_needs_a_header_and_text() -> None:
    with pytest.raises(LocalProtocolError, match="needs a header"):
        encode([])
    with pytest.raises(LocalProtocolError, match="surrogate"):
        encode([("Event", "\udc80")])


def test_variables_are_read_as_asterisk_reads_them() -> None:
    lines = [
        ("Action", "Originate"),
        ("Variable", ' A=1,B="x,y",C=(p,q),D=\\,\\"'),
        ("Variable", "E=[1,2],F=a=b,=none,nothing,G="),
        ("Variable", "H=a)b,I=trailing\\"),
    ]
    (message,) = Decoder(expect_banner=False).receive_data(encode(lines))
    assert actions.read_variables(message) == {
        "A": "1",
        "B": "x,y",
        "C": "(p,q)",
        "D": ',"',
        "E": "[1,2]",
        "F": "a=b",
        "G": "",
        "H": "a)b",
        "I": "trailing",
    }


def test_which_actions_carry_a_credential() -> None:
    assert actions.has_secret(actions.login("u", "s", events="off"))
    assert actions.has_secret(actions.login_md5("u", "k", events="off"))
    assert not actions.has_secret(actions.ping())

"""No CR, LF or NUL that comes in from outside reaches the wire, through any builder."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.ami import actions
from dialer.ami.actions import Action, encode_action
from dialer.ami.framing import Decoder
from dialer.errors import LocalProtocolError

HOSTILE = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "x\r\nApplication: System",
            "x\nData: rm",
            "x\rData: rm",
            "x\x00y",
            '"Ann" <1>\r\n\r\nAction: Originate',
            "a,b=c",
            'q"uo,te',
            "back\\slash\\",
            "(par,en",
            "Zoë 東京 \U0001f600",
            "\ud800",
            "",
        ]
    ),
    st.text(alphabet='\r\n\x00,"\\()[]=: aé', max_size=12),
)
BUILDERS: list[Callable[[str, str, str], Action]] = [
    lambda a, b, c: actions.login(a, b, events=c),
    lambda a, b, c: actions.login_md5(a, b, events=c),
    lambda a, b, c: actions.challenge(),
    lambda a, b, c: actions.logoff(),
    lambda a, b, c: actions.ping(),
    lambda a, b, c: actions.events(a),
    lambda a, b, c: actions.filter_add(a),
    lambda a, b, c: actions.originate(a, context=b, exten=c, channel_id="i", timeout_s=30),
    lambda a, b, c: actions.originate("PJSIP/1@t", context=a, exten=b, channel_id=c, timeout_s=30),
    lambda a, b, c: actions.originate(
        "PJSIP/1@t",
        context="c",
        exten="s",
        channel_id="i",
        timeout_s=30,
        caller=a,
        account=b,
        variables={"NAME": c, "B": b},
        early_media=True,
    ),
    lambda a, b, c: actions.originate(
        "PJSIP/1@t",
        context="c",
        exten="s",
        channel_id="i",
        timeout_s=1,
        caller=actions.caller_id(a, b),
        variables={c: a},
    ),
    lambda a, b, c: actions.hangup(a),
    lambda a, b, c: actions.redirect(a, context=b, exten=c),
    lambda a, b, c: actions.core_show_channels(),
    lambda a, b, c: actions.core_settings(),
    lambda a, b, c: actions.show_dialplan(a),
    lambda a, b, c: actions.core_status(),
    lambda a, b, c: actions.command(a),
    actions.setvar,
    lambda a, b, c: actions.setvar(None, "V", c),
    lambda a, b, c: actions.getvar(a, b),
    lambda a, b, c: actions.bridge(a, b),
    lambda a, b, c: actions.mix_monitor(a, b),
    lambda a, b, c: actions.mix_monitor_mute(a, muted=bool(b)),
    lambda a, b, c: actions.stop_mix_monitor(a),
    lambda a, b, c: actions.confbridge_list(a),
    lambda a, b, c: actions.confbridge_kick(a, b),
    lambda a, b, c: actions.module_check(a),
    lambda a, b, c: actions.user_event(a, [(b, c)]),
    lambda a, b, c: Action(a, ((b, c),), ((c, a),)),
]


@given(
    builder=st.sampled_from(BUILDERS), a=HOSTILE, b=HOSTILE, c=HOSTILE, action_id=st.one_of(HOSTILE, st.just("id-1"))
)
@settings(max_examples=400, deadline=None)
def test_an_action_is_one_message_with_the_headers_that_were_meant(
    builder: Callable[[str, str, str], Action], a: str, b: str, c: str, action_id: str
) -> None:
    try:
        action = builder(a, b, c)
        data = encode_action(action, action_id)
    except LocalProtocolError:
        return
    assert b"\x00" not in data
    messages = Decoder(expect_banner=False).receive_data(data)
    assert len(messages) == 1
    (message,) = messages
    meant = 2 + len(action.fields) + len(action.variables)
    assert meant == len(message.pairs) == data.count(b"\r") - 1 == data.count(b"\n") - 1
    assert ("Action", action.name) == message.pairs[0]
    assert action_id == message.action_id
    # What Asterisk will read out of the Variable lines is what was put in.
    if message.action == "Originate":
        assert dict(action.variables) == actions.read_variables(message)


@given(value=HOSTILE)
@settings(max_examples=200, deadline=None)
def test_a_line_end_is_refused_and_never_repaired(value: str) -> None:
    hostile = any(character in value for character in "\r\n\x00")
    action = actions.setvar("PJSIP/a-1", "NAME", value)
    try:
        encode_action(action, "id-1")
    except LocalProtocolError:
        assert hostile or any(0xD800 <= ord(character) < 0xE000 for character in value)
    else:
        assert not hostile

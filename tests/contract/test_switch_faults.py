"""Both AMI drivers against servers that misbehave: nothing lost silently, nothing dialed twice, clear words."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dialer.ami import Message
from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    OriginateFailed,
    ServerConnected,
    ServerLost,
    ServerTakesCalls,
)
from dialer.settings import Tls
from dialer.switch import mapping
from dialer.switch.port import HandOver
from tests.switch_rig import ScriptedServer, running, settings_for


@pytest.fixture(params=["native", "pyst2"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_wrong_password_is_said_and_tried_seldom(driver: str) -> None:
    async with ScriptedServer() as server:
        server.errors["Login"] = "Authentication failed"
        async with running(settings_for(driver, server.port, ami={"reconnect_max_s": 5.0})) as rig:
            await rig.until(lambda: "refused" in rig.status.problem, "a problem")
            assert "Authentication failed" in rig.status.problem
            assert "[cadencia] of its manager.conf" in rig.status.problem
            assert "sesame" not in rig.status.problem
            await asyncio.sleep(0.3)  # a loop that tries again every 10 ms would show
            assert server.count("Login") == 1
            assert not rig.status.connected
            assert rig.originate("n-1") is HandOver.NOT_CONNECTED
        assert rig.events == []


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\r\n"]
)
async def test_a_port_that_speaks_something_else(driver: str, greeting: bytes) -> None:
    async with ScriptedServer() as server:
        server.greeting = greeting
        async with running(settings_for(driver, server.port)) as rig:
            await rig.until(lambda: "not an Asterisk manager interface" in rig.status.problem, "a problem")
            await rig.until(lambda: server.accepted >= 2, "another try")
            assert server.actions == []
        assert rig.events == []


async def test_no_greeting(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.switch.link.LOGIN_TIMEOUT_S", 0.1)
    async with ScriptedServer() as server:
        server.greeting = b""
        async with running(settings_for(driver, server.port)) as rig:
            await rig.until(lambda: "no Asterisk greeting within 0.1 s" in rig.status.problem, "a problem")


async def test_nothing_listens(driver: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with running(settings_for(driver, port)) as rig:
        await rig.until(lambda: "nothing listens there" in rig.status.problem, "a problem")
        await rig.until(lambda: rig.status.reconnects >= 3, "more tries")


async def test_rights_that_are_missing(driver: str) -> None:
    async with ScriptedServer() as server:
        server.errors["CoreShowChannels"] = "Permission denied"
        async with running(settings_for(driver, server.port)) as rig:
            await rig.until(lambda: "does not list its channels: Permission denied" in rig.status.problem, "a problem")
            assert "write = originate,call,reporting" in rig.status.problem
        assert rig.events == []


async def test_a_server_that_is_still_starting_is_waited_for(driver: str) -> None:
    async with ScriptedServer() as server:
        server.errors["ShowDialPlan"] = "Did not find context cadencia-agent"
        async with running(settings_for(driver, server.port)) as rig:
            await rig.until(lambda: "it is still starting" in rig.status.problem, "a problem")
            await rig.until(lambda: rig.status.reconnects >= 2, "more tries")
            assert rig.call_agent("a1", "a1") is HandOver.NOT_CONNECTED
            assert rig.events == []
            del server.errors["ShowDialPlan"]
            await rig.wait(ServerConnected)


async def test_a_server_that_hides_its_dialplan_is_believed_to_have_one(driver: str) -> None:
    async with ScriptedServer() as server:
        server.errors["ShowDialPlan"] = "Permission denied"
        async with running(settings_for(driver, server.port)) as rig:
            await rig.wait(ServerConnected)


async def test_cut_in_the_middle_of_an_event(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        assert rig.originate("n-1") is HandOver.HANDED_OVER
        await rig.until(lambda: server.count("Originate") == 1, "the originate")
        server.event("Newstate", Uniqueid="n-1", ChannelStateDesc="Up")
        await rig.wait(CallAnswered)
        server.rows = [[("Channel", "PJSIP/t-1"), ("Uniqueid", "n-1"), ("ChannelStateDesc", "Up")]]
        server.send(b"Event: Hangup\r\nUniqueid: n-1\r\nCau")
        server.cut(politely=True)
        lost = await rig.wait(ServerLost)
        assert "closed" in lost.reason
        connected = await rig.wait(ServerConnected, count=2)
        assert connected.calls == {"n-1"}
        # Half an event is no event, the call is followed on, and was dialed once.
        assert rig.of(CallHungUp) == []
        server.event("Hangup", Uniqueid="n-1", Cause="16")
        await rig.wait(CallHungUp, "n-1")
        assert server.count("Originate") == 1


async def test_stall(driver: str) -> None:
    async with ScriptedServer() as server:
        options = {"ping_every_s": 0.1, "action_timeout_s": 0.3}
        async with running(settings_for(driver, server.port, ami=options)) as rig:
            await rig.wait(ServerConnected)
            await rig.until(lambda: rig.status.round_trip_s is not None, "a pong")
            server.mute = {"Ping"}
            lost = await rig.wait(ServerLost)
            assert "no sign of life" in lost.reason
            server.mute = set()
            await rig.wait(ServerConnected, count=2)


async def test_restart_in_the_middle_loses_calls_and_dials_none_again(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        for number in range(20):
            assert rig.originate(f"n-{number}") is HandOver.HANDED_OVER
        await rig.until(lambda: server.count("Originate") == 20, "the originates")
        server.cut()
        await rig.wait(ServerLost)
        assert rig.originate("n-20") is HandOver.NOT_CONNECTED
        connected = await rig.wait(ServerConnected, count=2)
        assert connected.calls == frozenset()
        assert server.count("Originate") == 20
        # One whose channel is made after all is nobody's call any more: hung up.
        server.event("Newchannel", Uniqueid="n-3", Channel="PJSIP/t-3")
        await rig.until(lambda: server.count("Hangup") == 1, "the hang-up")
        assert server.actions[-1].get("Channel") == "n-3"


async def test_a_cut_before_the_answer_to_an_originate_does_not_send_it_again(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        server.mute = {"Originate"}
        assert rig.originate("n-1") is HandOver.HANDED_OVER
        await rig.until(lambda: server.count("Originate") == 1, "the originate")
        server.cut()
        await rig.wait(ServerConnected, count=2)
        assert rig.of(OriginateFailed) == []
        assert server.count("Originate") == 1


async def test_an_originate_without_an_answer_is_not_sent_again_either(driver: str) -> None:
    options = {"action_timeout_s": 0.1}
    async with ScriptedServer() as server, running(settings_for(driver, server.port, ami=options)) as rig:
        await rig.wait(ServerConnected)
        server.mute = {"Originate"}
        assert rig.originate("n-1") is HandOver.HANDED_OVER
        await asyncio.sleep(0.3)
        # Nobody knows whether a phone rings: no event says that it does not.
        assert len(rig.events) == 1
        assert server.count("Originate") == 1
        server.event("Newstate", Uniqueid="n-1", ChannelStateDesc="Up")
        await rig.wait(CallAnswered)


async def test_a_response_to_an_unknown_action_id(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        server.send(b"Response: Success\r\nActionID: nobody\r\n\r\nResponse: Error\r\nMessage: Missing action\r\n\r\n")
        rig.originate("n-1")
        server.event("Newstate", Uniqueid="n-1", ChannelStateDesc="Up")
        await rig.wait(CallAnswered)
        assert rig.status.connected
        assert rig.of(ServerLost) == []


async def test_duplicated_events_are_told_once(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1")
        for event, headers in (
            ("Newchannel", {}),
            ("Newstate", {"ChannelStateDesc": "Ringing"}),
            ("Newstate", {"ChannelStateDesc": "Up"}),
            ("HangupRequest", {"Cause": "16"}),
            ("Hangup", {"Cause": "16"}),
        ):
            for _ in range(3):
                server.event(event, Uniqueid="n-1", **headers)
        rig.originate("n-2")
        server.event("Newstate", Uniqueid="n-2", ChannelStateDesc="Up")
        await rig.wait(CallAnswered, "n-2")
        assert [type(event).__name__ for event in rig.events if getattr(event, "call", "") == "n-1"] == [
            "CallRinging",
            "CallAnswered",
            "CallHungUp",
        ]


async def test_garbage_in_the_middle_ends_the_connection_and_a_new_one_is_made(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        server.send(b"this is no message\r\n\r\n")
        lost = await rig.wait(ServerLost)
        assert "message" in lost.reason
        await rig.wait(ServerConnected, count=2)


async def test_a_line_without_end_ends_the_connection(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        for _ in range(100):
            server.send(b"Event: " + b"x" * 100_000)
        lost = await rig.wait(ServerLost)
        assert "longer than" in lost.reason or "not a message" in lost.reason


async def test_channel_variables_in_events_do_no_harm(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1")
        head = b"Event: Newstate\r\nUniqueid: n-1\r\nChannelStateDesc: "
        server.send(head + b"Ringing\r\nChanVariable(PJSIP/t-1): A=1\r\nChanVariable(PJSIP/t-1): B=2\r\n\r\n")
        server.send(head + b"Up\r\nChanVariable: A=1\r\n\r\n")
        await rig.wait(CallAnswered, "n-1")


async def test_refusals_are_values_and_write_nothing(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        assert rig.originate("n-0") is HandOver.NOT_CONNECTED
        await rig.wait(ServerConnected)
        assert rig.originate("n-1", valid_s=0.0) is HandOver.PERMIT_EXPIRED
        assert rig.originate("n-2", server="other") is HandOver.NOT_CONNECTED
        assert rig.originate("n-3", trunk="other") is HandOver.NOT_CONNECTED
        assert "no trunk 'other'" in rig.status.problem
        assert rig.originate("n-4", detection="a\r\nApplication: System") is HandOver.NOT_CONNECTED
        assert rig.call_agent("a1", "x\r\nApplication: System") is HandOver.NOT_CONNECTED
        gone = await rig.wait(AgentPhoneGone, "a1")
        assert "cannot be dialed" in gone.reason
        assert rig.originate("n-5") is HandOver.HANDED_OVER
        assert rig.originate("n-5") is not HandOver.HANDED_OVER  # the same id twice is never sent
        await rig.until(lambda: server.count("Originate") == 1, "one originate")
        assert server.actions[-1].get("ChannelId") == "n-5"


async def test_actions_without_answers_are_bounded(driver: str) -> None:
    options = {"write_limit_bytes": 10_000_000}
    async with ScriptedServer() as server, running(settings_for(driver, server.port, ami=options)) as rig:
        await rig.wait(ServerConnected)
        server.mute = {"Originate"}
        handed = [rig.originate(f"n-{number}") for number in range(2_100)]
        assert handed == [HandOver.HANDED_OVER] * 2_000 + [HandOver.BACKPRESSURE] * 100


async def test_bytes_that_wait_to_be_written_make_backpressure(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = 0
    # The system's own buffers take megabytes before the first byte waits here; so what waits is told by the test.
    for wire in ("dialer.switch.native._TransportWire", "dialer.switch.pyst2._Pyst2Wire"):
        monkeypatch.setattr(f"{wire}.waiting_bytes", lambda _: waiting)
    options = {"write_limit_bytes": 1_024}
    async with ScriptedServer() as server, running(settings_for(driver, server.port, ami=options)) as rig:
        await rig.wait(ServerConnected)
        waiting = 1_025
        assert rig.originate("n-1") is HandOver.BACKPRESSURE
        assert rig.call_agent("a1", "agent01") is HandOver.BACKPRESSURE
        # What ends a call is not held back.
        rig.hang_up("n-1")
        await rig.until(lambda: server.count("Hangup") == 1, "the hang-up")
        assert server.count("Originate") == 0
        waiting = 1_024
        assert rig.originate("n-1") is HandOver.HANDED_OVER


async def test_an_error_for_an_originate_is_a_failure_that_never_rang(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        server.errors["Originate"] = "Originate Access Forbidden: app or data blacklisted"
        rig.originate("n-1")
        failed = await rig.wait(OriginateFailed, "n-1")
        assert failed.reason == "Originate Access Forbidden: app or data blacklisted"
        rig.call_agent("a1", "agent01")
        gone = await rig.wait(AgentPhoneGone, "a1")
        assert "Forbidden" in gone.reason


async def test_a_hang_up_that_an_asterisk_about_to_stop_refuses_is_asked_for_until_it_is_taken(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialer.switch.stopping._HANG_UP_AGAIN_S", 0.02)
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        server.errors["Hangup"] = "Asterisk is shutting down"
        rig.hang_up("n-1")
        await rig.until(lambda: server.count("Hangup") >= 3, "more tries")
        server.errors["Hangup"] = "No such channel"
        tried = len(hang_ups(server))
        await rig.until(lambda: len(hang_ups(server)) > tried, "one more try")
        rig.hang_up("n-2")
        await rig.until(lambda: hang_ups(server)[-1] == "n-2", "another hang-up")
        assert hang_ups(server)[tried:] == ["n-1", "n-2"]


async def test_an_asterisk_about_to_stop_is_offered_no_calls_until_that_is_called_off(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialer.switch.stopping._STAYS_AGAIN_S", 0.02)
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        server.errors = dict.fromkeys(("Originate", "Ping"), "Asterisk is shutting down")
        assert rig.originate("n-1") is HandOver.HANDED_OVER
        assert rig.originate("n-2") is HandOver.HANDED_OVER
        assert [(await rig.wait(OriginateFailed, call)).stopping for call in ("n-1", "n-2")] == [True, True]
        told = [type(event) for event in rig.events if isinstance(event, ServerTakesCalls | OriginateFailed)]
        assert told == [ServerTakesCalls, OriginateFailed, OriginateFailed]
        assert rig.originate("n-3") is HandOver.STOPPING
        await rig.until(lambda: server.count("Ping") >= 3, "more questions")
        assert (rig.status.connected, rig.status.code) == (True, "server_stopping")
        assert "about to stop" in rig.status.problem
        server.errors.clear()
        assert (await rig.wait(ServerTakesCalls, count=2)).takes
        assert rig.status.problem == ""
        assert rig.originate("n-4") is HandOver.HANDED_OVER
        await rig.until(lambda: server.count("Originate") == 3, "the next call")
        assert rig.of(ServerLost) == []


async def test_an_asterisk_that_stops_after_all_takes_calls_when_it_is_back(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        server.errors = dict.fromkeys(("Originate", "Ping", "Challenge"), "Asterisk is shutting down")
        rig.originate("n-1")
        await rig.wait(ServerTakesCalls)
        server.cut()
        await rig.wait(ServerLost)
        # It lets nobody in meanwhile, and that is no matter of passwords, after which one would ask seldom.
        await rig.until(lambda: rig.status.code == "server_stopping" and rig.status.reconnects >= 3, "more tries")
        assert "secret" not in rig.status.problem
        server.errors.clear()
        await rig.wait(ServerConnected, count=2)
        assert rig.originate("n-2") is HandOver.HANDED_OVER
        assert len(rig.of(ServerTakesCalls)) == 1


def hang_ups(server: ScriptedServer) -> list[str | None]:
    """Whose end was asked for."""
    return [message.get("Channel") for message in server.actions if message.action == "Hangup"]


async def test_a_phone_that_is_in_its_room_already_is_not_called_a_second_time(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        for agent in ("a1", "a2"):
            leg = f"agent~{agent}~other-1"
            server.event("ConfbridgeJoin", Uniqueid=leg, Conference=agent, Channel=f"PJSIP/desk-{agent}-0000000a")
        rig.originate("n-1")
        server.event("Newstate", Uniqueid="n-1", ChannelStateDesc="Up")
        await rig.wait(CallAnswered, "n-1")  # and so what came before it has been read
        assert rig.call_agent("a1", "desk-a1") is HandOver.HANDED_OVER
        await rig.wait(AgentPhoneUp, "a1")
        # The other has gone to another desk.
        assert rig.call_agent("a2", "desk-a9") is HandOver.HANDED_OVER
        await rig.until(lambda: server.count("Originate") == 2, "the call to the other desk")
        assert hang_ups(server) == ["agent~a2~other-1"]


async def test_a_node_that_comes_back_leaves_another_nodes_agent_on_the_way_to_their_room(driver: str) -> None:
    other = f"agent~a1~{mapping.runs_of('node2')}0-1"
    before = f"agent~a2~{mapping.runs_of('node1')}0-1"  # of this node, before it was started anew
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        ringing = ("ChannelStateDesc", "Ringing")
        server.rows = [[("Channel", f"PJSIP/{leg}"), ("Uniqueid", leg), ringing] for leg in (other, before)]
        server.cut()
        await rig.wait(ServerConnected, count=2)
        await rig.until(lambda: hang_ups(server) != [], "a hang-up")
        assert hang_ups(server) == [before]


async def test_what_an_originate_looks_like(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1", ring_s=17.5)
        rig.originate("n-2", detection="2500-1500")
        rig.originate("n-3", detection="")
        await rig.until(lambda: server.count("Originate") == 3, "originates")
        plain, tuned, stock = [message for message in server.actions if message.action == "Originate"]
        assert tuple(
            plain.get(name)
            for name in ("Channel", "Context", "Exten", "Timeout", "Async", "ChannelId", "ActionID", "CallerID")
        ) == (
            "PJSIP/34600111222@trunk",
            "cadencia-wait",
            "s",
            "17500",
            "true",
            "n-1",
            "n-1",
            "<+34911222333>",
        )
        assert plain.variables() == {"CADENCIA_CALL": "n-1"}
        assert tuned.get("Context") == stock.get("Context") == "cadencia-amd"
        assert tuned.variables() == {"CADENCIA_CALL": "n-2", "CADENCIA_AMD": "2500-1500"}
        assert stock.variables() == {"CADENCIA_CALL": "n-3"}


async def test_two_connections_one_for_actions_one_for_events(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        logins = [message for message in server.actions if message.action == "Login"]
        assert [login.get("Events") for login in logins] == ["call,user", "off"]
        assert all(login.get("Secret") is None and login.get("AuthType") == "MD5" for login in logins)
        assert server.accepted == 2
        assert rig.status.version == "22.0-scripted"


async def test_closing_logs_off(driver: str) -> None:
    async with ScriptedServer() as server:
        async with running(settings_for(driver, server.port)) as rig:
            await rig.wait(ServerConnected)
        assert server.count("Logoff") == 2
        assert isinstance(rig.events[-1], ServerLost)
        assert rig.originate("n-1") is HandOver.NOT_CONNECTED


async def test_a_name_that_is_lost_with_its_connection_takes_the_other_connection_along(driver: str) -> None:
    async with ScriptedServer() as server, running(settings_for(driver, server.port)) as rig:
        await rig.wait(ServerConnected)
        events = server._event_writers[0]
        events.transport.abort()
        server._event_writers.clear()
        await rig.wait(ServerConnected, count=2)
        assert server.accepted == 4
        assert isinstance(rig.events[1], ServerLost)


async def test_an_engine_that_lags_stops_the_reading_and_nothing_is_lost(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"ping_every_s": 0.5, "action_timeout_s": 2.0}
    loop, ahead_s = asyncio.get_running_loop(), 0.0
    clock = loop.time
    async with ScriptedServer() as server, running(settings_for(driver, server.port, ami=options)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1")
        await rig.until(lambda: server.count("Originate") == 1, "the originate")
        rig.switch._flow(False)
        rig.switch._flow(False)
        # pyst2's thread may be inside a read already: one event can still come.
        server.event("Newchannel", Uniqueid="n-1")
        await asyncio.sleep(0.05)
        server.event("Newstate", Uniqueid="n-1", ChannelStateDesc="Up")
        # Longer than a silence that would count as the server's end, by a clock that goes faster than the machine.
        monkeypatch.setattr(loop, "time", lambda: clock() + ahead_s)
        while ahead_s < 6.0:
            ahead_s += 0.2
            await asyncio.sleep(0.02)
        assert [type(event) for event in rig.events] == [ServerConnected]
        rig.switch._flow(True)
        await rig.wait(CallAnswered, "n-1")
        assert rig.of(ServerLost) == []


async def test_pyst2_speaks_no_tls_and_says_so() -> None:
    async with running(settings_for("pyst2", 1, tls=Tls(enabled=True))) as rig:
        await rig.until(lambda: 'set ami.driver = "native"' in rig.status.problem, "a problem")


def test_messages_keep_their_kind_through_pyst2s_parser() -> None:
    from dialer.switch.pyst2 import _message_of

    lines = ["Event: OriginateResponse\r\n", "Response: Failure\r\n", "ActionID: n-1\r\n"]
    message = _message_of(lines)
    assert isinstance(message, Message)
    assert message.event == "OriginateResponse"
    assert message.response is None
    output = _message_of(["Response: Follows\r\n", "ActionID: c\r\n", "one\n", "two\n", "--END COMMAND--\r\n"])
    assert isinstance(output, Message)
    assert output.output == ("one", "two")
    assert _message_of(["Response: Generated Header\r\n", "Asterisk Call Manager/11.0.0\r\n"]) == "11.0.0"

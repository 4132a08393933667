"""The exchange on the wire: sessions, log-in, rights, masks, filters, lists, and Asterisk's own words for errors."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialer.ami import Action, Message, encode_action
from dialer.ami import actions as ami
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import FAST
from dialer.simulation.users import User, dialer_user, full_user
from dialer.simulation.world import Fate, Reaction, World
from tests.exchange_client import RawClient
from tests.patience import PATIENCE_S

CUSTOMER = "34600000001"
RINGING = "34600000003"


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    world = World(
        FAST,
        1,
        scripted={
            CUSTOMER: Fate(reaction=Reaction.PERSON, ring_s=0.01, talk_s=30.0, patience_s=30.0),
            RINGING: Fate(reaction=Reaction.NO_ANSWER),
        },
    )
    watcher = User(
        name="watcher",
        secret="s3cret",
        read=dialer_user("").read,
        write=dialer_user("").write & ~dialer_user("").write.ORIGINATE,
    )
    async with Exchange(
        world, secret="s3cret", users=(full_user("s3cret"), watcher), auth_timeout_s=0.3, trunks={"carrier"}
    ) as running:
        yield running


def text(message: Message) -> str:
    return message.get("Message", "")


async def test_the_banner_comes_first(exchange: Exchange) -> None:
    client = await RawClient(exchange.port).connect()
    client.send(ami.ping())
    await client.wait(lambda m: text(m) == "Permission denied")
    assert client.received.startswith(b"Asterisk Call Manager/11.0.0\r\nResponse: ")
    await client.close()


async def test_plain_log_in(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        assert text(client.messages[0]) == "Authentication accepted"
        # The dialer's user does not read class system, so FullyBooted is not for it.
        await client.action(ami.ping())
        assert not client.events("FullyBooted")
    async with RawClient(exchange.port, username="full") as client:
        assert (await client.event("FullyBooted")).get("Status") == "Fully Booted"


async def test_challenge_and_digest(exchange: Exchange) -> None:
    client = await RawClient(exchange.port).connect()
    challenge = (await client.action(ami.challenge())).get("Challenge", "")
    assert challenge.isdecimal()
    key = hashlib.md5((challenge + "s3cret").encode()).hexdigest()
    response = await client.action(ami.login_md5("cadencia", key, events="on"))
    assert response.response == "Success"
    await client.close()


async def test_a_digest_without_a_challenge_proves_nothing(exchange: Exchange) -> None:
    client = await RawClient(exchange.port).connect()
    key = hashlib.md5(b"s3cret").hexdigest()
    assert text(await client.action(ami.login_md5("cadencia", key, events="on"))) == "Authentication failed"
    await client.close()


@pytest.mark.parametrize(("username", "secret"), [("cadencia", "wrong"), ("nobody", "s3cret"), ("cadencia", "")])
async def test_wrong_credentials_are_refused_and_the_socket_closes(
    exchange: Exchange, username: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialer.simulation.session.REFUSAL_DELAY_S", 0.05)
    client = await RawClient(exchange.port).connect()
    response = await client.action(ami.login(username, secret, events="on"))
    assert (response.response, text(response)) == ("Error", "Authentication failed")
    client.send(ami.ping())
    await asyncio.wait_for(client.closed.wait(), PATIENCE_S)
    assert len(client.messages) == 1
    await client.close()


async def test_who_does_not_log_in_is_put_out(exchange: Exchange) -> None:
    client = await RawClient(exchange.port).connect()
    await asyncio.wait_for(client.closed.wait(), PATIENCE_S)
    assert client.received == b"Asterisk Call Manager/11.0.0\r\n"
    await client.close()


async def test_before_log_in_nothing_is_allowed_but_leaving(exchange: Exchange) -> None:
    client = await RawClient(exchange.port).connect()
    for action in (ami.ping(), ami.core_show_channels(), Action("NoSuchAction")):
        assert text(await client.action(action)) == "Permission denied"
    assert (await client.action(ami.logoff())).response == "Goodbye"
    await asyncio.wait_for(client.closed.wait(), PATIENCE_S)
    await client.close()


async def test_errors_in_asterisks_words(exchange: Exchange) -> None:
    async with RawClient(exchange.port, username="full") as client:
        unknown = await client.action(Action("NoSuchAction"))
        assert text(unknown) == (
            "Invalid/unknown command: NoSuchAction. Use Action: ListCommands to show available commands."
        )
        client.send_bytes(b"ActionID: x-1\r\nFoo: bar\r\n\r\n")
        assert text(await client.wait(lambda m: m.action_id == "x-1")) == "Missing action in request"
        assert text(await client.action(ami.hangup("PJSIP/sipp-ffffffff"))) == "No such channel"
        assert text(await client.action(Action("Events", (("EventMask", ""),)))) == "Invalid event mask"
        assert text(await client.action(Action("Challenge", (("AuthType", "SHA"),)))) == "Must specify AuthType"
        moved = await client.action(ami.redirect("gone", context="cadencia-connect", exten="a"))
        assert text(moved) == "Channel does not exist: gone"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"Channel": ""}, "Channel not specified"),
        ({"Channel": "garbage"}, "Invalid channel"),
        ({"Context": "nowhere"}, "Extension does not exist."),
        ({"Exten": "t"}, "Extension does not exist."),
        ({"Timeout": "abc"}, "Invalid timeout"),
        ({"Application": "System"}, "Originate Access Forbidden: app or data blacklisted"),
    ],
)
async def test_originates_that_cannot_be(exchange: Exchange, fields: dict[str, str], error: str) -> None:
    good = {"Channel": f"PJSIP/{CUSTOMER}@carrier", "Context": "cadencia-wait", "Exten": "s", "Timeout": "1000"}
    async with RawClient(exchange.port) as client:
        headers = tuple((name, value) for name, value in {**good, **fields}.items() if value)
        response = await client.action(Action("Originate", (*headers, ("Async", "true"))))
        assert (response.response, text(response)) == ("Error", error)
    assert not exchange.log


async def test_rights(exchange: Exchange) -> None:
    async with RawClient(exchange.port, username="watcher") as client:
        assert text(await client.call(CUSTOMER, "no-1")) == "Permission denied"
    async with RawClient(exchange.port) as client:
        # config/asterisk/manager.conf gives the dialer neither `command` nor `system`.
        assert text(await client.action(ami.command("core show channels"))) == "Permission denied"
        assert text(await client.action(ami.filter_add("!Event: VarSet"))) == "Permission denied"
        assert (await client.action(ami.core_settings())).get("AsteriskVersion", "").startswith("22.")


def test_the_dialers_user_is_the_one_of_manager_conf() -> None:
    lines = (Path(__file__).parents[2] / "config" / "asterisk" / "manager.conf").read_text().splitlines()
    filters = [line.removeprefix("eventfilter(").split(") =") for line in lines if line.startswith("eventfilter(")]
    excluded = {
        criteria.removeprefix("action(exclude),name(").removesuffix(")") for criteria, text in filters if not text
    }
    user = dialer_user("x")
    assert user.excludes == excluded
    assert user.filters == tuple((criteria, text.strip()) for criteria, text in filters if text)
    settings = dict(line.split(" = ", 1) for line in lines if " = " in line and not line.startswith(("event", ";")))
    assert user.read == type(user.read).parse(settings["read"])
    assert user.write == type(user.write).parse(settings["write"])


async def test_an_unknown_trunk_fails_without_a_channel(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        action = ami.originate(
            f"PJSIP/{CUSTOMER}@nosuch", context="cadencia-wait", exten="s", channel_id="bad-1", timeout_s=5.0
        )
        assert (await client.action(action)).response == "Success"
        assert (await client.event("OriginateResponse", Uniqueid="bad-1")).get("Response") == "Failure"
        assert not client.events("Newchannel", "Hangup")
    assert not exchange.dialed


async def test_a_call_from_originate_to_hang_up(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        await client.phone("agent01", "anna")
        assert text(await client.call(CUSTOMER, "call-1")) == "Originate successfully queued"
        answered = await client.event("OriginateResponse", Uniqueid="call-1")
        assert (answered.get("Response"), answered.get("ActionID")) == ("Success", "o-call-1")
        channel = answered.get("Channel", "")
        moved = await client.action(ami.redirect(channel, context="cadencia-connect", exten="anna"))
        assert text(moved) == "Redirect successful"
        await client.event("ConfbridgeJoin", Uniqueid="call-1", Conference="anna")
        rows = await listing(client, ami.core_show_channels(), "CoreShowChannelsComplete")
        assert {row.get("Uniqueid") for row in rows} == {"call-1", "agent-anna"}
        members = await listing(client, ami.confbridge_list("anna"), "ConfbridgeListComplete")
        assert [row.get("MarkedUser") for row in members] == ["Yes", "No"]
        assert text(await client.action(ami.hangup("call-1"))) == "Channel Hungup"
        gone = await client.event("Hangup", Uniqueid="call-1")
        assert (gone.get("Cause"), gone.get("Cause-txt")) == ("16", "Normal Clearing")
        assert text(await client.action(ami.hangup("call-1"))) == "No such channel"
        assert exchange.hang_up_phone("agent01")
        await client.event("Hangup", Uniqueid="agent-anna")
        assert not exchange.hang_up_phone("agent01")
        assert await listing(client, ami.core_show_channels(), "CoreShowChannelsComplete") == []


async def listing(client: RawClient, action: Action, complete: str) -> list[Message]:
    action_id = client.send(action)
    last = await client.wait(lambda m: m.event == complete and m.action_id == action_id)
    rows = [m for m in client.messages if m.event and m.action_id == action_id and m.event != complete]
    assert last.get("EventList") == "Complete"
    assert int(last.get("ListItems", "-1")) == len(rows)
    return rows


async def test_cancelling_a_call_that_rings(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        await client.call(RINGING, "ring-1")
        state = await client.event("Newstate", Uniqueid="ring-1", ChannelStateDesc="Ringing")
        assert (await client.action(ami.hangup(state.get("Channel", "")))).response == "Success"
        assert (await client.event("Hangup", Uniqueid="ring-1")).get("TechCause") is None
        assert (await client.event("OriginateResponse", Uniqueid="ring-1")).get("Reason") == "0"
        assert exchange.log[-1].ended_by == "dialer"


async def test_originate_without_async_answers_with_the_outcome(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        for number, expected in ((CUSTOMER, "Success"), (RINGING, "Error")):
            fields = (
                ("Channel", f"PJSIP/{number}@carrier"),
                ("Context", "cadencia-wait"),
                ("Exten", "s"),
                ("Priority", "1"),
                ("Timeout", "100"),
            )
            assert (await client.action(Action("Originate", fields))).response == expected
        assert not client.events("OriginateResponse")


async def test_events_off_and_masks(exchange: Exchange) -> None:
    async with (
        RawClient(exchange.port, events="off") as silent,
        RawClient(exchange.port, events="user") as users,
        RawClient(exchange.port) as all_events,
    ):
        await silent.call(CUSTOMER, "quiet-1")
        await all_events.event("OriginateResponse", Uniqueid="quiet-1")
        assert (await silent.action(ami.events("call"))).get("Events") == "On"
        await silent.action(ami.hangup("quiet-1"))
        await silent.event("Hangup", Uniqueid="quiet-1")
        await users.action(ami.ping())
        assert not silent.events("Newchannel", "OriginateResponse")
        assert not [m for m in users.messages if m.event]
        assert (await silent.action(ami.events("off"))).get("Events") == "Off"


async def test_the_lean_user_gets_the_lean_feed(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as lean, RawClient(exchange.port, username="full") as full:
        await lean.call(CUSTOMER, "lean-1")
        await full.event("BridgeEnter", Uniqueid="lean-1")
        await lean.action(ami.hangup("lean-1"))
        await lean.event("Hangup", Uniqueid="lean-1")
        await full.event("Hangup", Uniqueid="lean-1")
        assert {m.event for m in lean.messages if m.event} == {
            "Newchannel",
            "Newstate",
            "OriginateResponse",
            "Hangup",
        }
        assert {"NewCallerid", "VarSet", "Newexten", "DeviceStateChange", "SoftHangupRequest"} <= {
            m.event for m in full.messages
        }


async def test_filters_of_a_session(exchange: Exchange) -> None:
    criteria = (("Operation", "Add"), ("MatchCriteria", "action(exclude),name(Newstate)"), ("Filter", ""))
    async with RawClient(exchange.port, username="full") as client:
        assert text(await client.action(ami.filter_add("!Event: DialBegin"))) == "Filter added successfully"
        assert text(await client.action(Action("Filter", criteria))) == "Filter added successfully"
        by_header = (
            ("Operation", "Add"),
            ("MatchCriteria", "action(exclude),name(DialState),header(DialStatus),method(exact)"),
            ("Filter", "RINGING"),
        )
        assert text(await client.action(Action("Filter", by_header))) == "Filter added successfully"
        await client.call(CUSTOMER, "filter-1")
        await client.event("OriginateResponse", Uniqueid="filter-1")
        assert not client.events("DialBegin", "Newstate", "DialState")
        assert client.events("Newchannel", "DialEnd")
        assert text(await client.action(ami.filter_add("!("))).startswith("Filter did not compile")
        bad = (("Operation", "Add"), ("MatchCriteria", "action(perhaps)"), ("Filter", "x"))
        assert text(await client.action(Action("Filter", bad))).startswith("Filter was formatted incorrectly")
        assert text(await client.action(Action("Filter", (("Operation", "Drop"),)))) == "Unknown operation"


async def test_variables(exchange: Exchange) -> None:
    async with RawClient(exchange.port, username="full") as client:
        name = 'Zoë "Ñandú", 東京 (a,b) \\'
        action = ami.originate(
            f"PJSIP/{CUSTOMER}@carrier",
            context="cadencia-wait",
            exten="s",
            channel_id="var-1",
            timeout_s=5.0,
            variables={"NAME": name, "EMPTY": ""},
        )
        await client.action(action)
        await client.event("OriginateResponse", Uniqueid="var-1")
        assert (await client.action(ami.getvar("var-1", "NAME"))).get("Value") == name
        assert (await client.event("VarSet", Variable="NAME")).get("Value") == name
        assert (await client.action(ami.getvar("var-1", "EMPTY"))).get("Value") == ""
        assert text(await client.action(ami.setvar("var-1", "NAME", "x"))) == "Variable Set"
        assert (await client.action(ami.getvar("var-1", "NAME"))).get("Value") == "x"
        assert text(await client.action(ami.setvar(None, "SHARED", "y"))) == "Variable Set"
        assert (await client.action(ami.getvar(None, "SHARED"))).get("Value") == "y"
        assert text(await client.action(ami.getvar("gone", "NAME"))) == "No such channel"


async def test_recording_user_events_and_commands(exchange: Exchange) -> None:
    async with RawClient(exchange.port, username="full") as client:
        await client.call(CUSTOMER, "rec-1")
        await client.event("OriginateResponse", Uniqueid="rec-1")
        assert (await client.action(ami.mix_monitor("rec-1", "rec-1.wav"))).response == "Success"
        await client.event("MixMonitorStart", Uniqueid="rec-1")
        assert (await client.action(ami.stop_mix_monitor("rec-1"))).response == "Success"
        await client.event("MixMonitorStop", Uniqueid="rec-1")
        assert (await client.action(ami.stop_mix_monitor("rec-1"))).response == "Error"
        assert text(await client.action(ami.user_event("Hello", (("Who", "you"),)))) == "Event Sent"
        assert (await client.event("UserEvent", UserEvent="Hello")).get("Who") == "you"
        shown = await client.action(ami.command("core show channels"))
        assert shown.output[-3:] == ("1 active channels", "1 active calls", "1 calls processed")
        unknown = await client.action(ami.command("no such command"))
        assert unknown.response == "Error"
        assert unknown.output[0].startswith("No such command 'no such command' (type 'core show help no such'")
        assert (await client.action(ami.module_check("app_confbridge"))).response == "Success"
        assert (await client.action(ami.module_check("app_meetme"))).response == "Error"
        status = await client.action(ami.core_status())
        assert status.get("CoreCurrentCalls") == "1"


async def test_hostile_bytes_close_that_session_alone(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as good:
        bad = await RawClient(exchange.port).connect()
        bad.send_bytes(b"\x16\x03\x01\x02\x00 this is no action\r\n\r\n")
        await asyncio.wait_for(bad.closed.wait(), PATIENCE_S)
        assert (await good.action(ami.ping())).get("Ping") == "Pong"
        await bad.close()
        endless = await RawClient(exchange.port).connect()
        endless.send_bytes(b"Action: Ping\r\nX: " + b"a" * 200_000)
        await asyncio.wait_for(endless.closed.wait(), PATIENCE_S)
        assert (await good.action(ami.ping())).get("Ping") == "Pong"
        await endless.close()


async def test_actions_in_pieces_and_in_heaps(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        data = b"".join(encode_action(ami.ping(), f"p-{number}") for number in range(50))
        for start in range(0, len(data), 7):
            client.send_bytes(data[start : start + 7])
        await client.wait(lambda m: m.action_id == "p-49")
        found = [m.action_id for m in client.messages if m.get("Ping") == "Pong"]
        assert found == [f"p-{number}" for number in range(50)]

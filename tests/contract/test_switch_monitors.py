"""Both AMI drivers against the embedded exchange: a supervisor's phone listens, whispers, barges in, is gone."""

from __future__ import annotations

import pytest

from dialer.core.commands import CallMonitor, ChangeMonitor, HangUpMonitor
from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    MonitorPhoneGone,
    MonitorPhoneUp,
    ServerConnected,
    ServerLost,
)
from dialer.core.ids import AgentId, MonitorId
from dialer.core.monitor import MonitorMode
from dialer.simulation.channels import Channel
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import DEMO
from dialer.simulation.world import Fate, Reaction, World
from tests.switch_rig import SECRET, SERVER, Rig, running, settings_for

PHONE = "+34600111222"
M1 = MonitorId("m1")


@pytest.fixture(params=["native", "pyst2"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exchange_of(**options: object) -> Exchange:
    fate = Fate(reaction=Reaction.PERSON, post_dial_s=0.01, ring_s=0.05, talk_s=60.0)
    return Exchange(World(DEMO, 1, scripted={PHONE[1:]: fate}), secret=SECRET, **options)  # type: ignore[arg-type]


async def talk(rig: Rig) -> None:
    await rig.wait(ServerConnected)
    rig.call_agent("a1", "agent01")
    await rig.wait(AgentPhoneUp, "a1")
    rig.originate("n-1", PHONE)
    await rig.wait(CallAnswered, "n-1")
    rig.connect("n-1", "a1")
    await rig.wait(CallJoined, "n-1")


def call(rig: Rig, agent: str = "a1") -> None:
    rig.switch.call_monitor(CallMonitor(monitor=M1, agent=AgentId(agent), extension="boss", server=SERVER))


def change(rig: Rig, mode: MonitorMode) -> None:
    rig.switch.change_monitor(ChangeMonitor(monitor=M1, agent=AgentId("a1"), mode=mode, server=SERVER))


def leg(exchange: Exchange) -> Channel | None:
    return exchange.switchboard.find("monitor~m1")


def options(exchange: Exchange) -> str:
    """What the supervisor's leg does: the application, and the options of ChanSpy."""
    channel = leg(exchange)
    assert channel is not None
    return f"{channel.application} {channel.application_data.partition(',')[2]}"


async def test_listen_whisper_barge_and_listen_again(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await talk(rig)
        call(rig)
        await rig.wait(MonitorPhoneUp)
        await rig.until(lambda: options(exchange) == "ChanSpy quESX", "listens")
        spied = leg(exchange)
        assert spied is not None
        assert spied.spied is not None
        assert spied.spied.endpoint == "agent01"
        change(rig, MonitorMode.WHISPER)
        await rig.until(lambda: options(exchange) == "ChanSpy quwESX", "whispers")
        change(rig, MonitorMode.BARGE)
        await rig.until(lambda: options(exchange).startswith("ConfBridge"), "barges in")
        room = exchange.switchboard.rooms["a1"]
        assert [len(room.members), room.marked] == [3, 1], "who barges in does not hold the room open"
        change(rig, MonitorMode.LISTEN)
        await rig.until(lambda: options(exchange) == "ChanSpy quESX", "listens again")
        rig.switch.hang_up_monitor(HangUpMonitor(monitor=M1, server=SERVER))
        await rig.wait(MonitorPhoneGone)
        assert len(rig.of(MonitorPhoneUp)) == 1
        # Customer and agent have noticed nothing.
        assert not [*rig.of(CallHungUp), *rig.of(AgentPhoneGone)]
        assert [record.number for record in exchange.dialed] == [PHONE[1:]]


@pytest.mark.parametrize("mode", list(MonitorMode))
async def test_the_supervisors_leg_ends_with_the_agents(mode: MonitorMode) -> None:
    async with exchange_of() as exchange, running(settings_for("native", exchange.port)) as rig:
        await talk(rig)
        call(rig)
        await rig.wait(MonitorPhoneUp)
        if mode is not MonitorMode.LISTEN:
            change(rig, mode)
            word = "ConfBridge" if mode is MonitorMode.BARGE else "quwESX"
            await rig.until(lambda: word in options(exchange), mode)
        exchange.hang_up_phone("agent01")
        await rig.wait(MonitorPhoneGone)
        await rig.wait(CallHungUp, "n-1")
        assert leg(exchange) is None


async def test_a_phone_that_cannot_be_called_or_of_an_agent_who_is_not_there(driver: str) -> None:
    async with exchange_of(phones={"agent01"}) as exchange, running(settings_for(driver, exchange.port)) as rig:
        await talk(rig)
        call(rig)
        first = await rig.wait(MonitorPhoneGone)
        assert "could not be called" in first.reason
        call(rig, agent="nobody")
        second = await rig.wait(MonitorPhoneGone, count=2)
        assert second.reason == "the agent's phone is gone"


@pytest.mark.parametrize("extension", ["34600111222@carrier", "a/b", "x&y", "a\r\nApplication: System"])
async def test_an_extension_is_never_more_than_a_phone(extension: str) -> None:
    async with exchange_of(phones={"agent01"}) as exchange, running(settings_for("native", exchange.port)) as rig:
        await talk(rig)
        rig.switch.call_monitor(CallMonitor(monitor=M1, agent=AgentId("a1"), extension=extension, server=SERVER))
        await rig.wait(MonitorPhoneGone)
        assert [record.number for record in exchange.dialed] == [PHONE[1:]]


async def test_after_a_lost_connection_who_listens_goes_on_and_what_nobody_knows_is_hung_up() -> None:
    async with exchange_of() as exchange:
        async with running(settings_for("native", exchange.port)) as rig:
            await talk(rig)
            call(rig)
            await rig.wait(MonitorPhoneUp)
            exchange.drop()
            await rig.wait(ServerLost)
            await rig.wait(ServerConnected, count=2)
            assert leg(exchange) is not None
            assert not rig.of(MonitorPhoneGone)
            exchange.drop()
            await rig.wait(ServerLost, count=2)
            rig.switch.hang_up_monitor(HangUpMonitor(monitor=M1, server=SERVER))
            await rig.wait(MonitorPhoneGone)
            await rig.until(lambda: leg(exchange) is None, "hung up when the server was back")
            call(rig)
            await rig.wait(MonitorPhoneUp, count=2)
        async with running(settings_for("native", exchange.port)) as later:
            connected = await later.wait(ServerConnected)
            assert connected.calls == {"n-1"}, "a supervisor's leg is no call"
            await later.until(lambda: leg(exchange) is None, "of an earlier process")


async def test_it_is_gone_with_the_server() -> None:
    async with exchange_of() as exchange, running(settings_for("native", exchange.port)) as rig:
        await talk(rig)
        call(rig)
        await rig.wait(MonitorPhoneUp)
        await exchange.restart()
        gone = await rig.wait(MonitorPhoneGone)
        assert gone.monitor == M1

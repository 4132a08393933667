"""Both AMI drivers against the embedded exchange: whole calls, agents, faults, TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    CallRinging,
    HungUpBy,
    MachineDetected,
    MessagePlayed,
    OriginateFailed,
    ServerConnected,
    ServerLost,
)
from dialer.core.outcome import Outcome, unanswered_outcome
from dialer.settings import Tls
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import DEMO
from dialer.simulation.world import Fate, Reaction, World
from dialer.switch.port import HandOver
from tests.e2e.floor import until
from tests.switch_rig import SECRET, Rig, running, settings_for

DATA = Path(__file__).parent.parent / "data" / "ami"
PHONE = "+34600111222"


@pytest.fixture(params=["native", "pyst2"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exchange_of(reaction: Reaction = Reaction.PERSON, *, ring_s: float = 0.05, rings: bool = True) -> Exchange:
    fate = Fate(reaction=reaction, post_dial_s=0.01, ring_s=ring_s, rings=rings)
    return Exchange(World(DEMO, 1, scripted={PHONE[1:]: fate}), secret=SECRET)


async def agent_up(rig: Rig, agent: str = "a1", phone: str = "agent01") -> None:
    assert rig.call_agent(agent, phone) is HandOver.HANDED_OVER
    await rig.wait(AgentPhoneUp, agent)


async def test_a_talk_from_the_list_to_the_end(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        await agent_up(rig)
        assert rig.originate("n-1", PHONE) is HandOver.HANDED_OVER
        ringing = await rig.wait(CallRinging, "n-1")
        answered = await rig.wait(CallAnswered, "n-1")
        rig.connect("n-1", "a1")
        joined = await rig.wait(CallJoined, "n-1")
        assert joined.agent == "a1"
        assert ringing.at <= answered.at <= joined.at <= rig.clock.now()
        exchange.hang_up_customer("n-1")
        end = await rig.wait(CallHungUp, "n-1")
        assert end.by is HungUpBy.CUSTOMER
        # The agent waits for the next one.
        assert rig.of(AgentPhoneGone) == []
        assert len(exchange.dialed) == 1


async def test_an_agent_who_lays_down_the_phone(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        await agent_up(rig)
        rig.originate("n-1", PHONE)
        await rig.wait(CallAnswered, "n-1")
        rig.connect("n-1", "a1")
        await rig.wait(CallJoined, "n-1")
        exchange.hang_up_phone("agent01")
        gone = await rig.wait(AgentPhoneGone, "a1")
        assert gone.reason == "the phone was hung up"
        end = await rig.wait(CallHungUp, "n-1")
        assert end.by is HungUpBy.AGENT


async def test_a_phone_that_is_called_once_more_goes_on_with_the_talk(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        await agent_up(rig)
        rig.originate("n-1", PHONE)
        await rig.wait(CallAnswered, "n-1")
        rig.connect("n-1", "a1")
        await rig.wait(CallJoined, "n-1")
        (before,) = agents_legs(exchange)
        await agent_up(rig)
        await until(lambda: len(rig.of(AgentPhoneUp)) == 2, "the phone once more")
        await until(lambda: before not in agents_legs(exchange), "the end of the leg before")
        assert len(agents_legs(exchange)) == 1
        exchange.hang_up_customer("n-1")
        end = await rig.wait(CallHungUp, "n-1")
        assert end.by is HungUpBy.CUSTOMER
        assert rig.of(AgentPhoneGone) == []


def agents_legs(exchange: Exchange) -> list[str]:
    return [channel.uniqueid for channel in exchange.switchboard.channels.values() if channel.is_agent]


async def test_the_message_for_whom_nobody_has_time(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1", PHONE)
        await rig.wait(CallAnswered, "n-1")
        rig.play("n-1", "sorry")
        await rig.wait(MessagePlayed, "n-1")
        end = await rig.wait(CallHungUp, "n-1")
        assert rig.events.index(end) > rig.events.index(rig.of(MessagePlayed)[0])


async def test_machine_detection(driver: str) -> None:
    async with exchange_of(Reaction.MACHINE) as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1", PHONE, detection="")
        answered = await rig.wait(CallAnswered, "n-1")
        detected = await rig.wait(MachineDetected, "n-1")
        assert answered.at <= detected.at
        rig.hang_up("n-1")
        end = await rig.wait(CallHungUp, "n-1")
        assert end.by is HungUpBy.DIALER


@pytest.mark.parametrize(
    ("reaction", "outcome"),
    [
        (Reaction.BUSY, Outcome.BUSY),
        (Reaction.INVALID, Outcome.INVALID),
        (Reaction.REJECTED, Outcome.REJECTED),
        (Reaction.UNAVAILABLE, Outcome.NO_ANSWER),
        (Reaction.CONGESTION, Outcome.CONGESTION),
        (Reaction.NO_ANSWER, Outcome.NO_ANSWER),
        (Reaction.SILENT, Outcome.CONGESTION),
    ],
)
async def test_outcomes(driver: str, reaction: Reaction, outcome: Outcome) -> None:
    rings = reaction not in {Reaction.SILENT, Reaction.INVALID, Reaction.CONGESTION}
    async with (
        exchange_of(reaction, rings=rings) as exchange,
        running(settings_for(driver, exchange.port)) as rig,
    ):
        await rig.wait(ServerConnected)
        rig.originate("n-1", PHONE, ring_s=0.3)
        end = await rig.wait(CallHungUp, "n-1")
        assert outcome is unanswered_outcome(
            cause=end.cause,
            sip_code=end.sip_code,
            timed_out=end.timed_out,
            rang=bool(rig.of(CallRinging, "n-1")),
            cancelled=end.by is HungUpBy.DIALER,
        )
        assert rig.of(CallAnswered) == []


async def test_a_call_is_withdrawn_while_it_rings(driver: str) -> None:
    async with exchange_of(ring_s=60.0) as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1", PHONE)
        await rig.wait(CallRinging, "n-1")
        rig.hang_up("n-1")
        end = await rig.wait(CallHungUp, "n-1")
        assert end.by is HungUpBy.DIALER
        rig.hang_up("n-1")  # an unknown one is no error
        rig.originate("n-2", PHONE)
        await rig.wait(CallRinging, "n-2")


async def test_a_call_that_another_process_began_is_followed_to_its_end(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as one:
        await one.wait(ServerConnected)
        async with running(settings_for(driver, exchange.port)) as other:
            await other.wait(ServerConnected)
            one.originate("n-1", PHONE)
            await one.wait(CallAnswered, "n-1")
            other.follow("n-1")
            exchange.hang_up_customer("n-1")
            await other.wait(CallHungUp, "n-1")
            await one.wait(CallHungUp, "n-1")


async def test_a_call_that_is_over_when_it_is_to_be_followed_is_told_as_ended(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        rig.follow("gone-1")
        rig.hang_up("gone-1")
        end = await rig.wait(CallHungUp, "gone-1")
        assert end.by is HungUpBy.DIALER


async def test_a_call_is_withdrawn_before_its_channel_exists(driver: str) -> None:
    async with exchange_of(ring_s=60.0) as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        rig.originate("n-1", PHONE)
        rig.hang_up("n-1")
        end = await rig.wait(CallHungUp, "n-1")
        assert end.by is HungUpBy.DIALER


async def test_requests_that_fail_or_are_refused_never_rang(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        exchange.faults.fail_originates = True
        rig.originate("n-1", PHONE)
        await rig.wait(OriginateFailed, "n-1")
        exchange.faults.fail_originates = False
        exchange.faults.refuse_originates = "Originate Access Forbidden"
        rig.originate("n-2", PHONE)
        failed = await rig.wait(OriginateFailed, "n-2")
        assert failed.reason == "Originate Access Forbidden"
        assert rig.of(CallHungUp) == []


async def test_a_phone_that_cannot_be_reached(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        exchange.faults.dead_phones.add("agent09")
        rig.call_agent("a9", "agent09")
        gone = await rig.wait(AgentPhoneGone, "a9")
        assert gone.reason


@pytest.mark.parametrize("fault", ["duplicates", "reordered", "late"])
async def test_disturbed_events_change_nothing(driver: str, fault: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        if fault == "duplicates":
            exchange.faults.duplicate_every = 1
        elif fault == "reordered":
            exchange.faults.reorder_s = 0.02
        else:
            exchange.faults.delay_s = 0.05
        await agent_up(rig)
        rig.originate("n-1", PHONE)
        await rig.wait(CallAnswered, "n-1")
        rig.connect("n-1", "a1")
        await rig.wait(CallJoined, "n-1")
        rig.hang_up("n-1")
        await rig.wait(CallHungUp, "n-1")
        rig.originate("n-2", PHONE)
        await rig.wait(CallAnswered, "n-2")
        for kind in (CallAnswered, CallJoined, CallHungUp):
            assert len(rig.of(kind, "n-1")) == 1
        assert len(rig.of(CallRinging, "n-1")) <= 1
        assert len(rig.of(AgentPhoneUp)) == 1


async def test_the_exchange_drops_connections_and_calls_go_on(driver: str) -> None:
    async with exchange_of(ring_s=0.4) as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        await agent_up(rig)
        rig.originate("n-1", PHONE)
        await rig.wait(CallRinging, "n-1")
        exchange.drop()
        await rig.wait(ServerLost)
        connected = await rig.wait(ServerConnected, count=2)
        assert connected.calls == {"n-1"}
        assert connected.agents == {"a1"}
        await rig.wait(CallAnswered, "n-1")
        rig.connect("n-1", "a1")
        await rig.wait(CallJoined, "n-1")
        assert len(exchange.dialed) == 1


async def test_the_exchange_cuts_an_event_in_two(driver: str) -> None:
    async with exchange_of(ring_s=0.4) as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        exchange.cut()
        rig.originate("n-1", PHONE)
        await rig.wait(ServerLost)
        await rig.wait(ServerConnected, count=2)
        await rig.wait(CallAnswered, "n-1")
        assert len(exchange.dialed) == 1


async def test_the_exchange_restarts_in_the_middle(driver: str) -> None:
    async with exchange_of(ring_s=60.0) as exchange, running(settings_for(driver, exchange.port)) as rig:
        await rig.wait(ServerConnected)
        await agent_up(rig)
        rig.originate("n-1", PHONE)
        await rig.wait(CallRinging, "n-1")
        await exchange.restart(0.05)
        connected = await rig.wait(ServerConnected, count=2)
        assert connected.calls == frozenset()
        assert connected.agents == frozenset()
        assert rig.status.reconnects >= 1
        await agent_up(rig, phone="agent02")


async def test_the_exchange_stalls(driver: str) -> None:
    options = {"ping_every_s": 0.1, "action_timeout_s": 0.3}
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port, ami=options)) as rig:
        await rig.wait(ServerConnected)
        exchange.stall()
        lost = await rig.wait(ServerLost)
        assert "no sign of life" in lost.reason
        exchange.resume()
        await rig.wait(ServerConnected, count=2)


async def test_a_wrong_secret_at_the_exchange(driver: str) -> None:
    async with exchange_of() as exchange, running(settings_for(driver, exchange.port, secret="wrong")) as rig:
        await rig.until(lambda: "Authentication failed" in rig.status.problem, "a problem")
        assert rig.events == []


async def test_tls_with_a_certificate_that_is_trusted_and_one_that_is_not() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "tls-test-cert.pem", DATA / "tls-test-key.pem")
    trusted = Tls(enabled=True, ca_file=str(DATA / "tls-test-cert.pem"), server_name="localhost")
    world = World(DEMO, 1, scripted={PHONE[1:]: Fate(reaction=Reaction.PERSON)})
    async with Exchange(world, secret=SECRET, tls=context) as exchange:
        async with running(settings_for("native", exchange.port, tls=trusted)) as rig:
            await rig.wait(ServerConnected)
            rig.originate("n-1", PHONE)
            await rig.wait(CallAnswered, "n-1")
        async with running(settings_for("native", exchange.port, tls=Tls(enabled=True))) as rig:
            await rig.until(lambda: "certificate is not accepted" in rig.status.problem, "a problem")
        nowhere = Tls(enabled=True, ca_file="/nonexistent/ca.pem")
        async with running(settings_for("native", exchange.port, tls=nowhere)) as rig:
            await rig.until(lambda: "tls.ca_file" in rig.status.problem, "a problem")
    async with exchange_of() as plain, running(settings_for("native", plain.port, tls=trusted)) as rig:
        await rig.until(lambda: "no TLS there" in rig.status.problem, "a problem")

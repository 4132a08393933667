"""Both AMI drivers against the real Asterisk of the lab: outcomes, agents, talks, losses of connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from dialer.ami import actions
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
    Verdict,
)
from dialer.core.outcome import Outcome, unanswered_outcome
from dialer.settings import Settings
from dialer.switch import native
from dialer.switch.link import Link
from dialer.switch.port import HandOver
from scripts.lab import plan
from scripts.lab.plan import Kind, Persona
from scripts.lab.record import Session
from tests.switch_rig import Rig, running, settings_for

from .conftest import AsteriskLab

pytestmark = pytest.mark.asterisk
Name = Callable[[str], str]


@pytest.fixture(params=["native", "pyst2"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def settings_of(lab: AsteriskLab, driver: str, **options: float) -> Settings:
    return settings_for(
        driver, lab.layout.ami_port, secret=lab.secret, dial="PJSIP/{number}@carrier", ami=options or None
    )


async def agent_up(rig: Rig, agent: str, phone: str) -> None:
    assert rig.call_agent(agent, phone) is HandOver.HANDED_OVER
    await rig.wait(AgentPhoneUp, agent)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (Kind.BUSY, Outcome.BUSY),
        (Kind.INVALID, Outcome.INVALID),
        (Kind.CONGESTION, Outcome.CONGESTION),
        (Kind.DECLINE, Outcome.REJECTED),
        (Kind.UNAVAILABLE, Outcome.NO_ANSWER),
        (Kind.RINGS_ON, Outcome.NO_ANSWER),
        (Kind.SILENT, Outcome.CONGESTION),
    ],
)
async def test_outcomes(
    asterisk_lab: AsteriskLab, driver: str, name: Name, serials: Iterator[int], kind: Kind, outcome: Outcome
) -> None:
    async with running(settings_of(asterisk_lab, driver)) as rig:
        await rig.wait(ServerConnected)
        call = name("call")
        assert rig.originate(call, f"+{plan.number(kind, next(serials))}", ring_s=2.0) is HandOver.HANDED_OVER
        end = await rig.wait(CallHungUp, call)
        rang = bool(rig.of(CallRinging, call))
        assert outcome is unanswered_outcome(
            cause=end.cause, sip_code=end.sip_code, timed_out=end.timed_out, rang=rang, cancelled=False
        )
        assert end.by is HungUpBy.NETWORK
        assert rig.of(CallAnswered, call) == []


async def test_a_talk_that_the_customer_ends_and_one_that_the_agent_ends(
    asterisk_lab: AsteriskLab, session: Session, driver: str, name: Name, serials: Iterator[int]
) -> None:
    async with running(settings_of(asterisk_lab, driver)) as rig:
        await rig.wait(ServerConnected)
        agent = name("agent")
        await agent_up(rig, agent, "agent03")
        first, second = name("call"), name("call")
        rig.originate(first, f"+{plan.number(Kind.ANSWER, next(serials), talk_s=1.5)}")
        answered = await rig.wait(CallAnswered, first)
        rig.connect(first, agent)
        joined = await rig.wait(CallJoined, first)
        assert joined.agent == agent
        assert joined.at >= answered.at
        assert (await rig.wait(CallHungUp, first)).by is HungUpBy.CUSTOMER
        rig.originate(second, f"+{plan.number(Kind.ANSWER, next(serials))}")
        await rig.wait(CallAnswered, second)
        rig.connect(second, agent)
        await rig.wait(CallJoined, second)
        await asyncio.to_thread(session.hang_up_phone, "agent03")
        assert (await rig.wait(AgentPhoneGone, agent)).reason == "the phone was hung up"
        assert (await rig.wait(CallHungUp, second)).by is HungUpBy.AGENT


async def test_a_call_withdrawn_at_once_and_one_withdrawn_while_it_rings(
    asterisk_lab: AsteriskLab, driver: str, name: Name, serials: Iterator[int]
) -> None:
    async with running(settings_of(asterisk_lab, driver)) as rig:
        await rig.wait(ServerConnected)
        at_once, ringing = name("call"), name("call")
        rig.originate(at_once, f"+{plan.number(Kind.RINGS_ON, next(serials))}")
        rig.hang_up(at_once)
        assert (await rig.wait(CallHungUp, at_once)).by is HungUpBy.DIALER
        rig.originate(ringing, f"+{plan.number(Kind.RINGS_ON, next(serials))}")
        await rig.wait(CallRinging, ringing)
        rig.hang_up(ringing)
        end = await rig.wait(CallHungUp, ringing)
        assert (end.by, end.sip_code) == (HungUpBy.DIALER, None)


async def test_the_message_for_whom_nobody_has_time(
    asterisk_lab: AsteriskLab, driver: str, name: Name, serials: Iterator[int]
) -> None:
    async with running(settings_of(asterisk_lab, driver)) as rig:
        await rig.wait(ServerConnected)
        call = name("call")
        rig.originate(call, f"+{plan.number(Kind.ANSWER, next(serials))}")
        await rig.wait(CallAnswered, call)
        rig.play(call, "vm-goodbye")
        assert (await rig.wait(MessagePlayed, call)).complete
        await rig.wait(CallHungUp, call)


async def test_machine_detection(asterisk_lab: AsteriskLab, driver: str, name: Name, serials: Iterator[int]) -> None:
    async with running(settings_of(asterisk_lab, driver)) as rig:
        await rig.wait(ServerConnected)
        call = name("call")
        number = plan.number(Kind.AUDIO, next(serials), persona=Persona.MACHINE, ring_s=1.0)
        rig.originate(call, f"+{number}", detection="")
        answered = await rig.wait(CallAnswered, call)
        detected = await rig.wait(MachineDetected, call)
        assert detected.verdict is Verdict.MACHINE
        assert answered.at < detected.at
        rig.hang_up(call)
        await rig.wait(CallHungUp, call)


async def test_requests_that_never_ring(asterisk_lab: AsteriskLab, driver: str, name: Name) -> None:
    async with running(settings_of(asterisk_lab, driver)) as rig:
        await rig.wait(ServerConnected)
        rig.call_agent("nobody", "no-such-phone")
        assert (await rig.wait(AgentPhoneGone, "nobody")).reason
    unknown = settings_for("native", asterisk_lab.layout.ami_port, secret=asterisk_lab.secret, dial="NOTECH/{number}")
    async with running(unknown) as rig:
        await rig.wait(ServerConnected)
        call = name("call")
        rig.originate(call)
        await rig.wait(OriginateFailed, call)


async def test_a_second_switch_finds_what_the_first_one_left(
    asterisk_lab: AsteriskLab, driver: str, name: Name, serials: Iterator[int]
) -> None:
    agent, call = name("agent"), name("call")
    async with running(settings_of(asterisk_lab, driver)) as rig:
        await rig.wait(ServerConnected)
        await agent_up(rig, agent, "agent04")
        rig.originate(call, f"+{plan.number(Kind.ANSWER, next(serials))}")
        await rig.wait(CallAnswered, call)
    assert isinstance(rig.events[-1], ServerLost)
    async with running(settings_of(asterisk_lab, driver)) as rig:
        connected = await rig.wait(ServerConnected)
        assert call in connected.calls
        assert agent in connected.agents
        rig.connect(call, agent)
        await rig.wait(CallJoined, call)
        rig.hang_up(call)
        assert (await rig.wait(CallHungUp, call)).by is HungUpBy.DIALER


async def test_a_wrong_secret(asterisk_lab: AsteriskLab, driver: str) -> None:
    async with running(settings_for(driver, asterisk_lab.layout.ami_port, secret="wrong")) as rig:
        await rig.until(lambda: "Authentication failed" in rig.status.problem, "a problem")
        assert rig.events == []


async def test_asterisk_reads_back_what_we_escape(
    asterisk_lab: AsteriskLab, name: Name, serials: Iterator[int]
) -> None:
    settings = settings_of(asterisk_lab, "native")
    (server,) = settings.asterisk
    link = Link(server=server, ami=settings.ami, events="off")
    await native.connect(link, server)
    await link.opened()
    values = {
        "PLAIN": "x",
        "UNICODE": "Zoë Ñandú 東京",
        "COMMA": "a,b=c,D=e",
        "QUOTES": 'say "hi", twice',
        "BACK": "back\\slash\\",
        "PARENS": "(open [and ) shut]",
    }
    call = name("call")
    started = await link.ask(
        actions.originate(
            f"PJSIP/{plan.number(Kind.RINGS_ON, next(serials))}@carrier",
            context="cadencia-wait",
            exten="s",
            channel_id=call,
            timeout_s=5.0,
            variables=values,
        )
    )
    assert started.ok
    found: dict[str, str] = {}
    for variable in values:
        for _ in range(500):
            answer = await link.ask(actions.getvar(call, variable))
            if answer.ok and answer.message is not None:
                found[variable] = answer.message.get("Value", "")
                if found[variable]:
                    break
            await asyncio.sleep(0.01)  # another thread of Asterisk makes it and sets them
    await link.ask(actions.hangup(call))
    await link.close()
    assert found == values

"""An engine with everything around it in the test's own hands: a clock, a gate that says yes, a switch that obeys."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.engine import Engine
from dialer.core.floor import Output, Server
from dialer.core.ids import (
    AgentId,
    CallId,
    CampaignId,
    ContactId,
    MessageId,
    NodeName,
    Phone,
    ServerName,
    TrunkName,
)
from dialer.core.permit import Permit
from dialer.core.trunks import TrunkLimits

T = TypeVar("T")

PBX = ServerName("pbx")
CAMPAIGN = CampaignId("winter")
NODE = NodeName("n1")


class Harness:
    """Hands events in, carries hand-overs out, remembers every output."""

    def __init__(self, campaign: Campaign | None = None, *, servers: tuple[str, ...] = ("pbx",), cps: float = 1000.0):
        self.engine = Engine(
            node=NODE,
            servers=[Server(name=ServerName(name)) for name in servers],
            trunks=[
                TrunkLimits(server=ServerName(name), name=TrunkName("out"), max_channels=500, max_calls_per_second=cps)
                for name in servers
            ],
        )
        self.now = 1_000_000.0
        self.out: list[Output] = []
        self.contacts = 0
        self.campaign = campaign or Campaign(id=CAMPAIGN, method="progressive")
        self.grant = True
        #: Contacts that the gate refuses when they are asked for by name, and why.
        self.refused: dict[str, str] = {}
        #: Of wishes for calls.
        self.wishes: list[MessageId] = []
        self.send = True
        #: Why an originate is not sent, where it is not (`dialer.switch.port.HandOver`).
        self.not_sent_because = "not_connected"

    def start(self, *agents: str) -> None:
        """Server up, campaign running, agents idle."""
        for name in self.engine.floor.servers:
            self.feed(ev.ServerConnected(at=self.now, server=name, calls=frozenset(), agents=frozenset()))
        self.feed(ev.CampaignConfigured(at=self.now, campaign=self.campaign))
        self.feed(ev.CampaignOrdered(at=self.now, campaign=self.campaign.id, state=CampaignState.RUNNING))
        for agent in agents:
            self.sign_in(agent)

    def sign_in(self, agent: str, **changes: object) -> None:
        """An agent signs in and their phone answers."""
        event = ev.AgentSignedIn(at=self.now, agent=AgentId(agent), phone=agent, campaigns=(self.campaign.id,))
        self.feed(replace(event, **changes))  # type: ignore[arg-type]
        self.feed(ev.AgentPhoneUp(at=self.now, agent=AgentId(agent)))

    def feed(self, event: ev.AnyEvent) -> list[Output]:
        """Hand one event in, with what follows from it at once."""
        return self._settle(self.engine.handle(event))

    def advance(self, seconds: float) -> list[Output]:
        """Let time pass, waking the engine at each of its deadlines."""
        end, out = self.now + seconds, []
        while (at := self.engine.next_deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            out += self._settle(self.engine.wake(self.now))
        self.now = end
        out += self._settle(self.engine.wake(self.now))
        return out

    def of(self, kind: type[T], outputs: list[Output] | None = None) -> list[T]:
        """The outputs of one kind, of all or of the given ones."""
        return [o for o in (self.out if outputs is None else outputs) if isinstance(o, kind)]

    def calls(self) -> list[CallId]:
        """Calls under way, oldest first."""
        return list(self.engine.floor.calls)

    def agent_state(self, agent: str) -> str:
        """Where an agent stands."""
        found = self.engine.floor.roster.get(AgentId(agent))
        return "signed_out" if found is None else found.state.value

    def answer(self, call: CallId) -> list[Output]:
        """The callee picks up."""
        return self.feed(ev.CallAnswered(at=self.now, call=call))

    def hang_up(self, call: CallId, **changes: object) -> list[Output]:
        """The channel goes."""
        event = ev.CallHungUp(at=self.now, call=call, cause=16, sip_code=None, timed_out=False, by=ev.HungUpBy.CUSTOMER)
        return self.feed(replace(event, **changes))  # type: ignore[arg-type]

    def join(self, call: CallId) -> list[Output]:
        """The customer arrives in the room of the agent who was reserved."""
        agent = self.engine.floor.calls[call].agent
        assert agent is not None
        return self.feed(ev.CallJoined(at=self.now, call=call, agent=agent))

    def ended(self) -> dict[CallId, ntc.CallEnded]:
        """Every ended call, by id; a second end of one call is an error."""
        found: dict[CallId, ntc.CallEnded] = {}
        for notice in self.of(ntc.CallEnded):
            assert notice.attempt.call not in found, "a call ended twice"
            found[notice.attempt.call] = notice
        return found

    def answer_to(self, request: cmd.RequestContact, **changes: object) -> ev.ContactGranted:
        """What the gate says to a request for one contact."""
        reason = self.refused.get(request.contact, "")
        permit = None
        if not reason:
            self.contacts += 1
            permit = replace(self.permit(self.contacts), contact=request.contact, campaign=request.campaign)
        answer = ev.ContactGranted(
            at=self.now,
            campaign=request.campaign,
            contact=request.contact,
            agent=request.agent,
            permit=permit,
            reason=reason,
        )
        return replace(answer, **changes)  # type: ignore[arg-type]

    def permit(self, number: int) -> Permit:
        """A permit for the n-th contact."""
        return Permit(
            call=CallId(f"{NODE}-boot-{number}"),
            campaign=self.campaign.id,
            contact=ContactId(f"crm-{number}"),
            phone=Phone(f"+34600{number:06d}"),
            fencing_token=number,
            attempt_number=1,
            expires_at=self.now + 0.05,
        )

    def _settle(self, outputs: list[Output]) -> list[Output]:
        seen = list(outputs)
        todo = list(outputs)
        while todo:
            follow: list[Output] = []
            for output in todo:
                if isinstance(output, cmd.Originate):
                    call = output.permit.call
                    if self.send:
                        follow += self.engine.handle(ev.OriginateHandedOver(at=self.now, call=call))
                    else:
                        reason = self.not_sent_because
                        follow += self.engine.handle(ev.OriginateNotSent(at=self.now, call=call, reason=reason))
                elif isinstance(output, cmd.RequestContact) and self.grant:
                    follow += self.engine.handle(self.answer_to(output))
                elif isinstance(output, cmd.RequestPermits) and self.grant:
                    permits = []
                    for _ in range(output.count):
                        self.contacts += 1
                        permits.append(self.permit(self.contacts))
                    follow += self.engine.handle(
                        ev.PermitsGranted(
                            at=self.now,
                            campaign=output.campaign,
                            requested=output.count,
                            permits=tuple(permits),
                            refusals=ev.Refusals(),
                            ready=100,
                            later=0,
                        )
                    )
            seen += follow
            todo = follow
        self.out += seen
        return seen

"""The state that the engine's desks share: campaigns, agents, calls, servers, deadlines, and what is to go out."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from dialer.core.agent import AgentState
from dialer.core.call import Call, CallStep
from dialer.core.caller_ids import CallerIdLedger
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.commands import AnyCommand
from dialer.core.ids import AgentId, CallId, CampaignId, NodeName, ServerName
from dialer.core.notices import AnyNotice, EventIgnored
from dialer.core.pacers import Pacers
from dialer.core.roster import Roster
from dialer.core.spending import Spending
from dialer.core.timers import Timers
from dialer.core.trunks import TrunkLimits, Trunks
from pacing import Decision

Output = AnyCommand | AnyNotice


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An Asterisk server as the engine needs to know it."""

    name: ServerName
    weight: float = 1.0


@dataclass(slots=True, kw_only=True)
class CampaignRun:
    """A campaign at work."""

    campaign: Campaign
    state: CampaignState
    pacers: Pacers
    #: Calls under way, and how many of them nobody has answered yet, by server.
    calls: set[CallId] = field(default_factory=set)
    unanswered: Counter[ServerName] = field(default_factory=Counter)
    #: People who wait for an agent, longest first.
    waiting: deque[CallId] = field(default_factory=deque)
    #: Live answers by server, as far as they are known: those of this node, and those of the record when it began.
    answered: Counter[ServerName] = field(default_factory=Counter)
    #: Permits asked for and not answered yet.
    requested: int = 0
    requested_at: float = 0.0
    #: How many calls the pacer of each server wants of them.
    wished: Counter[ServerName] = field(default_factory=Counter)
    #: Calls permitted and not handed over yet: the pacer does not know of them.
    reserved: int = 0
    #: After an empty answer of the gate, not asked again before.
    ask_again_at: float = 0.0
    decided_at: float = float("-inf")
    #: The hopper had nobody (left) to call when the gate was last asked; and how many it was last seen to have since.
    dry: bool = False
    ready: int = 0
    #: What was published last, and when.
    last_decision: Decision | None = None
    published_at: float = float("-inf")


@dataclass(slots=True)
class ServerState:
    """Whether a server is there, and whose phones are up in their rooms."""

    server: Server
    connected: bool = False
    rooms: set[AgentId] = field(default_factory=set)


class Floor:
    """Everything that is going on at one node."""

    def __init__(
        self,
        *,
        node: NodeName,
        servers: Iterable[Server],
        trunks: Iterable[TrunkLimits],
        spending: Spending | None = None,
    ) -> None:
        self.node = node
        self.now = 0.0
        self.servers: dict[ServerName, ServerState] = {server.name: ServerState(server) for server in servers}
        self.trunks = Trunks(trunks)
        #: Of all campaigns: a carrier that marks a number does not ask which of them has called.
        self.caller_ids = CallerIdLedger()
        self.spending = spending or Spending()
        self.campaigns: dict[CampaignId, CampaignRun] = {}
        self.roster = Roster()
        self.calls: dict[CallId, Call] = {}
        self.timers = Timers()
        self._out: list[Output] = []

    def emit(self, *outputs: Output) -> None:
        """Let commands and notices go out, in this order, when the present event has been dealt with."""
        self._out.extend(outputs)

    def take_outputs(self) -> list[Output]:
        """What has been emitted since the last time."""
        out, self._out = self._out, []
        return out

    def ignore(self, event: str, reason: str) -> None:
        """Say that an event made no sense."""
        self.emit(EventIgnored(at=self.now, event=event, reason=reason))

    def known_call(self, call_id: CallId, event: str) -> Call | None:
        """A call under way; of any other, the event makes no sense."""
        call = self.calls.get(call_id)
        if call is None:
            self.ignore(event, "no such call")
        return call

    def take(self, call: Call, step: CallStep, event: str) -> bool:
        """Move a call where it can go; where it cannot, the event makes no sense."""
        if call.can(step):
            call.take(step)
            return True
        self.ignore(event, f"call is {call.state}")
        return False

    def stop_waiting(self, call: Call) -> None:
        """Whoever is on a call does not wait for an agent any more."""
        self.timers.cancel(("abandon", call.id))
        run = self.run_of(call)
        if run is not None and call.id in run.waiting:
            run.waiting.remove(call.id)

    def run_of(self, call: Call) -> CampaignRun | None:
        """The campaign that a call belongs to, or None where it is not known to this node any more."""
        return self.campaigns.get(call.permit.campaign)

    def connected(self, server: ServerName) -> bool:
        """Whether a server can be told anything now."""
        state = self.servers.get(server)
        return state is not None and state.connected


#: How the pacers are told an agent's state; RESERVED is still "idle": the waiting call stands against it.
PACED_AS = {
    AgentState.IDLE: "idle",
    AgentState.RESERVED: "idle",
    AgentState.TALKING: "talking",
    AgentState.WRAPUP: "wrapup",
}

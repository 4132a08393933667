"""The agents who are signed in, and who of them gets the next call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from dialer.core.agent import TRANSITIONS, AgentState, AgentStep
from dialer.core.campaign import Campaign
from dialer.core.hold import Hold
from dialer.core.ids import AgentId, CallId, CampaignId, ServerName
from dialer.core.permit import Permit
from dialer.errors import InvalidTransition
from pacing import Pacer

#: States in which an agent works: talks, has just talked, or waits for a call.
STAFFED = frozenset({AgentState.IDLE, AgentState.RESERVED, AgentState.TALKING, AgentState.WRAPUP})


@dataclass(slots=True, kw_only=True)
class Agent:
    """An agent as the engine sees them. Only the engine changes it."""

    id: AgentId
    phone: str
    server: ServerName
    campaigns: tuple[CampaignId, ...]
    priority: int = 0
    skills: frozenset[str] = frozenset()
    state: AgentState = AgentState.SIGNED_OUT
    since: float = 0.0
    #: Begins idle once the phone is up.
    wants_ready: bool = True
    #: How often their phone has been called since a failure of its server took it; 0: it is there, or was laid down.
    recalls: int = 0
    #: When their phone was heard to go, or not to be reached (unix seconds); None: it has not, or we laid it down.
    phone_went_at: float | None = None
    #: Call that they are reserved for, talk with, or wrap up, and the permit that it was made with.
    call: CallId | None = None
    permit: Permit | None = None
    #: Pause code that waits for the end of the present call.
    pause_asked: str | None = None
    sign_out_asked: bool = False
    #: The present call already has its disposition.
    disposed: bool = False
    #: The contact that they are kept for, until it is called and joined.
    hold: Hold | None = None
    pause_code: str = ""
    #: Contacts that they were shown and have said nothing about, since they last did.
    unanswered: int = 0
    #: Their next call is one that was promised.
    promised: bool = False
    #: Unix seconds at which their shift ends, and from which they are kept for a callback; None: not known, none.
    shift_ends_at: float | None = None
    committed_at: float | None = None
    #: Which pacer was told of the first of the two, and what.
    told: tuple[Pacer, float] | None = None
    #: Campaign whose pacer counts on this agent.
    focus: CampaignId | None = None

    @property
    def absent_at(self) -> float | None:
        """From when on nobody is to count on them, as far as that is known."""
        known = [at for at in (self.shift_ends_at, self.committed_at) if at is not None]
        return min(known, default=None)

    @property
    def leaving(self) -> bool:
        """Whether they take no further call: a pause or their sign-out waits for the end of the present one."""
        return self.sign_out_asked or self.pause_asked is not None

    def can(self, step: AgentStep) -> bool:
        """Whether the table has `step` for the present state."""
        return (self.state, step) in TRANSITIONS

    def take(self, step: AgentStep, now: float) -> AgentState:
        """Go where `step` leads; answers with the state before.

        Raises:
            InvalidTransition: the table does not have it.
        """
        previous = self.state
        try:
            self.state = TRANSITIONS[self.state, step]
        except KeyError:
            raise InvalidTransition(f"agent {self.id} is {self.state}; cannot {step}") from None
        self.since = now
        return previous

    def serves(self, campaign: Campaign) -> bool:
        """Whether this agent takes calls of `campaign`."""
        return campaign.id in self.campaigns and campaign.skills <= self.skills


class Roster:
    """All agents, with the idle ones in the order in which they became idle."""

    def __init__(self) -> None:
        self._agents: dict[AgentId, Agent] = {}
        self._idle: dict[AgentId, Agent] = {}

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._agents.values())

    def __len__(self) -> int:
        return len(self._agents)

    def get(self, agent: AgentId) -> Agent | None:
        """The agent, or None where not signed in."""
        return self._agents.get(agent)

    def add(self, agent: Agent) -> None:
        """Take a new agent in."""
        self._agents[agent.id] = agent

    def remove(self, agent: AgentId) -> None:
        """Forget an agent who has signed out."""
        self._agents.pop(agent, None)
        self._idle.pop(agent, None)

    def moved(self, agent: Agent) -> None:
        """Keep the order of the idle: must be called after every change of state."""
        self._idle.pop(agent.id, None)
        if agent.state is AgentState.IDLE:
            self._idle[agent.id] = agent

    def idle(self) -> list[Agent]:
        """All idle agents: the highest priority first, then whoever has been idle longest."""
        return sorted(self._idle.values(), key=lambda agent: -agent.priority)

    def choose(self, campaign: Campaign, server: ServerName) -> Agent | None:
        """The idle agent for a call of `campaign` on `server`: highest priority, then longest idle."""
        best: Agent | None = None
        for agent in self._idle.values():
            if (
                agent.server == server
                and agent.serves(campaign)
                and not agent.leaving
                and (best is None or agent.priority > best.priority)
            ):
                best = agent
        return best

    def idle_by_server(self, campaign: Campaign) -> Counter[ServerName]:
        """Idle agents who would take a call of `campaign`, by server."""
        return Counter(agent.server for agent in self._idle.values() if agent.serves(campaign))

    def staffed_by_server(self, campaign: Campaign) -> dict[ServerName, int]:
        """Working agents of `campaign`, by server."""
        counts: dict[ServerName, int] = {}
        for agent in self._agents.values():
            if agent.state in STAFFED and agent.serves(campaign):
                counts[agent.server] = counts.get(agent.server, 0) + 1
        return counts

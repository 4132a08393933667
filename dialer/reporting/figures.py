"""What reports add up: calls, people, management results, and the time of agents. Whole numbers and exact money.

Sums of whole milliseconds and of decimals are the same in whichever order they are added, so that both databases, and
a report of a month and its thirty days, give the very same figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTime:
    """Milliseconds that agents spent in each state."""

    idle_ms: int = 0
    reserved_ms: int = 0
    talking_ms: int = 0
    wrapup_ms: int = 0
    paused_ms: int = 0

    def __add__(self, other: AgentTime) -> AgentTime:
        """Both together."""
        return AgentTime(**{name: getattr(self, name) + getattr(other, name) for name in _AGENT_TIME})

    @property
    def busy_ms(self) -> int:
        """With customers: reserved, talking, wrapping up."""
        return self.reserved_ms + self.talking_ms + self.wrapup_ms

    @property
    def working_ms(self) -> int:
        """Busy or waiting for a call; pauses left out."""
        return self.busy_ms + self.idle_ms

    @property
    def paid_ms(self) -> int:
        """Working or in a pause."""
        return self.working_ms + self.paused_ms


_AGENT_TIME: Final = tuple(each.name for each in fields(AgentTime))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums over calls that ended in some time, and what agents did meanwhile; `docs/indicators.md` defines each."""

    #: Calls started.
    attempts: int = 0
    #: Somebody or something picked up.
    answered: int = 0
    #: People who answered, and those of them who found no agent in time, as the law counts them.
    live_answers: int = 0
    abandoned: int = 0
    #: People who talked with an agent.
    connected: int = 0
    #: The person who was meant was talked with.
    contacts: int = 0
    #: Calls with a code, and those whose code is a sale, or a promise.
    disposed: int = 0
    sales: int = 0
    promises: int = 0
    #: What was sold and promised, by currency.
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    promised: Mapping[str, Decimal] = field(default_factory=dict)
    #: From the agent to the end, and from the answer to the end.
    talk_ms: int = 0
    line_ms: int = 0
    #: Of that, calls whose carrier's rate was known; and what it takes for them, in millionths.
    rated_ms: int = 0
    rated_micros: int = 0
    #: From the answer to the agent; and of those who met nobody, to the end.
    wait_ms: int = 0
    lost_wait_ms: int = 0
    #: People who answered and met nobody, in time or not.
    lost: int = 0
    #: None: the time of agents cannot be told apart by what this row is of, such as an outcome.
    agents: AgentTime | None = None
    #: Contacts loaded and those called at least once, up to now; None where the row is of more than lists.
    loaded: int | None = None
    called: int | None = None

    def __add__(self, other: Figures) -> Figures:
        """Both together, such as two hours of one day."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Figures(
            **sums,
            amounts=together(self.amounts, other.amounts),
            promised=together(self.promised, other.promised),
            agents=_either(self.agents, other.agents),
            loaded=_sum(self.loaded, other.loaded),
            called=_sum(self.called, other.called),
        )


_COUNTS: Final = tuple(
    each.name for each in fields(Figures) if each.name not in {"amounts", "promised", "agents", "loaded", "called"}
)


def together(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    """Amounts of each currency added up."""
    return {key: one.get(key, Decimal(0)) + other.get(key, Decimal(0)) for key in {**one, **other}}


def _either(one: AgentTime | None, other: AgentTime | None) -> AgentTime | None:
    return one + other if one is not None and other is not None else one if other is None else other


def _sum(one: int | None, other: int | None) -> int | None:
    return one + other if one is not None and other is not None else one if other is None else other

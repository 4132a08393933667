"""What would be if a campaign had other agents or another limit: the question, and its answer."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from dialer.core.campaign import Campaign


class WhatIfFloor(Struct, frozen=True, kw_only=True):
    """What was learned from a campaign's own calls."""

    calls: int
    #: Live answers for each call.
    answer_rate: float
    talk_s: float
    wrapup_s: float
    #: Nobody knows the wrap-up: the campaign's limit stands for it.
    wrapup_assumed: bool


class WhatIfPoint(Struct, frozen=True, kw_only=True):
    """A simulated floor."""

    agents: int
    #: Share of live answers that may find nobody.
    limit: float
    occupancy: float
    #: Half of its 95 % confidence interval; None with a single day.
    occupancy_half_width: float | None
    abandonment: float
    talks_an_hour: float
    #: Seconds that an agent waits between two talks.
    wait_s: float


class WhatIfFound(Struct, frozen=True, kw_only=True):
    """What a simulation came to."""

    floor: WhatIfFloor | None = None
    #: Each number of agents under each limit.
    points: tuple[WhatIfPoint, ...] = ()
    hours: float = 0.0
    #: Why nothing could be simulated: few_calls, or a text for people.
    error: str = ""


class WhatIfAnswer(Struct, frozen=True, kw_only=True):
    """How far a simulation is."""

    #: waiting, running, done or failed.
    state: str
    #: Floors simulated, and how many there are.
    done: int = 0
    total: int = 0
    found: WhatIfFound | None = None


class WhatIf(Protocol):
    """Simulates campaigns, away from everything live (`dialer.runtime.what_if.WhatIfDesk`)."""

    async def ask(self, campaign: Campaign, agents: int, other_agents: int, other_limit: float) -> str:
        """Have it simulated with so many agents as it is, and with others under another limit; the id of the answer.

        Raises:
            QueueError: Redis is out of reach.
            InputError: too many simulations wait already.
        """

    async def answer(self, campaign: Campaign, id: str) -> WhatIfAnswer | None:
        """How far a simulation of this campaign is; None where there is none of that id any more.

        Raises:
            QueueError: Redis is out of reach.
        """

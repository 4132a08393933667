"""On which Asterisk server an agent works who signs in without naming one (docs/adr/0016). Pure.

Somebody who answers can only be given to an agent on the same server, and each server is paced by itself: two groups of
ten are idle longer than one of twenty. So agents go where those are who work for the same campaign, up to what a server
bears. Whoever is the first goes where the campaign was before, since that server's pacer knows its people and holds its
budget; whoever finds no room, or is the first of a new campaign, goes where the load is least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.floor import Floor
from dialer.core.focus import first_choice
from dialer.core.ids import AgentId, CampaignId, ServerName

#: Agents that a server takes though others are empty, if none weighs more than it. Beside so many of a campaign another
#: group costs little: by `pacing.optimum` (talks of 120 s, three in ten answered, 3 % abandoned) twice 10 agents in
#: place of 20 cost 4.2 points of occupancy, twice 100 in place of 200 cost 1.6, and twice 200 about one.
FULL_GROUP: Final = 200
#: Beyond that a server has at most so many times its share of all agents when one more goes there for company.
UNEVEN: Final = 1.25
#: Channels that an agent keeps busy, a fifth over the mean (docs/capacity.md).
LINES_PER_AGENT: Final = 1.5
#: In these an agent has no phone, and may find out that this is the server's doing: nobody follows them.
_GONE: Final = frozenset({AgentState.LOST, AgentState.SIGNED_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server within reach, as whoever signs in finds it; they are not counted themselves."""

    server: ServerName
    #: Compared with the others.
    weight: float
    #: Agents of this node there, and of them those who are there for the campaign that the one who comes would be for.
    agents: int
    colleagues: int
    #: Agents of other nodes there.
    elsewhere: int = 0
    #: People who have answered calls of the campaign there: what its pacer there has learned from, and is held to.
    answered: int = 0
    #: Channels of its trunks for this node, and of them those that the campaign may use; none of trunks that rest.
    lines: int
    campaign_lines: int

    @property
    def load(self) -> float:
        """Agents for its weight, with the one who comes."""
        return (self.agents + self.elsewhere + 1) / self.weight

    @property
    def has_lines(self) -> bool:
        """Whether there are channels for one agent more, of all campaigns and of this one."""
        return self.lines >= LINES_PER_AGENT * (self.agents + 1) and self.campaign_lines >= LINES_PER_AGENT * (
            self.colleagues + 1
        )


def choose_server(places: Collection[Place]) -> ServerName | None:
    """The server for one agent more: the same, in whatever order they are; None: there is none."""
    fit = (
        [place for place in places if place.has_lines]
        or [place for place in places if place.campaign_lines]
        or list(places)
    )
    bound = _load_for_company(places)
    joined = [place for place in fit if (place.colleagues or place.answered) and place.load <= bound]
    if joined:
        return min(joined, key=lambda place: (-place.colleagues, -place.answered, place.load, place.server)).server
    best = min(fit, key=lambda place: (place.load, -place.weight, place.server), default=None)
    return None if best is None else best.server


def place_agent(
    floor: Floor,
    agent: AgentId,
    campaigns: Sequence[CampaignId],
    *,
    elsewhere: Mapping[ServerName, int],
    among: Collection[ServerName] | None = None,
) -> ServerName | None:
    """Where an agent is to work: where their phone is still up, else as `choose_server` has it.

    Args:
        floor: everything that is going on at this node.
        agent: who comes.
        campaigns: that they are to work for, the first one first.
        elsewhere: agents of other nodes, by server.
        among: the servers that come into question; None: all.

    Returns:
        A server within reach; where none is, one that they wait for. None: there is none at all.
    """
    known = [state for name, state in floor.servers.items() if among is None or name in among]
    near = [state for state in known if state.connected]
    for state in near:
        if agent in state.rooms:
            return state.server.name
    wanted = first_choice(campaigns, floor.campaigns) or next(iter(campaigns), None)
    run = floor.campaigns.get(wanted) if wanted is not None else None
    preferred = () if run is None else run.campaign.trunks
    agents, colleagues, gone = Counter[ServerName](), Counter[ServerName](), Counter[ServerName]()
    for other in floor.roster:
        if other.id != agent:
            agents[other.server] += 1
            if wanted is not None and (other.focus or next(iter(other.campaigns), None)) == wanted:
                (gone if other.state in _GONE else colleagues)[other.server] += 1
    # Where all phones have gone nobody goes because it was the place to be.
    answered = (
        {} if run is None else {name: n for name, n in run.answered.items() if colleagues[name] or not gone[name]}
    )
    return choose_server(
        [
            Place(
                server=state.server.name,
                weight=state.server.weight,
                agents=agents[state.server.name],
                colleagues=colleagues[state.server.name],
                elsewhere=elsewhere.get(state.server.name, 0),
                answered=answered.get(state.server.name, 0),
                lines=floor.trunks.lines(state.server.name, (), floor.now),
                campaign_lines=floor.trunks.lines(state.server.name, preferred, floor.now),
            )
            for state in near or known
        ]
    )


def _load_for_company(places: Collection[Place]) -> float:
    """The load up to which agents go where their colleagues are."""
    if not places:
        return 0.0
    weights = [place.weight for place in places]
    everybody = 1 + sum(place.agents + place.elsewhere for place in places)
    return max(FULL_GROUP / max(weights), UNEVEN * everybody / sum(weights))

"""One picture of several nodes' pictures. Pure.

Every node paces for its own agents, so a campaign is at work at each of them: what is counted is added up, shares are
weighed by what they are shares of. The hopper, and what is abandoned over the legal window, are not each node's own:
of those the figures count of the node that knows of more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from dialer.projections.live_rows import (
    AgentRow,
    CallRow,
    CampaignRow,
    CountsRow,
    LiveSnapshot,
    NodeRow,
    PaceRow,
)

_NOT_HERE: Final = frozenset({"signed_out", "lost"})


def merged(here: str, own: LiveSnapshot, others: Mapping[str, LiveSnapshot]) -> LiveSnapshot:
    """All nodes together, each row of an agent, a server or a monitor with the name of its node.

    Args:
        here: the node that tells.
        own: its own picture, which says when it is and where campaigns stand.
        others: the other nodes' by their names, each up to some seconds old.
    """
    parts = {here: own, **others}
    campaigns = {
        row.id: [row, *(found for other in others.values() for found in other.campaigns if found.id == row.id)]
        for row in own.campaigns
    }
    return LiveSnapshot(
        at=own.at,
        campaigns=tuple(merged_campaign(rows) for rows in campaigns.values()),
        agents=merged_agents({name: part.agents for name, part in parts.items()}),
        servers=tuple(
            replace(row, node=name)
            for name, row in sorted(
                ((name, row) for name, part in parts.items() for row in part.servers),
                key=lambda pair: (pair[1].id, pair[0]),
            )
        ),
        calls=_sum(part.calls for part in parts.values()),
        occupancy=_weighed((part.occupancy, _present(part.agents)) for part in parts.values()),
        events_ignored=sum(part.events_ignored for part in parts.values()),
        monitors=tuple(replace(row, node=name) for name, part in parts.items() for row in part.monitors),
        nodes=tuple(
            NodeRow(id=name, agents=_present(part.agents), calls=sum(part.calls.values()))
            for name, part in sorted(parts.items())
        ),
    )


def merged_campaign(rows: Sequence[CampaignRow]) -> CampaignRow:
    """One campaign at several nodes, the first of which says where it stands."""
    if len(rows) == 1:
        return rows[0]
    first = rows[0]
    return CampaignRow(
        id=first.id,
        state=first.state,
        pace=_pace([row.pace for row in rows if row.pace is not None]),
        calls=_sum(row.calls for row in rows),
        agents=_sum(row.agents for row in rows),
        # One for all nodes; whoever asked the gate last knows it best, and nobody has more than there is.
        hopper=max((row for row in rows), key=lambda row: 0.0 if row.pace is None else row.pace.at).hopper,
        today=CountsRow(
            started=sum(row.today.started for row in rows),
            answered=sum(row.today.answered for row in rows),
            connected=sum(row.today.connected for row in rows),
            abandoned=sum(row.today.abandoned for row in rows),
            outcomes=_sum(row.today.outcomes for row in rows),
        ),
        abandonment=max((row.abandonment for row in rows), key=lambda found: found.legal_live_answers),
        answer_rate=_weighed((row.answer_rate, row.today.started) for row in rows),
        occupancy=_weighed((row.occupancy, sum(row.agents.values())) for row in rows),
        occupancy_hour=_weighed((row.occupancy_hour, sum(row.agents.values())) for row in rows),
        refused=_sum(row.refused for row in rows),
        caller_ids=first.caller_ids,
        agents_since={
            state: min(row.agents_since[state] for row in rows if state in row.agents_since)
            for state in {state for row in rows for state in row.agents_since}
        },
        agent_wait_s=_weighed((row.agent_wait_s, row.today.connected) for row in rows),
        penetration=next((row.penetration for row in rows if row.penetration is not None), None),
    )


def merged_agents(parts: Mapping[str, Sequence[AgentRow]]) -> tuple[AgentRow, ...]:
    """Every agent once, by id: where they are now, else where they were last; what they did today is added up."""
    found: dict[str, AgentRow] = {}
    for name, rows in parts.items():
        for row in rows:
            marked = replace(row, node=name)
            before = found.get(row.id)
            found[row.id] = marked if before is None else _same_agent(before, marked)
    return tuple(found[id] for id in sorted(found))


def merged_calls(parts: Mapping[str, Sequence[CallRow]]) -> list[CallRow]:
    """Every call in flight, oldest first, with its node."""
    rows = [replace(row, node=name) for name, calls in parts.items() for row in calls]
    return sorted(rows, key=lambda row: row.started_at)


def _same_agent(one: AgentRow, other: AgentRow) -> AgentRow:
    here, gone = (one, other) if _rank(one) >= _rank(other) else (other, one)
    return replace(
        here,
        calls_today=here.calls_today + gone.calls_today,
        talk_s_today=here.talk_s_today + gone.talk_s_today,
        wrapup_s_today=here.wrapup_s_today + gone.wrapup_s_today,
        paused_s_today=here.paused_s_today + gone.paused_s_today,
        idle_s_today=here.idle_s_today + gone.idle_s_today,
    )


def _rank(row: AgentRow) -> tuple[bool, bool, float]:
    return row.state != "signed_out", row.state != "lost", row.since


def _pace(rows: Sequence[PaceRow]) -> PaceRow | None:
    """What the busiest pacer says, with the floor of all of them."""
    if not rows:
        return None
    busiest = max(rows, key=lambda row: (row.idle + row.busy, row.at))
    return replace(
        busiest,
        dial=sum(row.dial for row in rows),
        idle=sum(row.idle for row in rows),
        busy=sum(row.busy for row in rows),
        waiting=sum(row.waiting for row in rows),
        in_flight=sum(row.in_flight for row in rows),
    )


def _present(agents: Iterable[AgentRow]) -> int:
    return sum(row.state not in _NOT_HERE for row in agents)


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


def _weighed(parts: Iterable[tuple[float | None, int]]) -> float | None:
    """The mean of those that are known; by their weights, as far as they have any."""
    known = [(value, weight) for value, weight in parts if value is not None]
    if not known:
        return None
    weights = sum(weight for _, weight in known)
    if not weights:
        return sum(value for value, _ in known) / len(known)
    return sum(value * weight for value, weight in known) / weights

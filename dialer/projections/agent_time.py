"""Changes of agents in, spells for the record out: how long who did what, and for which campaign.

A call's spells (reserved, talking, wrap-up) are its campaign's. Of the time that an agent waits for, or pauses from,
several campaigns, each gets an equal share, so that the campaigns of a floor add up to the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.agent_spell import KEPT, AgentSpell, milliseconds, quarters
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.notices import AgentChanged, AnyNotice, CallConnected, CallEnded, CallStarted

_NONE: Final = CampaignId("")


@dataclass(slots=True)
class _Now:
    """What an agent does at present."""

    state: AgentState
    since: float
    campaigns: tuple[CampaignId, ...]
    call: CallId | None
    reason: str


class AgentTime:
    """Makes the spells of one node's agents; memory is bounded by the agents and calls that there are."""

    def __init__(self) -> None:
        self._agents: Final[dict[AgentId, _Now]] = {}
        self._calls: Final[dict[CallId, CampaignId]] = {}

    def apply(self, notice: AnyNotice) -> list[AgentSpell]:
        """Take a notice in; the spells that end with it."""
        match notice:
            case CallStarted():
                self._calls[notice.call] = notice.campaign
            case CallConnected():
                # Also calls that an earlier process began.
                self._calls[notice.call] = notice.campaign
                now = self._agents.get(notice.agent)
                if now is not None and now.call == notice.call:
                    now.campaigns = (notice.campaign,)
            case CallEnded():
                self._calls.pop(notice.attempt.call, None)
            case AgentChanged():
                return self._changed(notice)
            case _:
                pass
        return []

    def open(self, now: float) -> list[AgentSpell]:
        """The spells under way, as far as they have come: written down again and again, so that a crash loses little.

        What was told of before an edge of a quarter of an hour is not told again.
        """
        found: list[AgentSpell] = []
        for agent, present in self._agents.items():
            spells = _spells(agent, present, now)
            found += spells
            if spells:
                present.since = max(spell.began_at for spell in spells)
        return found

    def _changed(self, notice: AgentChanged) -> list[AgentSpell]:
        before = self._agents.pop(notice.agent, None)
        if notice.state in KEPT:
            self._agents[notice.agent] = _Now(
                state=notice.state,
                since=notice.at,
                campaigns=self._campaigns(notice, before),
                call=notice.call,
                reason=notice.reason if notice.state is AgentState.PAUSED else "",
            )
        return [] if before is None else _spells(notice.agent, before, notice.at)

    def _campaigns(self, notice: AgentChanged, before: _Now | None) -> tuple[CampaignId, ...]:
        if notice.call is None:
            return notice.campaigns
        known = self._calls.get(notice.call)
        if known is not None:
            return (known,)
        # Wrap-up comes after the end of the call.
        if before is not None and before.call == notice.call:
            return before.campaigns
        return notice.campaigns


def _spells(agent: AgentId, present: _Now, until: float) -> list[AgentSpell]:
    campaigns = present.campaigns or (_NONE,)
    found: list[AgentSpell] = []
    for began_at, ended_at in quarters(present.since, until):
        whole = milliseconds(began_at, ended_at)
        share, left = divmod(whole, len(campaigns))
        found.extend(
            AgentSpell(
                agent=agent,
                campaign=campaign,
                state=present.state,
                began_at=began_at,
                ended_at=ended_at,
                ms=share + (1 if place < left else 0),
                call=present.call,
                reason=present.reason,
            )
            for place, campaign in enumerate(campaigns)
        )
    return found

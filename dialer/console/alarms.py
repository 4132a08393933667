"""What somebody should look at now: what is wrong, since when, and where to go about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

from dialer.core.saying import Saying
from dialer.projections.live_rows import CampaignRow, LiveSnapshot, ServerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One thing that is wrong."""

    #: Its words are the text ``alarm.<name>``, with `values` put in.
    name: str
    values: Mapping[str, object] = field(default_factory=dict)
    #: What it is about: a campaign or a server; empty: what there is one of.
    about: str = ""
    #: The page of the console that shows more of it.
    path: str
    #: Unix seconds; None: nobody has written it down.
    since: float | None = None

    @property
    def id(self) -> str:
        """The same as long as it is the same thing."""
        return f"{self.name}-{self.about}"


def alarms_in(view: LiveSnapshot) -> list[Alarm]:
    """What is wrong in a view, servers first."""
    alarms = [_server(server) for server in view.servers if not server.connected]
    for row in view.campaigns:
        path = f"/console/campaigns/{quote(row.id, safe='')}"
        alarms += (Alarm(name=name, values={"campaign": row.id}, about=row.id, path=path) for name in _of_campaign(row))
    gone = [agent.since for agent in view.agents if agent.state == "lost"]
    if gone:
        alarms.append(Alarm(name="phones", values={"count": len(gone)}, path="/console/agents", since=min(gone)))
    return alarms


class Alarms:
    """Since when each thing is wrong, as far as this node has seen it."""

    def __init__(self) -> None:
        self._since: Final[dict[str, float]] = {}

    def look(self, whole: LiveSnapshot) -> None:
        """Begin to count what is wrong now in a view of everything, and forget what is not any more."""
        alarms = self.of(whole)
        for id in self._since.keys() - {alarm.id for alarm in alarms}:
            del self._since[id]

    def of(self, view: LiveSnapshot) -> list[Alarm]:
        """What is wrong in a view, or in the part of it that somebody may see, each with its beginning."""
        return [
            alarm if alarm.since is not None else replace(alarm, since=self._since.setdefault(alarm.id, view.at))
            for alarm in alarms_in(view)
        ]


def _server(row: ServerRow) -> Alarm:
    # Several nodes may each tell of it.
    place = f"{row.id} ({row.node})" if row.node else row.id
    values = {"server": place, "reason": Saying(row.reason, row.code, row.arguments)}
    return Alarm(name="server", values=values, about=place, path="/console/system", since=row.since)


def _of_campaign(row: CampaignRow) -> Iterator[str]:
    lost = row.abandonment
    running = row.state == "running"
    if lost.legal_live_answers and lost.legal_ratio > lost.max_ratio:
        yield "over_limit"
    elif running and lost.budget_left <= 0 and lost.legal_abandoned:
        yield "no_budget"
    if running and not row.hopper.ready and not row.hopper.later:
        yield "no_contacts"
    if running and row.caller_ids and not row.caller_ids.get("usable"):
        yield "no_caller_ids"

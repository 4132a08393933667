"""The shapes of the live view, as the API and the console give them out. Times are unix seconds, ratios 0 to 1."""

from __future__ import annotations

from msgspec import Struct, field


class PaceRow(Struct, frozen=True, kw_only=True):
    """The pacer's last decision: what it wants, what stopped it, and the floor as it sees it."""

    at: float
    method: str
    dial: int
    limit: str
    explanation: str
    expected_abandonment: float
    threshold: float
    budget_left: float | None
    answer_rate: float | None
    mean_talk_s: float | None
    mean_wrapup_s: float | None
    #: Agents free, agents talking or in wrap-up, people who wait, calls not resolved yet.
    idle: int
    busy: int
    waiting: int
    in_flight: int


class CountsRow(Struct, frozen=True, kw_only=True):
    """What happened today."""

    started: int
    answered: int
    connected: int
    abandoned: int
    outcomes: dict[str, int]


class AbandonmentRow(Struct, frozen=True, kw_only=True):
    """Abandoned calls per live answer: over 24 hours, and over the legal window of 30 days with what is left of it."""

    day_ratio: float
    day_live_answers: int
    day_abandoned: int
    legal_ratio: float
    legal_live_answers: int
    legal_abandoned: int
    max_ratio: float
    budget_left: int


class HopperRow(Struct, frozen=True, kw_only=True):
    """Contacts that wait: callable now, callable later."""

    ready: int
    later: int


class CallerIdRow(Struct, frozen=True, kw_only=True):
    """One number that a campaign's calls show."""

    number: str
    #: usable, capped or resting.
    state: str
    #: Over all campaigns of the node.
    calls_today: int
    max_calls_per_day: int | None
    #: Share of its latest calls that people took; None before any has ended.
    answer_rate: float | None
    #: None where it does not rest.
    rests_until: float | None


class CampaignRow(Struct, frozen=True, kw_only=True):
    """One campaign now."""

    id: str
    state: str
    pace: PaceRow | None
    #: Calls in flight, by state.
    calls: dict[str, int]
    #: Its agents, by state; an agent of two campaigns is in both.
    agents: dict[str, int]
    hopper: HopperRow
    today: CountsRow
    abandonment: AbandonmentRow
    #: Share of the calls of the last hour that somebody or something picked up; None without calls.
    answer_rate: float | None
    #: Over five minutes and over an hour; None where nobody worked.
    occupancy: float | None
    occupancy_hour: float | None
    #: What the gate refused at its last answer, by reason.
    refused: dict[str, int]
    #: The numbers that its calls show, by state; empty where they show none.
    caller_ids: dict[str, int] = field(default_factory=dict)
    #: By state, since when the agent is in it who has been there longest.
    agents_since: dict[str, float] = field(default_factory=dict)
    #: Seconds that agents waited for each talk of the last hour; None where there was none.
    agent_wait_s: float | None = None
    #: Share of its contacts that were called at least once; None: not known yet.
    penetration: float | None = None


class AgentRow(Struct, frozen=True, kw_only=True):
    """One agent now, with what they did today."""

    id: str
    state: str
    since: float
    #: Pause code, or why the phone was lost.
    reason: str
    campaigns: tuple[str, ...]
    call: str | None
    server: str | None
    calls_today: int
    talk_s_today: float
    wrapup_s_today: float
    paused_s_today: float
    idle_s_today: float
    #: Where they are at home; empty: at the node that tells.
    node: str = ""
    #: Why the phone was lost, for a catalogue.
    code: str = ""
    arguments: dict[str, object] = {}


class OfferRow(Struct, frozen=True, kw_only=True):
    """A contact that an agent is shown, and which is called if they consent."""

    campaign: str
    contact: str
    name: str
    phone: str
    #: Whatever the CRM told of it.
    fields: dict[str, object]
    timezone: str | None
    attempt_number: int
    offered_at: float
    answer_by: float
    #: The page of the CRM; empty: the campaign has none.
    url: str


class CallRow(Struct, frozen=True, kw_only=True):
    """One call in flight."""

    id: str
    campaign: str
    contact: str
    phone: str
    state: str
    started_at: float
    since: float
    agent: str | None
    attempt_number: int
    server: str | None
    trunk: str | None
    #: Empty: the node that tells.
    node: str = ""


class ServerRow(Struct, frozen=True, kw_only=True):
    """One Asterisk server."""

    id: str
    connected: bool
    since: float
    #: Why it is not connected; the same for a catalogue is at the end.
    reason: str
    #: The node that sees it so; empty: the one that tells.
    node: str = ""
    code: str = ""
    arguments: dict[str, object] = {}


class MonitorRow(Struct, frozen=True, kw_only=True):
    """A supervisor who attends an agent's talks."""

    id: str
    agent: str
    #: Their own phone.
    extension: str
    #: listen, whisper or barge.
    mode: str
    #: calling or on.
    state: str
    #: Who asked for it.
    by: str
    #: The talk that is attended now.
    call: str | None
    #: Unix seconds of the last change.
    since: float
    #: Why it is as it is, where nobody asked for that; empty else.
    reason: str = ""
    #: Empty: the node that tells.
    node: str = ""


class NodeRow(Struct, frozen=True, kw_only=True):
    """One node of several."""

    id: str
    #: Agents who are there, and calls in flight.
    agents: int
    calls: int


class LiveSnapshot(Struct, frozen=True, kw_only=True):
    """Everything now, except the list of single calls (there may be thousands; see `LiveView.calls`)."""

    at: float
    campaigns: tuple[CampaignRow, ...]
    agents: tuple[AgentRow, ...]
    servers: tuple[ServerRow, ...]
    #: Calls in flight of all campaigns, by state.
    calls: dict[str, int]
    #: Of all agents, over five minutes.
    occupancy: float | None
    #: Events that made no sense in the state that they met, since the start.
    events_ignored: int
    #: Supervisors who attend talks now.
    monitors: tuple[MonitorRow, ...] = ()
    #: The nodes that this is of; empty: of the one that tells, which knows of no other.
    nodes: tuple[NodeRow, ...] = ()

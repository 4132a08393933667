"""Prometheus metrics as a projection: counters move with the notices, gauges are set from the live view when scraped.

A scrape is two steps: `refresh` in the event loop (it reads the live view, microseconds for a floor), then `render` in
a thread (it formats thousands of lines). Nothing is registered globally.
"""

from __future__ import annotations

import math
from collections import Counter as Counts
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dialer.core.agent import AgentState
from dialer.core.caller_ids import CallerIdState
from dialer.core.campaign import CampaignState
from dialer.core.ids import CampaignId, ServerName
from dialer.core.notices import (
    AgentChanged,
    AnyNotice,
    CallConnected,
    CallEnded,
    CallRang,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    CallWasDisposed,
    CampaignChanged,
    EventIgnored,
    GateAnswered,
    OfferClosed,
    PaceDecided,
    RecordingChanged,
    ServerChanged,
)
from dialer.core.outcome import Outcome
from dialer.core.recording import RecordingState
from dialer.core.recording_desk import NO_FAILURE
from dialer.projections.live_entries import CallStage
from dialer.projections.live_rows import CampaignRow, LiveSnapshot
from dialer.projections.metric_families import (
    CallFamilies,
    CampaignFamilies,
    ClusterFamilies,
    CrmFamilies,
    NodeFamilies,
    QueueName,
    RecordingFamilies,
)
from pacing import Decision

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
#: Reasons come from the gate and its rules; should they ever be many, the rest share one series.
MAX_REASONS: Final = 100
OTHER: Final = "other"


class Metrics:
    """The metrics of one node, in a registry of their own."""

    def __init__(self, node: str) -> None:
        self.registry: Final = CollectorRegistry(auto_describe=False)
        self._calls: Final = CallFamilies(self.registry)
        self._campaigns: Final = CampaignFamilies(self.registry)
        self._node: Final = NodeFamilies(self.registry)
        self._crm: Final = CrmFamilies(self.registry)
        self._recordings: Final = RecordingFamilies(self.registry)
        self._cluster: Final = ClusterFamilies(self.registry)
        self._node.info.labels(node).set(1)
        self._by_campaign: Final[dict[CampaignId, _CampaignChildren]] = {}
        self._reasons: Final[set[str]] = set()
        self._connected_before: Final[set[ServerName]] = set()
        self._worker_spans: Mapping[str, int] | None = None
        self._agent_time: Final = {state: self._node.agent_time.labels(state.value) for state in AgentState}
        # A counter that begins with its first event hides that event: nothing increased before it.
        for family, outcomes in (
            (self._node.removals, ("applied", "cancelled", "too_late", "not_found")),
            (self._node.do_not_call, ("applied", "removed", "cancelled", "too_late")),
            (self._node.webhooks, ("delivered", "failed")),
            (self._node.trace_spans, ("exported", "overflow", "failed")),
            (self._node.worker_trace_spans, ("exported", "overflow", "failed")),
            (self._recordings.begun, ("started", "failed")),
            (self._recordings.settled, ("stored", "missing")),
            (self._cluster.handed_on, ("answered", "unreachable", "unanswered", "no_address", "home_unknown")),
            (self._cluster.taken, ("taken", "refused")),
        ):
            for outcome in outcomes:
                family.labels(outcome)

    # ---- in: notices

    def apply(self, notice: AnyNotice) -> None:
        """Count a notice."""
        match notice:
            case CallStarted():
                self._of(notice.campaign).started.inc()
            case CallWasAnswered():
                children = self._of(notice.campaign)
                children.answered.inc()
                children.ring.observe(notice.ring_s)
            case CallConnected():
                children = self._of(notice.campaign)
                children.connected.inc()
                children.answer_to_agent.observe(notice.wait_s)
                if notice.late:
                    children.late.inc()
            case CallWasAbandoned():
                self._of(notice.campaign).abandoned.inc()
            case CallEnded():
                self._ended(notice)
            case CallWasDisposed():
                self._of(notice.campaign).disposed.inc()
            case OfferClosed():
                self._calls.offers.labels(notice.campaign, notice.end.value).inc()
            case AgentChanged():
                self._agent_time[notice.previous].inc(max(0.0, notice.previous_s))
            case PaceDecided():
                self._of(notice.campaign).pace(notice.decision, self._known_reason(notice.decision.limit))
            case GateAnswered():
                children = self._of(notice.campaign)
                children.requested.inc(notice.requested)
                children.granted.inc(notice.granted)
                for reason, count in notice.refused:
                    children.refused(self._known_reason(reason)).inc(count)
            case ServerChanged():
                if notice.connected and notice.server in self._connected_before:
                    self._node.reconnects.inc()
                elif notice.connected:
                    self._connected_before.add(notice.server)
            case EventIgnored():
                self._node.ignored.labels(self._known_reason(notice.event)).inc()
            case RecordingChanged(previous=RecordingState.STARTING, state=RecordingState.ON):
                self._recordings.begun.labels("started").inc()
            case RecordingChanged(previous=RecordingState.STARTING, state=RecordingState.OFF):
                self._recordings.begun.labels("failed").inc(notice.problem not in NO_FAILURE)
            case CallRang() | CampaignChanged():
                pass

    # ---- in: what no notice tells

    def purge_applied(self, kind: str, effect: str, latency_s: float) -> None:
        """A removal ("removal") or do-not-call entry ("dnc") took effect, `latency_s` after it was written."""
        if kind == "removal":
            self.removal_applied(effect, latency_s)
        else:
            self.do_not_call_applied(effect, latency_s)

    def removal_applied(self, outcome: str, latency_s: float) -> None:
        """A removal took effect: applied, cancelled, too_late or not_found, `latency_s` after it was written."""
        self._node.removals.labels(self._known_reason(outcome)).inc()
        self._node.removal_latency.observe(max(0.0, latency_s))

    def do_not_call_applied(self, outcome: str, latency_s: float) -> None:
        """A do-not-call entry took effect (applied, removed; on a call as above) `latency_s` after it was written."""
        self._node.do_not_call.labels(self._known_reason(outcome)).inc()
        self._node.removal_latency.observe(max(0.0, latency_s))

    def list_progress(self, campaign: CampaignId, *, loaded: int, called: int) -> None:
        """How many contacts a campaign has, and how many of them were called at least once."""
        self._campaigns.penetration.labels(campaign).set(called / loaded if loaded else 0.0)

    def ami_round_trip(self, seconds: float) -> None:
        """A ping to an Asterisk server came back."""
        self._node.round_trip.observe(seconds)

    def event_loop_lag(self, seconds: float) -> None:
        """The event loop woke up so much later than asked."""
        self._node.loop_lag.observe(max(0.0, seconds))

    def queue_depth(self, queue: QueueName, entries: int) -> None:
        """How many entries wait in a queue."""
        self._node.queues[queue].set(entries)

    def gate(self, *, is_open: bool) -> None:
        """Whether calls are permitted."""
        self._node.gate_open.set(is_open)

    def record_behind(self, seconds: float) -> None:
        """For how long the database has not taken what happens; 0 where it does."""
        self._node.record_behind.set(max(0.0, seconds))

    def workers(self, count: int, jobs: Mapping[str, int], spans: Mapping[str, int]) -> None:
        """How many workers there are, how many of their jobs in each state, and steps of traces by outcome so far."""
        self._node.workers.set(count)
        for state, number in jobs.items():
            self._node.worker_jobs.labels(state).set(number)
        # What was before this node is nobody's increase. A sum that is lower is another one, which began at nothing.
        before = spans if self._worker_spans is None else self._worker_spans
        for outcome, number in spans.items():
            since = number - before.get(outcome, 0)
            self._node.worker_trace_spans.labels(self._known_reason(outcome)).inc(number if since < 0 else since)
        self._worker_spans = dict(spans)

    def do_not_call_registry(self, name: str, *, entries: int, age_s: float | None, usable: bool) -> None:
        """How a registry of the settings is; `age_s` None: no version of it is in force."""
        self._node.registry_entries.labels(name).set(entries)
        self._node.registry_usable.labels(name).set(usable)
        if age_s is not None:
            self._node.registry_age.labels(name).set(age_s)

    def cost_cap(self, cap: str, *, used: float, reached: bool) -> None:
        """How much of a day's cap on costs is lent to the nodes, and whether it lets no call begin."""
        self._node.cost_cap_used.labels(cap).set(used)
        self._node.cost_cap_reached.labels(cap).set(reached)

    def webhook_delivery(self, outcome: str, count: int = 1) -> None:
        """Webhooks were delivered or given up."""
        self._node.webhooks.labels(self._known_reason(outcome)).inc(count)

    def recordings_waiting(self, count: int, *, put_off: int, oldest_s: float) -> None:
        """So many recordings wait to be moved, some of which could not be so far, the first one for `oldest_s`."""
        self._recordings.waiting.set(count)
        self._recordings.put_off.set(put_off)
        self._recordings.oldest.set(oldest_s)

    def recordings_settled(self, outcome: str, count: int, size: int) -> None:
        """So many recordings, of `size` bytes in all, are in the store (stored) or given up (missing)."""
        self._recordings.settled.labels(self._known_reason(outcome)).inc(count)
        if outcome == "stored":
            self._recordings.stored_bytes.inc(size)

    def crm_contacts(self, campaign: CampaignId, outcome: str, count: int) -> None:
        """So many pending calls of a CRM were accepted, rejected, unchanged, withdrawn, …."""
        self._crm.contacts.labels(campaign, self._known_reason(outcome)).inc(count)

    def crm_updates(self, campaign: CampaignId, outcome: str, count: int) -> None:
        """So many updates of a CRM were delivered, put_off, given_up, …."""
        self._crm.updates.labels(campaign, self._known_reason(outcome)).inc(count)

    def crm_lag(
        self, campaign: CampaignId, *, waiting: int, update_lag_s: float, pull_lag_s: float, failures: int
    ) -> None:
        """How far the exchange with a campaign's CRM is behind."""
        self._crm.waiting.labels(campaign).set(waiting)
        self._crm.update_lag.labels(campaign).set(update_lag_s)
        self._crm.pull_lag.labels(campaign).set(pull_lag_s)
        self._crm.failures.labels(campaign).set(failures)

    def neighbours(self, *, seen: int, unseen: int) -> None:
        """So many other nodes live whose calls and agents are known here, and so many of which that is not so."""
        self._cluster.neighbours.labels("seen").set(seen)
        self._cluster.neighbours.labels("unseen").set(unseen)

    def handed_on(self, outcome: str, answer_s: float | None = None) -> None:
        """A request of another node came to this end; its answer began after `answer_s`, where there is one."""
        self._cluster.handed_on.labels(self._known_reason(outcome)).inc()
        if answer_s is not None:
            self._cluster.answer.observe(max(0.0, answer_s))

    def taken(self, outcome: str) -> None:
        """A request came that says that it was handed on."""
        self._cluster.taken.labels(self._known_reason(outcome)).inc()

    def pacing_journal_dropped(self, rows: int) -> None:
        """Rows of the pacing journal were given up: the database was away for too long, or refused them."""
        self._node.journal_dropped.inc(rows)

    def trace_spans(self, outcome: str, count: int) -> None:
        """So many steps of traces were exported, or lost: overflow, failed. From any thread."""
        self._node.trace_spans.labels(outcome).inc(count)

    def forget(self, campaign: CampaignId) -> None:
        """Drop the series of a campaign that exists no more."""
        self._by_campaign.pop(campaign, None)
        for family in (*vars(self._calls).values(), *vars(self._campaigns).values(), *vars(self._crm).values()):
            family.remove_by_labels({"campaign": campaign})

    # ---- out

    def refresh(self, view: LiveSnapshot) -> None:
        """Set the gauges to what the live view says."""
        for campaign in view.campaigns:
            self._of(CampaignId(campaign.id)).set(campaign)
        states = Counts(agent.state for agent in view.agents)
        for state in AgentState:
            self._node.agents.labels(state.value).set(states[state.value])
        self._node.floor_occupancy.set(view.occupancy or 0.0)
        connected = sum(server.connected for server in view.servers)
        self._node.servers.labels("connected").set(connected)
        self._node.servers.labels("lost").set(len(view.servers) - connected)

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4. Takes milliseconds: call it in a thread."""
        return generate_latest(_WithoutCreated(self.registry))

    # ---- inside

    def _of(self, campaign: CampaignId) -> _CampaignChildren:
        children = self._by_campaign.get(campaign)
        if children is None:
            children = self._by_campaign[campaign] = _CampaignChildren(campaign, self._calls, self._campaigns)
        return children

    def _ended(self, notice: CallEnded) -> None:
        children = self._of(notice.attempt.campaign)
        children.ended[notice.attempt.outcome].inc()
        if notice.attempt.talk_s is not None:
            children.talk.observe(notice.attempt.talk_s)
        if notice.retry_at is not None:
            children.retries.inc()

    def _known_reason(self, reason: str) -> str:
        if reason not in self._reasons:
            if len(self._reasons) >= MAX_REASONS:
                return OTHER
            self._reasons.add(reason)
        return reason


class _CampaignChildren:
    """The series of one campaign, looked up once: `labels` costs more than the count itself."""

    def __init__(self, campaign: CampaignId, calls: CallFamilies, campaigns: CampaignFamilies) -> None:
        self.started: Final = calls.started.labels(campaign)
        self.answered: Final = calls.answered.labels(campaign)
        self.connected: Final = calls.connected.labels(campaign)
        self.abandoned: Final = calls.abandoned.labels(campaign)
        self.retries: Final = calls.retries.labels(campaign)
        self.disposed: Final = calls.disposed.labels(campaign)
        self.ring: Final = calls.ring.labels(campaign)
        self.answer_to_agent: Final = calls.answer_to_agent.labels(campaign)
        self.talk: Final = calls.talk.labels(campaign)
        self.late: Final = calls.late.labels(campaign)
        self._decided: Final = campaigns.decided.labels(campaign)
        self._pace: Final = {
            name: family.labels(campaign)
            for name, family in (
                ("threshold", campaigns.threshold),
                ("expected_abandonment", campaigns.expected),
                ("budget_left", campaigns.pacing_budget),
                ("waiting", campaigns.pacing_waiting),
                ("in_flight", campaigns.pacing_in_flight),
                ("answer_rate", campaigns.pacing_answer_rate),
                ("mean_talk_s", campaigns.pacing_talk),
                ("mean_wrapup_s", campaigns.pacing_wrapup),
            )
        }
        self._pace["idle"] = campaigns.pacing_agents.labels(campaign, "idle")
        self._pace["busy"] = campaigns.pacing_agents.labels(campaign, "busy")
        self._limit: Gauge | None = None
        self._limits: Final[dict[str, Gauge]] = {}
        self.requested: Final = campaigns.gate_requested.labels(campaign)
        self.granted: Final = campaigns.gate_granted.labels(campaign)
        self._campaign: Final = campaign
        self._families: Final = campaigns
        self._call_families: Final = calls
        self.ended: Final = {outcome: calls.ended.labels(campaign, outcome.value) for outcome in Outcome}
        self._refused: Final[dict[str, Counter]] = {}
        self._gauges: Final = {
            name: family.labels(campaign)
            for name, family in (
                ("abandonment", campaigns.abandonment),
                ("abandonment_day", campaigns.abandonment_day),
                ("limit", campaigns.abandonment_limit),
                ("budget", campaigns.budget),
                ("occupancy", campaigns.occupancy),
                ("answer_rate", campaigns.answer_rate),
            )
        }

    def refused(self, reason: str) -> Counter:
        """The counter of one reason of the gate."""
        child = self._refused.get(reason)
        if child is None:
            child = self._refused[reason] = self._families.gate_refused.labels(self._campaign, reason)
        return child

    def pace(self, decision: Decision, limit: str) -> None:
        """The pacer's word: gauges named as the fields of a decision are, so that none is forgotten."""
        self._decided.inc(decision.dial)
        for name, gauge in self._pace.items():
            value = getattr(decision, name)
            gauge.set(math.nan if value is None else value)
        now = self._limits.get(limit)
        if now is None:
            now = self._limits[limit] = self._families.pacing_limit.labels(self._campaign, limit)
        if now is not self._limit:
            if self._limit is not None:
                self._limit.set(0)
            now.set(1)
            self._limit = now

    def set(self, row: CampaignRow) -> None:
        """Set every gauge of the campaign."""
        gauges = self._gauges
        gauges["abandonment"].set(row.abandonment.legal_ratio)
        gauges["abandonment_day"].set(row.abandonment.day_ratio)
        gauges["limit"].set(row.abandonment.max_ratio)
        gauges["budget"].set(row.abandonment.budget_left)
        gauges["occupancy"].set(row.occupancy or 0.0)
        gauges["answer_rate"].set(row.answer_rate or 0.0)
        families = self._families
        families.hopper.labels(self._campaign, "ready").set(row.hopper.ready)
        families.hopper.labels(self._campaign, "later").set(row.hopper.later)
        # Every state is set, also to nothing: a series that stops is not a series that is zero.
        for state in CampaignState:
            families.state.labels(self._campaign, state.value).set(row.state == state.value)
        for agent_state in AgentState:
            families.agents.labels(self._campaign, agent_state.value).set(_of(row.agents, agent_state.value))
        for number_state in CallerIdState:
            families.caller_ids.labels(self._campaign, number_state.value).set(_of(row.caller_ids, number_state.value))
        for stage in CallStage:
            self._call_families.in_flight.labels(self._campaign, stage.value).set(_of(row.calls, stage.value))


def _of(counts: Mapping[str, int], key: str) -> int:
    return counts.get(key, 0)


class _WithoutCreated(Collector):
    """A registry without the creation times that the client library adds to each counter: they double the lines."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """The metrics, samples of creation times left out."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

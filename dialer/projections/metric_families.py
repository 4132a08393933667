"""Every metric that Cadencia exports, declared in one place (docs/metrics.md describes them for people).

Prefix ``cadencia_``, base units, and no labels but campaign, outcome, state, reason, node, registry and cap: never a
phone number or the id of a contact, call or agent. Buckets of the answer-to-agent histogram show the two-second limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_C: Final = ("campaign",)


class QueueName(StrEnum):
    """The bounded queues of a node."""

    ENGINE = "engine"
    RESULTS = "results"
    ATTEMPTS = "attempts"
    JOBS = "jobs"
    PACING = "pacing"
    RECORD = "record"
    REFUSALS = "refusals"
    REMOVALS = "removals"
    DO_NOT_CALL = "do_not_call"
    RECORDINGS = "recordings"
    AGENT_TIME = "agent_time"
    AUDIT = "audit"


QUEUES: Final[Mapping[QueueName, str]] = {
    QueueName.ENGINE: "Events for the engine",
    QueueName.RESULTS: "Writes to the shared queues",
    QueueName.ATTEMPTS: "Ended attempts to be stored",
    QueueName.JOBS: "Jobs to be handed to the workers",
    QueueName.PACING: "Rows of the pacing journal to be stored",
    QueueName.RECORD: "Dispositions and states of campaigns to be stored",
    QueueName.REFUSALS: "Refusals with their evidence to be stored",
    QueueName.REMOVALS: "Removals to be stored",
    QueueName.DO_NOT_CALL: "Do-not-call entries to be stored",
    QueueName.RECORDINGS: "Recordings to be put on record",
    QueueName.AGENT_TIME: "Times of agents to be stored",
    QueueName.AUDIT: "Deeds to be put in the audit log",
}
#: Answer to agent: fine below the two-second limit, and with a bound exactly on it.
ANSWER_TO_AGENT_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 5.0, 10.0)
RING_BUCKETS: Final = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0)
TALK_BUCKETS: Final = (5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1_200.0, 3_600.0)
#: The time between a CRM's acknowledged removal and its effect.
REMOVAL_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SHORT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class CallFamilies:
    """Calls, from the start to the outcome."""

    def __init__(self, r: CollectorRegistry) -> None:
        self.started: Final = Counter("cadencia_calls_started", "Originates handed to Asterisk.", _C, registry=r)
        self.answered: Final = Counter(
            "cadencia_calls_answered", "Calls that a person or a machine picked up.", _C, registry=r
        )
        self.connected: Final = Counter(
            "cadencia_calls_connected", "Calls in which a live person got an agent.", _C, registry=r
        )
        self.abandoned: Final = Counter(
            "cadencia_calls_abandoned", "Calls in which a live person got no agent in time.", _C, registry=r
        )
        self.ended: Final = Counter(
            "cadencia_calls_ended", "Ended calls by outcome.", ("campaign", "outcome"), registry=r
        )
        self.retries: Final = Counter(
            "cadencia_calls_retries_planned",
            "Ended calls after which the contact will be called again.",
            _C,
            registry=r,
        )
        self.disposed: Final = Counter(
            "cadencia_calls_disposed", "Calls closed with a disposition code.", _C, registry=r
        )
        self.late: Final = Counter(
            "cadencia_calls_connected_late",
            "Calls in which a live person got an agent later than the campaign allows; they count as abandoned.",
            _C,
            registry=r,
        )
        self.ring: Final = Histogram(
            "cadencia_ring_seconds",
            "From the start of a call to its answer; answered calls only.",
            _C,
            buckets=RING_BUCKETS,
            registry=r,
        )
        self.answer_to_agent: Final = Histogram(
            "cadencia_answer_to_agent_seconds",
            "From the answer of a live person to their agent; connected calls only.",
            _C,
            buckets=ANSWER_TO_AGENT_BUCKETS,
            registry=r,
        )
        self.talk: Final = Histogram(
            "cadencia_talk_seconds", "Talk of a live person with an agent.", _C, buckets=TALK_BUCKETS, registry=r
        )
        self.offers: Final = Counter(
            "cadencia_preview_offers",
            "Contacts that agents were shown before the call, by what came of it.",
            ("campaign", "outcome"),
            registry=r,
        )
        self.in_flight: Final = Gauge(
            "cadencia_calls_in_flight", "Calls under way by state.", ("campaign", "state"), registry=r
        )


class CampaignFamilies:
    """Campaigns: state, abandonment, pace, gate, hopper."""

    def __init__(self, r: CollectorRegistry) -> None:
        self.state: Final = Gauge(
            "cadencia_campaign_state", "1 for the state that the campaign is in.", ("campaign", "state"), registry=r
        )
        self.abandonment: Final = Gauge(
            "cadencia_abandonment_ratio", "Abandoned calls per live answer over the legal 30 days.", _C, registry=r
        )
        self.abandonment_day: Final = Gauge(
            "cadencia_abandonment_day_ratio", "Abandoned calls per live answer over 24 hours.", _C, registry=r
        )
        self.abandonment_limit: Final = Gauge(
            "cadencia_abandonment_limit_ratio",
            "Abandoned calls per live answer that the campaign allows.",
            _C,
            registry=r,
        )
        self.budget: Final = Gauge(
            "cadencia_abandonment_budget_calls",
            "Calls that could still be abandoned within the limit over the legal 30 days; negative when exceeded.",
            _C,
            registry=r,
        )
        self.occupancy: Final = Gauge(
            "cadencia_occupancy_ratio", "Share of agents' working time spent with customers, 5 minutes.", _C, registry=r
        )
        self.answer_rate: Final = Gauge(
            "cadencia_answer_ratio", "Share of calls that were picked up, over an hour.", _C, registry=r
        )
        self.agents: Final = Gauge(
            "cadencia_campaign_agents", "Agents of a campaign by state.", ("campaign", "state"), registry=r
        )
        self.caller_ids: Final = Gauge(
            "cadencia_caller_ids", "Numbers that a campaign's calls show, by state.", ("campaign", "state"), registry=r
        )
        self.threshold: Final = Gauge(
            "cadencia_pacing_threshold_ratio",
            "Chance to leave somebody without an agent that the last call was held to.",
            _C,
            registry=r,
        )
        self.expected: Final = Gauge(
            "cadencia_pacing_expected_abandonment_ratio",
            "Chance that the last call started leaves somebody without an agent.",
            _C,
            registry=r,
        )
        self.decided: Final = Counter(
            "cadencia_pacing_calls_decided", "Calls that the pacer said to start.", _C, registry=r
        )
        self.pacing_limit: Final = Gauge(
            "cadencia_pacing_limit",
            "1 for what stops the pacer from one more call.",
            ("campaign", "reason"),
            registry=r,
        )
        self.pacing_agents: Final = Gauge(
            "cadencia_pacing_agents",
            "Agents that the pacer counts on, idle or busy.",
            ("campaign", "state"),
            registry=r,
        )
        self.pacing_waiting: Final = Gauge(
            "cadencia_pacing_people_waiting", "People who wait for an agent, as the pacer sees it.", _C, registry=r
        )
        self.pacing_in_flight: Final = Gauge(
            "cadencia_pacing_calls_in_flight", "Calls not resolved yet, as the pacer sees it.", _C, registry=r
        )
        self.pacing_answer_rate: Final = Gauge(
            "cadencia_pacing_answer_ratio",
            "Chance that a fresh call reaches a live person, as the pacer estimates it; NaN where it does not.",
            _C,
            registry=r,
        )
        self.pacing_budget: Final = Gauge(
            "cadencia_pacing_budget_calls",
            "People who may still be abandoned in the tightest legal window, less the reserve; NaN without a budget.",
            _C,
            registry=r,
        )
        self.pacing_talk: Final = Gauge(
            "cadencia_pacing_mean_talk_seconds",
            "Mean talk as the pacer estimates it; NaN where it does not.",
            _C,
            registry=r,
        )
        self.pacing_wrapup: Final = Gauge(
            "cadencia_pacing_mean_wrapup_seconds",
            "Mean wrap-up as the pacer estimates it; NaN where it does not.",
            _C,
            registry=r,
        )
        self.gate_requested: Final = Counter(
            "cadencia_gate_requested_contacts", "Contacts that the gate was asked for.", _C, registry=r
        )
        self.gate_granted: Final = Counter(
            "cadencia_gate_granted_contacts", "Contacts that the gate gave out to be called.", _C, registry=r
        )
        self.gate_refused: Final = Counter(
            "cadencia_gate_refusals", "Contacts that the gate held back, by reason.", ("campaign", "reason"), registry=r
        )
        self.hopper: Final = Gauge(
            "cadencia_hopper_contacts", "Contacts that wait: callable now or later.", ("campaign", "state"), registry=r
        )
        self.penetration: Final = Gauge(
            "cadencia_list_penetration_ratio", "Share of the loaded contacts called at least once.", _C, registry=r
        )


class CrmFamilies:
    """CRMs that are asked for their pending calls, by the campaign that these become contacts of."""

    def __init__(self, r: CollectorRegistry) -> None:
        self.contacts: Final = Counter(
            "cadencia_crm_contacts",
            "Pending calls that CRMs were asked for, by what became of them.",
            ("campaign", "outcome"),
            registry=r,
        )
        self.updates: Final = Counter(
            "cadencia_crm_updates",
            "Updates that were to be written to CRMs, by what became of them.",
            ("campaign", "outcome"),
            registry=r,
        )
        self.waiting: Final = Gauge("cadencia_crm_updates_waiting", "Updates to be written to CRMs.", _C, registry=r)
        self.update_lag: Final = Gauge(
            "cadencia_crm_update_lag_seconds",
            "Age of the oldest update that is not written to its CRM.",
            _C,
            registry=r,
        )
        self.pull_lag: Final = Gauge(
            "cadencia_crm_pull_lag_seconds", "Time since a CRM's pending calls were listed completely.", _C, registry=r
        )
        self.failures: Final = Gauge(
            "cadencia_crm_failures_in_a_row", "Failures of a CRM since it last answered as it should.", _C, registry=r
        )


class RecordingFamilies:
    """Recordings, from the first word to the store."""

    def __init__(self, r: CollectorRegistry) -> None:
        self.begun: Final = Counter(
            "cadencia_recordings",
            "Recordings of this node that began (started) or were to and did not (failed).",
            ("outcome",),
            registry=r,
        )
        self.settled: Final = Counter(
            "cadencia_recordings_settled",
            "Recordings that came into the store (stored) or whose file was never found (missing).",
            ("outcome",),
            registry=r,
        )
        self.stored_bytes: Final = Counter(
            "cadencia_recordings_stored_bytes", "Sound that came into the store.", registry=r
        )
        self.waiting: Final = Gauge(
            "cadencia_recordings_waiting", "Recordings that are over and to be moved into the store.", registry=r
        )
        self.put_off: Final = Gauge(
            "cadencia_recordings_put_off", "Of these, how many could not be moved so far.", registry=r
        )
        self.oldest: Final = Gauge(
            "cadencia_recordings_wait_seconds", "For how long the first of these has waited.", registry=r
        )


class ClusterFamilies:
    """The other nodes, and what is handed on to them."""

    def __init__(self, r: CollectorRegistry) -> None:
        self.neighbours: Final = Gauge(
            "cadencia_neighbours",
            "Other nodes that live, by whether it is known what goes on there (seen) or not (unseen).",
            ("state",),
            registry=r,
        )
        self.handed_on: Final = Counter(
            "cadencia_requests_handed_on",
            "Requests that belong to another node, by what came of handing them on.",
            ("outcome",),
            registry=r,
        )
        self.answer: Final = Histogram(
            "cadencia_handed_on_answer_seconds",
            "From handing a request on until its answer begins.",
            buckets=SHORT_BUCKETS,
            registry=r,
        )
        self.taken: Final = Counter(
            "cadencia_requests_taken",
            "Requests that say they were handed on to this node: taken, or refused for a wrong ticket.",
            ("outcome",),
            registry=r,
        )


class NodeFamilies:
    """The floor and the machinery of this node."""

    def __init__(self, r: CollectorRegistry) -> None:
        self.info: Final = Gauge("cadencia_node_info", "1; its label names this node.", ("node",), registry=r)
        self.agents: Final = Gauge("cadencia_agents", "Agents by state.", ("state",), registry=r)
        self.agent_time: Final = Counter(
            "cadencia_agent_state_seconds", "Time that agents spent in each state.", ("state",), registry=r
        )
        self.floor_occupancy: Final = Gauge(
            "cadencia_floor_occupancy_ratio",
            "Share of all agents' working time spent with customers, 5 minutes.",
            registry=r,
        )
        self.ignored: Final = Counter(
            "cadencia_events_ignored",
            "Events that made no sense in the state they met, by event.",
            ("reason",),
            registry=r,
        )
        self.removals: Final = Counter(
            "cadencia_removals_applied", "Removals by what they did.", ("outcome",), registry=r
        )
        self.do_not_call: Final = Counter(
            "cadencia_do_not_call_applied", "Do-not-call entries by what they did.", ("outcome",), registry=r
        )
        self.removal_latency: Final = Histogram(
            "cadencia_removal_latency_seconds",
            "From the write of a removal or do-not-call entry to its effect on waiting contacts and ringing calls.",
            buckets=REMOVAL_BUCKETS,
            registry=r,
        )
        self.servers: Final = Gauge(
            "cadencia_asterisk_servers", "Asterisk servers by state of the connection.", ("state",), registry=r
        )
        self.reconnects: Final = Counter(
            "cadencia_ami_reconnects", "Times that a connection to Asterisk came back.", registry=r
        )
        self.round_trip: Final = Histogram(
            "cadencia_ami_round_trip_seconds", "Ping to an Asterisk server and back.", buckets=SHORT_BUCKETS, registry=r
        )
        self.loop_lag: Final = Histogram(
            "cadencia_event_loop_lag_seconds", "How late the event loop woke up.", buckets=SHORT_BUCKETS, registry=r
        )
        self.queues: Final = {
            queue: Gauge(f"cadencia_{queue}_queue_depth", f"{what} that wait in this node.", registry=r)
            for queue, what in QUEUES.items()
        }
        self.gate_open: Final = Gauge(
            "cadencia_gate_open", "1 while this node may permit calls; 0: it dials nobody.", registry=r
        )
        self.record_behind: Final = Gauge(
            "cadencia_record_behind_seconds",
            "For how long what happens cannot be written to the database; 0 where it can.",
            registry=r,
        )
        self.workers: Final = Gauge("cadencia_workers", "Workers that have signed in.", registry=r)
        self.worker_jobs: Final = Gauge("cadencia_worker_jobs", "Jobs of the workers by state.", ("state",), registry=r)
        self.process: Final = ProcessCollector(namespace="cadencia", registry=r)
        self.registry_age: Final = Gauge(
            "cadencia_registry_age_seconds",
            "Since the source date of the do-not-call registry in force.",
            ("registry",),
            registry=r,
        )
        self.registry_entries: Final = Gauge(
            "cadencia_registry_entries", "Numbers in the do-not-call registry in force.", ("registry",), registry=r
        )
        self.registry_usable: Final = Gauge(
            "cadencia_registry_usable",
            "1 where campaigns may dial by the registry; 0: it is missing or too old.",
            ("registry",),
            registry=r,
        )
        self.cost_cap_used: Final = Gauge(
            "cadencia_cost_cap_used_ratio",
            "Share of a day's cap on costs that is lent to the nodes, by whose calls it counts.",
            ("cap",),
            registry=r,
        )
        self.cost_cap_reached: Final = Gauge(
            "cadencia_cost_cap_reached", "1 where a day's cap on costs lets no call begin.", ("cap",), registry=r
        )
        self.journal_dropped: Final = Counter(
            "cadencia_pacing_journal_dropped_rows", "Rows of the pacing journal that were given up.", registry=r
        )
        self.trace_spans: Final = Counter(
            "cadencia_trace_spans",
            "Steps of traces: sent (exported), or lost since too many waited (overflow) or nobody took them (failed).",
            ("outcome",),
            registry=r,
        )
        self.worker_trace_spans: Final = Counter(
            "cadencia_worker_trace_spans",
            "Steps of traces of all workers, by what became of them; every node says the same.",
            ("outcome",),
            registry=r,
        )
        self.webhooks: Final = Counter(
            "cadencia_webhook_deliveries", "Webhook deliveries by outcome.", ("outcome",), registry=r
        )

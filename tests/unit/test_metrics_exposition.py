"""Metrics: named and labelled by the rules, counted right, described in docs, and liked by promtool."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dialer.core.agent import AgentState
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, RecordingId, ServerName, TrunkName
from dialer.core.notices import (
    AgentChanged,
    CallConnected,
    CallEnded,
    CallStarted,
    CallWasAbandoned,
    CallWasAnswered,
    EventIgnored,
    GateAnswered,
    OfferClosed,
    PaceDecided,
    RecordingChanged,
    ServerChanged,
)
from dialer.core.offer import OfferEnd
from dialer.core.outcome import Outcome
from dialer.core.recording import RecordingState
from dialer.projections.live import LiveView
from dialer.projections.metric_families import QueueName
from dialer.projections.metrics import MAX_REASONS, Metrics
from pacing import Decision
from tests.prometheus import program

ROOT = Path(__file__).resolve().parents[2]
T = 1_800_000_000.0
W = CampaignId("winter")
PHONE = Phone("+34600111222")
CONTACT = ContactId("crm-contact-17")


def full() -> Metrics:
    """Every metric with at least one series."""
    metrics, view = Metrics("node1"), LiveView()
    view.configure(Campaign(id=W), CampaignState.RUNNING)
    call = CallId("call-1")
    attempt = Attempt(
        call=call,
        campaign=W,
        contact=CONTACT,
        phone=PHONE,
        attempt_number=1,
        outcome=Outcome.CONNECTED,
        reason="",
        started_at=T,
        ended_at=T + 70,
        answered_at=T + 9,
        connected_at=T + 9.4,
    )
    for notice in (
        CallStarted(
            at=T,
            call=call,
            campaign=W,
            contact=CONTACT,
            phone=PHONE,
            server=ServerName("a1"),
            trunk=TrunkName("t"),
            attempt_number=1,
        ),
        CallWasAnswered(at=T + 9, call=call, campaign=W, contact=CONTACT, phone=PHONE, ring_s=9.0),
        CallConnected(
            at=T + 9.4,
            call=call,
            campaign=W,
            contact=CONTACT,
            phone=PHONE,
            agent=AgentId("anna"),
            wait_s=0.4,
            screen_pop="",
        ),
        CallEnded(at=T + 70, attempt=attempt, retry_at=T + 900),
        CallWasAbandoned(at=T, call=CallId("call-2"), campaign=W, contact=CONTACT, phone=PHONE, wait_s=2.0),
        AgentChanged(
            at=T + 71,
            agent=AgentId("anna"),
            state=AgentState.WRAPUP,
            previous=AgentState.TALKING,
            previous_s=61.0,
            campaigns=(W,),
        ),
        PaceDecided(
            at=T,
            campaign=W,
            decision=Decision(
                dial=4,
                limit="threshold",
                explanation="",
                threshold=0.05,
                expected_abandonment=0.04,
                budget_left=2.5,
                idle=3,
                busy=17,
                waiting=1,
                in_flight=8,
                answer_rate=0.3,
                mean_talk_s=61.0,
            ),
        ),
        GateAnswered(at=T, campaign=W, requested=5, granted=4, refused=(("do_not_call", 1),), ready=10, later=3),
        ServerChanged(at=T, server=ServerName("a1"), connected=True),
        ServerChanged(at=T, server=ServerName("a1"), connected=False),
        ServerChanged(at=T, server=ServerName("a1"), connected=True),
        EventIgnored(at=T, event="CallHungUp", reason="unknown"),
        OfferClosed(
            at=T, agent=AgentId("anna"), campaign=W, contact=CONTACT, phone=PHONE, end=OfferEnd.SKIPPED, reason="later"
        ),
    ):
        metrics.apply(notice)
        view.apply(notice)
    metrics.removal_applied("cancelled", 0.003)
    metrics.do_not_call_registry("national", entries=7, age_s=86_400.0, usable=True)
    metrics.cost_cap("campaign:winter", used=0.4, reached=False)
    metrics.do_not_call_applied("applied", 0.004)
    metrics.list_progress(W, loaded=200, called=50)
    metrics.ami_round_trip(0.001)
    metrics.event_loop_lag(0.002)
    metrics.webhook_delivery("delivered")
    metrics.recordings_waiting(3, put_off=1, oldest_s=40.0)
    metrics.recordings_settled("stored", 2, 32_000)
    metrics.recordings_settled("missing", 1, 0)
    metrics.crm_contacts(W, "accepted", 3)
    metrics.crm_updates(W, "delivered", 2)
    metrics.crm_lag(W, waiting=1, update_lag_s=2.0, pull_lag_s=30.0, failures=0)
    metrics.neighbours(seen=2, unseen=1)
    metrics.handed_on("answered", 0.03)
    metrics.handed_on("unreachable")
    metrics.taken("taken")
    metrics.pacing_journal_dropped(2)
    metrics.trace_spans("failed", 3)
    metrics.gate(is_open=True)
    metrics.record_behind(12.0)
    for sent in (100, 160):  # of which a hundred before this node
        metrics.workers(2, {"queued": 3, "failed": 1}, {"exported": sent})
    metrics.workers(2, {"queued": 3, "failed": 1}, {"exported": 7, "failed": 2})  # Redis was emptied
    for queue in QueueName:
        metrics.queue_depth(queue, 3)
    metrics.refresh(view.snapshot(T + 72))
    return metrics


@pytest.fixture(scope="module")
def text() -> str:
    return full().render().decode()


def test_names_units_and_labels(text: str) -> None:
    families = list(text_string_to_metric_families(text))
    assert len(families) > 35
    for family in families:
        assert family.name.startswith("cadencia_"), family.name
        assert family.documentation.endswith("."), family.name
        assert family.samples, family.name
        assert not re.search(r"_(ms|milliseconds|minutes|percent|pct)\b", family.name), family.name
        for sample in family.samples:
            known = {"campaign", "outcome", "state", "reason", "node", "registry", "cap", "le"}
            assert set(sample.labels) <= known, sample
            assert not sample.name.endswith("_created")


def test_neither_numbers_nor_contacts_nor_agents_are_in_it(text: str) -> None:
    for secret in (PHONE[1:], CONTACT, "anna", "call-1"):
        assert secret not in text


def test_values(text: str) -> None:
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[f"cadencia_{name}", tuple(sorted(labels.items()))]

    assert value("calls_started_total", campaign="winter") == 1
    assert value("calls_ended_total", campaign="winter", outcome="connected") == 1
    assert value("calls_in_flight", campaign="winter", state="ringing") == 0
    # The bound of the law is a bucket of its own.
    assert value("answer_to_agent_seconds_bucket", campaign="winter", le="2.0") == 1
    assert value("answer_to_agent_seconds_bucket", campaign="winter", le="0.25") == 0
    assert value("abandonment_ratio", campaign="winter") == 0.5
    assert value("abandonment_budget_calls", campaign="winter") == -1
    assert value("gate_refusals_total", campaign="winter", reason="do_not_call") == 1
    assert value("hopper_contacts", campaign="winter", state="ready") == 10
    assert value("list_penetration_ratio", campaign="winter") == 0.25
    assert value("campaign_state", campaign="winter", state="running") == 1
    assert value("agents", state="wrapup") == 1
    assert value("agent_state_seconds_total", state="talking") == 61
    assert value("ami_reconnects_total") == 1
    assert value("asterisk_servers", state="connected") == 1
    assert value("pacing_threshold_ratio", campaign="winter") == 0.05
    assert value("pacing_expected_abandonment_ratio", campaign="winter") == 0.04
    assert value("pacing_budget_calls", campaign="winter") == 2.5
    assert value("pacing_answer_ratio", campaign="winter") == 0.3
    assert value("pacing_agents", campaign="winter", state="idle") == 3
    assert value("pacing_agents", campaign="winter", state="busy") == 17
    assert value("pacing_people_waiting", campaign="winter") == 1
    assert value("pacing_calls_in_flight", campaign="winter") == 8
    assert value("pacing_mean_talk_seconds", campaign="winter") == 61
    assert math.isnan(value("pacing_mean_wrapup_seconds", campaign="winter"))
    assert value("pacing_limit", campaign="winter", reason="threshold") == 1
    assert value("pacing_journal_dropped_rows_total") == 2
    assert value("trace_spans_total", outcome="failed") == 3
    assert value("worker_trace_spans_total", outcome="exported") == 67
    assert value("worker_trace_spans_total", outcome="failed") == 2
    assert value("worker_trace_spans_total", outcome="overflow") == 0
    assert value("pacing_queue_depth") == 3
    assert value("removals_applied_total", outcome="cancelled") == 1
    assert value("engine_queue_depth") == 3
    assert value("do_not_call_queue_depth") == 3
    assert value("gate_open") == 1
    assert value("recordings_waiting") == 3
    assert value("recordings_put_off") == 1
    assert value("recordings_wait_seconds") == 40
    assert value("recordings_settled_total", outcome="stored") == 2
    assert value("recordings_settled_total", outcome="missing") == 1
    assert value("recordings_stored_bytes_total") == 32_000
    assert value("record_behind_seconds") == 12
    assert value("workers") == 2
    assert value("worker_jobs", state="queued") == 3
    assert value("process_open_fds") > 0


@pytest.mark.parametrize(
    ("state", "problem", "started", "failed"),
    [
        (RecordingState.ON, "", 1, 0),
        (RecordingState.OFF, "no such sound", 0, 1),
        (RecordingState.OFF, "the call ended before it began", 0, 0),
        (RecordingState.STARTING, "nobody knows", 0, 0),
    ],
)
def test_recordings_that_did_not_begin_count_unless_their_call_ended_first(
    state: RecordingState, problem: str, started: int, failed: int
) -> None:
    metrics = Metrics("n")
    metrics.apply(
        RecordingChanged(
            at=T,
            recording=RecordingId("c-1-r1"),
            call=CallId("c-1"),
            campaign=W,
            contact=CONTACT,
            phone=PHONE,
            agent=None,
            server=ServerName("a1"),
            state=state,
            previous=RecordingState.STARTING,
            by="campaign",
            started_at=T,
            problem=problem,
        )
    )
    lines = metrics.render().decode().splitlines()
    assert f'cadencia_recordings_total{{outcome="started"}} {float(started)}' in lines
    assert f'cadencia_recordings_total{{outcome="failed"}} {float(failed)}' in lines


def test_a_campaign_that_is_gone_leaves_no_series() -> None:
    metrics = full()
    metrics.forget(W)
    assert 'campaign="winter"' not in metrics.render().decode()


def test_one_limit_holds_at_a_time() -> None:
    metrics = full()
    for limit in ("idle", "threshold", "idle"):
        metrics.apply(PaceDecided(at=T, campaign=W, decision=Decision(dial=0, limit=limit, explanation="")))
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("cadencia_pacing_limit{")]
    assert sorted(lines) == [
        'cadencia_pacing_limit{campaign="winter",reason="idle"} 1.0',
        'cadencia_pacing_limit{campaign="winter",reason="threshold"} 0.0',
    ]


def test_reasons_are_bounded() -> None:
    metrics = Metrics("n")
    for i in range(10 * MAX_REASONS):
        metrics.apply(GateAnswered(at=T, campaign=W, requested=1, granted=0, refused=((f"r{i}", 1),), ready=0, later=0))
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("cadencia_gate_refusals_total")]
    assert len(lines) == MAX_REASONS + 1
    assert f'cadencia_gate_refusals_total{{campaign="winter",reason="other"}} {9.0 * MAX_REASONS}' in lines


def test_two_nodes_in_one_process_do_not_meet() -> None:
    one, other = full(), Metrics("other")
    assert b"winter" in one.render()
    assert b"winter" not in other.render()


def test_every_metric_is_described_for_people(text: str) -> None:
    guide = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert [name for name in sorted(names) if f"`{name}`" not in guide] == []
    known = set(re.findall(r"`(cadencia_\w+)`", guide))
    assert sorted(known - names) == []


def test_promtool_finds_nothing(text: str) -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")

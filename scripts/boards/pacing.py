"""Why so many calls, and not one more."""

from __future__ import annotations

from scripts.boards.panel import OF, Board, Kind, Panel, Unit, one, several

BOARD = Board(
    name="pacing",
    title="Cadencia / Pacing",
    says="What the pacer sees, what it decides, and what holds it back.",
    by=("campaign",),
    rows=(
        (
            "The decision",
            (
                Panel(
                    title="What stops one more call",
                    says="Share of the last minute that each limit held (docs/metrics.md lists them).",
                    queries=one(f"avg by (reason) (avg_over_time(cadencia_pacing_limit{{{OF}}}[1m]))", "{{reason}}"),
                    unit=Unit.RATIO,
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Risk of the last call",
                    says="Chance that it is abandoned if answered, and the chance that it was held to.",
                    queries=several(
                        expected=f"max by (campaign) (cadencia_pacing_expected_abandonment_ratio{{{OF}}})",
                        allowed=f"max by (campaign) (cadencia_pacing_threshold_ratio{{{OF}}})",
                    ),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Decided, asked for, granted, started",
                    says="Calls a second on their way from the pacer through the gate to Asterisk.",
                    queries=several(
                        decided=f"sum(rate(cadencia_pacing_calls_decided_total{{{OF}}}[1m]))",
                        asked_of_the_gate=f"sum(rate(cadencia_gate_requested_contacts_total{{{OF}}}[1m]))",
                        granted=f"sum(rate(cadencia_gate_granted_contacts_total{{{OF}}}[1m]))",
                        started=f"sum(campaign:cadencia_calls_started:rate1m{{{OF}}})",
                    ),
                    unit=Unit.PER_SECOND,
                ),
            ),
        ),
        (
            "What the pacer sees",
            (
                Panel(
                    title="Agents counted on",
                    says="Idle or busy, as the pacer of the campaign sees them.",
                    queries=one(f"sum by (state) (cadencia_pacing_agents{{{OF}}})", "{{state}}"),
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Calls and people",
                    says="Calls not resolved yet, and people who wait for an agent.",
                    queries=several(
                        in_flight=f"sum(cadencia_pacing_calls_in_flight{{{OF}}})",
                        waiting=f"sum(cadencia_pacing_people_waiting{{{OF}}})",
                    ),
                ),
                Panel(
                    title="Chance of an answer",
                    says="That a fresh call reaches a live person, as estimated; and the share of calls picked up "
                    "within an hour, machines included.",
                    queries=several(
                        estimated_live=f"max by (campaign) (cadencia_pacing_answer_ratio{{{OF}}})",
                        picked_up=f"max by (campaign) (cadencia_answer_ratio{{{OF}}})",
                    ),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Talk",
                    says="Mean talk as the pacer estimates it, and as measured over 15 minutes.",
                    queries=several(
                        estimated=f"max by (campaign) (cadencia_pacing_mean_talk_seconds{{{OF}}})",
                        measured=f"campaign:cadencia_talk_seconds:mean15m{{{OF}}}",
                    ),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Wrap-up",
                    says="Mean wrap-up as the pacer estimates it.",
                    queries=one(f"max by (campaign) (cadencia_pacing_mean_wrapup_seconds{{{OF}}})", "{{campaign}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Ready to be called",
                    says="Without contacts no pace.",
                    queries=one(f"campaign:cadencia_hopper_ready_contacts:max{{{OF}}}", "{{campaign}}"),
                ),
            ),
        ),
        (
            "What comes of it",
            (
                Panel(
                    title="Abandonment today, against the limit",
                    says="Abandoned calls per live answer over 24 hours.",
                    queries=several(
                        today=f"max by (campaign) (cadencia_abandonment_day_ratio{{{OF}}})",
                        limit=f"max by (campaign) (cadencia_abandonment_limit_ratio{{{OF}}})",
                    ),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Left in the tightest window",
                    says="People who may still be abandoned, less the reserve.",
                    queries=one(f"min by (campaign) (cadencia_pacing_budget_calls{{{OF}}})", "{{campaign}}"),
                ),
                Panel(
                    title="Occupancy",
                    says="Share of agents' working time that is not idle, over five minutes.",
                    queries=one(f"max by (campaign) (cadencia_occupancy_ratio{{{OF}}})", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
            ),
        ),
    ),
)

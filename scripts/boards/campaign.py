"""One campaign, or several: how it dials, whom it reaches, what is left to call."""

from __future__ import annotations

from scripts.boards.panel import OF, Board, Kind, Panel, Unit, one, several

BOARD = Board(
    name="campaign",
    title="Cadencia / Campaign",
    says="The campaigns that are picked above.",
    by=("campaign",),
    rows=(
        (
            "Calls",
            (
                Panel(
                    title="Calls started",
                    says="Calls a second.",
                    queries=one(f"campaign:cadencia_calls_started:rate1m{{{OF}}}", "{{campaign}}"),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Calls in flight",
                    says="Calls under way by state.",
                    queries=one(f"sum by (state) (cadencia_calls_in_flight{{{OF}}})", "{{state}}"),
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Outcomes",
                    says="Ended calls a second, by outcome.",
                    queries=one(
                        f"sum by (outcome) (campaign_outcome:cadencia_calls_ended:rate5m{{{OF}}})", "{{outcome}}"
                    ),
                    unit=Unit.PER_SECOND,
                    kind=Kind.STACK,
                ),
                Panel(
                    title="People reached",
                    says="Of the calls that ended within 15 minutes, the share in which a person got an agent.",
                    queries=one(f"campaign:cadencia_contact:ratio15m{{{OF}}}", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Calls that will be repeated, and dispositions",
                    says="Ended calls a second whose contact will be called again, and calls closed with a code.",
                    queries=several(
                        called_again=f"sum(rate(cadencia_calls_retries_planned_total{{{OF}}}[5m]))",
                        disposed=f"sum(rate(cadencia_calls_disposed_total{{{OF}}}[5m]))",
                    ),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="State",
                    says="1 for the state that a campaign is in.",
                    queries=one(
                        f"max by (campaign, state) (cadencia_campaign_state{{{OF}}}) == 1", "{{campaign}} {{state}}"
                    ),
                ),
            ),
        ),
        (
            "Agents and customers",
            (
                Panel(
                    title="Agents",
                    says="Agents of the campaign by state; one of several campaigns is in each of them.",
                    queries=one(f'sum by (state) (cadencia_campaign_agents{{{OF}, state!="signed_out"}})', "{{state}}"),
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Occupancy",
                    says="Share of agents' working time that is not idle, over five minutes.",
                    queries=one(f"max by (campaign) (cadencia_occupancy_ratio{{{OF}}})", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Answer to agent",
                    says="From the answer of a live person to their agent; 19 of 20 wait for less.",
                    queries=one(f"campaign:cadencia_answer_to_agent_seconds:p95_10m{{{OF}}}", "{{campaign}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Mean talk",
                    says="Of a live person with an agent.",
                    queries=one(f"campaign:cadencia_talk_seconds:mean15m{{{OF}}}", "{{campaign}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Mean time to the answer",
                    says="Of the calls that were picked up.",
                    queries=one(f"campaign:cadencia_ring_seconds:mean15m{{{OF}}}", "{{campaign}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Talks, how long",
                    says="How talks spread over lengths.",
                    queries=one(f"sum by (le) (increase(cadencia_talk_seconds_bucket{{{OF}}}[5m]))"),
                    kind=Kind.HEATMAP,
                ),
            ),
        ),
        (
            "The list",
            (
                Panel(
                    title="Contacts that wait",
                    says="Callable now, or later.",
                    queries=one(
                        f"max by (campaign, state) (cadencia_hopper_contacts{{{OF}}})", "{{campaign}} {{state}}"
                    ),
                ),
                Panel(
                    title="Penetration",
                    says="Share of the loaded contacts called at least once; looked up every five minutes.",
                    queries=one(f"max by (campaign) (cadencia_list_penetration_ratio{{{OF}}})", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Held back by the gate",
                    says="Contacts a second that the gate did not give out, by reason.",
                    queries=one(
                        f"sum by (reason) (campaign_reason:cadencia_gate_refusals:rate5m{{{OF}}})", "{{reason}}"
                    ),
                    unit=Unit.PER_SECOND,
                    kind=Kind.STACK,
                ),
            ),
        ),
        (
            "Its CRM",
            (
                Panel(
                    title="Pending calls taken over",
                    says="Pending calls that the CRM listed, a second, by what became of them.",
                    queries=one(f"sum by (outcome) (rate(cadencia_crm_contacts_total{{{OF}}}[5m]))", "{{outcome}}"),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Updates that wait",
                    says="Results that are to be written to the CRM.",
                    queries=one(f"max by (campaign) (cadencia_crm_updates_waiting{{{OF}}})", "{{campaign}}"),
                ),
                Panel(
                    title="How far the exchange is behind",
                    says="Age of the oldest update that waits, and time since pending calls were listed completely.",
                    queries=several(
                        updates=f"max by (campaign) (cadencia_crm_update_lag_seconds{{{OF}}})",
                        pending_calls=f"max by (campaign) (cadencia_crm_pull_lag_seconds{{{OF}}})",
                    ),
                    unit=Unit.SECONDS,
                ),
            ),
        ),
    ),
)

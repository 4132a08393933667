"""What the law asks: abandonment, removals, do-not-call, what the gate refused."""

from __future__ import annotations

from scripts.boards.panel import OF, Board, Kind, Panel, Unit, one, several

BOARD = Board(
    name="compliance",
    title="Cadencia / Compliance",
    says="Abandonment in the regulator's terms, and whether removals and lists take effect at once.",
    by=("campaign",),
    rows=(
        (
            "Abandonment",
            (
                Panel(
                    title="Over the legal 30 days",
                    says="Abandoned calls per live answer, and the limit.",
                    queries=several(
                        abandonment=f"max by (campaign) (cadencia_abandonment_ratio{{{OF}}})",
                        limit=f"max by (campaign) (cadencia_abandonment_limit_ratio{{{OF}}})",
                    ),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Over 24 hours",
                    says="Abandoned calls per live answer.",
                    queries=one(f"max by (campaign) (cadencia_abandonment_day_ratio{{{OF}}})", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Budget",
                    says="Calls that could still be abandoned within the limit over 30 days; below zero it is broken.",
                    queries=one(f"min by (campaign) (cadencia_abandonment_budget_calls{{{OF}}})", "{{campaign}}"),
                ),
                Panel(
                    title="Connected after two seconds",
                    says="Of those who got an agent, who had to wait longer.",
                    queries=one(f"campaign:cadencia_answer_to_agent_over_2s:ratio10m{{{OF}}}", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Answer to agent",
                    says="How the waits spread; the law draws the line at two seconds.",
                    queries=one(f"sum by (le) (increase(cadencia_answer_to_agent_seconds_bucket{{{OF}}}[5m]))"),
                    kind=Kind.HEATMAP,
                ),
                Panel(
                    title="Connected too late",
                    says="Calls an hour with an agent later than the campaign allows; they count as abandoned.",
                    queries=one(
                        f"sum by (campaign) (increase(cadencia_calls_connected_late_total{{{OF}}}[1h]))", "{{campaign}}"
                    ),
                ),
            ),
        ),
        (
            "Removals and do-not-call",
            (
                Panel(
                    title="Removals",
                    says="A second, by what they did: a waiting contact, a call that rang, or too late for a talk.",
                    queries=one("sum by (outcome) (rate(cadencia_removals_applied_total[5m]))", "{{outcome}}"),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Do-not-call entries",
                    says="A second, by what they did.",
                    queries=one("sum by (outcome) (rate(cadencia_do_not_call_applied_total[5m]))", "{{outcome}}"),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Time to their effect",
                    says="From the CRM's write to the effect; 99 of 100 are faster.",
                    queries=one("cadencia:removal_latency_seconds:p99_5m", "p99"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Held back by the gate",
                    says="Contacts a second that were not called, by reason.",
                    queries=one(
                        f"sum by (reason) (campaign_reason:cadencia_gate_refusals:rate5m{{{OF}}})", "{{reason}}"
                    ),
                    unit=Unit.PER_SECOND,
                    kind=Kind.STACK,
                    width=12,
                ),
                Panel(
                    title="Share that the gate held back",
                    says="Of the contacts that it was asked for.",
                    queries=one(
                        f"1 - sum by (campaign) (rate(cadencia_gate_granted_contacts_total{{{OF}}}[5m])) "
                        f"/ sum by (campaign) (rate(cadencia_gate_requested_contacts_total{{{OF}}}[5m]))",
                        "{{campaign}}",
                    ),
                    unit=Unit.RATIO,
                    width=12,
                ),
            ),
        ),
        (
            "Registries",
            (
                Panel(
                    title="Age",
                    says="Since the source date of the registry in force.",
                    queries=one("max by (registry) (cadencia_registry_age_seconds)", "{{registry}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Numbers",
                    says="In the registry in force.",
                    queries=one("max by (registry) (cadencia_registry_entries)", "{{registry}}"),
                ),
                Panel(
                    title="Usable",
                    says="1 where campaigns may dial by it, on every node.",
                    queries=one("min by (registry) (cadencia_registry_usable)", "{{registry}}"),
                ),
            ),
        ),
    ),
)

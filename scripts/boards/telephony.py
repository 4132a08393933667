"""Asterisk, the carrier and the phones."""

from __future__ import annotations

from scripts.boards.panel import AT, OF, Board, Kind, Panel, Unit, one, several

BOARD = Board(
    name="telephony",
    title="Cadencia / Telephony",
    says="Connections to Asterisk, what the carrier does with calls, and the numbers they show.",
    by=("campaign", "instance"),
    rows=(
        (
            "Asterisk",
            (
                Panel(
                    title="Servers",
                    says="By state of the connection.",
                    queries=one(f"sum by (state) (cadencia_asterisk_servers{{{AT}}})", "{{state}}"),
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Round trip",
                    says="Ping to Asterisk and back; 19 of 20 are faster.",
                    queries=one(f"instance:cadencia_ami_round_trip_seconds:p95_5m{{{AT}}}", "{{instance}}"),
                    unit=Unit.SECONDS,
                ),
                Panel(
                    title="Connections that came back",
                    says="Within 15 minutes.",
                    queries=one(
                        f"sum by (instance) (increase(cadencia_ami_reconnects_total{{{AT}}}[15m]))", "{{instance}}"
                    ),
                ),
            ),
        ),
        (
            "The carrier",
            (
                Panel(
                    title="Calls started",
                    says="Calls a second.",
                    queries=one(
                        f"sum by (instance) (rate(cadencia_calls_started_total{{{OF}, {AT}}}[1m]))", "{{instance}}"
                    ),
                    unit=Unit.PER_SECOND,
                ),
                Panel(
                    title="Answered",
                    says="Share of calls that were picked up, over an hour; a fall may be the numbers that are shown.",
                    queries=one(f"max by (campaign) (cadencia_answer_ratio{{{OF}, {AT}}})", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="No way through",
                    says="Share of ended calls that the carrier or Asterisk refused.",
                    queries=one(f"campaign:cadencia_unreachable_carrier:ratio10m{{{OF}}}", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Outcomes",
                    says="Shares of the calls that ended within 15 minutes.",
                    queries=one(
                        f"sum by (outcome) (rate(cadencia_calls_ended_total{{{OF}, {AT}}}[15m])) "
                        f"/ ignoring (outcome) group_left () sum(rate(cadencia_calls_ended_total{{{OF}, {AT}}}[15m]))",
                        "{{outcome}}",
                    ),
                    unit=Unit.RATIO,
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Time to the answer",
                    says="How long it rang before somebody or something picked up.",
                    queries=one(f"sum by (le) (increase(cadencia_ring_seconds_bucket{{{OF}, {AT}}}[5m]))"),
                    kind=Kind.HEATMAP,
                ),
                Panel(
                    title="Calls of which nobody knows the end",
                    says="Lost with a process or a connection, within an hour.",
                    queries=one(
                        f'sum by (campaign) (increase(cadencia_calls_ended_total{{{OF}, {AT}, outcome="lost"}}[1h]))',
                        "{{campaign}}",
                    ),
                ),
            ),
        ),
        (
            "Phones and numbers",
            (
                Panel(
                    title="Agents' phones",
                    says="Phones that are being called, and that are gone although the agent is signed in.",
                    queries=several(
                        being_called=f'sum(cadencia_agents{{{AT}, state="connecting"}})',
                        gone=f'sum(cadencia_agents{{{AT}, state="lost"}})',
                    ),
                ),
                Panel(
                    title="Numbers that calls show",
                    says="By state: usable, at their cap of the day, resting because people answer them less.",
                    queries=one(
                        f"max by (campaign, state) (cadencia_caller_ids{{{OF}, {AT}}})", "{{campaign}} {{state}}"
                    ),
                ),
                Panel(
                    title="Calls in flight",
                    says="By state.",
                    queries=one(f"sum by (state) (cadencia_calls_in_flight{{{OF}, {AT}}})", "{{state}}"),
                    kind=Kind.STACK,
                ),
            ),
        ),
    ),
)

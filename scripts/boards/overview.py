"""The first look: does everything work, and how is the floor doing?"""

from __future__ import annotations

from scripts.boards.panel import Board, Kind, Panel, Query, Unit, one, several, stat

BOARD = Board(
    name="overview",
    title="Cadencia / Overview",
    says="All campaigns and nodes at a glance.",
    rows=(
        (
            "Now",
            (
                stat("Nodes up", "Nodes that Prometheus reaches.", 'sum(up{job="cadencia"})', red=1, good_above=True),
                stat(
                    "Nodes that may dial",
                    "Nodes whose gate is open. Below the number of nodes, some dial nobody: /readyz says why.",
                    "sum(cadencia_gate_open)",
                    red=1,
                    good_above=True,
                ),
                stat(
                    "Asterisk servers lost",
                    "Connections to Asterisk that are down now.",
                    'sum(cadencia_asterisk_servers{state="lost"})',
                    red=1,
                ),
                stat(
                    "Campaigns running",
                    "Campaigns that are ordered to dial.",
                    'sum(max by (campaign) (cadencia_campaign_state{state="running"}))',
                ),
                stat("Calls in flight", "From the start to the end, talks included.", "sum(cadencia_calls_in_flight)"),
                stat(
                    "Agents at work",
                    "Signed in, breaks left out.",
                    'sum(cadencia_agents{state=~"idle|reserved|talking|wrapup"})',
                ),
                stat(
                    "Closest to its limit",
                    "The greatest share that a campaign has used up of the abandonment that it may have over 30 days. "
                    "From 1 on, a limit is broken.",
                    "max(cadencia_abandonment_ratio / (cadencia_abandonment_limit_ratio > 0))",
                    Unit.RATIO,
                    red=1,
                ),
                stat(
                    "Occupancy",
                    "Share of all agents' working time that is not idle, over five minutes.",
                    "avg(cadencia_floor_occupancy_ratio)",
                    Unit.RATIO,
                ),
                stat(
                    "Talks per agent and hour",
                    "People connected per hour of agents' work, over 15 minutes.",
                    "cadencia:contacts_per_agent_hour:rate15m",
                ),
                stat(
                    "People reached",
                    "Of the calls that ended within 15 minutes, the share in which a person got an agent.",
                    "sum(rate(cadencia_calls_connected_total[15m])) / sum(rate(cadencia_calls_ended_total[15m]))",
                    Unit.RATIO,
                ),
                stat(
                    "Ready to be called",
                    "Contacts that may be called now.",
                    "sum(campaign:cadencia_hopper_ready_contacts:max)",
                ),
                stat(
                    "Database is behind",
                    "For how long some node has not been able to write; 0 is as it should be.",
                    "max(cadencia_record_behind_seconds)",
                    Unit.SECONDS,
                    red=5,
                ),
            ),
        ),
        (
            "The last hours",
            (
                Panel(
                    title="Calls started",
                    says="Calls a second, by campaign.",
                    queries=one("campaign:cadencia_calls_started:rate1m", "{{campaign}}"),
                    unit=Unit.PER_SECOND,
                    kind=Kind.STACK,
                ),
                Panel(
                    title="What became of calls",
                    says="Ended calls a second, by outcome.",
                    queries=one("sum by (outcome) (campaign_outcome:cadencia_calls_ended:rate5m)", "{{outcome}}"),
                    unit=Unit.PER_SECOND,
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Agents",
                    says="Agents by state, all nodes.",
                    queries=one('cadencia:agents:count{state!="signed_out"}', "{{state}}"),
                    kind=Kind.STACK,
                ),
                Panel(
                    title="Abandonment, 30 days",
                    says="Abandoned calls per live answer over the legal 30 days, by campaign.",
                    queries=one("max by (campaign) (cadencia_abandonment_ratio)", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Occupancy of campaigns",
                    says="Share of agents' working time that is not idle, by campaign.",
                    queries=one("max by (campaign) (cadencia_occupancy_ratio)", "{{campaign}}"),
                    unit=Unit.RATIO,
                ),
                Panel(
                    title="Connected and abandoned",
                    says="People a second who got an agent, and who got none in time.",
                    queries=several(
                        connected="sum(campaign:cadencia_calls_connected:rate5m)",
                        abandoned="sum(campaign:cadencia_calls_abandoned:rate5m)",
                    ),
                    unit=Unit.PER_SECOND,
                ),
            ),
        ),
        (
            "Alarms and campaigns",
            (
                Panel(
                    title="Alerts that fire",
                    says="Each has a section in the run book (docs/operations.md).",
                    queries=one('ALERTS{alertname=~"Cadencia.+", alertstate="firing"}'),
                    kind=Kind.TABLE,
                    width=12,
                ),
                Panel(
                    title="State of campaigns",
                    says="Where each campaign stands, as its node says.",
                    queries=(Query(expr="max by (campaign, state) (cadencia_campaign_state) == 1"),),
                    kind=Kind.TABLE,
                    width=12,
                ),
            ),
        ),
    ),
)

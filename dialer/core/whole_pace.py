"""What the pacers of a campaign's servers come to together: one decision, as it is shown and kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dialer.core.ids import ServerName
from pacing import Decision


def together(decisions: Mapping[ServerName, Decision], max_lines: int) -> Decision:
    """One decision for all servers; that of a single one is what it is.

    Calls, agents and people are added up, and so is what is left of the budgets, of which each holds its own part.
    Estimates are means, weighed by agents. The reason is that of the server which starts fewest calls for its agents.

    Args:
        decisions: of each server that has a pacer; at least one.
        max_lines: calls under way that the campaign may have on all of them. Each pacer knows of its own only.
    """
    if len(decisions) == 1:
        (only,) = decisions.values()
        return only
    staffed = {server: one for server, one in decisions.items() if _agents(one)}
    asked = staffed or decisions
    slowest = min(asked, key=lambda server: (_eagerness(asked[server]), -_agents(asked[server]), server))
    says = asked[slowest]
    whole = replace(
        says,
        dial=sum(one.dial for one in decisions.values()),
        expected_abandonment=max(one.expected_abandonment for one in decisions.values()),
        budget_left=_sum(one.budget_left for one in decisions.values()),
        idle=sum(one.idle for one in decisions.values()),
        busy=sum(one.busy for one in decisions.values()),
        waiting=sum(one.waiting for one in decisions.values()),
        in_flight=sum(one.in_flight for one in decisions.values()),
        answer_rate=_mean((one.answer_rate, one) for one in asked.values()),
        mean_talk_s=_mean((one.mean_talk_s, one) for one in asked.values()),
        mean_wrapup_s=_mean((one.mean_wrapup_s, one) for one in asked.values()),
    )
    if len(staffed) > 1:
        words = f"{calls(whole.dial)} on {len(staffed)} servers, fewest on {slowest} ({says.explanation})"
        whole = replace(whole, explanation=words)
    room = max(0, max_lines - whole.in_flight - whole.waiting)
    if whole.dial > room:
        return cut(whole, room, "max_lines", f"all of the {max_lines} lines allowed would be in use")
    return whole


def cut(wished: Decision, dial: int, limit: str, reason: str) -> Decision:
    """A decision of which only `dial` calls can be had, and why."""
    return replace(
        wished,
        dial=dial,
        limit=limit,
        explanation=f"{calls(dial)}: {reason}",
        expected_abandonment=wished.expected_abandonment if dial else 0.0,
    )


def calls(count: int) -> str:
    """So many calls, in words."""
    return "no call now" if count == 0 else "1 more call" if count == 1 else f"{count} more calls"


def _agents(decision: Decision) -> int:
    return decision.idle + decision.busy


def _eagerness(decision: Decision) -> float:
    return decision.dial / max(1, _agents(decision))


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mean(values: Iterable[tuple[float | None, Decision]]) -> float | None:
    known = [(value, max(1, _agents(one))) for value, one in values if value is not None]
    weights = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / weights if known else None

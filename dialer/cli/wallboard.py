"""The live view in a terminal: what goes on, and why the pace is what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dialer.cli.screen import percent
from dialer.console.alarms import alarms_in
from dialer.console.texts import DEFAULT, texts
from dialer.projections.live_rows import AgentRow, CampaignRow, LiveSnapshot, PaceRow

#: Agents on one screen.
_MOST_AGENTS: Final = 60
_AGENT_STYLE = {
    "idle": "green",
    "reserved": "cyan",
    "talking": "bold cyan",
    "wrapup": "yellow",
    "paused": "magenta",
    "connecting": "dim",
    "lost": "bold red",
}


def wallboard(view: LiveSnapshot, title: str, footer: str = "") -> RenderableType:
    """Everything on one screen."""
    parts: list[RenderableType] = [_campaign(row) for row in view.campaigns]
    parts.append(_agents(view))
    said = texts(DEFAULT)
    parts += (Text(said(f"alarm.{alarm.name}", **alarm.values), style="bold red") for alarm in alarms_in(view))
    if footer:
        parts.append(Text(footer, style="dim"))
    return Panel(Group(*parts), title=title, title_align="left", border_style="blue")


def _campaign(row: CampaignRow) -> RenderableType:
    head = Text.assemble((row.id, "bold"), "  ", (row.state, "green" if row.state == "running" else "yellow"))
    pace = Text(row.pace.explanation if row.pace else "no decision yet", style="italic")
    seen = _pace(row.pace) if row.pace else Text()
    today, lost = row.today, row.abandonment
    wait = "–" if row.agent_wait_s is None else f"{row.agent_wait_s:,.0f} s"
    figures = [
        _figure("dialed", f"{today.started:,}"),
        _figure("answered", f"{today.answered:,}"),
        _figure("connected", f"{today.connected:,}", "cyan"),
        _figure("abandoned", f"{today.abandoned:,}", "red" if lost.day_ratio > lost.max_ratio else "green"),
        _figure("abandonment", f"{percent(lost.day_ratio)} of {percent(lost.max_ratio)}"),
        _figure("occupancy", percent(row.occupancy), "bold"),
        _figure("dialing", str(row.calls.get("dialing", 0))),
        _figure("ringing", str(row.calls.get("ringing", 0))),
        _figure("talking", str(row.calls.get("connected", 0)), "cyan"),
        _figure("waiting", _waiting(row), "red" if row.pace and row.pace.waiting else ""),
        _figure("agents wait", wait),
        _figure("contacts ready", f"{row.hopper.ready:,}"),
        _figure("for later", f"{row.hopper.later:,}"),
        _figure("penetration", percent(row.penetration)),
    ]
    outcomes = "  ".join(f"{name} {count:,}" for name, count in sorted(today.outcomes.items(), key=lambda i: -i[1]))
    return Group(head, pace, seen, _columns(figures), Text(outcomes, style="dim"), Text())


def _waiting(row: CampaignRow) -> str:
    # Calls picked up by nobody knows whom yet are not among them: the pacer is told of people only.
    return str(row.pace.waiting) if row.pace else "0"


def _pace(pace: PaceRow) -> Text:
    """The figures behind the words: what one more call would risk, what it may, and what is left to be risked."""
    figures = [
        _figure("agents free", str(pace.idle), "green"),
        _figure("busy", str(pace.busy)),
        _figure("risk", f"{percent(pace.expected_abandonment)} of {percent(pace.threshold)}"),
        _figure("answer rate", percent(pace.answer_rate)),
    ]
    if pace.budget_left is not None:
        figures.append(_figure("budget", f"{pace.budget_left:,.1f} people", "red" if pace.budget_left <= 0 else ""))
    return Text("   ").join(figures)


def _figure(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style))


def _agents(view: LiveSnapshot) -> RenderableType:
    if not view.agents:
        return Text("No agent is signed in.", style="yellow")
    cells = [_agent(agent, view.at) for agent in view.agents[:_MOST_AGENTS]]
    busy = sum(agent.state in {"talking", "wrapup"} for agent in view.agents)
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(1, len(view.agents)), completed=busy, width=40)
    head.add_row(Text(f"Agents: {busy} of {len(view.agents)} busy"), bar)
    return Group(head, _columns(cells))


def _columns(cells: Sequence[Text]) -> Columns:
    """As many beside each other as the terminal is wide."""
    return Columns(cells, padding=(0, 3), equal=True)


def _agent(agent: AgentRow, now: float) -> Text:
    seconds = max(0, int(now - agent.since))
    return Text.assemble(
        (f"{agent.id} ", ""), (f"{agent.state:<8}", _AGENT_STYLE.get(agent.state, "")), (f"{seconds:>4} s", "dim")
    )

"""Templates into HTML: everything that comes from outside is escaped, and what is missing is an error, not a blank."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from dialer.console.places import places
from dialer.console.problems import part_words, put_in_words, said, words
from dialer.console.texts import Texts
from dialer.core.campaign import ORDERS, CampaignState
from dialer.core.ids import masked
from dialer.projections.live_rows import AgentRow, CampaignRow

#: State that an order leads to -> the name of the order.
_ORDER_NAMES: Final[Mapping[CampaignState, str]] = {
    CampaignState.RUNNING: "start",
    CampaignState.PAUSED: "pause",
    CampaignState.DRAINING: "drain",
    CampaignState.STOPPED: "stop",
}
#: The order in which agents' states are shown: those who can take a call first.
AGENT_STATES: Final = ("idle", "reserved", "talking", "wrapup", "paused", "connecting", "lost")
CALL_STATES: Final = ("dialing", "ringing", "answered", "machine", "waiting", "connected")
#: Those in which an agent's phone is up, so that their talks can be attended.
ATTENDED: Final = frozenset(AGENT_STATES) - {"connecting", "lost"}
#: Agents on one page; more are told as a number.
MOST_AGENTS: Final = 600


def orders(state: str) -> list[str]:
    """What can be ordered of a campaign in this state."""
    possible = ORDERS[CampaignState(state)]
    return [name for to, name in _ORDER_NAMES.items() if to in possible]


def pace_words(row: CampaignRow, texts: Texts) -> str:
    """Why the campaign dials as it does, in the visitor's language."""
    if row.pace is None:
        return texts("pace.none")
    key = f"pace.because.{row.pace.limit}"
    if texts.language == "en" or not texts.has(key):
        return row.pace.explanation
    # Of no call the chance is 0: what is said is what one more would risk.
    if row.pace.dial == 0 and texts.has(f"{key}_none"):
        key = f"{key}_none"
    calls = texts("pace.calls.none" if row.pace.dial == 0 else "pace.calls.one" if row.pace.dial == 1 else
                  "pace.calls.many", count=row.pace.dial)  # fmt: skip
    return calls + texts(
        key,
        risk=texts.percent(row.pace.expected_abandonment),
        limit=texts.percent(row.pace.threshold),
        budget="–" if row.pace.budget_left is None else texts.number(row.pace.budget_left),
    )


def by_state(agents: tuple[AgentRow, ...]) -> list[AgentRow]:
    """Agents as the table shows them: by state, and who has been in it longest first."""
    order = {state: place for place, state in enumerate(AGENT_STATES)}
    return sorted(agents, key=lambda agent: (order.get(agent.state, len(order)), agent.since, agent.id))


def agents_by_state(agents: tuple[AgentRow, ...]) -> Mapping[str, int]:
    """How many there are in each state."""
    return Counter(agent.state for agent in agents)


def since_by_state(agents: tuple[AgentRow, ...]) -> Mapping[str, float]:
    """Since when the agent is in each state who has been there longest."""
    since: dict[str, float] = {}
    for agent in agents:
        since[agent.state] = min(agent.since, since.get(agent.state, agent.since))
    return since


def span(seconds: float) -> str:
    """``0:07``, ``12:30`` or ``3:05:00``."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class Pages:
    """All templates, with the addresses of what they load."""

    def __init__(self) -> None:
        self.static: Final = _static()
        self._environment: Final = Environment(
            loader=PackageLoader("dialer.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(
            agent_states=AGENT_STATES,
            call_states=CALL_STATES,
            most_agents=MOST_AGENTS,
            attended=ATTENDED,
            static=self._address,
            orders=orders,
            pace_words=pace_words,
            by_state=by_state,
            agents_by_state=agents_by_state,
            since_by_state=since_by_state,
            places=places,
            said=said,
            words=words,
            put_in_words=put_in_words,
            part_words=part_words,
        )
        self._environment.filters["span"] = span
        self._environment.filters["masked"] = masked

    def render(self, name: str, texts: Texts, **values: Any) -> str:
        """A page or a part of one."""
        return self._environment.get_template(f"{name}.html").render(t=texts, **values)

    def _address(self, path: str) -> str:
        return f"/console/static/{self.static[path][0]}/{path}"


def _static() -> dict[str, tuple[str, bytes]]:
    """Files under `static`, each with the hash that is part of its address: browsers may keep it for good."""
    root = resources.files("dialer.console") / "static"
    found: dict[str, tuple[str, bytes]] = {}
    for folder, before in ((root, ""), (root / "vendor", "vendor/")):
        for file in folder.iterdir():
            if file.is_file() and file.name.endswith((".js", ".css")):
                data = file.read_bytes()
                found[before + file.name] = (hashlib.sha256(data).hexdigest()[:16], data)
    return found

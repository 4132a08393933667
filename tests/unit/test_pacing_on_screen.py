"""The pace for people: the API's journal page by page, the wallboard's figures, and the report of what held it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from litestar.testing import TestClient
from rich.console import Console

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.cli.client import Api
from dialer.cli.pace_report import pace_held
from dialer.cli.wallboard import wallboard
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, NodeName, Phone, ServerName
from dialer.core.notices import AgentChanged, CallConnected, CallStarted, PaceDecided, ServerChanged
from dialer.core.pacing_entry import PacingEntry
from dialer.projections.live import LiveView
from dialer.settings import Settings
from dialer.testing import FakeNode
from pacing import Decision

T = 1_800_000_000.0
W = CampaignId("winter")
ROW = PacingEntry(
    at=T,
    campaign=W,
    node=NodeName("n1"),
    method="predictive",
    dial=2,
    started=1,
    limit="threshold",
    explanation="2 more calls: a third would be lost too probably",
    expected_abandonment=0.012,
    threshold=0.018,
    budget_left=3.5,
    idle=4,
    busy=16,
    waiting=1,
    in_flight=9,
    answer_rate=0.31,
    mean_talk_s=61.0,
    mean_wrapup_s=None,
)


class Site:
    """A node in memory with one campaign, asked over HTTP."""

    def __init__(self, node: FakeNode, http: TestClient[Any]) -> None:
        self.node = node
        self._http = http

    def ask(self, path: str, params: Mapping[str, object] | None = None, *, role: str = "supervisor") -> httpx.Response:
        given = {name: str(value) for name, value in (params or {}).items() if value is not None}
        headers = {"Authorization": f"Bearer {role}"}
        return self._http.request("GET", f"/api/v1{path}", headers=headers, params=given)

    def get(self, path: str, **params: object) -> Any:
        """As the command's client does."""
        answer = self.ask(path, params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object) -> httpx.Response:
        return self._http.request("POST", f"/api/v1{path}", headers={"Authorization": "Bearer manager"}, json=body)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    node = FakeNode(tmp_path)
    for role in Role:
        node.keys.issue(role.value, role, agent=AgentId("anna") if role is Role.AGENT else None)
    with TestClient(create_app(node.ports, Settings()), raise_server_exceptions=False) as http:
        made = Site(node, http)
        assert made.post("/campaigns", {"id": "winter"}).status_code == 201
        yield made


def test_the_journal_comes_in_pages_the_oldest_first(site: Site) -> None:
    now = site.node.clock.now()
    site.node.pacing.rows = [replace(ROW, at=now - 100 + n, started=n) for n in range(7)]
    found: list[dict[str, Any]] = []
    cursor = None
    for _ in range(4):
        page = site.get("/campaigns/winter/pacing", limit=2, cursor=cursor)
        found += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None
    assert [row["started"] for row in found] == list(range(7))
    assert found[0] | {"at": "", "started": 0} == {
        "at": "",
        "node": "n1",
        "method": "predictive",
        "dial": 2,
        "started": 0,
        "limit": "threshold",
        "explanation": ROW.explanation,
        "expected_abandonment": 0.012,
        "threshold": 0.018,
        "budget_left": 3.5,
        "idle": 4,
        "busy": 16,
        "waiting": 1,
        "in_flight": 9,
        "answer_rate": 0.31,
        "mean_talk_s": 61.0,
        "mean_wrapup_s": None,
    }


def test_without_a_time_it_is_the_last_hour(site: Site) -> None:
    now = site.node.clock.now()
    site.node.pacing.rows = [replace(ROW, at=now - ago) for ago in (3_700.0, 3_500.0, 1.0)]
    assert len(site.get("/campaigns/winter/pacing")["items"]) == 2
    everything = site.get("/campaigns/winter/pacing", since="2020-01-01T00:00:00Z")
    assert len(everything["items"]) == 3
    until = everything["items"][2]["at"]
    assert len(site.get("/campaigns/winter/pacing", until=until)["items"]) == 1


@pytest.mark.parametrize("role", ["crm", "agent", "metrics"])
def test_it_is_for_those_who_lead(site: Site, role: str) -> None:
    assert site.ask("/campaigns/winter/pacing", role=role).status_code == 403
    assert site.ask("/campaigns/winter/pacing", role="manager").status_code == 200


@pytest.mark.parametrize(
    ("path", "params", "status", "words"),
    [
        ("/campaigns/nobody/pacing", {}, 404, "there is no campaign"),
        ("/campaigns/winter/pacing", {"since": "yesterday"}, 422, "since"),
        ("/campaigns/winter/pacing", {"since": "2027-01-02T00:00:00"}, 422, "with its zone"),
        (
            "/campaigns/winter/pacing",
            {"since": "2027-01-02T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
            422,
            "must not be before since",
        ),
        ("/campaigns/winter/pacing", {"cursor": "x"}, 422, "cursor"),
        ("/campaigns/winter/pacing", {"limit": 0}, 422, "limit"),
    ],
)
def test_mistaken_questions_are_told_what_to_mend(
    site: Site, path: str, params: dict[str, object], status: int, words: str
) -> None:
    answer = site.ask(path, params)
    assert answer.status_code == status
    assert words in answer.text


def test_the_report_says_for_how_long_each_reason_held(site: Site) -> None:
    now = site.node.clock.now() - 1_000
    site.node.pacing.rows = [
        replace(ROW, at=now, limit="threshold", started=3),
        replace(ROW, at=now + 6, limit="no_contacts", started=1, explanation="no call now: nobody"),
        # Another node in between: its time is its own.
        replace(ROW, at=now + 8, node=NodeName("n2"), limit="budget", started=0),
        replace(ROW, at=now + 9, limit="threshold", started=4),
        # Silence: the campaign stood still.
        replace(ROW, at=now + 600, limit="threshold", started=0),
    ]
    held = pace_held(cast(Api, site), "winter", None, None)
    assert [(row["limit"], row["minutes"], row["started"]) for row in held] == [
        ("threshold", 0.35, 7),
        ("no_contacts", 0.05, 1),
        ("budget", 0.0, 0),
    ]
    assert held[0]["share"] == pytest.approx(21 / 24)
    assert held[1]["example"] == "no call now: nobody"


def test_nothing_was_written_in_that_time(site: Site) -> None:
    assert pace_held(cast(Api, site), "winter", "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z") == []


def screen(view: LiveView, at: float = T + 1) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(wallboard(view.snapshot(at), "Cadencia"))
    return console.export_text()


def test_the_wallboard_has_the_words_and_the_figures_behind_them() -> None:
    view = LiveView()
    view.configure(Campaign(id=W), CampaignState.RUNNING)
    assert "no decision yet" in screen(view)
    decision = Decision(
        dial=2,
        limit="threshold",
        explanation="2 more calls: a third would be lost too probably",
        expected_abandonment=0.012,
        threshold=0.018,
        budget_left=3.5,
        idle=4,
        busy=16,
        waiting=1,
        in_flight=9,
        answer_rate=0.31,
    )
    view.apply(PaceDecided(at=T, campaign=W, decision=decision, method="predictive"))
    shown = " ".join(screen(view).split())
    for words in (
        decision.explanation,
        "agents free 4",
        "busy 16",
        "risk 1.2 % of 1.8 %",
        "answer rate 31.0 %",
        "budget 3.5 people",
        "waiting 1",
    ):
        assert words in shown, words
    pace = view.campaign(W, T + 1)
    assert pace is not None
    assert pace.pace is not None
    assert (pace.pace.method, pace.pace.in_flight) == ("predictive", 9)


def agent_changed(id: str, at: float, state: AgentState, previous: AgentState) -> AgentChanged:
    return AgentChanged(at=at, agent=AgentId(id), state=state, previous=previous, previous_s=0.0, campaigns=(W,))


def started(number: int, at: float, attempt: int) -> CallStarted:
    return CallStarted(
        at=at,
        call=CallId(f"s{number}"),
        campaign=W,
        contact=ContactId(f"s{number}"),
        phone=Phone("+34600111222"),
        server=ServerName("pbx"),
        trunk=None,
        attempt_number=attempt,
    )


def connected(number: int, at: float) -> CallConnected:
    return CallConnected(
        at=at,
        call=CallId(f"c{number}"),
        campaign=W,
        contact=ContactId(f"k{number}"),
        phone=Phone("+34600111222"),
        agent=AgentId("anna"),
        wait_s=0.0,
        screen_pop="",
    )


def test_how_long_agents_wait_who_waits_longest_and_how_much_of_the_list_was_called() -> None:
    view = LiveView()
    view.configure(Campaign(id=W), CampaignState.RUNNING)
    before = view.campaign(W, T)
    assert before is not None
    assert (before.agents_since, before.agent_wait_s, before.penetration) == ({}, None, None)
    for id, at in (("anna", T), ("bob", T + 10), ("eve", T + 20)):
        view.apply(agent_changed(id, at, AgentState.IDLE, AgentState.CONNECTING))
    # Idle until then: 40 s, 30 s and 20 s.
    view.apply(agent_changed("anna", T + 40, AgentState.TALKING, AgentState.IDLE))
    view.apply(connected(1, T + 40))
    view.apply(connected(2, T + 40))
    view.penetration(W, loaded=400, called=100)
    row = view.campaign(W, T + 40)
    assert row == view.snapshot(T + 40).campaigns[0]
    assert row is not None
    assert row.agents_since == {"talking": T + 40, "idle": T + 10}
    assert row.agent_wait_s == pytest.approx(45.0)
    assert row.penetration == 0.25
    for number, attempt in enumerate((1, 2, 1, 1)):
        view.apply(started(number, T + 41, attempt))
    after = view.campaign(W, T + 41)
    assert after is not None
    assert after.penetration == 103 / 400, "contacts called for the first time since it was looked up"
    shown = " ".join(screen(view, T + 41).split())
    assert "penetration 25.8 %" in shown
    assert "agents wait 46 s" in shown
    later = view.campaign(W, T + 2 * 3_600)
    assert later is not None
    assert later.agent_wait_s is None, "of the last hour there is no talk"


def test_what_is_wrong_is_told_in_a_terminal_too() -> None:
    view = LiveView()
    view.configure(Campaign(id=W), CampaignState.RUNNING)
    view.apply(ServerChanged(at=T, server=ServerName("pbx"), connected=False, reason="[connection] refused"))
    shown = " ".join(screen(view).split())
    assert "Asterisk server pbx is out of reach: [connection] refused" in shown
    assert "winter: its list is empty" in shown

"""The calendar of callbacks over the API and the command, and the end of a shift at the sign-in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from dialer.api.app import create_app
from dialer.api.callback_ports import Appointment, CallbackQuery
from dialer.api.key_ports import Role
from dialer.cli import client as cli_client
from dialer.cli import screen
from dialer.cli.application import app
from dialer.core.agent import AgentState
from dialer.core.events import AgentSignedIn
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.notices import AgentChanged, CallStarted
from dialer.core.promise import Promise
from dialer.settings import Settings
from dialer.testing import FakeNode

WINTER = CampaignId("winter")


class Calendar:
    """Callbacks in a list; remembers what was asked for."""

    def __init__(self) -> None:
        self.items: list[Appointment] = []
        self.asked: list[CallbackQuery] = []

    async def page(
        self, query: CallbackQuery, after: tuple[float, str, str] | None, limit: int
    ) -> Sequence[Appointment]:
        self.asked.append(query)
        keyed = [((item.promise.at, item.promise.campaign, item.promise.contact), item) for item in self.items]
        return [item for key, item in sorted(keyed, key=lambda pair: pair[0]) if after is None or key > after][:limit]


class Rig:
    """The application with a calendar, asked over HTTP."""

    def __init__(self, node: FakeNode, calendar: Calendar, http: TestClient[Any]) -> None:
        self.node = node
        self.calendar = calendar
        self._http = http

    def get(self, _role: str = "crm", **query: Any) -> tuple[int, Any]:
        answer = self._http.get("/api/v1/callbacks", params=query, headers={"Authorization": f"Bearer {_role}"})
        return answer.status_code, answer.json()

    def post(self, path: str, body: object) -> tuple[int, Any]:
        answer = self._http.post(f"/api/v1{path}", json=body, headers={"Authorization": "Bearer supervisor"})
        return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    node, calendar = FakeNode(tmp_path_factory.mktemp("uploads")), Calendar()
    for role in Role:
        node.keys.issue(role.value, role, agent=AgentId("ana") if role is Role.AGENT else None)
    with TestClient(create_app(replace(node.ports, callbacks=calendar), Settings())) as http:
        made = Rig(node, calendar, http)
        http.post("/api/v1/campaigns", json={"id": "winter"}, headers={"Authorization": "Bearer manager"})
        yield made


def appointment(number: int, at: float, *, agent: str | None = "ana", zones: tuple[str, ...] = ()) -> Appointment:
    promise = Promise(
        campaign=WINTER,
        contact=ContactId(f"crm-{number}"),
        at=at,
        agent=None if agent is None else AgentId(agent),
        fallback_at=at + 900,
        until_at=at + 3_600,
    )
    return Appointment(
        promise=promise, agreed=True, made_at=at - 500, name="Ana", phone=Phone("+34600000001"), zones=zones
    )


def test_a_callback_is_told_with_the_persons_clock_and_whether_it_is_overdue(rig: Rig) -> None:
    now = rig.node.clock.now()
    rig.calendar.items = [
        appointment(1, now + 600, zones=("Atlantic/Canary", "Europe/Madrid")),
        appointment(2, now - 30, agent=None),
        appointment(3, now - 120),
        appointment(4, now - 1_000),
        appointment(5, now - 5_000),
    ]
    rig.node.control.live().apply(
        CallStarted(
            at=now,
            call=CallId("k-1"),
            campaign=WINTER,
            contact=ContactId("crm-5"),
            phone=Phone("+34600000001"),
            server=ServerName("pbx"),
            trunk=None,
            attempt_number=1,
        )
    )
    rig.node.control.live().apply(
        AgentChanged(
            at=now,
            agent=AgentId("ana"),
            state=AgentState.IDLE,
            previous=AgentState.CONNECTING,
            previous_s=1.0,
            campaigns=(WINTER,),
        )
    )
    status, said = rig.get()
    assert status == 200
    by = {item["contact"]: item for item in said["items"]}
    states = {contact: (item["state"], item["overdue"]) for contact, item in by.items()}
    assert states == {
        "crm-1": ("planned", False),
        "crm-2": ("due", False),
        "crm-3": ("due", True),
        "crm-4": ("open", True),
        "crm-5": ("calling", False),
    }
    first = by["crm-1"]
    assert first["timezone"] == "Atlantic/Canary"
    assert first["local_time"][:16] != first["at"][:16] or first["local_time"].endswith("+00:00")
    assert first["other_timezones"] == ["Europe/Madrid"]
    assert (first["agent"], first["agent_is_here"]) == ("ana", True)
    assert "agent" not in by["crm-2"]
    assert "local_time" not in by["crm-2"]


def test_pages_go_on_where_the_last_one_ended(rig: Rig) -> None:
    now = rig.node.clock.now()
    rig.calendar.items = [appointment(n, now + n // 2) for n in range(7)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        _, said = rig.get(**query)
        seen += [item["contact"] for item in said["items"]]
        if said["next_cursor"] is None:
            break
        query["cursor"] = said["next_cursor"]
    assert seen == [f"crm-{n}" for n in range(7)]


def test_what_is_asked_for_reaches_the_record(rig: Rig) -> None:
    query = {"from": "2026-05-04T09:00:00Z", "to": "2026-05-04T11:00:00+02:00", "agent": "bea", "campaign": "winter"}
    assert rig.get(**query)[0] == 200
    asked = rig.calendar.asked[-1]
    assert (asked.since, asked.until, asked.agent, asked.campaign) == (1777885200.0, 1777885200.0, "bea", "winter")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-05-04T09:00:00"},
        {"to": "2026-13-01T00:00:00Z"},
        {"agent": "a b"},
        {"campaign": "../x"},
        {"cursor": "nonsense"},
        {"cursor": "WzEsMl0"},
        {"limit": 0},
    ],
)
def test_nonsense_is_refused(rig: Rig, query: dict[str, Any]) -> None:
    status, said = rig.get(**query)
    assert status in {400, 422}, said


def test_an_agent_gets_their_own_and_others_get_none(rig: Rig) -> None:
    assert rig.get("agent")[0] == 200
    assert rig.calendar.asked[-1].agent == "ana"
    assert rig.get("agent", agent="bea")[0] == 403
    assert rig.get("metrics")[0] == 403
    assert rig.get("supervisor")[0] == 200


def test_the_end_of_a_shift_reaches_the_engine(rig: Rig) -> None:
    body = {"phone": "bea", "campaigns": ["winter"], "shift_ends_at": "2026-05-04T18:00:00+02:00"}
    assert rig.post("/agents/bea/sign-in", body)[0] == 202
    [signed_in] = [event for event in rig.node.control.events if isinstance(event, AgentSignedIn)]
    assert signed_in.shift_ends_at == 1777910400.0
    status, said = rig.post("/agents/eva/sign-in", body | {"shift_ends_at": "18:00"})
    assert (status, "shift_ends_at" in said["message"]) == (422, True)


def test_the_command_shows_the_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    item = {
        "campaign": "winter",
        "contact": "crm-1",
        "name": "[red]Ana[/red]",
        "at": "2026-05-04T09:00:00.000000Z",
        "state": "due",
        "overdue": True,
        "timezone": "Atlantic/Canary",
        "local_time": "2026-05-04T10:00:00+01:00",
    }

    def get(_: object, path: str, **query: object) -> object:
        asked.append({"path": path, **query})
        return {"items": [item], "next_cursor": None if query["cursor"] else "more"}

    monkeypatch.setattr(cli_client.Api, "get", get)
    node = ["--api-url", "http://x", "--api-key", "k"]
    shown = CliRunner().invoke(app, ["callbacks", *node, "--agent", "ana", "--from", "2026-05-04T00:00:00Z", "--json"])
    assert shown.exit_code == 0, shown.output
    assert [entry["contact"] for entry in json.loads(shown.output)] == ["crm-1", "crm-1"]
    assert asked[0] == {
        "path": "/callbacks",
        "from": "2026-05-04T00:00:00Z",
        "to": None,
        "agent": "ana",
        "campaign": None,
        "limit": 100,
        "cursor": None,
    }
    monkeypatch.setattr(screen.out, "_width", 200)
    people = CliRunner().invoke(app, ["callbacks", *node, "--limit", "1"])
    assert "2026-05-04 10:00 Atlantic/Canary" in people.output
    assert "[red]Ana[/red]" in people.output
    assert "There are more" in people.output

"""The report on a list: its route, its download, and the command that prints it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner, Result

from dialer.api.app import create_app
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.intake_ports import ContactWarning, ListCheck, ListImport, RejectedRow
from dialer.api.key_ports import Role
from dialer.cli import lists
from dialer.cli.client import Api
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import CampaignId
from dialer.core.list_terms import ListTerms
from dialer.core.saying import NOTHING
from dialer.settings import Settings
from dialer.testing import FakeNode

CRM = {"Authorization": "Bearer crm"}


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    node = FakeNode(tmp_path)
    node.keys.issue("crm", Role.CRM)
    node.keys.issue("supervisor", Role.SUPERVISOR)
    node.intake.imports["l-1"] = ListImport(
        id="l-1",
        campaign=CampaignId("winter"),
        name="May",
        state="done",
        read=3,
        accepted=2,
        rejected=1,
        reasons={"phone_not_valid": 1},
        error=NOTHING,
        started_at=1_000.0,
        finished_at=1_001.0,
    )
    node.intake.rejected_rows["l-1"] = [RejectedRow(row=4, code="phone_not_valid", message="none", raw="=1+1,x")]
    node.intake.contact_warnings["l-1"] = [
        ContactWarning(contact=f"=c{i}", phone="+34600111222", kind="duplicate_in_list", message="@other has it")
        for i in range(700)
    ]
    return node


DONE = ListCheck(
    state="done",
    started_at=1_002.0,
    finished_at=1_003.0,
    contacts=2,
    numbers=3,
    types={"mobile": 2, "fixed": 1},
    zones={"Atlantic/Canary, Europe/Madrid": 3},
    jurisdictions={"ES": 3},
    warnings={"duplicate_in_list": 900, "no_consent": 3},
    contacts_with_warnings=2,
    listed=703,
)


@pytest.fixture
def http(node: FakeNode) -> Iterator[TestClient[Litestar]]:
    with TestClient(create_app(node.ports, Settings()), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "status", "refused"),
    [
        ("", 202, False),
        ("?duplicates=report", 202, False),
        ("?duplicates=refuse", 202, True),
        ("?duplicates=maybe", 422, False),
    ],
)
def test_an_upload_says_what_becomes_of_duplicates(
    http: TestClient[Litestar], node: FakeNode, query: str, status: int, refused: bool
) -> None:
    node.campaigns.rows[CampaignId("winter")] = StoredCampaign(
        campaign=Campaign(id=CampaignId("winter")), state=CampaignState.DRAFT, updated_at=1.0
    )
    answer = http.post(
        f"/api/v1/campaigns/winter/lists{query}",
        content=b"phone\n600111222\n",
        headers=CRM | {"Content-Type": "text/csv"},
    )
    assert answer.status_code == status, answer.text
    assert bool(node.intake.refusing_duplicates) is refused


@pytest.mark.parametrize(
    ("query", "status", "terms"),
    [
        ("", 202, ListTerms()),
        ("?filter=%20debt%20%3E%203%20&priority=-5", 202, ListTerms(filter="debt > 3", priority=-5)),
        ("?filter=debt%20%3E", 422, None),
        ("?filter=" + "x" * 5_000, 422, None),
        ("?priority=1001", 422, None),
        ("?priority=high", 422, None),
    ],
)
def test_an_upload_brings_what_the_list_has_of_its_own(
    http: TestClient[Litestar], node: FakeNode, query: str, status: int, terms: ListTerms | None
) -> None:
    node.campaigns.rows[CampaignId("winter")] = StoredCampaign(
        campaign=Campaign(id=CampaignId("winter")), state=CampaignState.DRAFT, updated_at=1.0
    )
    before = set(node.intake.imports)
    answer = http.post(
        f"/api/v1/campaigns/winter/lists{query}",
        content=b"phone\n600111222\n",
        headers=CRM | {"Content-Type": "text/csv"},
    )
    assert answer.status_code == status, answer.text
    assert [node.intake.imports[id].terms for id in set(node.intake.imports) - before] == (
        [] if terms is None else [terms]
    )
    if terms is not None:
        assert (answer.json()["filter"], answer.json()["priority"]) == (terms.filter, terms.priority)


def test_before_and_after_somebody_has_looked(http: TestClient[Litestar], node: FakeNode) -> None:
    before = http.get("/api/v1/lists/l-1/report", headers=CRM).json()
    assert before["list"]["reasons"] == {"phone_not_valid": 1}
    assert (before["check"]["state"], before["check"]["started_at"]) == ("none", None)
    node.intake.checks["l-1"] = DONE
    after = http.get("/api/v1/lists/l-1/report", headers=CRM).json()["check"]
    assert (after["state"], after["zones"], after["warnings_listed"]) == (
        "done",
        {"Atlantic/Canary, Europe/Madrid": 3},
        703,
    )
    assert after["finished_at"].startswith("1970-01-01T00:16:43")


def test_another_look_is_asked_for(http: TestClient[Litestar], node: FakeNode) -> None:
    answer = http.post("/api/v1/lists/l-1/report", headers=CRM)
    assert (answer.status_code, answer.json()["check"]["state"]) == (202, "running")
    for path in ("report", "report.csv"):
        assert http.get(f"/api/v1/lists/l-9/{path}", headers=CRM).status_code == 404
    assert http.post("/api/v1/lists/l-9/report", headers=CRM).status_code == 404
    assert "l-9" not in node.intake.checks


def test_a_list_that_is_being_imported_is_not_looked_through(http: TestClient[Litestar], node: FakeNode) -> None:
    known = node.intake.imports["l-1"]
    node.intake.imports["l-1"] = ListImport(
        **{name: getattr(known, name) for name in ListImport.__dataclass_fields__ if name != "state"}, state="running"
    )
    answer = http.post("/api/v1/lists/l-1/report", headers=CRM)
    assert (answer.status_code, "is being imported" in answer.json()["message"]) == (409, True)
    assert not node.intake.checks


def test_the_download_has_every_row_and_no_formula(http: TestClient[Litestar]) -> None:
    answer = http.get("/api/v1/lists/l-1/report.csv", headers=CRM)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="report-l-1.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 701
    assert (rows[0]["verdict"], rows[0]["row"], rows[0]["reason"]) == ("rejected", "4", "phone_not_valid")
    assert rows[0]["raw"] == "'=1+1,x"
    assert rows[700] == {
        "verdict": "warning",
        "row": "",
        "contact": "'=c699",
        # With an apostrophe: plus begins a formula too.
        "phone": "'+34600111222",
        "reason": "duplicate_in_list",
        "problem": "'@other has it",
        "raw": "",
    }


def test_people_s_data_is_for_the_crm_alone(http: TestClient[Litestar]) -> None:
    supervisor = {"Authorization": "Bearer supervisor"}
    assert http.get("/api/v1/lists/l-1/report", headers=supervisor).status_code == 200
    assert http.get("/api/v1/lists/l-1/report.csv", headers=supervisor).status_code == 403


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, http: TestClient[Litestar]) -> list[str]:
    """What the command asks of the node, which is the fake one."""
    asked: list[str] = []

    async def request(
        self: Api, method: str, path: str, *, text: bool = False, query: Mapping[str, object] | None = None, **_: Any
    ) -> Any:
        asked.append(f"{method} {path}")
        answer = http.request(method, f"/api/v1{path}", headers=CRM)
        assert answer.status_code < 300
        return answer.text if text else answer.json()

    monkeypatch.setattr(Api, "_request", request)
    return asked


def command(*options: str) -> Result:
    return CliRunner().invoke(
        lists.app, ["report", "l-1", "--api-url", "http://node", "--api-key", "crm", *options], env={"COLUMNS": "200"}
    )


def test_the_command_as_json_and_csv(asked: list[str], node: FakeNode) -> None:
    node.intake.checks["l-1"] = DONE
    found = json.loads(command("--json").output)
    assert (found["list"]["id"], found["check"]["numbers"]) == ("l-1", 3)
    rows = list(csv.reader(io.StringIO(command("--csv").output)))
    assert (len(rows), rows[0][:4]) == (702, ["verdict", "row", "contact", "phone"])
    assert asked == ["GET /lists/l-1/report"] * 2 + ["GET /lists/l-1/report.csv"]
    assert command("--csv", "--json").exit_code == 1


def test_a_refresh_waits_for_another_look(asked: list[str], node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node.intake.checks["l-1"] = DONE

    def tick(_: float) -> None:
        running = node.intake.checks["l-1"]
        assert running.state == "running"
        node.intake.checks["l-1"] = ListCheck(state="done", started_at=running.started_at, finished_at=9_000_000_000.0)

    monkeypatch.setattr("dialer.cli.lists.time.sleep", tick)
    assert json.loads(command("--refresh", "--json").output)["check"]["state"] == "done"
    assert asked == ["GET /lists/l-1/report", "POST /lists/l-1/report", "GET /lists/l-1/report"]

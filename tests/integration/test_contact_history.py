"""The history of a contact: everything that is on record, in one look with a bounded number of statements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from dialer.api.app import create_app
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.key_ports import Role
from dialer.compliance.evidence import Evidence, EvidenceKind
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, RecordingId, ServerName
from dialer.core.kept_recording import Keeping, StoredRecording
from dialer.core.outcome import Outcome
from dialer.core.promise import Promise
from dialer.core.saying import say
from dialer.reporting.history import Happening, History, Subject
from dialer.runtime.reports import Histories
from dialer.settings import Settings
from dialer.storage import history as stored_history
from dialer.storage.action_firings import Firing, Firings
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.storage.do_not_call import DoNotCall, DoNotCallList
from dialer.storage.evidence import EvidenceStore
from dialer.storage.history import history
from dialer.storage.promises import Promises
from dialer.storage.recordings import Recordings
from dialer.storage.removals import Removal, Removals
from dialer.testing import FakeNode
from tests.asgi import client
from tests.record_values import attempt, contact

WINTER, LOYALTY = CampaignId("winter"), CampaignId("loyalty")
ANNA = Phone("+34600000001")
OTHER = Phone("+34600000099")
T = 1_774_000_000.0
#: Begin, outside of which a transaction does not count.
MOST_STATEMENTS = 10


RECORDING = StoredRecording(
    id=RecordingId("rec-1"),
    call=CallId("call-2"),
    campaign=WINTER,
    contact=ContactId("crm-1"),
    agent=AgentId("anna"),
    server=ServerName("pbx"),
    node="n1",
    by="anna",
    state=Keeping.RECORDING,
    started_at=T + 2_050,
)


async def fill(database: Database) -> None:
    for name in (WINTER, LOYALTY):
        await Campaigns(database).create(Campaign(id=name), T)
    await Contacts(database).upsert(
        [
            contact(1, phones=(ANNA, OTHER), consent={"mode": "express", "given_at": "2026-03-01T16:00:00+01:00"}),
            contact(1, campaign=LOYALTY, phones=(ANNA,)),
            contact(2),
        ],
        T,
    )
    ended = {"answered_at": T + 2_030, "connected_at": T + 2_031, "agent": AgentId("anna")}
    await Attempts(database).record(
        [
            (attempt(1, started_at=T + 1_000, ended_at=T + 1_025, phone=ANNA), T + 2_000),
            (
                attempt(
                    2,
                    contact=ContactId("crm-1"),
                    phone=OTHER,
                    started_at=T + 2_000,
                    ended_at=T + 2_100,
                    outcome=Outcome.CONNECTED,
                    attempt_number=2,
                    **ended,
                ),
                None,
            ),
            (attempt(3, campaign=LOYALTY, contact=ContactId("crm-1"), phone=ANNA, started_at=T, ended_at=T + 5), None),
            (attempt(4, contact=ContactId("crm-2"), started_at=T, ended_at=T + 5), None),
        ]
    )
    for code, at in (("NO_SALE", T + 2_110), ("SALE", T + 9_000)):
        await Dispositions(database).add(
            Disposition(call=CallId("call-2"), code=code, at=at, amount="10" if code == "SALE" else None)
        )
    await Recordings(database).note(RECORDING, T + 2_050)
    await Promises(database).keep(
        Promise(
            campaign=LOYALTY, contact=ContactId("crm-1"), at=T + 90_000, fallback_at=T + 91_000, until_at=T + 99_000
        ),
        T + 3_000,
    )
    await EvidenceStore(database).append(
        [
            Evidence(
                kind=EvidenceKind.REFUSAL,
                reference="1-0",
                at=T + 500,
                facts={"campaign": "winter", "reason": "hours"},
                personal={"contact": "crm-1", "phone": ANNA},
            )
        ]
    )
    await Removals(database).add(
        [
            Removal(campaign="winter", kind="contact", subject="crm-1", at=T + 9_500, reason="paid"),
            Removal(campaign="*", kind="phone", subject="+34600000055", at=T),
        ]
    )
    await DoNotCallList(database).put(
        [
            DoNotCall(scope="*", phone=OTHER, at=T + 9_600, reason="asked"),
            DoNotCall(scope="winter", phone="+34600*", at=T + 100, reason="range"),
            DoNotCall(scope="*", phone="+34999999999", at=T),
        ]
    )
    await Firings(database).add(
        Firing(
            rule="three",
            campaign=WINTER,
            contact=ContactId("crm-1"),
            at=T + 9_400,
            action="move",
            call=CallId("call-2"),
            why=say("3 contacts came to nothing", code="fired_failed", failed=3),
            details={"move_to": "loyalty"},
        )
    )


def kinds(found: History) -> list[str]:
    return [entry.kind.value for entry in found.entries]


async def test_a_contact_has_everything_in_the_order_of_time(database: Database) -> None:
    await fill(database)
    found = await history(database, Subject(campaign=WINTER, contact=ContactId("crm-1")))
    assert kinds(found) == [
        "do_not_call",
        "removal",
        "action",
        "disposition",
        "disposition",
        "recording",
        "talk",
        "attempt",
        "attempt",
        "refusal",
        "do_not_call",
        "consent",
        "contact",
    ]
    by_kind = {entry.kind: entry for entry in reversed(found.entries)}
    assert by_kind[Happening.DISPOSITION].details == {"code": "SALE", "amount": "10"}
    assert by_kind[Happening.TALK].details == {"agent": "anna", "talk_s": 69.0}
    assert by_kind[Happening.REFUSAL].details["reason"] == "hours"
    assert by_kind[Happening.REMOVAL].details == {"reason": "paid"}
    assert by_kind[Happening.ACTION].details["move_to"] == "loyalty"
    assert by_kind[Happening.CONTACT].details["state"] == "removed"
    assert (found.phones, found.more) == ([ANNA, OTHER], False)


async def test_a_person_is_looked_up_in_all_campaigns_and_a_number_by_who_had_it(database: Database) -> None:
    await fill(database)
    person = await history(database, Subject(contact=ContactId("crm-1")))
    assert list(person.contacts) == [(LOYALTY, "crm-1"), (WINTER, "crm-1")]
    assert kinds(person).count("attempt") == 3
    assert kinds(person).count("callback") == 1
    number = await history(database, Subject(phone=ANNA))
    assert {entry.call for entry in number.entries if entry.kind is Happening.ATTEMPT} == {"call-1", "call-3"}
    assert number.phones == [ANNA]
    # What the other number of the same contact is listed for is not this number's.
    assert [entry.details["phone"] for entry in number.entries if entry.kind is Happening.DO_NOT_CALL] == ["+34600*"]
    stranger = await history(database, Subject(phone=Phone("+34699999999")))
    assert (list(stranger.contacts), kinds(stranger)) == ([], [])
    nobody = await history(database, Subject(campaign=WINTER, contact=ContactId("ghost")))
    assert (list(nobody.contacts), list(nobody.entries)) == ([], [])


async def test_a_look_is_a_bounded_number_of_statements(database: Database) -> None:
    await fill(database)
    statements: list[str] = []

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def counted(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT") and "pg_catalog" not in statement:
            statements.append(statement)

    for subject in (
        Subject(campaign=WINTER, contact=ContactId("crm-1")),
        Subject(contact=ContactId("crm-1")),
        Subject(phone=ANNA),
    ):
        statements.clear()
        assert (await history(database, subject)).entries
        assert len(statements) <= MOST_STATEMENTS


async def test_of_a_very_long_history_the_latest_are_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(database)
    monkeypatch.setattr(stored_history, "MOST", 1)
    found = await history(database, Subject(campaign=WINTER, contact=ContactId("crm-1")))
    assert found.more
    assert [entry.call for entry in found.entries if entry.kind is Happening.ATTEMPT] == ["call-2"]


async def test_the_api_tells_it_to_those_who_may(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    await fill(database)
    node = FakeNode(tmp_path)
    for role in (Role.SUPERVISOR, Role.CRM, Role.AGENT):
        node.keys.issue(role.value, role, agent=AgentId("anna") if role is Role.AGENT else None)
    for name in (WINTER, LOYALTY):
        node.campaigns.rows[name] = StoredCampaign(campaign=Campaign(id=name), state=CampaignState.DRAFT, updated_at=T)
    ports = replace(node.ports, histories=Histories(database))
    async with client(create_app(ports, Settings())) as http:

        async def ask(method: str, path: str, key: str, body: Any = None) -> Any:
            headers = {"Authorization": f"Bearer {key}"}
            answer = await http.request(method, f"/api/v1{path}", headers=headers, json=body)
            return answer.status_code, answer.json()

        path = "/campaigns/winter/contacts/crm-1/history"
        status, told = await ask("GET", path, "crm")
        assert status == 200
        assert told["contacts"] == [{"campaign": "winter", "contact": "crm-1"}]
        assert told["entries"][0]["kind"] == "do_not_call"
        attempts = [entry for entry in told["entries"] if entry["kind"] == "attempt"]
        assert attempts[1]["details"]["retry_at"].endswith("Z")
        assert (await ask("GET", path, "agent"))[0] == 403
        assert (await ask("GET", "/campaigns/winter/contacts/ghost/history", "crm"))[0] == 404
        assert (await ask("GET", "/campaigns/ghost/contacts/crm-1/history", "crm"))[0] == 404
        # Over all campaigns: not for a CRM's key.
        assert (await ask("POST", "/history", "crm", {"contact": "crm-1"}))[0] == 403
        status, told = await ask("POST", "/history", "supervisor", {"phone": "600 000 001"})
        assert (status, told["phones"]) == (200, [ANNA])
        for body in ({}, {"phone": ANNA, "contact": "x"}, {"phone": "12"}, {"contact": "a\x07"}, {"person": "x"}):
            assert (await ask("POST", "/history", "supervisor", body))[0] == 422, body
    await database.close()

"""Registries that the law demands and people who are erased, through the real API; and what the doctor says of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from dialer.api.app import create_app
from dialer.api.attempt_ports import CrmCall
from dialer.api.key_ports import Role
from dialer.api.purge_ports import ErasedPerson
from dialer.campaigns import parse_campaign
from dialer.compliance.loader import find_folder
from dialer.compliance.registry import Registries as InForce
from dialer.compliance.registry_build import BuildOrder, build_registry
from dialer.compliance.registry_store import RegistryStore
from dialer.compliance.registry_watch import RegistryWatch
from dialer.compliance.screening import Screening
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.engine import Engine
from dialer.core.events import CampaignConfigured
from dialer.core.ids import CampaignId, NodeName, Phone
from dialer.errors import InputError
from dialer.runtime.campaign_rules import BookedRules
from dialer.runtime.erasing import NO_KEY
from dialer.runtime.examination import registries as examined
from dialer.runtime.node_registries import NodeRegistries
from dialer.runtime.rules_aside import RulesAside
from dialer.settings import Compliance, Registries, Registry, Settings
from dialer.settings import Database as DatabaseSettings
from dialer.storage.audit import Audit
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from dialer.testing import FakeNode
from tests.compliance_rules import shipped_book

SALES = Campaign(id=CampaignId("sales"), purpose="marketing", party="consumer", jurisdictions=("ES",))
LISTS = (Registry(name="robinson", max_age_days=31, answers=("ES-robinson",)),)
NO_REGISTRIES = InForce((), {})
RULE = "ES-robinson@2020-01-01"


class Erasing:
    """Keeps whom it was asked to erase."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[Phone], str, bool]] = []
        self.problem = ""

    async def erase(self, phones: Sequence[Phone], *, who: str, all_numbers: bool) -> ErasedPerson:
        if self.problem:
            raise InputError(self.problem)
        self.asked.append((phones, who, all_numbers))
        return ErasedPerson(numbers=len(phones), others=1, rows={"contacts": 2})


class Handing:
    """Says of whom it was asked."""

    async def export(self, phones: Sequence[Phone], *, all_numbers: bool) -> Mapping[str, Any]:
        return {"numbers": list(phones), "all": all_numbers, "tables": {}}


class Bench:
    """The API on memory, with real registries, and one campaign that is about Spain."""

    def __init__(self, folder: Path, database: Database, lists: Sequence[Registry]) -> None:
        self.node = FakeNode(folder)
        self.node.clock.advance(_at(date(2026, 11, 26)) - self.node.clock.now())
        for role in (Role.MANAGER, Role.CRM, Role.AGENT):
            self.node.keys.issue(role.value, role)
        self.store = RegistryStore(folder / "registries")
        self.watch = RegistryWatch(self.store, lists)
        self.engine = Engine(node=NodeName("n1"), servers=[], trunks=[])
        self.engine.handle(CampaignConfigured(at=0.0, campaign=SALES, state=CampaignState.DRAFT))
        self.erasing = Erasing()
        self.counted = Counted()
        self.aside = RulesAside(Audit(database))
        self.evidence = EvidenceStore(database)
        rules = BookedRules(shipped_book(), Audit(database), self.evidence, lambda: self.watch.registries, self.aside)
        ports = replace(
            self.node.ports,
            campaign_rules=rules,
            registries=NodeRegistries(shipped_book(), self.watch, self.engine.floor),
            erasures=self.erasing,
            people=Handing(),
            calls_elsewhere=self.counted,
        )
        self.http = AsyncTestClient(create_app(ports, Settings()))

    def build(self, numbers: Path, day: date) -> None:
        numbers.write_text("+34600111222\n+34600111223\n")
        order = BuildOrder(registry="robinson", path=numbers, source_date=day)
        build_registry(self.store, order, self.node.clock.now)
        self.watch.refresh()

    async def ask(self, method: str, path: str, body: Any = None, *, key: str = "manager", status: int = 200) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        answer = await self.http.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()


def _at(day: date) -> float:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * 86_400.0 + 36_000.0


@pytest.fixture
async def bench(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Bench]:
    database = Database(sqlite_url)
    made = Bench(tmp_path, database, LISTS)
    async with made.http:
        yield made
    await database.close()


async def test_a_campaign_starts_only_with_the_registry_that_its_law_demands(bench: Bench, tmp_path: Path) -> None:
    made = await bench.ask(
        "POST", "/campaigns", {"id": "sales", "jurisdictions": ["ES"], "caller_id": "+34910000001"}, status=201
    )
    assert any(RULE in warning for warning in made["warnings"])
    refused = await bench.ask("POST", "/campaigns/sales/start", status=409)
    assert refused["error"] == "registry_missing"
    assert "cadencia registry build" in refused["message"]
    bench.build(tmp_path / "numbers", date(2026, 9, 1))
    assert "86 days old" in (await bench.ask("POST", "/campaigns/sales/start", status=409))["message"]
    bench.build(tmp_path / "numbers", date(2026, 11, 20))
    await bench.ask("POST", "/campaigns/sales/start", status=202)


async def test_a_named_person_sets_the_demand_aside_on_record(bench: Bench) -> None:
    override = {"rule": "ES-robinson", "by": "Eva", "why": "scrubbed by the client"}
    body = {"id": "sales", "jurisdictions": ["ES"], "caller_id": "+34910000001", "override": override}
    made = await bench.ask("POST", "/campaigns", body, status=201)
    assert any("set aside by Eva" in warning for warning in made["warnings"])
    await bench.ask("POST", "/campaigns/sales/start", status=202)
    assert list(bench.aside.of(SALES.id)) == [RULE]
    again = RulesAside(bench.aside._audit)
    await again.read()
    assert list(again.of(SALES.id)) == [RULE], "also for nodes that were told of it by the record"
    desk = Screening(shipped_book(), lambda: NO_REGISTRIES, aside=again.of)
    assert desk.problem(SALES, bench.node.clock.now()) == ""
    assert "ES-robinson" in Screening(shipped_book(), lambda: NO_REGISTRIES).problem(SALES, bench.node.clock.now())
    assert [link.kind async for link in bench.evidence.find(EvidenceFilter())] == ["override"]


async def test_age_entries_and_demands_are_told(bench: Bench, tmp_path: Path) -> None:
    told = await bench.ask("GET", "/registries")
    [robinson] = told["registries"]
    assert (robinson["version"], robinson["entries"], robinson["usable"]) == (None, None, False)
    [demand] = told["demands"]
    assert (demand["campaign"], demand["rule"], demand["mark"], demand["met"]) == ("sales", RULE, "V", False)
    bench.build(tmp_path / "numbers", date(2026, 11, 20))
    told = await bench.ask("GET", "/registries", key="crm")
    [robinson] = told["registries"]
    assert (robinson["entries"], robinson["usable"], robinson["age_days"]) == (2, True, 6.42)
    assert robinson["answers"] == ["robinson", "ES-robinson"]
    assert [demand["met"] for demand in told["demands"]] == [True]
    await bench.ask("GET", "/registries", key="agent", status=403)


async def test_erasing_is_for_managers_and_says_who_ordered_it(bench: Bench) -> None:
    body = {"numbers": ["+34 600 111 222", "600111223"], "by": "Eva", "all_numbers": True}
    assert await bench.ask("POST", "/erasures", body) == {"numbers": 2, "others": 1, "rows": {"contacts": 2}}
    [(phones, who, all_numbers)] = bench.erasing.asked
    assert list(phones) == ["+34600111222", "+34600111223"]
    assert (who.startswith("Eva (key "), all_numbers) == (True, True)
    await bench.ask("POST", "/erasures", body, key="crm", status=403)
    assert (
        "numbers[0]" in (await bench.ask("POST", "/erasures", {"numbers": ["12"], "by": "Eva"}, status=422))["message"]
    )
    await bench.ask("POST", "/erasures", {"numbers": ["600111222"], "by": ""}, status=422)
    await bench.ask("POST", "/erasures", {"numbers": [], "by": "Eva"}, status=422)
    bench.erasing.problem = NO_KEY
    assert "suppression_key" in (await bench.ask("POST", "/erasures", body, status=422))["message"]


async def test_what_is_held_about_a_person_is_handed_to_managers_alone(bench: Bench) -> None:
    body = {"numbers": ["+34 600 111 222"], "all_numbers": True}
    found = await bench.ask("POST", "/persons/export", body)
    assert found == {"numbers": ["+34600111222"], "all": True, "tables": {}}
    for key in ("crm", "agent"):
        await bench.ask("POST", "/persons/export", body, key=key, status=403)
    for numbers in ([], ["12"], ["600111222'; --"], ["+34600111222"] * 51):
        await bench.ask("POST", "/persons/export", {"numbers": numbers}, status=422)


async def test_the_doctor_tells_which_registry_is_missing_or_old(tmp_path: Path, sqlite_url: str) -> None:
    database = Database(sqlite_url)
    await Campaigns(database).create(parse_campaign({"id": "sales", "jurisdictions": ["ES"]}), 0.0)
    await database.close()
    settings = Settings(
        data_dir=str(tmp_path),
        database=DatabaseSettings(url=sqlite_url),
        registries=Registries(lists=LISTS),
        compliance=Compliance(rules=str(find_folder(None))),
    )
    now = _at(date(2026, 11, 26))
    found = {finding.part: finding for finding in await examined(settings, now)}
    assert not found["registry robinson"].ok
    assert RULE in found["campaign sales"].says
    numbers = tmp_path / "numbers"
    numbers.write_text("+34600111222\n")
    store = RegistryStore(settings.registries_folder)
    build_registry(store, BuildOrder(registry="robinson", path=numbers, source_date=date(2026, 11, 20)), lambda: now)
    found = {finding.part: finding for finding in await examined(settings, now)}
    assert list(found) == ["registry robinson"]
    assert found["registry robinson"].ok
    assert "1 numbers, 6 days old" in found["registry robinson"].says


class Counted:
    """Keeps what it is told to count."""

    def __init__(self) -> None:
        self.calls: list[CrmCall] = []

    async def made(self, calls: Sequence[CrmCall]) -> None:
        self.calls.extend(calls)


async def test_a_crm_reports_calls_that_it_made_itself(bench: Bench) -> None:
    call = {"id": "c-1", "campaign": "sales", "phone": "600111222", "started_at": "2026-11-26T09:00:00+01:00"}
    body = {"calls": [call | {"ended_at": "2026-11-26T09:05:00+01:00", "account": "D-7", "refused": True}]}
    assert await bench.ask("POST", "/calls-elsewhere", body, key="crm", status=201) == {"ids": ["c-1"]}
    [told] = bench.counted.calls
    assert (told.phone, told.ended_at - told.started_at, told.fields) == ("+34600111222", 300.0, {"account": "D-7"})
    assert (told.outcome, told.inbound, told.refused) == ("connected", False, True)
    for wrong, says in (
        ({"phone": "12"}, "calls[0].phone"),
        ({"started_at": "2026-11-26T09:00:00"}, "calls[0].started_at"),
        ({"started_at": "2027-11-26T09:00:00Z"}, "in the future"),
        ({"ended_at": "2026-11-26T07:00:00Z"}, "calls[0].ended_at"),
        ({"outcome": "unheard of"}, "outcome"),
        ({"campaign": "no such name!"}, "calls[0].campaign"),
        ({"id": ""}, "calls[0].id"),
    ):
        refused = await bench.ask("POST", "/calls-elsewhere", {"calls": [call | wrong]}, key="crm", status=422)
        assert says in str(refused), wrong
    await bench.ask("POST", "/calls-elsewhere", body, key="agent", status=403)
    assert len(bench.counted.calls) == 1

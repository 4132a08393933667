"""Rules that settings would break, objections told to an agent, and the report of abandonment, through the real API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from dialer.api.app import create_app
from dialer.api.campaign_ports import BrokenRule, RuleOverride
from dialer.api.key_ports import Role
from dialer.console.problems import said
from dialer.console.texts import texts
from dialer.core.campaign import Campaign
from dialer.core.events import OptOutTold
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.core.saying import Saying
from dialer.errors import QueueError
from dialer.runtime.campaign_rules import BookedRules
from dialer.runtime.compliance_view import override_of
from dialer.settings import Settings
from dialer.storage.audit import Audit
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from dialer.testing import FakeNode
from tests.compliance_rules import shipped_book
from tests.record_values import attempt

NOW = 1_795_521_600.0  # 2026-11-24
US = {"id": "spring", "jurisdictions": ["US-FL"], "caller_id": "+13055550100"}


class Recorded:
    """The shipped rules; what is set aside is kept."""

    def __init__(self) -> None:
        self._rules = BookedRules(shipped_book(), None, None)  # type: ignore[arg-type]  # nothing is written here
        self.lacking: Sequence[Saying] = ()
        self.aside: list[tuple[CampaignId, str, RuleOverride]] = []

    def broken(self, campaign: Campaign, now: float) -> Sequence[BrokenRule]:
        return self._rules.broken(campaign, NOW)

    def missing(self, campaign: Campaign, now: float) -> Sequence[Saying]:
        return self.lacking

    async def set_aside(self, campaign: CampaignId, broken: BrokenRule, override: RuleOverride, now: float) -> None:
        self.aside.append((campaign, broken.rule, override))


class Bench:
    """The API on memory, with a client."""

    def __init__(self, folder: Path, rules: Recorded | None) -> None:
        self.node = FakeNode(folder)
        for role in (Role.MANAGER, Role.CRM):
            self.node.keys.issue(role.value, role)
        for agent in ("anna", "ben"):
            self.node.keys.issue(agent, Role.AGENT, agent=AgentId(agent))
        self.rules = rules
        ports = replace(self.node.ports, campaign_rules=rules)
        self.http = TestClient(create_app(ports, Settings()))

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "manager", status: int = 201) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        answer = self.http.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, Recorded())
    with made.http:
        yield made


# ---- rules


def test_a_breach_of_law_is_refused_with_the_rules_name(bench: Bench) -> None:
    refused = bench.ask("POST", "/campaigns", {**US, "caller_id": None}, status=422)
    assert refused["error"] == "breaks_a_rule"
    assert {rule["rule"] for rule in refused["details"]["rules"]} == {"US-FED-caller-id"}
    assert "US-FED-caller-id@" in refused["message"]
    assert "caller_id" in refused["message"]
    assert not bench.node.campaigns.rows
    assert bench.ask("POST", "/campaigns", US)["warnings"] == []


def test_policy_only_warns(bench: Bench) -> None:
    made = bench.ask("POST", "/campaigns", {"id": "winter"})
    assert any("POLICY-abandonment@" in warning for warning in made["warnings"])
    assert not [warning for warning in made["warnings"] if "set aside" in warning]


def test_a_named_person_sets_a_rule_aside_and_it_is_recorded(bench: Bench) -> None:
    assert bench.rules is not None
    override = {"rule": "US-FED-caller-id", "by": "Ana Ruiz", "why": "the carrier puts the number in"}
    made = bench.ask("POST", "/campaigns", {**US, "caller_id": None, "override": override})
    assert any("set aside by Ana Ruiz" in warning for warning in made["warnings"])
    by = RuleOverride(by="Ana Ruiz", why="the carrier puts the number in", key="key-0")
    assert bench.rules.aside == [(CampaignId("spring"), "US-FED-caller-id", by)]
    # What stays as it was is told, and asked of nobody again; what is broken anew is refused.
    changed = bench.ask("PATCH", "/campaigns/spring", {"ring_timeout_s": 30}, status=200)
    assert any("US-FED-caller-id@" in warning for warning in changed["warnings"])
    bench.ask("PATCH", "/campaigns/spring", {"jurisdictions": ["DE"], "ring_timeout_s": 45}, status=422)
    assert len(bench.rules.aside) == 1


def test_a_change_that_breaks_a_rule_is_refused_and_changes_nothing(bench: Bench) -> None:
    bench.ask("POST", "/campaigns", US)
    refused = bench.ask("PATCH", "/campaigns/spring", {"caller_id": None}, status=422)
    assert refused["error"] == "breaks_a_rule"
    assert bench.node.campaigns.rows[CampaignId("spring")].campaign.caller_id == US["caller_id"]


def test_an_override_of_what_is_not_broken_is_refused(bench: Bench) -> None:
    override = {"rule": "US-FED-ring", "by": "Ana Ruiz", "why": "x"}
    assert (
        "is no rule that these settings break"
        in bench.ask("POST", "/campaigns", {**US, "override": [override]}, status=422)["message"]
    )
    bench.ask("POST", "/campaigns", {**US, "override": {"rule": "US-FED-ring"}}, status=422)


def test_a_crm_may_set_no_rule_aside(bench: Bench) -> None:
    override = {"rule": "US-FED-caller-id", "by": "The CRM", "why": "x"}
    bench.ask("POST", "/campaigns", {**US, "caller_id": None, "override": override}, key="crm", status=403)
    assert not bench.node.campaigns.rows


def test_an_unknown_jurisdiction_is_named(bench: Bench) -> None:
    told = bench.ask("POST", "/campaigns", {**US, "jurisdictions": ["ZZ"]}, status=422)
    assert told["message"].startswith("jurisdictions: 'ZZ'")


def test_without_a_rule_book_nothing_is_held_to_it(tmp_path: Path) -> None:
    free = Bench(tmp_path, None)
    with free.http:
        assert free.ask("POST", "/campaigns", {**US, "caller_id": None})["warnings"] == []
        override = {"rule": "US-FED-ring", "by": "Ana Ruiz", "why": "x"}
        free.ask("PATCH", "/campaigns/spring", {"override": override}, status=422)


async def test_an_override_stands_in_audit_and_evidence(database: Database) -> None:
    audit, evidence = Audit(database), EvidenceStore(database)
    rules = BookedRules(shipped_book(), audit, evidence)
    campaign = Campaign(id=CampaignId("spring"), jurisdictions=("US-FL",))
    (broken,) = [b for b in rules.broken(campaign, NOW) if b.of_law]
    await rules.set_aside(campaign.id, broken, RuleOverride(by="Ana Ruiz", why="x", key="key-0"), NOW)
    (entry,) = (await audit.page()).items
    assert (entry.who, entry.what, entry.details["rule"]) == ("Ana Ruiz", "rule.overridden", broken.version)
    # What the rule says, in any language; what the person typed, as they typed it.
    row = override_of(entry)
    assert (row.says, row.why, row.by, row.key) == (broken.says, "x", "Ana Ruiz", "key-0")
    spoken = said(texts("es"), row.says, row.code, row.arguments)
    assert spoken == said(texts("es"), broken.says, broken.code, broken.arguments)
    assert spoken != broken.says
    earlier = {name: value for name, value in entry.details.items() if name not in {"code", "arguments"}}
    row = override_of(replace(entry, details=earlier))
    assert said(texts("es"), row.says, row.code, row.arguments) == broken.says
    (link,) = [link async for link in evidence.find(EvidenceFilter(campaign=campaign.id))]
    assert (link.kind, link.at) == ("override", NOW)
    assert "Ana Ruiz" in link.facts
    assert not (await evidence.verify()).problem


# ---- objections told to an agent


def talked(node: FakeNode, call: str = "n1-b-1", agent: str = "anna") -> None:
    node.attempts.rows.append(
        attempt(1, call=CallId(call), agent=AgentId(agent), contact=ContactId("k"), phone=Phone("+34600111222"),
                outcome=Outcome.CONNECTED)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "scope"), [({}, "*"), ({"scope": "campaign"}, "winter"), ({"scope": "*", "reason": "angry"}, "*")]
)
def test_the_entry_is_written_and_the_engine_told(bench: Bench, body: dict[str, str], scope: str) -> None:
    talked(bench.node)
    answer = bench.ask("POST", "/calls/n1-b-1/do-not-call", body, key="anna")
    (message,) = bench.node.purges.do_not_calls
    assert answer["ids"] == ["opt-out-n1-b-1"] == [message["id"]]
    assert (message["op"], message["phone"], message["scope"]) == ("add", "+34600111222", scope)
    assert message["reason"] == body.get("reason", "opt-out told to an agent")
    told = bench.node.control.events[-1]
    assert told == OptOutTold(at=bench.node.clock.now(), call=CallId("n1-b-1"), scope=scope, by="anna")


def test_the_campaign_says_what_an_objection_is_about(bench: Bench) -> None:
    bench.ask("POST", "/campaigns", {"id": "winter", "opt_out_scope": "campaign"})
    talked(bench.node)
    bench.ask("POST", "/calls/n1-b-1/do-not-call", {}, key="anna")
    assert bench.node.purges.do_not_calls[0]["scope"] == "winter"


def test_an_agent_speaks_for_their_own_calls_only(bench: Bench) -> None:
    talked(bench.node)
    bench.ask("POST", "/calls/n1-b-1/do-not-call", {}, key="ben", status=403)
    bench.ask("POST", "/calls/ghost/do-not-call", {}, key="ben", status=404)
    bench.ask("POST", "/calls/n1-b-1/do-not-call", {"scope": "everything"}, key="anna", status=422)
    assert not bench.node.purges.do_not_calls
    assert not bench.node.control.events


def test_what_could_not_be_written_is_not_told_to_have_been(bench: Bench) -> None:
    talked(bench.node)
    bench.node.purges.fail_with = QueueError("Redis is out of reach")
    bench.ask("POST", "/calls/n1-b-1/do-not-call", {}, key="anna", status=503)
    assert not bench.node.control.events


# ---- the report


def test_the_report_has_the_centre_and_each_campaign(bench: Bench) -> None:
    now = bench.node.clock.now()
    live: dict[str, Any] = {"answered_at": now - 60, "connected_at": now - 59.9, "ended_at": now - 1}
    rows = [attempt(n, outcome=Outcome.CONNECTED, **live) for n in range(97)]
    rows += [attempt(100 + n, outcome=Outcome.ABANDONED, answered_at=now - 60, ended_at=now - 1) for n in range(3)]
    rows += [attempt(200 + n, outcome=Outcome.MACHINE, answered_at=now - 60, ended_at=now - 1) for n in range(50)]
    rows += [attempt(300 + n, outcome=Outcome.CONNECTED, machine_sampled=True, **live) for n in range(10)]
    rows.append(attempt(400, outcome=Outcome.CONNECTED, campaign=CampaignId("other"), **live))
    bench.node.attempts.rows += rows
    for n in range(10):
        bench.node.attempts.codes[CallId(f"call-{300 + n}")] = "MACHINE" if n else "SALE"
    told = bench.ask("GET", "/reports/abandonment", status=200)
    assert [row["campaign"] for row in told["campaigns"]] == ["other", "winter"]
    winter, centre = told["campaigns"][1], told["centre"]
    assert (winter["live_answers"], winter["abandoned"], winter["hung_up_as_machine"]) == (101, 3, 50)
    assert (winter["judged"], winter["judged_people"]) == (10, 1)
    assert winter["false_machines"]["value"] == pytest.approx(5.0)
    assert winter["corrected_abandonment"]["value"] == pytest.approx(8 / 106)
    assert centre["live_answers"] == 102
    bench.ask("POST", "/campaigns", {"id": "other"})
    only = bench.ask("GET", "/reports/abandonment?campaign=other", status=200)
    assert (only["centre"]["live_answers"], len(only["campaigns"])) == (1, 1)
    bench.ask("GET", "/reports/abandonment?campaign=nope", status=404)
    moments = "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"
    bench.ask("GET", f"/reports/abandonment?{moments}", status=422)

"""Rules at work on a real record: what they do, once, whoever dies in between; and the ordinary ways that they take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dialer.actions.rules import RuleSet, parse_rules, rule_set
from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.notices import CallEnded
from dialer.core.outcome import Outcome
from dialer.errors import QueueError
from dialer.intake.desk import ContactDesk
from dialer.intake.phones import PhoneReader
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.queues.port import Publish, Write
from dialer.runtime.action_view import ActionView, dry_run
from dialer.runtime.next_actions import NextActions, RecentCalls
from dialer.settings import Settings
from dialer.storage.action_firings import Firings, FiringState, called_since, past_of
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.storage.removals import Removal, Removals
from dialer.testing import FakeNode, ManualClock
from tests.asgi import client
from tests.record_values import attempt, contact

WINTER, LOYALTY = CampaignId("winter"), CampaignId("loyalty")
NOW = 1_774_000_000.0
RULES: list[dict[str, Any]] = [
    {
        "name": "three",
        "campaigns": ["winter"],
        "when": {"failed_contacts": 3},
        "then": {"move_to": "loyalty", "priority": 50},
    },
    {
        "name": "text",
        "when": {"outcomes": ["no_answer"], "outcome_times": 2},
        "then": {"ask": {"what": "sms", "template": "sorry"}},
    },
    {
        "name": "again",
        "campaigns": ["loyalty"],
        "when": {"outcomes": ["connected"], "sale": False},
        "then": {"call_again": {}},
    },
    {"name": "first", "campaigns": ["loyalty"], "when": {"attempts": 2}, "then": {"priority": 900}},
]


class Streams:
    """Keeps what a CRM would write; a removal is carried out by the recorder of removals in a real node."""

    def __init__(self, database: Database) -> None:
        self.removed: list[Mapping[str, object]] = []
        self.callbacks: list[Mapping[str, object]] = []
        self.fails = False
        self._removals = Removals(database)

    async def remove(self, messages: Sequence[Mapping[str, object]]) -> None:
        if self.fails:
            raise QueueError("Redis is out of reach")
        self.removed += messages
        for message in messages:
            await self._removals.add(
                [Removal(campaign=str(message["campaign"]), kind="contact", subject=str(message["contact"]), at=NOW)]
            )

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        self.callbacks += messages


class Floor:
    """A record with two campaigns and five contacts, and rules at work on it."""

    def __init__(self, database: Database, rules: RuleSet) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.server = MemoryServer(self.clock.now)
        self.server.loaded = True
        self.queues = MemoryQueues(self.server, node=NodeName("n1"))
        self.streams = Streams(database)
        self.published: list[Mapping[str, object]] = []
        self.rules = rules
        self.start()

    def start(self) -> None:
        """A process, as after a start."""
        self.recent = RecentCalls(self.rules, self.clock.now)
        self.actions = NextActions(
            self.rules,
            self.recent,
            database=self.database,
            desk=ContactDesk(Contacts(self.database), self.queues, PhoneReader("ES")),
            streams=self.streams,
            results=self,
            zone=ZoneInfo("Europe/Madrid"),
            now=self.clock.now,
        )

    async def write(self, writes: Sequence[Write]) -> None:
        self.published += [write.result for write in writes if isinstance(write, Publish)]

    async def call(
        self, number: int, outcome: Outcome, category: str | None = None, campaign: CampaignId = WINTER, of: int = 1
    ) -> int:
        """One call to contact `of`, on record; how many rules fired."""
        self.clock.advance(3_600.0)
        now = self.clock.now()
        connected = now - 30 if outcome is Outcome.CONNECTED else None
        made = attempt(
            of,
            call=CallId(f"call-{number}"),
            campaign=campaign,
            outcome=outcome,
            started_at=now - 60,
            ended_at=now,
            answered_at=connected,
            connected_at=connected,
            attempt_number=number,
        )
        self.recent.apply(CallEnded(at=now, attempt=made, retry_at=None))
        await Attempts(self.database).record([(made, None)])
        if category is not None:
            await Dispositions(self.database).add(
                Disposition(
                    call=made.call,
                    code=category.upper(),
                    at=now,
                    category=category,
                    is_sale=category == "sale",
                    is_contact=True,
                )
            )
        self.clock.advance(5.0)
        return await self.actions.look()


@pytest.fixture
async def floor(database: Database) -> Floor:
    return await prepared(database)


async def prepared(database: Database) -> Floor:
    """Two campaigns, and five contacts of one of them."""
    campaigns = Campaigns(database)
    for name in (WINTER, LOYALTY):
        await campaigns.create(Campaign(id=name), NOW)
    await Contacts(database).upsert([contact(number, timezone="Atlantic/Canary") for number in range(1, 6)], NOW)
    return Floor(database, rule_set(parse_rules({"rules": RULES})))


async def test_three_failed_contacts_move_to_the_other_campaign_by_the_ordinary_way(floor: Floor) -> None:
    assert await floor.call(1, Outcome.CONNECTED, "refused") == 0
    assert await floor.call(2, Outcome.CONNECTED, "informed") == 0
    assert await floor.call(3, Outcome.CONNECTED, "refused") == 1
    moved = await Contacts(floor.database).get(LOYALTY, ContactId("crm-1"))
    left = await Contacts(floor.database).get(WINTER, ContactId("crm-1"))
    assert moved is not None
    assert left is not None
    assert (moved.state, moved.contact.priority) == (ContactState.WAITING, 50)
    assert moved.contact.fields["moved"] == {"from": "winter", "rule": "three"}
    assert left.state is ContactState.REMOVED
    assert (await floor.queues.depth(LOYALTY)).ready == 1
    (message,) = floor.streams.removed
    assert (message["campaign"], message["contact"]) == ("winter", "crm-1")
    (firing,) = (await Firings(floor.database).page()).items
    assert (firing.state, firing.why.says, firing.call) == (FiringState.DONE, "3 contacts came to nothing", "call-3")
    # And from there the rules of the other campaign hold, each once.
    assert await floor.call(4, Outcome.CONNECTED, "refused", LOYALTY) == 1
    assert await floor.call(5, Outcome.CONNECTED, "refused", LOYALTY) == 1
    assert await floor.call(6, Outcome.CONNECTED, "refused", LOYALTY) == 0
    names = [one.rule for one in (await Firings(floor.database).page(campaign=LOYALTY)).items]
    assert sorted(names) == ["again", "first"]


async def test_the_gate_holds_for_whoever_was_moved(floor: Floor) -> None:
    floor.server.do_not_call["*", Phone("+34600000001")] = None
    for number in (1, 2, 3):
        await floor.call(number, Outcome.CONNECTED, "refused")
    (firing,) = (await Firings(floor.database).page()).items
    assert firing.state is FiringState.REFUSED
    assert "do_not_call" in firing.problem.says
    # It stays where it was: nothing was withdrawn for a move that did not happen.
    assert floor.streams.removed == []
    assert (await floor.queues.depth(LOYALTY)).ready == 0


async def test_nobody_answers_and_the_crm_is_asked_once(floor: Floor) -> None:
    assert await floor.call(1, Outcome.NO_ANSWER) == 0
    assert await floor.call(2, Outcome.NO_ANSWER) == 1
    assert await floor.call(3, Outcome.NO_ANSWER) == 0
    (told,) = floor.published
    assert told["type"] == "action.requested"
    assert (told["action"], told["template"], told["rule"]) == ("sms", "sorry", "text")
    assert (told["contact"], told["phone"], told["call"]) == ("crm-1", "+34600000001", "call-2")
    assert json.dumps(told)


async def test_answered_and_no_sale_is_called_on_another_day_at_that_hour(floor: Floor) -> None:
    await Contacts(floor.database).upsert([contact(1, campaign=LOYALTY, timezone="Atlantic/Canary")], NOW)
    await floor.call(1, Outcome.CONNECTED, "refused", LOYALTY)
    (message,) = floor.streams.callbacks
    last = await Attempts(floor.database).get(CallId("call-1"))
    assert last is not None
    zone = ZoneInfo("Atlantic/Canary")
    at = datetime.fromisoformat(str(message["at"])).astimezone(zone)
    before = datetime.fromtimestamp(last.started_at, zone)
    assert (at.hour, at.minute) == (before.hour, before.minute)
    assert at.weekday() != before.weekday()
    assert message["phone"] == "+34600000001"


async def test_a_look_waits_until_the_call_is_on_record(floor: Floor) -> None:
    made = attempt(1, call=CallId("late"), outcome=Outcome.NO_ANSWER)
    floor.recent.apply(CallEnded(at=NOW, attempt=made, retry_at=None))
    floor.clock.advance(5.0)
    assert await floor.actions.look() == 0
    assert len(floor.recent) == 1
    await Attempts(floor.database).record([(made, None)])
    floor.clock.advance(5.0)
    await floor.actions.look()
    assert len(floor.recent) == 0


async def test_what_a_process_that_died_left_is_done_once(floor: Floor) -> None:
    for number in (1, 2):
        await floor.call(number, Outcome.CONNECTED, "refused")
    floor.streams.fails = True
    with pytest.raises(QueueError):
        await floor.call(3, Outcome.CONNECTED, "refused")
    (firing,) = (await Firings(floor.database).page()).items
    assert firing.state is FiringState.PENDING
    # The next process: the contact is in the new campaign already, and still in the old one.
    floor.streams.fails = False
    floor.start()
    floor.clock.advance(120.0)
    assert await floor.actions.finish_pending() == 1
    assert await floor.actions.finish_pending() == 0
    assert len(floor.streams.removed) == 1
    (firing,) = (await Firings(floor.database).page()).items
    assert firing.state is FiringState.DONE
    assert (await floor.queues.depth(LOYALTY)).ready == 1


async def test_a_done_move_that_nobody_noted_is_only_noted(floor: Floor) -> None:
    for number in (1, 2, 3):
        await floor.call(number, Outcome.CONNECTED, "refused")
    (firing,) = (await Firings(floor.database).page()).items
    await Firings(floor.database).ended(firing, FiringState.PENDING)
    floor.clock.advance(120.0)
    await floor.actions.finish_pending()
    (firing,) = (await Firings(floor.database).page()).items
    assert (firing.state, firing.problem.says) == (FiringState.DONE, "")
    assert len(floor.streams.removed) == 1


async def test_two_nodes_do_it_once(floor: Floor) -> None:
    for number in (1, 2):
        await floor.call(number, Outcome.NO_ANSWER, of=2)
    other = Floor(floor.database, floor.rules)
    other.clock.advance(floor.clock.now() - NOW)
    assert await other.actions.fire(await past_of(floor.database, WINTER, ContactId("crm-2"))) == 0
    assert (len(floor.published), len(other.published)) == (1, 0)


async def test_calls_of_people_who_were_erased_are_nobodys(floor: Floor) -> None:
    for number in range(1, 4):
        made = attempt(1, call=CallId(f"gone-{number}"), contact=ContactId(""), outcome=Outcome.NO_ANSWER)
        await Attempts(floor.database).record([(replace(made, ended_at=NOW + number), None)])
    assert await called_since(floor.database, NOW, 10) == []
    assert (await dry_run(floor.database, floor.rules, NOW))[0].contacts == 0


async def test_a_campaign_that_is_not_there_is_a_reason(database: Database) -> None:
    await Campaigns(database).create(Campaign(id=WINTER), NOW)
    await Contacts(database).upsert([contact(1)], NOW)
    rules = rule_set(parse_rules({"rules": [{"name": "r", "when": {"attempts": 1}, "then": {"move_to": "nowhere"}}]}))
    lone = Floor(database, rules)
    assert await lone.call(1, Outcome.BUSY) == 1
    (firing,) = (await Firings(database).page()).items
    assert (firing.state, firing.problem.says) == (FiringState.REFUSED, "there is no campaign 'nowhere' to move it to")


async def test_a_dry_run_counts_and_changes_nothing(floor: Floor) -> None:
    nothing = Floor(floor.database, RuleSet())
    for number in range(1, 4):
        await nothing.call(number, Outcome.CONNECTED, "refused", of=1)
        await nothing.call(10 + number, Outcome.NO_ANSWER, of=2)
    run, complete = await dry_run(floor.database, floor.rules, NOW)
    assert complete
    assert {name: tally.contacts for name, tally in run.tallies.items()} == {
        "three": 1,
        "text": 1,
        "again": 0,
        "first": 0,
    }
    assert (await Firings(floor.database).page()).items == []
    assert floor.streams.removed == []


async def test_the_api_tries_rules_and_tells_what_fired(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    floor = await prepared(database)
    nothing = Floor(database, RuleSet())
    for number in range(1, 4):
        await nothing.call(number, Outcome.CONNECTED, "refused", of=1)
        await nothing.call(10 + number, Outcome.NO_ANSWER, of=2)
    node = FakeNode(tmp_path)
    node.clock.advance(NOW + 86_400 - node.clock.now())
    node.keys.issue("boss", Role.SUPERVISOR)
    node.keys.issue("crm", Role.CRM)
    ports = replace(node.ports, actions=ActionView(floor.rules, floor.database))
    async with client(create_app(ports, Settings())) as http:
        headers = {"Authorization": "Bearer boss"}
        body = {"rules": RULES, "days": 2}
        told = (await http.post("/api/v1/actions/dry-run", json=body, headers=headers)).json()
        assert told["complete"]
        assert [(rule["rule"], rule["contacts"]) for rule in told["rules"][:2]] == [("three", 1), ("text", 1)]
        assert told["rules"][0]["examples"][0]["contact"] == "crm-1"
        listed = (await http.get("/api/v1/actions/rules", headers=headers)).json()["items"]
        assert listed[0]["when"] == {"failed_contacts": 3}
        circle = [
            {"name": "a", "campaigns": ["x"], "when": {"attempts": 1}, "then": {"move_to": "y"}},
            {"name": "b", "campaigns": ["y"], "when": {"attempts": 1}, "then": {"move_to": "x"}},
        ]
        for rules, word in ((circle, "round and round"), ([{"name": "a"}], "when"), ([], "rules")):
            refused = await http.post("/api/v1/actions/dry-run", json={"rules": rules}, headers=headers)
            assert refused.status_code == 422, refused.text
            assert word in refused.text
        crm = {"Authorization": "Bearer crm"}
        assert (await http.post("/api/v1/actions/dry-run", json=body, headers=crm)).status_code == 403
        # What did happen is told with its reason, page by page.
        for number in (21, 22):
            await floor.call(number, Outcome.NO_ANSWER, of=3)
            await floor.call(10 + number, Outcome.NO_ANSWER, of=4)
        first = (await http.get("/api/v1/actions/firings?limit=1", headers=crm)).json()
        assert first["items"][0]["contact"] == "crm-4"
        assert first["items"][0]["why"] == "the last 2 calls ended no_answer"
        second = await http.get(f"/api/v1/actions/firings?limit=1&cursor={first['next_cursor']}", headers=crm)
        assert second.json()["items"][0]["contact"] == "crm-3"
        assert second.json()["next_cursor"] is None
    await database.close()

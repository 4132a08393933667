"""The scripts on a real server against the adapter in memory: whatever is done to both, both say the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dialer.compliance.rules import KeyPart, Span
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.core.promise import Promise
from dialer.queues.cap_law import AnyCap, CapLaw, cap_law
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.journal import RefusalEntry
from dialer.queues.port import LiveState, MarkLive, Queues, Refuse, Release, Reservation
from tests.compliance_rules import cap_rule, cooldown_rule
from tests.queue_worlds import NOW, MemoryWorld, RedisWorld, contact, finish, phone

T = TypeVar("T")
SERVER: list[EmbeddedServer] = []
PREFIX = itertools.count()
CAMPAIGNS = st.sampled_from([CampaignId("c1a"), CampaignId("c2b")])
IDS = st.integers(1, 12)
PHONES = st.integers(1, 8)
SCOPES = st.sampled_from(["c1a", "c2b", "*"])
LISTS = st.sampled_from(["c1a", "c2b", "*", "account:a1", "account:7"])
#: What follows a number's digits on a list: nothing, or all of this many numbers are meant.
CUTS = st.sampled_from([0, 0, 1, 2, 9])
DELAYS = st.sampled_from([0.0, 5.0, 40.0])
PERSONS = st.sampled_from([{}, {"person": "p1"}, {"person": 2, "account": 7}, {"account": "a1"}])
OUTCOMES = st.sampled_from([Outcome.BUSY, Outcome.ABANDONED, Outcome.FAILED])
#: Windows end between the moments at which anything is asked, which are all multiples of five seconds: the scripts know
#: the time of a reservation to some milliseconds, and round it up.
RULES = (
    cap_rule(1, Span.ROLLING, 63),
    cap_rule(2, Span.ROLLING, 61, key=(KeyPart.PERSON,), except_outcomes=frozenset({Outcome.FAILED})),
    cap_rule(4, Span.EVER, 0, key=(KeyPart.CAMPAIGN, KeyPart.PERSON)),
    cooldown_rule(59, after=frozenset({Outcome.ABANDONED})),
)
LAWS = st.sampled_from([(), (RULES[0],), (RULES[0], RULES[3]), RULES])
#: What people and programs really write, and what they should not.
ODD = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"{}",
            b"[]",
            b"[{}]",
            b"null",
            b'{"id":7,"campaign":"c1a","contact":17}',
            b'{"id":"x","campaign":"c1a","contact":1.5}',
            b'{"id":{},"campaign":"c1a","contact":"c1"}',
            b'{"campaign":"c1a","phone":"(0034) 600.000\xc2\xa0001"}',
            b'{"campaign":"c1a","phone":34600000001}',
            b'{"campaign":"*","contact":"c1","phone":""}',
            b'{"campaign":null,"contact":"c1"}',
            b'{"op":"add","phone":"+34600000001","expires":"2027-01-15T08:00:20.5Z"}',
            b'{"op":"add","phone":"+34600000001","expires":"2027-01-15T09:00:20+01:00","scope":"c2b"}',
            b'{"op":"add","phone":"+34600000001","expires":"2027-01-15"}',
            b'{"op":"add","phone":"+34600000001","expires":5}',
            b'{"op":null,"phone":"+34600000001"}',
            b'{"op":"remove","phone":"+0600000001"}',
            '{"id":"ñ","campaign":"c1a","contact":"c2","reason":"pagó"}'.encode(),
            b'{"id":"\xed\xa0\x80"}',
            b'{"op":"add","phone":"0034 600 00*","scope":"c1a","source":"key","by":7}',
            b'{"op":"add","phone":"+34 60 000*","expires":"2027-01-15T08:00:20.5Z"}',
            b'{"op":"add","phone":"*"}',
            b'{"op":"add","phone":"+*"}',
            b'{"op":"add","phone":"+34*6*"}',
            b'{"op":"add","phone":"+1234567890123456*"}',
            b'{"op":"add","phone":"+34600000001","scope":"account:"}',
            b'{"op":"add","phone":"+34600000001","scope":"account:a\\u0009b"}',
            b'{"op":"add","phone":"+34600000001","scope":"account:\\ud800"}',
            b'{"op":"add","phone":"+34600000001","source":[]}',
            b'{"op":"add","phone":"+34600000001","by":{}}',
        ]
    ),
)


class GateModel(RuleBasedStateMachine):
    """Two nodes in each world; every step is done in both."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = NOW
        self.calls = 0
        self.permits: list[tuple[int, Permit, Permit]] = []
        self.run(self.open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def open(self) -> None:
        self.memory = MemoryWorld()
        url = SERVER[0].url
        self.redis = RedisWorld(connect(url), url, f"m{next(PREFIX)}:")
        self.nodes: list[tuple[Queues, Queues]] = [
            (await self.memory.node(name), await self.redis.node(name)) for name in ("n1", "n2")
        ]

    def teardown(self) -> None:
        async def close() -> None:
            await self.redis.close()
            await self.redis.client.aclose()

        self.run(close())
        self.loop.close()

    @rule(campaign=CAMPAIGNS, n=IDS, phones=st.lists(PHONES, min_size=1, max_size=3), priority=st.integers(-1, 1),
          begins=st.none() | DELAYS, ends=st.none() | DELAYS, person=PERSONS)  # fmt: skip
    def offer(
        self, campaign: CampaignId, n: int, phones: list[int], priority: int, begins: float | None, ends: float | None,
        person: dict[str, object],
    ) -> None:  # fmt: skip
        offered = contact(
            n, *phones, campaign=campaign, priority=priority, name=f"name {n}", fields=person,
            not_before_at=None if begins is None else self.now + begins,
            expires_at=None if ends is None else self.now + ends,
        )  # fmt: skip
        memory, redis = self.nodes[0]
        assert self.run(redis.offer([offered])) == self.run(memory.offer([offered]))

    @initialize(phones=st.lists(st.lists(PHONES, min_size=1, max_size=3), min_size=12, max_size=12),
                persons=st.lists(PERSONS, min_size=12, max_size=12))  # fmt: skip
    def fill(self, phones: list[list[int]], persons: list[dict[str, object]]) -> None:
        memory, redis = self.nodes[0]
        for campaign in (CampaignId("c1a"), CampaignId("c2b")):
            offered = [
                contact(n + 1, *numbers, campaign=campaign, fields=persons[n]) for n, numbers in enumerate(phones)
            ]
            assert self.run(redis.offer(offered)) == self.run(memory.offer(offered))

    @rule(campaign=CAMPAIGNS, n=IDS, number=PHONES, after=DELAYS, agent=st.sampled_from([None, AgentId("ana")]),
          made=st.integers(0, 2))  # fmt: skip
    def promise(
        self, campaign: CampaignId, n: int, number: int, after: float, agent: AgentId | None, made: int
    ) -> None:
        at = self.now + after
        promised = Promise(
            campaign=campaign, contact=ContactId(f"c{n}"), at=at, agent=agent, fallback_at=at + 5, until_at=at + 40
        )
        offered = contact(n, number, campaign=campaign, not_before_at=at)
        memory, redis = self.nodes[0]
        assert self.run(redis.promise(offered, promised, made)) == self.run(memory.promise(offered, promised, made))

    @rule(campaign=CAMPAIGNS, n=IDS, number=PHONES)
    def lend(self, campaign: CampaignId, n: int, number: int) -> None:
        memory, redis = self.nodes[0]
        lent = contact(n, number, campaign=campaign)
        assert self.run(redis.lend(lent)) == self.run(memory.lend(lent))

    @rule(campaign=CAMPAIGNS, node=st.integers(0, 1), n=IDS, rules=LAWS, number=st.none() | PHONES)
    def reserve_contact(
        self, campaign: CampaignId, node: int, n: int, rules: tuple[AnyCap, ...], number: int | None
    ) -> None:
        asked = None if number is None else phone(number)
        self.calls += 1
        call, named = CallId(f"k{self.calls - 1}"), ContactId(f"c{n}")
        self.reserve_in_both(
            node,
            rules,
            lambda queues, law: queues.reserve_contact(campaign, named, call, self.now, caps=law, phone=asked),
        )

    @rule(campaign=CAMPAIGNS, node=st.integers(0, 1), count=st.integers(1, 6), rules=LAWS)
    def reserve(self, campaign: CampaignId, node: int, count: int, rules: tuple[AnyCap, ...]) -> None:
        calls = [CallId(f"k{self.calls + k}") for k in range(count)]
        self.calls += count
        self.reserve_in_both(node, rules, lambda queues, law: queues.reserve(campaign, calls, self.now, caps=law))

    def reserve_in_both(
        self,
        node: int,
        rules: tuple[AnyCap, ...],
        ask: Callable[[Queues, CapLaw | None], AbstractAsyncContextManager[Reservation]],
    ) -> None:
        law = cap_law(rules, self.now, ["Europe/Madrid"]) if rules else None

        async def through(queues: Queues) -> Any:
            async with ask(queues, law) as reservation:
                return reservation

        memory, redis = (self.run(through(queues)) for queues in self.nodes[node])
        seen = [
            (
                [(p.call, p.contact, p.phone, p.attempt_number, p.name) for p in r.granted.permits],
                (r.granted.refusals, r.granted.ready, r.granted.later, r.lent, r.retry_at is None),
                [(p.call, p.kind, p.ref, p.reason) for p in r.purged],
            )
            for r in (memory, redis)
        ]
        assert seen[1] == seen[0]
        live = [p.phone for _, p, _ in self.permits] + [p.phone for p in redis.granted.permits]
        assert len(live) == len(set(live)), "one live call a number"
        self.permits += [
            (node, ours, theirs) for ours, theirs in zip(memory.granted.permits, redis.granted.permits, strict=True)
        ]

    @rule(campaign=CAMPAIGNS, count=st.integers(2, 6), rules=LAWS, outcome=OUTCOMES)
    def dial(self, campaign: CampaignId, count: int, rules: tuple[AnyCap, ...], outcome: Outcome) -> None:
        """Whoever is reserved is called at once, and may be called again at once as far as the plan goes."""
        before = len(self.permits)
        self.reserve(campaign, 0, count, rules)
        for node, *permits in self.permits[before:]:
            for queues, permit in zip(self.nodes[node], permits, strict=True):
                done = finish(permit, retry_at=self.now, outcome=outcome, at=self.now - 5)
                self.run(queues.write([done]))
        del self.permits[before:]

    @rule(data=st.data(), retry=st.none() | DELAYS, twice=st.booleans(), outcome=OUTCOMES, needs=st.booleans())
    def finish(self, data: st.DataObject, retry: float | None, twice: bool, outcome: Outcome, needs: bool) -> None:
        if self.permits:
            node, *permits = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
            for queues, permit in zip(self.nodes[node], permits, strict=True):
                retry_at = None if retry is None else self.now + retry
                done = finish(permit, retry_at=retry_at, outcome=outcome, at=self.now - 5)
                self.run(queues.write([replace(done, needs_agent=needs)] * (1 + twice)))

    @rule(data=st.data(), later=st.none() | DELAYS, dialed=st.booleans(), how=st.sampled_from(["", "hours", "refused"]))
    def release(self, data: st.DataObject, later: float | None, dialed: bool, how: str) -> None:
        if self.permits:
            place = data.draw(st.integers(0, len(self.permits) - 1))
            node, *permits = self.permits[place]
            for queues, permit in zip(self.nodes[node], permits, strict=True):
                mark = MarkLive(call=permit.call, state=LiveState.DIALING, at=self.now)
                back: Release | Refuse = Release(
                    permit=permit,
                    not_before_at=None if later is None else self.now + later,
                    reason=how,
                    evidence={"until": [later]} if how else None,
                )
                if how == "refused":
                    back = Refuse(permit=permit, reason=how, evidence={"registry": "ñ"})
                self.run(queues.write([mark, back] if dialed else [back]))
            if not self.run(self.is_live(permits[0])):
                del self.permits[place]

    async def is_live(self, permit: Permit) -> bool:
        return permit.call in self.memory.server.live

    @rule(scope=SCOPES, n=st.none() | IDS, number=st.none() | PHONES)
    def remove(self, scope: str, n: int | None, number: int | None) -> None:
        message: dict[str, Any] = {"id": f"r{self.calls}", "campaign": scope, "reason": "paid"}
        if n is not None:
            message["contact"] = f"c{n}"
        if number is not None:
            message["phone"] = phone(number)
        self.push("removals", message)

    @rule(scope=LISTS, number=PHONES, cut=CUTS, op=st.sampled_from(["add", "remove", "remove"]))
    def list_number(self, scope: str, number: int, cut: int, op: str) -> None:
        listed = f"{phone(number)[:-cut]}*" if cut else phone(number)
        self.push("dnc", {"id": f"d{self.calls}", "op": op, "phone": listed, "scope": scope})

    @rule(stream=st.sampled_from(["removals", "dnc"]), data=ODD)
    def write_oddly(self, stream: str, data: bytes) -> None:
        self.push(stream, data)

    def push(self, stream: str, message: object) -> None:
        # Drained at once: between the two streams there is no order that both worlds would have to keep.
        self.run(self.memory.push(stream, message))
        self.run(self.redis.push(stream, message))
        memory, redis = (self.run(queues.drain()) for queues in self.nodes[0])
        assert [(p.call, p.ref) for p in redis] == [(p.call, p.ref) for p in memory]

    @rule(seconds=DELAYS)
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def recover(self) -> None:
        for queues in self.nodes[1]:
            self.run(queues.heartbeat(self.now, 1_000.0))
        # A second later: who has just reserved lives for ten from then on, which the scripts know to some milliseconds.
        found = [sorted(call.call for call in self.run(queues.recover(self.now + 1))) for queues in self.nodes[1]]
        assert found[1] == found[0]
        if found[0]:
            # Those are the second node's now, under new tokens that the old permits do not have.
            self.permits = [entry for entry in self.permits if entry[1].call not in found[0]]

    @invariant()
    def both_agree(self) -> None:
        for campaign in (CampaignId("c1a"), CampaignId("c2b")):
            memory, redis = (self.run(queues.depth(campaign)) for queues in self.nodes[0])
            assert redis == memory
            due = [self.run(queues.due_for_agents(campaign, self.now)) for queues in self.nodes[0]]
            assert due[1] == due[0]
        holders = [self.run(queues.holders(phone(1))) for queues in self.nodes[0]]
        assert holders[1] == holders[0]
        said = [[_told(result) for result in self.run(world.results())] for world in (self.memory, self.redis)]
        assert said[1] == said[0]
        assert self.run(self.redis.rejected()) == self.run(self.memory.rejected())
        refused = [[_refused(entry) for entry in self.run(world.refusals())] for world in (self.memory, self.redis)]
        assert refused[1] == refused[0]


def _told(result: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in result.items() if key != "at"}
    if told["type"] == "message.rejected":
        told["reason"] = told["reason"].split(": ", 1)[1]  # before it: the entry's id, where there is one
    return told


def _refused(entry: RefusalEntry) -> tuple[object, ...]:
    # Without moments and counts: the scripts know the former of calls under way to the second, and forget calls that no
    # longer matter to a rule only when a ledger has become long.
    rules: Any = entry.evidence.get("rules", [])
    forbidding = sorted(said["rule"] for said in rules)
    rest = {key: value for key, value in entry.evidence.items() if key not in {"rules", "expires_at"}}
    return (entry.campaign, entry.contact, entry.phone, entry.reason, entry.call, forbidding, rest)


@pytest.fixture(autouse=True)
def _server(valkey_server: EmbeddedServer) -> Iterator[None]:
    SERVER[:] = [valkey_server]
    yield
    SERVER.clear()


def test_scripts_and_memory_agree() -> None:
    run_state_machine_as_test(
        GateModel,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

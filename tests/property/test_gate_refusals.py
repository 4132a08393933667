"""The gate on a real server against a plain model of whom it may give out, through crashes, lost and stale memory.

The model is the record: what the CRM has said and what has been called. Whatever happens, nobody is reserved whom it
forbids; whoever it allows is reserved in the end; a server that was emptied or set back reserves nobody until the
record has been loaded, as often as one likes; what a node without its lease says counts for nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from dialer.core.ids import CallId, CampaignId, ContactId, NodeName
from dialer.core.permit import Permit
from dialer.errors import GateNotReady
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Offered, Record, Release
from dialer.queues.rebuild import HIGHEST_TOKEN
from dialer.queues.redis_queues import RedisQueues
from tests.queue_worlds import NOW, Pages, contact, finish, phone

T = TypeVar("T")
SERVER: list[EmbeddedServer] = []
PREFIX = itertools.count()
NAMES = ("c1a", "c2b")
CAMPAIGNS = st.sampled_from([CampaignId(name) for name in NAMES])
SCOPES = st.sampled_from([*NAMES, "*"])
IDS = st.integers(1, 8)
NUMBERS = st.integers(1, 12)
#: More than there are contacts.
EVERYBODY = 20
#: Seconds until a node without a sign of life has lost its lease.
LEASE_S = 10.0
#: What a server says of itself and of its run; all else must be the same after a second rebuild.
_CHANGES_WITH_REBUILDS = ("gate", "results", "nodes")


class GateRefusals(RuleBasedStateMachine):
    """One server, two nodes, and the record beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.prefix = f"r{next(PREFIX)}:"
        self.now = NOW
        self.calls = 0
        #: The record. By (campaign, id): numbers; and those that are done.
        self.known: dict[tuple[str, str], list[str]] = {}
        self.done: set[tuple[str, str]] = set()
        #: (campaign or "*", contact id or number), and (scope, number).
        self.removed: set[tuple[str, str]] = set()
        self.listed: set[tuple[str, str]] = set()
        #: By call: which node has it, and under what permit.
        self.live: dict[str, tuple[int, Permit]] = {}
        #: Permits of nodes that have lost them to another since.
        self.stale: list[tuple[RedisQueues, Permit]] = []
        self.attempts = 0
        self.nodes: list[RedisQueues] = []
        self.gone: list[RedisQueues] = []
        self.client: Any = connect(SERVER[0].url)
        self.run(self.open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def node(self, place: int) -> RedisQueues:
        return RedisQueues(
            connect(SERVER[0].url),
            node=NodeName(f"n{place}"),
            prefix=self.prefix,
            strict_gate=False,
            # As SQL has it on record.
            highest_token=self.highest_token,
        )

    @property
    def highest_token(self) -> int:
        return max((node.highest_token for node in self.nodes), default=0)

    async def open(self) -> None:
        self.nodes = [self.node(place) for place in range(2)]
        await self.nodes[0].rebuild(Pages())
        assert await self.nodes[1].prepare()

    def teardown(self) -> None:
        async def close() -> None:
            for queues in (*self.nodes, *self.gone):
                await queues.close()
            await self.client.aclose()

        self.run(close())
        self.loop.close()

    # ---- the model

    def forbidden(self, campaign: str, id: str) -> bool:
        """Whether the CRM has withdrawn a contact, under its name or through a number that it had."""
        return any(
            (scope, name) in self.removed
            for scope in (campaign, "*")
            for name in (id, *self.known.get((campaign, id), ()))
        )

    def free(self, campaign: str, number: str) -> bool:
        """Whether a number is on no list, and nobody is calling it."""
        return not {(campaign, number), ("*", number)} & self.listed and all(
            permit.phone != number for _, permit in self.live.values()
        )

    def callable(self, campaign: str) -> set[str]:
        """Who can be reserved now, each by itself."""
        in_use = {(permit.campaign, permit.contact) for _, permit in self.live.values()}
        return {
            id
            for (name, id), numbers in self.known.items()
            if name == campaign
            and (name, id) not in self.done
            and (name, id) not in in_use
            and not self.forbidden(name, id)
            and any(self.free(name, number) for number in numbers)
        }

    def listed_by_scope(self) -> dict[str, set[str]]:
        """Numbers on the lists."""
        found: dict[str, set[str]] = {}
        for scope, number in self.listed:
            found.setdefault(scope, set()).add(number)
        return found

    def record(self) -> list[Record]:
        """As SQL has it."""
        waiting = [(name, id) for name, id in self.known if (name, id) not in self.done]
        return [
            Record(counts={HIGHEST_TOKEN: self.highest_token}),
            Record(removed=sorted(self.removed)),
            Record(listed=[(scope, ",".join(sorted(own))) for scope, own in sorted(self.listed_by_scope().items())]),
            Record(
                contacts=[(self.contact(name, id), 0, None) for name, id in waiting],
                finished=[(CampaignId(name), ContactId(id)) for name, id in sorted(self.done)],
            ),
        ]

    def contact(self, campaign: str, id: str) -> Any:
        numbers = [int(number[-6:]) for number in self.known[campaign, id]]
        return contact(int(id[1:]), *numbers, campaign=CampaignId(campaign))

    # ---- what happens

    @initialize(numbers=st.lists(st.lists(NUMBERS, min_size=1, max_size=2, unique=True), min_size=8, max_size=8))
    def fill(self, numbers: list[list[int]]) -> None:
        for campaign in NAMES:
            for n, own in enumerate(numbers):
                self.offer(CampaignId(campaign), n + 1, own)

    @rule(campaign=CAMPAIGNS, n=IDS, numbers=st.lists(NUMBERS, min_size=1, max_size=2, unique=True))
    def offer(self, campaign: CampaignId, n: int, numbers: list[int]) -> None:
        key = (campaign, f"c{n}")
        # A contact that was withdrawn by a number keeps it here: after a rebuild nothing else would forbid to call it.
        if self.forbidden(*key) or key in self.done:
            return
        self.run(self.nodes[0].drain())
        self.known[key] = [phone(number) for number in numbers]
        answer = self.run(self.nodes[0].offer([self.contact(*key)]))[0]
        if self.forbidden(*key):
            assert answer is Offered.REMOVED
            # It is withdrawn under its own name from then on.
            self.removed.add(key)
        elif self.all_listed(campaign, self.known[key]):
            assert answer is Offered.DO_NOT_CALL
            del self.known[key]
        else:
            assert answer in {Offered.ADDED, Offered.UPDATED}

    @rule(scope=SCOPES, n=IDS)
    def remove(self, scope: str, n: int) -> None:
        self.write("removals", f'{{"campaign":"{scope}","contact":"c{n}"}}')
        self.removed.add((scope, f"c{n}"))

    @rule(scope=SCOPES, number=NUMBERS)
    def remove_number(self, scope: str, number: int) -> None:
        self.write("removals", f'{{"campaign":"{scope}","phone":"{phone(number)}"}}')
        self.removed.add((scope, phone(number)))

    @rule(scope=SCOPES, number=NUMBERS)
    def list_number(self, scope: str, number: int) -> None:
        self.write("dnc", f'{{"op":"add","scope":"{scope}","phone":"{phone(number)}"}}')
        self.listed.add((scope, phone(number)))

    @rule(data=st.data(), campaign=CAMPAIGNS, everywhere=st.booleans(), place=st.integers(0, 1),
          how=st.sampled_from(["contact", "number", "list"]))  # fmt: skip
    def withdraw_at_the_last_moment(
        self, data: st.DataObject, campaign: CampaignId, everywhere: bool, place: int, how: str
    ) -> None:
        """Somebody who would be called now is withdrawn, in the very moment in which all are reserved."""
        waiting = sorted(self.callable(campaign))
        if waiting:
            id = data.draw(st.sampled_from(waiting))
            scope = "*" if everywhere else campaign
            for number in [int(number[-6:]) for number in self.known[campaign, id]]:
                match how:
                    case "contact":
                        self.remove(scope, int(id[1:]))
                    case "number":
                        self.remove_number(scope, number)
                    case _:
                        self.list_number(scope, number)
            self.reserve(campaign, place, EVERYBODY)
            assert all((permit.campaign, permit.contact) != (campaign, id) for _, permit in self.live.values())

    def write(self, stream: str, data: str) -> None:
        fields: Any = {"data": data}
        self.run(self.client.xadd(f"{self.prefix}{stream}", fields))

    @rule(campaign=CAMPAIGNS, place=st.integers(0, 1), count=st.sampled_from([1, 3, EVERYBODY]))
    def reserve(self, campaign: CampaignId, place: int, count: int) -> None:
        if count == EVERYBODY:
            # Whoever had to wait because their number was being called may be asked for again.
            self.now += 40
        allowed = self.callable(campaign)
        granted = self.through(place, campaign, count)
        for permit in granted:
            assert permit.contact in allowed
            assert self.free(campaign, permit.phone), "on a list, or being called"
            assert permit.phone in self.known[campaign, permit.contact]
            assert permit.valid(self.now)
            assert not permit.valid(permit.expires_at)
            assert all(permit.fencing_token > other.fencing_token for _, other in self.live.values())
            self.live[permit.call] = (place, permit)
        if count == EVERYBODY:
            assert self.callable(campaign) == set(), "nobody is left over who has a free number"
            self.drop_listed(campaign)

    def through(self, place: int, campaign: CampaignId, count: int) -> tuple[Permit, ...]:
        calls = [CallId(f"k{self.calls + k}") for k in range(count)]
        self.calls += count

        async def reserved() -> tuple[Permit, ...]:
            async with self.nodes[place].reserve(campaign, calls, self.now) as reservation:
                return reservation.granted.permits

        return self.run(reserved())

    def drop_listed(self, campaign: str) -> None:
        """Whoever has no number left but listed ones has left the hopper, once the gate has met them."""
        for key, numbers in list(self.known.items()):
            in_use = any((permit.campaign, permit.contact) == key for _, permit in self.live.values())
            if key[0] == campaign and not in_use and self.all_listed(campaign, numbers):
                del self.known[key]

    def all_listed(self, campaign: str, numbers: list[str]) -> bool:
        """Whether a contact has no number that may be called at all."""
        return all({(campaign, number), ("*", number)} & self.listed for number in numbers)

    @rule(data=st.data(), again=st.booleans())
    def finish(self, data: st.DataObject, again: bool) -> None:
        if self.live:
            call = data.draw(st.sampled_from(sorted(self.live)))
            place, permit = self.live.pop(call)
            done = finish(permit, retry_at=self.now if again else None, at=self.now)
            self.run(self.nodes[place].write([done, done]))
            self.attempts += 1
            if not again:
                self.done.add((permit.campaign, permit.contact))
            assert self.journalled() == self.attempts

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        if self.live:
            place, permit = self.live.pop(data.draw(st.sampled_from(sorted(self.live))))
            self.run(self.nodes[place].write([Release(permit=permit)]))

    def journalled(self) -> int:
        return int(self.run(self.client.xlen(f"{self.prefix}attempts")))

    @rule(place=st.integers(0, 1))
    def crash(self, place: int) -> None:
        """A node dies; its next process takes its calls over, under new tokens."""
        lost = self.nodes[place]
        self.gone.append(lost)
        self.nodes[place] = self.node(place)
        assert self.run(self.nodes[place].prepare())
        self.run(self.nodes[1 - place].heartbeat(self.now, LEASE_S))
        recovered = {call.call: call for call in self.run(self.nodes[place].recover(self.now))}
        mine = {call for call, (its, _) in self.live.items() if its == place}
        assert set(recovered) == mine
        for call in mine:
            _, permit = self.live[call]
            self.stale.append((lost, permit))
            assert recovered[CallId(call)].fencing_token > permit.fencing_token
            self.live[call] = (place, replace(permit, fencing_token=recovered[CallId(call)].fencing_token))

    @rule(data=st.data())
    def speak_without_lease(self, data: st.DataObject) -> None:
        """Whoever has lost a call to another process neither ends it nor gives it back."""
        if self.stale:
            lost, permit = data.draw(st.sampled_from(self.stale))
            self.run(lost.write([finish(permit, retry_at=self.now), Release(permit=permit)]))
            assert self.journalled() == self.attempts

    @rule(how=st.sampled_from(["empty", "old"]), place=st.integers(0, 1))
    def lose_memory(self, how: str, place: int) -> None:
        """The server comes back empty or as it once was: nobody is called until the record is there."""
        # What has been reserved ends first: a call under way is told by its node, which another test is about.
        while self.live:
            its, permit = self.live.pop(next(iter(self.live)))
            self.run(self.nodes[its].write([Release(permit=permit)]))
        self.stale.clear()
        if how == "empty":
            self.run(self.forget_all())
        else:
            self.run(self.set_back())
        for queues in self.nodes:
            # As each of them reads on record.
            queues.heard_of(self.highest_token)
        for node in range(2):
            with pytest.raises(GateNotReady):
                self.through(node, CampaignId("c1a"), 3)
        if how == "empty" or self.highest_token > 0:
            assert not self.run(self.nodes[place].prepare())
        self.run(self.nodes[place].rebuild(Pages(*self.record())))
        once = self.run(self.kept())
        self.run(self.nodes[place].rebuild(Pages(*self.record())))
        assert self.run(self.kept()) == once
        assert self.run(self.nodes[1 - place].prepare())
        self.attempts = self.journalled()
        for key, numbers in list(self.known.items()):
            if key not in self.done and self.all_listed(key[0], numbers):
                del self.known[key]

    async def forget_all(self) -> None:
        keys = [key async for key in self.client.scan_iter(f"{self.prefix}*")]
        await self.client.delete(*keys)

    async def set_back(self) -> None:
        """As from a snapshot of before all removals and do-not-call entries, and most reservations."""
        keys = [key for part in ("removed", "dnc") async for key in self.client.scan_iter(f"{self.prefix}{part}*")]
        if keys:
            await self.client.delete(*keys)
        then: Any = {"generation": "of another time", "fence": "0"}
        await self.client.hset(f"{self.prefix}gate", mapping=then)

    async def kept(self) -> dict[str, object]:
        """Everything that a rebuild loads."""
        kept: dict[str, object] = {}
        async for key in self.client.scan_iter(f"{self.prefix}*"):
            name = key.decode().removeprefix(self.prefix)
            if name.startswith(_CHANGES_WITH_REBUILDS):
                continue
            match await self.client.type(key):
                case b"hash":
                    kept[name] = await self.client.hgetall(key)
                case b"set":
                    kept[name] = await self.client.smembers(key)
                case b"zset":
                    kept[name] = {member async for member in self.client.zscan_iter(key)}
        return kept


@pytest.fixture(autouse=True)
def _server(valkey_server: EmbeddedServer) -> Iterator[None]:
    SERVER[:] = [valkey_server]
    yield
    SERVER.clear()


def test_nobody_is_reserved_whom_the_record_forbids() -> None:
    run_state_machine_as_test(
        GateRefusals,
        settings=settings(
            max_examples=10,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        ),
    )

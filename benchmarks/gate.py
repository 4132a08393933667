"""The gate against a bare EVALSHA that pops as many members of a sorted set: same server, same client, same batch.

    python -m benchmarks.gate [--contacts 120000] [--batch 50] [--json FILE]

Prints one table. The ways are run in turn, in blocks of ten batches, so that whatever else the machine does hits
all of them alike; a throughput is that of the median batch. The server's CPU per contact (INFO cpu) is the same
comparison without the noise, and without the clients; with this process' CPU it is all that a batch costs. "strict"
holds back other clients' writes (docs/adr/0004); each reservation's contacts are really reserved: drained, checked
against do-not-call lists of 100,000 numbers, made live. Between turns calls are ended through the port, so that from
1,000 to 3,500 are under way. Numbers are scattered as in a real list. The calls' ids are the caller's: they are made
before the clock runs. "with caps" counts by three rules for each number, of which every other has two calls on record;
"caps by person" by one for each person besides. The wide ledgers of the latter are kept from then on, so that way is
run behind all others, in turn with the bare pop again.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from dialer.compliance.rules import CapRule, CooldownRule, KeyPart, Mark, Party, Purpose, Span
from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.queues import wire
from dialer.queues.cap_law import CapLaw, cap_law
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import AsyncRecords, AttemptMade, Finish, Record, Write
from dialer.queues.redis_queues import RedisQueues

CAMPAIGN = CampaignId("winter")
#: The ways that take contacts of the hopper in turn, and the one that follows when they are done.
IN_TURN: Final = ("script", "plain", "strict", "capped script", "capped")
BEHIND: Final = "by person"
#: What each of them is compared with: the same, in turn with them.
BARE: Final = "bare"
BARE_BEHIND: Final = "bare behind"
POP = "return redis.call('ZPOPMIN', KEYS[1], ARGV[1])"
#: Batches of one way before it is the turn of the next.
BLOCK: Final = 10
#: Calls under way, besides those of the blocks of one turn.
LIVE: Final = 1_000
TARGET: Final = 0.25
#: With all checks.
CAPPED_TARGET: Final = 1 / 6
#: Spreads consecutive numbers over all of eight digits, none twice.
SCATTER: Final = 61_803_399


def contact(i: int) -> Contact:
    """A contact as CRMs push them: a name, two numbers, five fields."""
    return Contact(
        campaign=CAMPAIGN,
        id=ContactId(f"crm-{i:07d}"),
        phones=(Phone(f"+346{i * SCATTER % 10**8:08d}"), Phone(f"+349{i * SCATTER % 10**8:08d}")),
        name="María García Fernández",
        timezone="Europe/Madrid",
        fields={
            "debt": "1234.50",
            "product": "loan",
            "city": "Valencia",
            "due": "2030-01-31",
            "note": "calls back at 4",
            "person": f"p-{i:07d}",
        },
    )


def law(now: float, *, by_person: bool = False) -> CapLaw:
    """Three a day, seven in seven days, and three days of rest after an abandoned call; three a day for each person."""
    given: dict[str, Any] = {
        "jurisdiction": "ES",
        "from_day": date(2020, 1, 1),
        "until_day": None,
        "purposes": frozenset(Purpose),
        "parties": frozenset(Party),
        "where": frozenset(),
        "lifted_by": frozenset(),
        "source": "benchmark",
        "mark": Mark.POLICY,
        "note": "",
        "key": (KeyPart.NUMBER,),
    }
    counted: dict[str, Any] = {"counts": None, "except_outcomes": frozenset()}
    daily: dict[str, Any] = {"maximum": 3, "span": Span.CALENDAR_DAYS, "length": 1}
    rules: list[CapRule | CooldownRule] = [
        CapRule(id="daily", **given, **counted, **daily),
        CapRule(id="weekly", maximum=7, span=Span.ROLLING, length=7 * 86_400, **given, **counted),
        CooldownRule(
            id="abandoned",
            after=frozenset({Outcome.ABANDONED}),
            after_refusal=False,
            after_inbound=False,
            duration_s=3 * 86_400,
            unless_agent_reserved=True,
            **given,
        ),
    ]
    if by_person:
        rules.append(CapRule(id="person", **(given | {"key": (KeyPart.PERSON,)}), **counted, **daily))
    return cap_law(rules, now, ["Europe/Madrid", "Atlantic/Canary"])


async def _pages(listed: int, contacts: int) -> AsyncIterator[Record]:
    phones = [("*", Phone(f"+345{i * SCATTER % 10**8:08d}"), None) for i in range(listed)]
    for i in range(0, listed, 5_000):
        yield Record(do_not_call=phones[i : i + 5_000])
    now = time.time()
    for i in range(0, contacts, 2_000):
        made = [
            AttemptMade(
                campaign=CAMPAIGN,
                contact=one.id,
                phone=one.phones[0],
                started_at=now - days * 86_400,
                ended_at=now - days * 86_400 + 30,
                outcome=Outcome.NO_ANSWER,
            )
            for one in map(contact, range(i, min(i + 2_000, contacts), 2))
            for days in (1.5, 3.5)
        ]
        yield Record(attempts_made=made, laws={CAMPAIGN: law(now)})


async def _used(client: AsyncRedis) -> int:
    info = await client.info("memory")
    return int(info["used_memory"])


async def _cpu_s(client: AsyncRedis) -> float:
    """Seconds of CPU that the server's main thread has used."""
    info = await client.info("cpu")
    return sum(float(info.get(f"used_cpu_{kind}_main_thread", info[f"used_cpu_{kind}"])) for kind in ("user", "sys"))


def _busy(permit: Permit) -> Finish:
    """The end of the call that `permit` allowed, for good."""
    attempt = Attempt(
        call=permit.call,
        campaign=permit.campaign,
        contact=permit.contact,
        phone=permit.phone,
        attempt_number=permit.attempt_number,
        outcome=Outcome.BUSY,
        reason="busy",
        started_at=permit.expires_at,
        ended_at=permit.expires_at + 5,
    )
    return Finish(attempt=attempt, fencing_token=permit.fencing_token, retry_at=None)


@dataclass(slots=True)
class Way:
    """One way to get a batch, and what it took."""

    run: Callable[[], Awaitable[None]]
    #: Makes ready what the caller brings along; not timed.
    prepare: Callable[[], None]
    #: Notes which calls are under way; not timed.
    keep: Callable[[], None] = lambda: None
    batches_s: list[float] = field(default_factory=list)
    #: Of the server.
    cpu_s: float = 0.0
    #: Of this process.
    client_cpu_s: float = 0.0

    async def block(self, client: AsyncRedis) -> None:
        """Ten batches."""
        before = await _cpu_s(client)
        for _ in range(BLOCK):
            self.prepare()
            begin, cpu = time.perf_counter(), time.process_time()
            await self.run()
            self.client_cpu_s += time.process_time() - cpu
            self.batches_s.append(time.perf_counter() - begin)
            self.keep()
        self.cpu_s += await _cpu_s(client) - before


class Ways:
    """The bare script, the gate's script alone, and the gate through the port without and with the pause."""

    def __init__(self, client: AsyncRedis, strict: RedisQueues, plain: RedisQueues, batch: int) -> None:
        self._client = client
        self._strict = strict
        self._plain = plain
        self._batch = batch
        self._named = 0
        self._calls: list[CallId] = []
        #: Under way, oldest first, each with the port that knows of it.
        self._live: deque[tuple[RedisQueues, Permit]] = deque()

    async def open(self) -> dict[str, Way]:
        """A connection of its own for what does not go through the port."""
        self._bare_sha = await self._client.script_load(POP)
        self._connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
        law_now, by_person = law(time.time()), law(time.time(), by_person=True)
        return {
            BARE: Way(self._bare, lambda: None),
            BARE_BEHIND: Way(self._bare, lambda: None),
            "script": Way(self._script, self._name_calls, self._keep_answer),
            "plain": Way(lambda: self._port(self._plain), self._name_calls),
            "strict": Way(lambda: self._port(self._strict), self._name_calls),
            "capped script": Way(lambda: self._script(law_now), self._name_calls, self._keep_answer),
            "capped": Way(lambda: self._port(self._strict, law_now), self._name_calls),
            BEHIND: Way(lambda: self._port(self._strict, by_person), self._name_calls),
        }

    def _name_calls(self) -> None:
        self._named += self._batch
        self._calls = [CallId(f"node1-k3j2h1-{n:010d}") for n in range(self._named - self._batch, self._named)]

    async def _bare(self) -> None:
        packed = self._connection.pack_command("EVALSHA", self._bare_sha, 1, "bare", self._batch)
        await self._connection.send_packed_command(packed)
        assert len(await self._connection.read_response()) == 2 * self._batch

    async def _script(self, caps: CapLaw | None = None) -> None:
        packed = self._connection.pack_command(*self._plain.gate_command(CAMPAIGN, self._calls, time.time(), caps))
        await self._connection.send_packed_command(packed)
        self._answered = await self._connection.read_response()

    async def _port(self, queues: RedisQueues, caps: CapLaw | None = None) -> None:
        async with queues.reserve(CAMPAIGN, self._calls, time.time(), caps=caps) as reservation:
            granted = reservation.granted.permits
        assert len(granted) == self._batch, reservation
        self._live.extend((queues, permit) for permit in granted)

    def _keep_answer(self) -> None:
        _, _, _, _, first_token, ids, digits, made, records, _, _, _, _, _, _, kept, *_ = self._answered
        granted = wire.permits(
            *(ids, digits, made, kept, records, self._calls),
            campaign=CAMPAIGN,
            first_token=first_token,
            expires_at=time.time(),
        )
        assert len(granted) == self._batch
        self._live.extend((self._plain, permit) for permit in granted)

    async def end_calls(self) -> None:
        """Leave `LIVE` calls under way: as many as a large floor has, however long the run."""
        ended: dict[RedisQueues, list[Write]] = {self._plain: [], self._strict: []}
        while len(self._live) > LIVE:
            queues, permit = self._live.popleft()
            ended[queues].append(_busy(permit))
        for queues, writes in ended.items():
            for i in range(0, len(writes), 200):
                await queues.write(writes[i : i + 200])


async def measure(contacts: int, batch: int, home: Path) -> dict[str, Any]:
    """All figures of one run, on one server."""
    rounds = contacts // (len((*IN_TURN, BEHIND)) * batch * BLOCK)
    contacts = rounds * len((*IN_TURN, BEHIND)) * batch * BLOCK
    figures: dict[str, Any] = {"contacts": contacts, "batch": batch, "batches_each": rounds * BLOCK}
    with EmbeddedServer(home, fsync="everysec") as server:
        client = connect(server.url)
        await client.flushall()
        strict = RedisQueues(connect(server.url), node=NodeName("node1"))
        pages: AsyncRecords = _pages(100_000, contacts)
        await strict.rebuild(pages)
        plain = RedisQueues(connect(server.url), node=NodeName("node1"), strict_gate=False)
        assert await plain.prepare()
        before = await _used(client)
        begin = time.perf_counter()
        for i in range(0, contacts, 1_000):
            await strict.offer([contact(k) for k in range(i, min(i + 1_000, contacts))])
        figures["offer_per_s"] = contacts / (time.perf_counter() - begin)
        figures["bytes_per_contact"] = (await _used(client) - before) / contacts
        for i in range(0, contacts, 1_000):
            await client.zadd("bare", {f"crm-{k:07d}": k for k in range(i, i + 1_000)})
        ways = Ways(client, strict, plain, batch)
        each = await ways.open()
        # A pass of the collector through all that was made so far would fall on one way or another.
        gc.collect()
        gc.freeze()
        for names in ((BARE, *IN_TURN), (BARE_BEHIND, BEHIND)):
            for turn in range(rounds):
                # Each of them in each place: whoever comes last has the most calls under way beside it.
                first = turn % len(names)
                for name in (*names[first:], *names[:first]):
                    await each[name].block(client)
                await ways.end_calls()
        await strict.close()
        await plain.close()
        await client.aclose()
    for name, way in each.items():
        figures[f"{name}_per_s"] = batch / statistics.median(way.batches_s)
        figures[f"{name}_cpu_us"] = way.cpu_s / (rounds * BLOCK * batch) * 1e6
        figures[f"{name}_both_us"] = (way.cpu_s + way.client_cpu_s) / (rounds * BLOCK * batch) * 1e6
    for name in (*IN_TURN, BEHIND):
        bare = BARE_BEHIND if name == BEHIND else BARE
        figures[f"{name}_ratio"] = figures[f"{name}_per_s"] / figures[f"{bare}_per_s"]
        for cpu in ("cpu", "both"):
            figures[f"{name}_{cpu}_ratio"] = figures[f"{bare}_{cpu}_us"] / figures[f"{name}_{cpu}_us"]
    return figures


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.contacts < len((*IN_TURN, BEHIND)) * options.batch * BLOCK:
        least = len((*IN_TURN, BEHIND)) * options.batch * BLOCK
        parser.error(f"--contacts must be at least {least} for batches of {options.batch}")
    home = Path(tempfile.mkdtemp(prefix="cadencia-bench-"))
    try:
        figures = asyncio.run(measure(options.contacts, options.batch, home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"batch of {options.batch}, median of {figures['batches_each']} batches each, in turn")
    heads = f"{'contacts/s':>12}{'ratio':>8}{'server CPU/contact':>21}{'ratio':>8}{'and client':>13}{'ratio':>8}"
    print(f"{'':34}{heads}   (target {TARGET}; {CAPPED_TARGET:.2f} with caps)")
    for name, text in (
        ("bare", "bare EVALSHA ZPOPMIN"),
        ("script", "gate's script alone"),
        ("plain", "gate through the port"),
        ("strict", "gate through the port, strict"),
        ("capped script", "gate's script alone, with caps"),
        ("capped", "strict, with caps"),
        (BEHIND, "strict, caps by person as well"),
    ):
        row = f"{text:34}{figures[f'{name}_per_s']:>12,.0f}{figures.get(f'{name}_ratio', 1.0):>8.2f}"
        row += f"{figures[f'{name}_cpu_us']:>18.2f} µs{figures.get(f'{name}_cpu_ratio', 1.0):>8.2f}"
        print(f"{row}{figures[f'{name}_both_us']:>10.2f} µs{figures.get(f'{name}_both_ratio', 1.0):>8.2f}")
    print(f"{'offer (upsert into the hopper)':34}{figures['offer_per_s']:>12,.0f}")
    print(f"{'Redis per waiting contact':34}{figures['bytes_per_contact']:>12,.0f} bytes   (target 1024)")
    if options.json is not None:
        figures |= {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

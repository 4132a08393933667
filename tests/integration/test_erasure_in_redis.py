"""A number that is erased is forgotten by Redis in one step, and whoever reserves from then on knows of it first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dialer.compliance.evidence import suppression_key
from dialer.compliance.rules import Span
from dialer.compliance.suppression import KEY_MISSING, Suppressions
from dialer.core.ids import CampaignId, NodeName
from dialer.core.outcome import Outcome
from dialer.errors import QueueError
from dialer.intake.phones import PhoneReader, PhoneVerdict
from dialer.intake.reading import ReadBatch, ReadOrder, reading_without
from dialer.queues.cap_law import cap_law
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import LiveState, MarkLive
from dialer.queues.redis_queues import RedisQueues
from dialer.runtime.suppressed import SuppressedNumbers
from dialer.storage.database import Database
from dialer.storage.suppressions import SuppressionStore
from tests.compliance_rules import cap_rule
from tests.patience import PATIENCE_S
from tests.queue_worlds import NOW, WINTER, Caller, Pages, RedisWorld, contact, finish, granted, phone

KEY = "k" * 32
SUMMER = CampaignId("summer")


async def keys_that_name(client: AsyncRedis, digits: str) -> list[str]:
    """Keys, other than streams, that have the number, as a whole or cut in two as the sharded ones have it."""
    found = []
    keys: list[Any] = sorted(await client.keys("*"))
    for key in keys:
        name = key.decode()
        kind: Any = await client.type(key)
        held: list[Any] = []
        if kind == b"hash":
            pairs: Any = await client.hgetall(key)
            held = [part for pair in pairs.items() for part in pair]
        elif kind == b"set":
            held = list(await client.smembers(key))
        elif kind == b"zset":
            held = list(await client.zrange(key, 0, -1))
        texts = [one.decode("utf-8", "replace") for one in held]
        seconds = [text.partition("\t")[0] for text in texts]
        # Sets of numbers have the last five digits as an integer.
        halves = [name.rpartition(":")[2] + half for second in seconds for half in (second, second.zfill(5))]
        if digits in name or any(digits in text for text in (*texts, *halves)):
            found.append(name)
    return found


async def test_the_number_is_forgotten_wherever_it_stands(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> None:
    world = RedisWorld(valkey, valkey_server.url)
    queues = await world.node("n1")
    law = cap_law((cap_rule(9, Span.ROLLING, 3_600),), NOW, ["Europe/Madrid"])
    call = Caller(queues)
    await queues.offer([contact(1), contact(1, 1, 7, campaign=SUMMER), contact(2)])
    [permit] = (await call(1, caps=law)).granted.permits
    await queues.write([finish(permit, at=NOW, retry_at=NOW + 10, outcome=Outcome.BUSY)])
    for scope in ("*", "winter", "account:D-77"):
        await world.push("dnc", {"op": "add", "phone": phone(3), "scope": scope, "expires": "2030-01-01T00:00:00Z"})
        await world.push("removals", {"campaign": "*", "phone": phone(3)})
    await queues.drain()
    for n in (1, 3):
        assert await keys_that_name(valkey, phone(n)[1:])
    assert await queues.erase([phone(1), phone(3)]) == 2
    for n in (1, 3):
        assert await keys_that_name(valkey, phone(n)[1:]) == []
    assert granted(await call(5, now=NOW + 20)) == ["c2"]
    assert granted(await call(5, now=NOW + 20, campaign=SUMMER)) == []
    assert await queues.erase([phone(1)]) == 0, "it can be repeated"
    await world.close()


async def test_a_call_that_rings_is_told_and_not_called_again(
    valkey: AsyncRedis, valkey_server: EmbeddedServer
) -> None:
    world = RedisWorld(valkey, valkey_server.url)
    queues = await world.node("n1")
    call = Caller(queues)
    await queues.offer([contact(1)])
    [permit] = (await call(1)).granted.permits
    await queues.write([MarkLive(call=permit.call, state=LiveState.DIALING, at=NOW)])
    await queues.erase([phone(1)])
    assert [(told.call, told.kind) for told in await queues.drain()] == [(permit.call, "removal")]
    await queues.write([finish(permit, at=NOW, retry_at=NOW, outcome=Outcome.CANCELLED)])
    assert granted(await call(1, now=NOW + 5)) == []
    assert await keys_that_name(valkey, phone(1)[1:]) == []
    await world.close()


async def test_a_node_knows_who_was_erased_before_it_hands_out_permits(
    valkey: AsyncRedis, valkey_server: EmbeddedServer, database: Database
) -> None:
    suppressed = SuppressedNumbers(SuppressionStore(database), KEY)
    queues = RedisQueues(connect(valkey_server.url), node=NodeName("n1"), suppressed=suppressed)
    await queues.rebuild(Pages())
    call = Caller(queues)
    await queues.offer([contact(1), contact(2)])
    async with queues.reserve(WINTER, call.calls(1), NOW) as reservation:
        assert len(reservation.granted.permits) == 1
        assert not suppressed.cover(phone(2))
    await SuppressionStore(database).add([suppression_key(phone(2), KEY.encode())], NOW)
    await queues.erase([phone(9)])
    async with queues.reserve(WINTER, call.calls(1), NOW):
        assert suppressed.cover(phone(2)), "whatever was reserved is judged by what holds now"
    await queues.close()


async def test_where_nobody_can_tell_nobody_is_called(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> None:
    class Away:
        async def bring_up_to(self, version: int) -> None:
            raise QueueError("the database is out of reach")

    queues = RedisQueues(connect(valkey_server.url), node=NodeName("n1"), suppressed=Away())
    await queues.rebuild(Pages())
    await queues.offer([contact(1)])
    with pytest.raises(QueueError, match="out of reach"):
        await Caller(queues)(1)
    await queues.close()


async def test_erasures_beside_the_nodes_are_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.runtime.suppressed._POLL_S", 0.01)
    suppressed = SuppressedNumbers(SuppressionStore(database), KEY)
    watch = asyncio.create_task(suppressed.run())
    await SuppressionStore(database).add([suppression_key(phone(1), KEY.encode())], NOW)
    async with asyncio.timeout(PATIENCE_S):
        while not suppressed.cover(phone(1)):  # noqa: ASYNC110 - the watch has no event for it
            await asyncio.sleep(0.01)
    watch.cancel()


def test_without_the_key_nobody_can_be_told_from_who_was_erased() -> None:
    hashes = [suppression_key(phone(1), KEY.encode())]
    assert Suppressions(hashes).problem == KEY_MISSING
    assert Suppressions(hashes).cover(phone(2))
    assert (Suppressions([]).problem, Suppressions([]).cover(phone(1))) == ("", False)
    known = Suppressions(hashes, KEY)
    assert (known.problem, known.cover(phone(1)), known.cover(phone(2))) == ("", True, False)
    assert not Suppressions(hashes, "j" * 32).cover(phone(1)), "another key makes other hashes"


@pytest.fixture
def reader() -> PhoneReader:
    return PhoneReader("ES", erased={"+34600000001"}.__contains__)


@pytest.mark.parametrize("text", ["600000001", "+34 600 000 001", "0034600000001", "tel:+34-600-000-001"])
def test_a_number_that_was_erased_is_not_taken_in(reader: PhoneReader, text: str) -> None:
    assert reader.read(text).verdict is PhoneVerdict.ERASED
    assert reader.read(text).phone is None
    assert reader.certain(text) is None
    assert reader.names_erased(f"7;Ana;{text};Madrid")
    assert not reader.names_erased("7;Ana;600000002;Madrid")
    assert reader.read("600000002").phone == "+34600000002"


async def test_a_list_refuses_who_was_erased_and_keeps_nothing_of_the_row(tmp_path: Path) -> None:
    rows = tmp_path / "list.csv"
    rows.write_text(
        "id,phone,mobile,priority\nc1,600000001,,\nc2,600000002,600000001,\nc3,600000003,,high\nc4,600000004,600-000-001,x\n"
    )
    hashes = tmp_path / "hashes"
    hashes.write_text(suppression_key("+34600000001", KEY.encode()))
    order = ReadOrder(path=str(rows), campaign="winter", region="ES")
    batches: list[ReadBatch] = [batch async for batch in reading_without(hashes, KEY)(order)]
    refused = [row for batch in batches for row in batch.rejected]
    assert [(row.row, row.reason, row.partial) for row in refused] == [
        (2, "phone_erased", False),
        (3, "phone_erased", True),
        (4, "invalid_priority", False),
        (5, "invalid_priority", False),
    ]
    assert [bool(row.raw) for row in refused] == [False, False, True, False]
    assert b"600000001" not in msgspec.json.encode([batch.contacts for batch in batches])

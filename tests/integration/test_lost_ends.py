"""Calls whose ends Redis had acknowledged and forgot before anybody had read them are not made again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dialer.core.campaign import Campaign
from dialer.core.notices import CallEnded
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Record
from dialer.runtime.record_keeper import RecordKeeper
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.record import RecordPages
from tests.queue_worlds import NOW, WINTER, Caller, RedisWorld, contact, finish, granted


async def test_what_redis_forgot_of_its_last_moments_is_on_record_before_it_is_loaded(
    valkey: AsyncRedis, valkey_server: EmbeddedServer, sqlite_url: str
) -> None:
    world, database = RedisWorld(valkey, valkey_server.url), Database(sqlite_url)
    keeper = RecordKeeper(database)

    async def record() -> AsyncIterator[Record]:
        await keeper.record_recent()
        async for page in RecordPages(database, NOW):
            yield page

    try:
        people = [contact(n) for n in (1, 2, 3, 4)]
        await Campaigns(database).create(Campaign(id=WINTER), NOW)
        await Contacts(database).upsert(people, at=NOW)
        node = await world.node("n1")
        await node.offer(people)
        done, again, under_way = (await Caller(node)(3)).granted.permits
        for end in (finish(done), finish(again, retry_at=NOW + 60)):
            await node.write([end])
            keeper.apply(CallEnded(at=NOW + 5, attempt=end.attempt, retry_at=end.retry_at))
        await valkey.flushall()
        assert not await node.prepare()
        await node.rebuild(record())
        assert granted(await Caller(node, "k2")(4)) == ["c4"]
        assert granted(await Caller(node, "k3")(4, now=NOW + 61)) == ["c2"]
        for permit in (done, again):
            assert await Attempts(database).get(permit.call) is not None
        assert await Attempts(database).get(under_way.call) is None
    finally:
        await world.close()
        await database.close()

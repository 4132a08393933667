"""What `cadencia doctor` finds about shards, and who is still at work in any of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from dialer.compliance.loader import find_folder, load_rule_book
from dialer.core.saying import of_error, say
from dialer.core.shards import Shards
from dialer.errors import ConfigError, DialerError
from dialer.queues.connection import connect, redis_errors
from dialer.queues.keys import Keys
from dialer.runtime.clock import Clock
from dialer.runtime.cluster_checks import MOST_APART_S
from dialer.runtime.finding import Finding
from dialer.runtime.rules_aside import RulesAside
from dialer.runtime.shared_caps import caps_over_campaigns, shared_caps
from dialer.runtime.spending import destinations_of
from dialer.settings import Redis, Settings
from dialer.storage.audit import Audit
from dialer.storage.campaigns import Campaigns
from dialer.storage.opening import open_database
from dialer.storage.schema import version
from dialer.storage.shards import ShardTable

_MEND_TABLE: Final = say(
    "write the same [[redis.shards]] on all nodes, or stop them all and run `cadencia shards adopt`",
    code="mend_shard_table",
)
_MEND_CAPS: Final = say(
    "put campaigns that share a cap into one shard, or count the cap by campaign or seller (docs/deployment.md)",
    code="mend_shared_cap",
)


async def living(redis: Redis) -> list[str]:
    """Nodes that have a heartbeat in any Redis of the settings, by name.

    Raises:
        QueueError: one is out of reach, and may have some.
    """
    urls = [shard.url for shard in redis.shards] or [url for url in (redis.url,) if url != "embedded"]
    found: set[str] = set()
    for url in urls:
        client = connect(url, name="cadencia-shards")
        try:
            with redis_errors():
                seconds, microseconds = await client.time()
                now = float(seconds) + microseconds / 1e6
                owners: Any = await client.zrangebyscore(Keys(redis.prefix)["nodes"], f"({now}", "+inf")
        finally:
            await client.aclose()
        found |= {owner.decode().rpartition("#")[0] for owner in owners}
    return sorted(found)


async def shard_findings(settings: Settings) -> list[Finding]:
    """Whether all shards are there, are those that they should be, and go by the same table and time."""
    redis, shards = settings.redis, settings.redis.table
    found = await _table(settings, shards)
    if not shards.several:
        return found
    looks = await asyncio.gather(*(_look(redis, name) for name in shards.names), return_exceptions=True)
    clocks: dict[str, float] = {}
    for name, look in zip(shards.names, looks, strict=True):
        part = f"shard {name}"
        if isinstance(look, DialerError):
            found.append(Finding(part=part, ok=False, said=of_error(look)))
        elif isinstance(look, BaseException):
            raise look
        else:
            mark, clocks[name] = look
            found.append(_marked(part, name, mark, Shards(own=name, table=shards.table)))
    if clocks and max(clocks.values()) - min(clocks.values()) > MOST_APART_S:
        fast, slow = max(clocks, key=clocks.__getitem__), min(clocks, key=clocks.__getitem__)
        said = say(
            f"the clock of shard {fast} is {clocks[fast] - clocks[slow]:.1f} s ahead of that of {slow}: of two entries "
            "about one number the later one counts",
            code="shard_clocks_apart",
            shard=fast,
            other=slow,
            apart_s=round(clocks[fast] - clocks[slow], 1),
        )
        fix = say("set both machines by NTP", code="mend_shard_clocks")
        found.append(Finding(part="shards", ok=False, said=said, fix=fix))
    return found


async def _table(settings: Settings, shards: Shards) -> list[Finding]:
    """Whether the settings have the table of the installation; nothing where the database is not there or not ready."""
    database = open_database(settings)
    if database.path is not None and not database.path.exists():
        return []
    try:
        if not (await version(database)).ready:
            return []
        await ShardTable(database).require(shards)
        if not shards.several:
            return []
        campaigns = await Campaigns(database).all()
        aside = RulesAside(Audit(database))
        await aside.read()
    except ConfigError as error:
        return [Finding(part="shards", ok=False, said=of_error(error), fix=_MEND_TABLE)]
    finally:
        await database.close()
    folder = Path(settings.compliance.rules) if settings.compliance.rules else find_folder(None)
    rules = caps_over_campaigns(await asyncio.to_thread(load_rule_book, folder))
    problems = shared_caps(campaigns, shards, rules, destinations_of(settings), aside.of)
    return [Finding(part=f"campaign {name}", ok=False, said=said, fix=_MEND_CAPS) for name, said in problems.items()]


async def _look(redis: Redis, name: str) -> tuple[str, float]:
    """Which shard the Redis of one says it is, and by how much its clock is ahead of this machine's."""
    url = next(shard.url for shard in redis.shards if shard.name == name)
    client = connect(url, name="cadencia-doctor")
    try:
        with redis_errors():
            mark: Any = await client.get(Keys(redis.prefix)["shard"])
            asked_at = Clock().now()
            seconds, microseconds = await client.time()
            ahead_s = float(seconds) + microseconds / 1e6 - (asked_at + Clock().now()) / 2
    finally:
        await client.aclose()
    return "" if mark is None else mark.decode(), ahead_s


def _marked(part: str, name: str, mark: str, shards: Shards) -> Finding:
    campaigns = [*shards.table[name]]
    if mark and mark.partition(" ")[0] != name:
        said = say(f"its Redis is that of {mark.partition(' ')[0]}", code="shard_found", found=mark.partition(" ")[0])
        return Finding(part=part, ok=False, said=said, fix=_MEND_TABLE)
    if mark == shards.fingerprint:
        said = say(f"has {', '.join(campaigns)}", code="shard_well", campaigns=campaigns)
        return Finding(part=part, ok=True, said=said)
    said = say("was not loaded by this table yet: no node of it has started", code="shard_not_loaded")
    return Finding(part=part, ok=True, said=said)

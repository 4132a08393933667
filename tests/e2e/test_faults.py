"""What goes wrong around a node while it dials: Redis, Asterisk, the trunk, the database, the CRM's messages.

After each: every started call has one end, it is on record and told once, nothing counts as live any more, and nobody
was rung more often than there are attempts (`Floor.settle`).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import shutil
import sqlite3
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dialer.core.campaign import CampaignState
from dialer.core.events import CampaignConfigured
from dialer.core.ringing import SETUP_S
from dialer.errors import StorageError
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCallList
from dialer.storage.removals import Removal, Removals
from dialer.switch.port import ServerStatus
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, phone, until
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.slow

#: Connections of a node's database.
POOL_SIZE = inspect.signature(Database).parameters["pool_size"].default


async def under_way(site: Floor, ended: int = 10) -> None:
    """Some calls have ended, and some go on."""
    calls = site.node.dispatcher.engine.floor.calls
    await until(lambda: len(site.notices.ended) >= ended and len(calls) > 0, f"{ended} ended calls, some under way")


async def limit_pages(site: Floor, pages: int) -> None:
    """Let the database have no more pages: SQLite answers as it does on a full disk, on every connection."""
    async with AsyncExitStack() as held:
        for _ in range(POOL_SIZE):
            connection = await held.enter_async_context(site.node.database.engine.connect())
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


async def test_redis_goes_away_and_comes_back_empty(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    removed, listed = 900, 901
    async with floor(tmp_path, own_valkey) as site:
        await site.begin()
        await site.push([removed, listed], not_before="2099-01-01T00:00:00Z")
        await site.wait("contact.accepted", 2)
        await site.write("removals", {"id": "r-1", "campaign": CAMPAIGN, "contact": f"crm-{removed}"})
        await site.write("dnc", {"id": "d-1", "op": "add", "phone": phone(listed), "scope": "*"})
        await site.push(range(150))
        await site.wait("removal.applied", ref="r-1")
        await site.wait("dnc.applied", ref="d-1")

        async def on_record() -> bool:
            return await Removals(site.node.database).covers(CAMPAIGN, "contact", f"crm-{removed}") and bool(
                await DoNotCallList(site.node.database).holding(phone(listed), site.now)
            )

        await until(on_record, "removal and do-not-call entry in SQL")
        await under_way(site)
        started = len(site.notices.started)
        own_valkey.kill()
        shutil.rmtree(own_valkey.directory / "appendonlydir")
        own_valkey.start()
        await until(lambda: site.node.gatekeeper.is_open and site.node.gatekeeper.problem == "", "the gate opens again")
        # the record is there again before anybody else is called
        await until(lambda: len(site.notices.started) > started + 10, "more calls")
        await site.push([removed, listed], not_before=None)
        await site.wait("contact.rejected", contact=f"crm-{removed}")
        await site.wait("contact.rejected", contact=f"crm-{listed}")
        await until(lambda: len(site.notices.ended) >= 150, "the whole list called")
        await site.settle(results_lost=True)
        dialed = {record.number for record in site.exchange.dialed}
        assert phone(removed).removeprefix("+") not in dialed
        assert phone(listed).removeprefix("+") not in dialed
        assert len({notice.contact for notice in site.notices.started}) == 150
        assert len(site.notices.started) == 150


async def test_nobody_is_dialed_while_an_empty_redis_has_not_been_loaded(
    tmp_path: Path, own_valkey: EmbeddedServer
) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin()
        await site.push(range(200))
        await under_way(site)
        # the record cannot be read: the gate must stay shut
        async with site.node.database.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE removals RENAME TO removals_away")
        own_valkey.kill()
        shutil.rmtree(own_valkey.directory / "appendonlydir")
        own_valkey.start()
        await until(lambda: not site.node.gatekeeper.is_open, "the gate is shut")
        assert site.node.gatekeeper.problem
        started = len(site.notices.started)
        await until(lambda: not site.node.dispatcher.engine.floor.calls, "calls under way come to their end")
        await asyncio.sleep(0.5)  # time in which somebody could be dialed by mistake
        assert len(site.notices.started) == started
        async with site.node.database.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE removals_away RENAME TO removals")
        await until(lambda: len(site.notices.ended) >= 200, "the whole list called")
        await site.settle(results_lost=True)
        assert len(site.notices.started) == 200


async def test_redis_restarts_with_its_data(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin()
        await site.push(range(150))
        await under_way(site)
        own_valkey.kill()
        await asyncio.sleep(0.3)  # calls end meanwhile, with nobody to write them to
        own_valkey.start()
        await until(lambda: len(site.notices.ended) >= 150, "the whole list called")
        await site.settle()
        assert len(site.notices.started) == 150


async def test_asterisk_restarts_in_the_middle(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin()
        await site.push(range(120))
        await under_way(site)
        live = set(site.node.dispatcher.engine.floor.calls)
        await site.exchange.restart(down_s=0.2)
        await until(lambda: len(site.notices.ended) >= 120, "the whole list called")
        await site.settle()
        outcomes = {notice.attempt.call: notice.attempt.outcome for notice in site.notices.ended}
        assert live <= set(outcomes)

        def back() -> bool:
            return {agent.state for agent in site.node.live.snapshot(site.now).agents} <= {"idle", "wrapup"}

        await until(back, "agents are called again by the node, they need not sign in anew")


async def test_ami_cut_in_the_middle_of_an_event(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin()
        await site.push(range(120))

        def status() -> ServerStatus:
            (of_pbx,) = site.node.switch.status().values()
            return of_pbx

        def cut_since(reconnects: int) -> bool:
            return status().reconnects > reconnects

        for round_ in range(1, 5):
            await under_way(site, 20 * round_)
            seen = status().reconnects
            site.exchange.cut()
            await until(partial(cut_since, seen), "cut off")
            await until(lambda: status().connected, "connected again")
        await until(lambda: len(site.notices.ended) >= 120, "the whole list called")
        await site.settle()
        assert len(site.notices.started) == 120


async def test_trunk_that_answers_nothing(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey, trunk={"max_channels": 3}) as site:
        site.exchange.faults.silent_trunks.add("carrier")
        await site.begin(agents=3)
        # Less than anybody may set: what is not waited for is not slept through.
        campaign = replace(site.node.dispatcher.engine.floor.campaigns[CAMPAIGN].campaign, ring_timeout_s=1.0)
        await site.node.control.submit(CampaignConfigured(at=site.now, campaign=campaign))
        await site.push(range(6))
        await site.wait("call.started", 3)
        await site.order(CampaignState.PAUSED)
        assert len(site.node.dispatcher.engine.floor.calls) == 3, "no more than the trunk has channels"
        first = await site.wait("call.ended")
        assert first["outcome"] == "congestion"
        assert first["duration_s"] > SETUP_S
        await site.settle()


async def test_database_locked_for_a_while(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin()
        await site.push(range(100))
        await under_way(site)
        other = sqlite3.connect(
            tmp_path / "cadencia.db", isolation_level=None, timeout=PATIENCE_S, check_same_thread=False
        )
        # Away from the loop: whoever writes at this moment needs it to come to an end.
        await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
        try:
            ended = len(site.notices.ended)
            await until(lambda: len(site.notices.ended) > ended + 20, "calls go on without the database")
            recorded = len(await site.attempts())
            assert recorded < len(site.notices.ended)
        finally:
            other.execute("ROLLBACK")
            other.close()
        await until(lambda: len(site.notices.ended) >= 100, "the whole list called")
        await site.settle()


async def test_disk_full_while_attempts_are_recorded(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        await site.begin()
        await site.push(range(100))
        await under_way(site)
        async with site.node.database.read() as connection:
            pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await limit_pages(site, pages)
        await until(lambda: len(site.notices.ended) >= 100, "the list is called all the same")
        with pytest.raises(StorageError, match="full"):
            # more than fits into the pages that it has: until here everything may have found room in them
            await Removals(site.node.database).add(
                [Removal(campaign="*", kind="contact", subject=f"{n}" * 200, at=0.0) for n in range(5_000)]
            )
        recorded = len(await site.attempts())
        assert recorded < 100, "attempts wait for room"
        await limit_pages(site, 1_000_000)
        await site.settle()


async def test_malformed_messages_on_every_stream(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    bad: dict[str, list[bytes]] = {
        "contacts": [b"no json", b"[]", b"\xff\xfe", b'{"campaign": "nowhere", "contacts": []}', b"{}"],
        "removals": [b"no json", b"[]", b"\xff\xfe", b"{}"],
        "dnc": [b"no json", b"[]", b"\xff\xfe", b'{"op": "burn", "phone": "+34600000001"}'],
        "callbacks": [b"no json", b"[]", b"\xff\xfe"],
        "dispositions": [b"no json", b"[]", b"\xff\xfe"],
    }
    async with floor(tmp_path, own_valkey, fates={1: person(), 2: person()}) as site:
        await site.begin(agents=2)
        await site.push([1])
        for stream, messages in bad.items():
            for message in messages:
                await site.write(stream, message)
            await site.client.xadd(f"cadencia:{stream}", {"other": "field"})
        await site.push([2])
        await site.write("removals", {"id": "good-r", "campaign": CAMPAIGN, "contact": "crm-77"})
        await site.write("dnc", {"id": "good-d", "op": "add", "phone": phone(78), "scope": "*"})
        await site.wait("call.connected", contact="crm-1")
        talk = await site.wait("call.connected", contact="crm-2")
        await site.wait("removal.not_found", ref="good-r")
        await site.wait("dnc.applied", ref="good-d")
        await site.write("dispositions", {"id": "good-c", "call": talk["call"], "code": "SALE"})
        disposed = await site.wait("call.disposed", ref="good-c")
        assert disposed["call"] == talk["call"]
        expected = sum(len(messages) + 1 for messages in bad.values())

        async def all_told() -> bool:
            return len(await site.results("message.rejected")) >= expected

        await until(all_told, f"{expected} rejections")
        told = await site.results("message.rejected")
        assert len(told) == expected
        assert all(result["reason"] for result in told)
        aside: Any = await site.client.xrange("cadencia:rejected")
        assert len(aside) == expected
        kept = {(fields[b"stream"].decode(), bytes(fields.get(b"data", b""))) for _, fields in aside}
        assert {(stream, message) for stream, messages in bad.items() for message in messages} <= kept
        assert all(json.dumps(result) for result in told)
        await site.settle()


async def test_removal_while_ringing_hangs_up(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey, fates={1: person(ring_s=12.0)}) as site:
        await site.begin(agents=1)
        await site.push([1])
        call = (await site.wait("call.started", contact="crm-1"))["call"]
        await until(lambda: site.exchange.switchboard.find(call) is not None, "the phone rings")
        await site.write("removals", {"id": "r-1", "campaign": "*", "contact": "crm-1", "reason": "paid"})
        cancelled = await site.wait("removal.cancelled", ref="r-1")
        assert cancelled["call"] == call
        ended = await site.wait("call.ended", call=call)
        assert ended["outcome"] == "cancelled"
        (record,) = site.exchange.dialed
        assert record.ended_by == "dialer"
        assert record.answered_at is None
        told = site.node.metrics.render().decode()
        assert 'cadencia_removals_applied_total{outcome="cancelled"} 1.0' in told
        assert "cadencia_removal_latency_seconds_count 1.0" in told
        await site.settle()


async def test_do_not_call_while_ringing_hangs_up(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey, fates={1: person(ring_s=12.0)}) as site:
        await site.begin(agents=1)
        await site.push([1])
        call = (await site.wait("call.started", contact="crm-1"))["call"]
        await until(lambda: site.exchange.switchboard.find(call) is not None, "the phone rings")
        await site.write("dnc", {"id": "d-1", "op": "add", "phone": phone(1), "scope": "*"})
        await site.wait("dnc.applied", ref="d-1")
        ended = await site.wait("call.ended", call=call)
        assert ended["outcome"] == "cancelled"
        await site.settle()


async def test_removal_while_talking_leaves_alone(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey, fates={1: person(talk_s=600.0)}) as site:
        await site.begin(agents=1)
        await site.push([1])
        call = (await site.wait("call.connected", contact="crm-1"))["call"]
        await site.write("removals", {"id": "r-1", "campaign": CAMPAIGN, "phone": phone(1), "reason": "paid"})
        late = await site.wait("removal.too_late", ref="r-1")
        assert late["call"] == call
        await asyncio.sleep(0.3)  # a hang-up would come at once
        assert site.exchange.hang_up_customer(call)
        ended = await site.wait("call.ended", call=call)
        assert ended["outcome"] == "connected"
        (record,) = site.exchange.dialed
        assert record.ended_by == "customer"
        await site.settle()

"""Campaigns, lists, dispositions, agents, keys, deliveries, gate marks and the audit trail on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from dialer.core.campaign import Campaign, CampaignState, MachineDetection, RetryRule
from dialer.core.ids import AgentId, CallId, CampaignId, MessageId, Phone, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.saying import NOTHING, Saying
from dialer.errors import StorageError
from dialer.storage.agents import Agents, StoredAgent
from dialer.storage.audit import Audit, AuditEntry
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.storage.do_not_call import DoNotCall, DoNotCallList
from dialer.storage.gate_marks import GateMark, GateMarks
from dialer.storage.keys import Keys
from dialer.storage.lists import RAW_LIMIT, ListCounts, Lists, ListState, RejectedRow
from dialer.storage.webhooks import Delivery, DeliveryState, Webhooks
from tests.databases import count

WINTER = Campaign(
    id=CampaignId("winter"),
    name="Invierno ❄",
    method="ratio",
    wrapup_limit_s=None,
    retries={Outcome.BUSY: RetryRule(delay_s=1.5, max_attempts=2, growth=3.0)},
    caller_id=Phone("+34910000000"),
    trunks=(TrunkName("a"), TrunkName("b")),
    machine_detection=MachineDetection(deadline_s=1.1, parameters="2000,1500"),
    skills=frozenset({"es", "vip"}),
    screen_pop="https://crm.example/{id}?x=100%",
)


async def test_campaign_comes_back(database: Database) -> None:
    campaigns = Campaigns(database)
    assert await campaigns.create(WINTER, now=1.0)
    assert not await campaigns.create(Campaign(id=WINTER.id), now=2.0)
    stored = await campaigns.get(WINTER.id)
    assert stored is not None
    assert (stored.campaign, stored.state, stored.updated_at) == (WINTER, CampaignState.DRAFT, 1.0)
    assert await campaigns.set_state(WINTER.id, CampaignState.RUNNING, now=3.0)
    await campaigns.save(Campaign(id=WINTER.id, name="new"), now=4.0)
    (stored,) = await campaigns.all()
    assert (stored.campaign.name, stored.state, stored.updated_at) == ("new", CampaignState.RUNNING, 4.0)
    assert not await campaigns.set_state(CampaignId("none"), CampaignState.RUNNING, now=3.0)
    assert await campaigns.delete(WINTER.id)
    assert not await campaigns.delete(WINTER.id)
    assert await campaigns.get(WINTER.id) is None


async def test_campaign_of_another_version_says_what_to_do(database: Database) -> None:
    await Campaigns(database).create(WINTER, now=1.0)
    async with database.write() as connection:
        await connection.execute(text("UPDATE campaigns SET settings = '{\"id\": 5}'"))
    with pytest.raises(StorageError, match=r"'winter'.*save its settings again"):
        await Campaigns(database).get(WINTER.id)


async def test_list_from_start_to_end(database: Database) -> None:
    lists = Lists(database)
    assert await lists.start("l1", WINTER.id, name="January", source="jan.csv", now=10.0)
    assert not await lists.start("l1", WINTER.id, name="again", source="jan.csv", now=11.0)
    rejected = [RejectedRow(row=i, code="phone.invalid", message="no number", raw="x\x00" * 3_000) for i in (2, 5, 9)]
    counts = ListCounts(read=10, accepted=7, rejected=3, reasons={"phone.invalid": 3})
    await lists.progress("l1", counts, rejected[:2])
    await lists.progress("l1", counts, rejected)
    page = await lists.rejected("l1", limit=2)
    rest = await lists.rejected("l1", cursor=page.next, limit=2)
    assert [row.row for row in (*page.items, *rest.items)] == [2, 5, 9]
    assert rest.next is None
    assert page.items[0].raw == ("x\ufffd" * 3_000)[:RAW_LIMIT]
    await lists.finish("l1", ListState.FAILED, counts, now=12.0, error=Saying("the file ends in the middle of a row"))
    stored = await lists.get("l1")
    assert stored is not None
    assert (stored.state, stored.counts, stored.name, stored.finished_at) == (ListState.FAILED, counts, "January", 12.0)
    assert str(stored.error) == "the file ends in the middle of a row"
    assert [each.id for each in await lists.of(WINTER.id)] == ["l1"]
    assert await lists.get("none") is None


async def test_rejected_row_needs_its_list(database: Database) -> None:
    row = RejectedRow(row=1, code="c", message="m", raw="r")
    with pytest.raises(StorageError, match="refuses the row"):
        await Lists(database).progress("none", ListCounts(), [row])


async def test_latest_disposition_counts_and_history_stays(database: Database) -> None:
    dispositions = Dispositions(database)
    first = Disposition(call=CallId("c1"), code="SALE", at=1.0, amount="1234567890.10", ref=MessageId("m1"))
    second = Disposition(call=CallId("c1"), code="CANCELLED", at=2.0, notes="niño 🎁", agent=AgentId("ana"))
    assert await dispositions.add(second)
    assert await dispositions.add(first)
    assert not await dispositions.add(first)
    assert await dispositions.history(CallId("c1")) == [second, first]
    assert await dispositions.latest([CallId("c1"), CallId("c2")]) == {CallId("c1"): second}


async def test_agents(database: Database) -> None:
    agents = Agents(database)
    ana = StoredAgent(id=AgentId("ana"), name="Ana", phone="201", skills=frozenset({"es"}), priority=3)
    await agents.save(StoredAgent(id=ana.id), now=1.0)
    await agents.save(ana, now=2.0)
    await agents.save(StoredAgent(id=AgentId("bob")), now=2.0)
    assert await agents.get(ana.id) == ana
    assert [agent.id for agent in await agents.all()] == ["ana", "bob"]
    assert await agents.delete(ana.id)
    assert await agents.get(ana.id) is None


async def test_key_opens_until_it_expires_or_is_revoked(database: Database) -> None:
    keys = Keys(database)
    key, secret = await keys.create("crm", "sync job", now=100.0, expires_at=1_000.0)
    assert await keys.find(secret, now=200.0) == key
    (stored,) = await keys.all()
    assert stored.last_used_at == 200.0
    await keys.find(secret, now=210.0)
    assert (await keys.all())[0].last_used_at == 200.0
    assert await keys.find(secret, now=1_000.0) is None
    for wrong in ("", secret[:-1], secret + "x", secret.upper(), "cad_\ud800", "Bearer " + secret):
        assert await keys.find(wrong, now=200.0) is None
    assert await keys.revoke(key.id, now=300.0)
    assert not await keys.revoke(key.id, now=301.0)
    assert await keys.find(secret, now=302.0) is None


async def test_key_itself_is_not_in_the_database(database: Database) -> None:
    _, secret = await Keys(database).create("crm", "sync job", now=100.0)
    async with database.read() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM api_keys"))).all()
    assert len(secret) >= 43
    assert all(secret.removeprefix("cad_") not in str(value) for value in row)


HOOK = "https://crm.example/hook"


def _delivery(number: int, next_at: float = 10.0) -> Delivery:
    return Delivery(id=f"d{number}", url=HOOK, type="call.ended", payload='{"é": 1}', next_at=next_at)


async def test_delivery_is_claimed_by_one(database: Database) -> None:
    webhooks = Webhooks(database)
    await webhooks.add([_delivery(i) for i in range(20)], now=1.0)
    await webhooks.add([_delivery(0, next_at=99.0)], now=2.0)
    claims = await asyncio.gather(*(webhooks.claim(HOOK, now=10.0, limit=7, lease_s=30.0) for _ in range(4)))
    claimed = [delivery.id for claim in claims for delivery in claim]
    assert len(claimed) == len(set(claimed))
    claimed += [delivery.id for delivery in await webhooks.claim(HOOK, now=10.0, limit=20, lease_s=30.0)]
    assert sorted(claimed) == sorted(f"d{i}" for i in range(20))
    assert await webhooks.claim(HOOK, now=39.0, limit=20, lease_s=30.0) == []
    # Those who claimed them died.
    assert len(await webhooks.claim(HOOK, now=41.0, limit=50, lease_s=30.0)) == 20


async def test_delivery_through_failures(database: Database) -> None:
    webhooks = Webhooks(database)
    await webhooks.add([_delivery(1)], now=1.0)
    await webhooks.failed("d1", Saying("503 " + "x" * 5_000), now=11.0, retry_at=60.0)
    stored = await webhooks.get("d1")
    assert stored is not None
    assert (stored.state, stored.attempts, stored.next_at) == (DeliveryState.WAITING, 1, 60.0)
    assert len(stored.last_error.says) == 500
    await webhooks.failed("d1", Saying("410"), now=61.0, retry_at=None)
    assert await webhooks.claim(HOOK, now=1e9, limit=1, lease_s=1.0) == []
    assert await webhooks.again(["d1"], now=70.0) == 1
    (claimed,) = await webhooks.claim(HOOK, now=70.0, limit=1, lease_s=1.0)
    assert claimed.payload == '{"é": 1}'
    await webhooks.delivered("d1", now=71.0)
    await webhooks.failed("d1", Saying("late"), now=72.0, retry_at=80.0)
    stored = await webhooks.get("d1")
    assert stored is not None
    assert (stored.state, stored.last_error) == (DeliveryState.DELIVERED, NOTHING)
    assert await webhooks.again(["d1"], now=73.0) == 0
    assert await webhooks.forget(before=71.0) == 0
    assert await webhooks.forget(before=72.0) == 1
    assert await count(database, "webhook_deliveries") == 0


async def test_gate_mark_never_goes_down(database: Database) -> None:
    marks = GateMarks(database)
    assert await marks.get("p:") is None
    await marks.raise_token("p:", 5, now=1.0)
    await marks.raise_to(GateMark(name="p:", run_id="b", generation=2, fencing_token=9), now=2.0)
    await marks.raise_to(GateMark(name="p:", run_id="a", generation=1, fencing_token=20), now=3.0)
    await marks.raise_token("p:", 7, now=4.0)
    assert await marks.get("p:") == GateMark(name="p:", run_id="b", generation=2, fencing_token=20)


async def test_audit_is_read_backwards(database: Database) -> None:
    audit = Audit(database)
    entries = [AuditEntry(at=float(i % 3), who="ana", what="campaign.paused", details={"n": i}) for i in range(7)]
    for entry in entries:
        await audit.append(entry)
    page = await audit.page(limit=4)
    rest = await audit.page(cursor=page.next, limit=4)
    assert [*page.items, *rest.items] == entries[::-1]
    assert rest.next is None


async def test_do_not_call_pages_by_scope(database: Database) -> None:
    entries = DoNotCallList(database)
    await entries.put([DoNotCall(scope="*", phone=Phone(f"+3460000{i:04d}"), at=1.0) for i in range(5)])
    await entries.put([DoNotCall(scope="winter", phone=Phone("+34600000001"), at=1.0)])
    page = await entries.page(limit=4)
    rest = await entries.page(cursor=page.next, limit=4)
    assert [(entry.scope, entry.phone[-1]) for entry in (*page.items, *rest.items)] == [
        ("*", "0"),
        ("*", "1"),
        ("*", "2"),
        ("*", "3"),
        ("*", "4"),
        ("winter", "1"),
    ]
    assert [entry.scope for entry in (await entries.page("winter")).items] == ["winter"]
    holding = await entries.holding(Phone("+34600000001"), now=5.0)
    assert [entry.scope for entry in holding] == ["*", "winter"]

"""The record of CRMs that are asked: one owner at a time, pages as one step, updates in order; on both databases."""

from __future__ import annotations

import asyncio

import pytest

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.core.saying import Saying
from dialer.storage.contacts import Contacts
from dialer.storage.crm_sources import CallState, CrmSources, KnownCall, LeaseLost
from dialer.storage.crm_updates import CrmUpdates, StoredUpdate, UpdateState
from dialer.storage.database import Database

WINTER = CampaignId("winter")


def known(contact: str, round: int, digest: str = "d", state: CallState = CallState.TAKEN) -> KnownCall:
    return KnownCall(contact=contact, version=None, digest=digest, round=round, missing=0, state=state)


async def test_a_source_has_one_owner_and_what_another_writes_is_refused(database: Database) -> None:
    sources = CrmSources(database)
    first, second = await asyncio.gather(*(sources.lease("crm", f"w{n}", 100.0, 60.0) for n in (1, 2)))
    assert (first is None) is not (second is None)
    owner, other = ("w1", "w2") if second is None else ("w2", "w1")
    assert await sources.lease("crm", owner, 110.0, 60.0) is not None, "the owner may go on"
    assert await sources.begin("crm", owner, "p0", 110.0) == 1
    # It was too slow, and another one has begun.
    assert await sources.lease("crm", other, 171.0, 60.0) is not None
    with pytest.raises(LeaseLost):
        await sources.page_done("crm", owner, [known("a", 1)], place="p1", counts={"pages": 1}, now=172.0)
    assert await sources.known("crm", ["a"]) == {}
    (stored,) = await sources.all()
    assert (stored.place, stored.counts) == ("p0", {})
    await sources.release("crm", owner)
    assert await sources.lease("crm", owner, 173.0, 60.0) is None
    await sources.release("crm", other)
    assert await sources.lease("crm", owner, 173.0, 60.0) is not None


async def test_pages_rounds_and_what_is_missing(database: Database) -> None:
    sources, contacts = CrmSources(database), Contacts(database)
    await contacts.upsert(
        [Contact(campaign=WINTER, id=ContactId(c), phones=(Phone("+34600111222"),)) for c in "abc"], 1.0
    )
    await sources.lease("crm", "w", 1.0, 1e6)
    await sources.begin("crm", "w", "p0", 1.0)
    await sources.note("crm", ["a", "b"], 1.0)
    assert {each.state for each in (await sources.known("crm", "ab")).values()} == {CallState.NOTED}
    await sources.page_done("crm", "w", [known("a", 1), known("b", 1)], place="p1", counts={"accepted": 2}, now=2.0)
    await sources.note("crm", ["a"], 3.0)
    assert (await sources.known("crm", "a"))["a"].state is CallState.TAKEN

    async def end(round: int, seen: str, *, whole: bool = True) -> None:
        calls = [known(each, round) for each in seen]
        await sources.round_done(
            "crm", "w", calls, round=round, whole=whole, cursor="", next_at=9.0, counts={"accepted": 1}, now=4.0
        )

    await end(1, "c")
    assert await sources.missing("crm", WINTER, 1) == []
    await end(await sources.begin("crm", "w", "p0", 5.0), "a", whole=False)
    assert await sources.missing("crm", WINTER, 1) == [], "a listing of changes says nothing of the rest"
    await end(await sources.begin("crm", "w", "p0", 5.0), "ax")
    assert await sources.missing("crm", WINTER, 1) == [("b", True), ("c", True)]
    await end(await sources.begin("crm", "w", "p0", 6.0), "b")
    assert await sources.missing("crm", WINTER, 1) == [("a", True), ("c", True), ("x", False)]
    assert await sources.missing("crm", WINTER, 2) == [("c", True)]
    assert await sources.still_waiting(WINTER, ["a", "x"]) == {"a"}
    await sources.move("crm", ["c"], CallState.WITHDRAWN, 7.0)
    assert await sources.missing("crm", WINTER, 2) == []
    assert await sources.taken("crm") == 3
    (stored,) = await sources.all()
    assert (stored.round, stored.place, stored.completed_at, stored.counts) == (4, "", 4.0, {"accepted": 6})
    await sources.version("crm", "a", "v2", 8.0)
    assert (await sources.known("crm", "a"))["a"].version == "v2"
    await sources.failed("crm", "w", Saying("x" * 9_000), next_at=50.0, now=9.0, restart=True, forget_cursor=True)
    (stored,) = await sources.all()
    assert (len(stored.last_error.says), stored.failures, stored.next_at) == (500, 1, 50.0)


def update(id: str, contact: str, position: int, next_at: float = 10.0) -> StoredUpdate:
    return StoredUpdate(
        id=id,
        source="crm",
        contact=contact,
        type="call.ended",
        position=f"{position:020d}",
        result="{}",
        next_at=next_at,
    )


async def test_updates_are_claimed_in_order_by_one(database: Database) -> None:
    updates = CrmUpdates(database)
    await updates.add([update(f"u{n}", f"c{n % 4}", n) for n in range(12)], 1.0)
    await updates.add([update("u0", "c0", 0, next_at=99.0)], 2.0)
    claims = await asyncio.gather(*(updates.claim("crm", 10.0, 3, 30.0) for _ in range(3)))
    claimed = [each.id for claim in claims for each in claim]
    assert sorted(claimed) == ["u0", "u1", "u2", "u3"], "of each contact the oldest, and none twice"
    assert await updates.claim("crm", 10.0, 9, 30.0) == []
    assert await updates.claim("other", 10.0, 9, 30.0) == []
    await updates.settle("u0", UpdateState.DELIVERED, 11.0)
    await updates.failed("u1", Saying("500"), now=11.0, retry_at=60.0)
    await updates.failed("u2", Saying("422"), now=11.0, retry_at=None)
    await updates.put_off(["u3"], 11.0, 11.0)
    # What is given up holds nothing back; what is tried again does.
    assert [each.id for each in await updates.claim("crm", 12.0, 9, 30.0)] == ["u4", "u6", "u3"]
    backlog = (await updates.backlog())["crm"]
    assert (backlog.waiting, backlog.failed, backlog.oldest_at) == (10, 1, 1.0)
    assert await updates.again(["u2", "u0"], 13.0) == 1
    assert (await updates.page(UpdateState.FAILED)).items == []
    await updates.failed("u0", Saying("late"), now=14.0, retry_at=20.0)
    stored = await updates.get("u0")
    assert stored is not None
    assert stored.state is UpdateState.DELIVERED
    assert await updates.forget(before=11.0) == 0
    assert await updates.forget(before=11.5) == 1

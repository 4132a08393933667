"""A list that is called once more: who is opened again, who is not, and that a step which fails can be repeated."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dialer.core.campaign import Campaign
from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration, Reopened
from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys
from dialer.queues.port import Offered, Queues
from dialer.queues.reopening import Reopening
from dialer.runtime.recycling import NodeRecycling
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.recycling import Recycling
from dialer.storage.removals import Removal, Removals
from tests.queue_worlds import NOW, Caller, RedisWorld, finish, granted
from tests.record_values import CAMPAIGN, attempt, contact

NEVER: frozenset[Outcome] = frozenset({Outcome.NO_ANSWER, Outcome.BUSY})


async def finished(
    database: Database, number: int, *outcomes: Outcome, list_id: str = "may", **values: object
) -> Contact:
    """A contact whose calls came to this, and which is done."""
    made = contact(number, **values)
    await Contacts(database).upsert([made], at=1.0, list_id=list_id)
    for n, outcome in enumerate(outcomes, 1):
        again = 1.0 if n < len(outcomes) else None
        call = attempt(
            number, call=f"call-{number}-{n}", attempt_number=n, outcome=outcome, ended_at=1_700_000_000.0 + n
        )
        await Attempts(database).record([(call, again)])
    return made


class Hopper:
    """Takes everybody but those named."""

    def __init__(self, refused: dict[str, str] | None = None) -> None:
        self.refused = refused or {}
        self.offered: list[ContactId] = []
        self.down = False

    async def __call__(self, contacts: Sequence[Contact]) -> list[str | None]:
        if self.down:
            raise QueueError("Redis is out of reach")
        self.offered += [each.id for each in contacts]
        return [self.refused.get(each.id) for each in contacts]


async def test_the_last_outcome_decides_who_is_opened_again(database: Database) -> None:
    await finished(database, 1, Outcome.NO_ANSWER, Outcome.NO_ANSWER)
    await finished(database, 2, Outcome.NO_ANSWER, Outcome.CONNECTED)
    await finished(database, 3, Outcome.MACHINE, Outcome.BUSY)
    await finished(database, 4, Outcome.BUSY, list_id="june")
    await finished(database, 5, Outcome.NO_ANSWER, expires_at=50.0)
    await Contacts(database).upsert([contact(6)], at=1.0, list_id="may")  # waits
    await Attempts(database).record([(attempt(6), 5.0)])
    await finished(database, 7, Outcome.NO_ANSWER)
    await Removals(database).add([Removal(campaign=CAMPAIGN, kind="contact", subject="crm-7", reason="paid", at=2.0)])
    hopper = Hopper()
    done = await Recycling(database).reopen(CAMPAIGN, "may", NEVER, hopper, now=100.0)
    assert done == Reopened(reopened=2)
    assert hopper.offered == ["crm-1", "crm-3"]
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert (stored.state, stored.attempts, stored.next_at) == (ContactState.WAITING, 0, None)
    again = await Recycling(database).reopen(CAMPAIGN, "may", NEVER, hopper, now=100.0)
    assert again == Reopened(), "a second time there is nobody left"
    whole = await Recycling(database).reopen(CAMPAIGN, None, NEVER, hopper, now=100.0)
    assert whole.reopened == 1
    assert hopper.offered[-1] == "crm-4"


async def test_a_call_after_the_reset_counts_as_the_first(database: Database) -> None:
    await finished(database, 1, Outcome.NO_ANSWER, Outcome.NO_ANSWER, Outcome.NO_ANSWER)
    await Recycling(database).reopen(CAMPAIGN, "may", NEVER, Hopper(), now=100.0)
    await Attempts(database).record([(attempt(1, call="again", outcome=Outcome.BUSY, ended_at=1.8e9), None)])
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert (stored.state, stored.attempts) == (ContactState.FINISHED, 1)
    only_busy = await Recycling(database).reopen(CAMPAIGN, "may", [Outcome.BUSY], Hopper(), now=100.0)
    assert only_busy.reopened == 1, "the new call's outcome counts"


async def test_steps_go_through_the_list_and_who_is_refused_stays_finished(database: Database) -> None:
    for number in range(5):
        await finished(database, number, Outcome.BUSY)
    hopper, after, steps = Hopper({"crm-1": "removed", "crm-3": "do_not_call"}), None, []
    while True:
        step = await Recycling(database).reopen(CAMPAIGN, "may", NEVER, hopper, now=1.0, after=after, step=2)
        steps.append(step)
        after = step.next
        if after is None:
            break
    assert [step.reopened for step in steps] == [1, 1, 1]
    assert [dict(step.refused) for step in steps] == [{"removed": 1}, {"do_not_call": 1}, {}]
    assert hopper.offered == [f"crm-{n}" for n in range(5)]
    counts = await Contacts(database).counts(CAMPAIGN)
    assert (counts[ContactState.WAITING], counts[ContactState.FINISHED]) == (3, 2)


async def test_when_the_hopper_is_out_of_reach_nothing_is_on_record_and_the_step_is_repeated(
    database: Database,
) -> None:
    await finished(database, 1, Outcome.BUSY)
    hopper = Hopper()
    hopper.down = True
    with pytest.raises(QueueError):
        await Recycling(database).reopen(CAMPAIGN, "may", NEVER, hopper, now=1.0)
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert (stored.state, stored.attempts) == (ContactState.FINISHED, 1)
    hopper.down = False
    assert (await Recycling(database).reopen(CAMPAIGN, "may", NEVER, hopper, now=1.0)).reopened == 1


async def test_penetration_by_list(database: Database) -> None:
    await Campaigns(database).create(Campaign(id=CAMPAIGN), 1.0)
    await finished(database, 1, Outcome.NO_ANSWER, Outcome.CONNECTED)
    await Contacts(database).upsert([contact(2), contact(3), contact(4)], at=1.0, list_id="may")
    await Attempts(database).record([(attempt(2), 5.0)])
    await Removals(database).add([Removal(campaign=CAMPAIGN, kind="contact", subject="crm-4", reason="", at=2.0)])
    await Contacts(database).upsert([contact(9)], at=1.0)
    may = Penetration(list="may", contacts=4, called=2, finished=1, removed=1, attempts=3)
    pushed = Penetration(list=None, contacts=1, called=0, finished=0, removed=0, attempts=0)
    found = await Recycling(database).penetration(CAMPAIGN)
    assert sorted(found, key=lambda each: each.list or "") == [pushed, may]
    assert await Recycling(database).penetration(CAMPAIGN, "may") == [may]
    assert (may.share_called, may.share_finished) == (0.5, 0.25)
    assert await Recycling(database).penetration(CampaignId("other")) == []


async def test_the_gate_gives_out_who_was_opened_again_and_nobody_who_was_withdrawn(
    sqlite_url: str, valkey: AsyncRedis, valkey_server: EmbeddedServer
) -> None:
    database = Database(sqlite_url)
    world = RedisWorld(valkey, valkey_server.url)
    queues: Queues = await world.node("n1")
    made = [contact(number) for number in range(4)]
    await Contacts(database).upsert(made, at=1.0, list_id="may")
    await queues.offer(made)
    reserve = Caller(queues)
    reservation = await reserve(10)
    for permit in reservation.granted.permits:
        over = finish(permit, retry_at=None)
        await queues.write([over])
        await Attempts(database).record([(over.attempt, None)])
    assert await queues.offer(made) == [Offered.FINISHED] * 4
    await world.push("removals", {"id": "r-1", "campaign": CAMPAIGN, "contact": "crm-1"})
    await world.push("dnc", {"id": "d-1", "op": "add", "phone": made[2].phones[0], "scope": "*"})
    await queues.drain()
    recycling = NodeRecycling(Recycling(database), Reopening(valkey, Keys(), queues), lambda: NOW)
    done = await recycling.reset(CAMPAIGN, "may", {Outcome.BUSY}, None)
    # The record learns of the removal later than the gate: the gate's word counts.
    assert done == Reopened(reopened=2, refused={"removed": 1, "do_not_call": 1})
    reservation = await reserve(10)
    assert sorted(granted(reservation)) == ["crm-0", "crm-3"]
    assert {permit.attempt_number for permit in reservation.granted.permits} == {1}
    assert await recycling.reset(CAMPAIGN, "may", {Outcome.NO_ANSWER}, None) == Reopened()
    await world.close()
    await database.close()

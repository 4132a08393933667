"""Messages of a CRM: each contact, callback and disposition is answered, and nothing bad stops what is good."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dialer.core.campaign import Campaign, CampaignState
from dialer.core.contact import Contact
from dialer.core.events import CallDisposed
from dialer.core.ids import AgentId, CampaignId, ContactId, Phone
from dialer.core.promise import Promise
from dialer.errors import InputError, QueueError
from dialer.intake.consumer import Intake
from dialer.intake.desk import ContactDesk
from dialer.intake.phones import PhoneReader
from dialer.queues.port import Offered, Publish, Write
from dialer.queues.streams import Message, Poison
from dialer.storage.campaigns import StoredCampaign
from dialer.storage.contacts import ContactState, StoredContact

WINTER = CampaignId("winter")
NOW = 1_772_377_200.0  # 2026-03-01T16:00:00+01:00


class World:
    """Everything around the intake, in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredContact] = {}
        self.offers: list[list[str]] = []
        self.answers: dict[str, Offered] = {}
        self.results: list[dict[str, Any]] = []
        self.disposed: list[CallDisposed] = []
        self.refused: dict[str, InputError] = {}
        self.steps: list[str] = []
        self.promises: dict[str, Promise] = {}
        self.queue_error: QueueError | None = None
        phones = PhoneReader("ES")
        self.intake = Intake(
            desk=ContactDesk(self, self, phones, self),
            campaigns=Campaigns(),
            contacts=self,
            writer=self,
            engine=self,
            phones=phones,
            now=lambda: NOW,
        )

    async def upsert(self, batch: Sequence[Contact], at: float, *, list_id: str | None = None) -> int:
        self.steps.append("stored")
        for contact in batch:
            self.stored[contact.id] = StoredContact(
                contact=contact,
                state=ContactState.WAITING,
                attempts=0,
                next_at=None,
                list=list_id,
                updated_at=at,
            )
        return len(batch)

    async def newer(self, batch: Sequence[Contact], at: float) -> dict[tuple[CampaignId, ContactId], Contact]:
        return {
            (contact.campaign, contact.id): known.contact
            for contact in batch
            if (known := self.stored.get(contact.id)) is not None and known.updated_at > at
        }

    async def get(self, campaign: CampaignId, contact: ContactId) -> StoredContact | None:
        return self.stored.get(contact)

    async def offer(self, contacts: Sequence[Contact]) -> list[Offered]:
        if self.queue_error is not None:
            raise self.queue_error
        self.steps.append("offered")
        ids = [str(contact.id) for contact in contacts]
        assert len(set(ids)) == len(ids) <= 1_000
        self.offers.append(ids)
        return [self.answers.get(id, Offered.ADDED) for id in ids]

    async def promise(self, contact: Contact, promise: Promise, attempts: int = 0) -> Offered:
        (offered,) = await self.offer([contact])
        return offered

    async def keep(self, promise: Promise, made_at: float) -> None:
        self.steps.append("promised")
        self.promises[promise.contact] = promise

    async def drop(self, campaign: CampaignId, contact: ContactId) -> None:
        self.promises.pop(contact, None)

    async def write(self, writes: Sequence[Write]) -> None:
        self.steps.append("published")
        for write in writes:
            assert isinstance(write, Publish)
            self.results.append(dict(write.result))

    async def dispose(self, events: Sequence[CallDisposed]) -> list[InputError | None]:
        self.disposed += events
        return [self.refused.get(event.call) for event in events]


class Campaigns:
    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        if campaign != WINTER:
            return None
        return StoredCampaign(campaign=Campaign(id=WINTER), state=CampaignState.RUNNING, updated_at=0.0)


@pytest.fixture
def world() -> World:
    return World()


def message(data: object, number: int = 1) -> Message:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Message(id=f"1772377200{number:03}-0", data=raw)


def contact(id: str, phone: str = "+34600111222", **more: Any) -> dict[str, Any]:
    return {"id": id, "phones": [phone], **more}


async def test_each_contact_of_a_message_gets_its_result_in_order(world: World) -> None:
    world.answers = {"listed": Offered.DO_NOT_CALL, "gone": Offered.REMOVED, "done": Offered.FINISHED}
    await world.intake.handle_contacts(
        [
            message(
                {
                    "id": "m-1",
                    "campaign": "winter",
                    "contacts": [
                        contact("a"),
                        contact("bad", "nobody"),
                        contact("listed"),
                        contact("gone"),
                        contact("done"),
                        {"id": "half", "phones": ["600111222", "803123456"]},
                        17,
                    ],
                }
            )
        ]
    )
    assert [(r["type"], r.get("contact"), r.get("reason", "").partition(":")[0]) for r in world.results] == [
        ("contact.accepted", "a", ""),
        ("contact.rejected", "bad", "phone_not_a_number"),
        ("contact.rejected", "listed", "do_not_call"),
        ("contact.rejected", "gone", "removed"),
        ("contact.rejected", "done", "finished"),
        ("contact.accepted", "half", "phone 2 a premium-rate number is never dialed"),
        ("contact.rejected", None, "wrong_type"),
    ]
    assert {r["ref"] for r in world.results} == {"m-1"}
    assert {r["at"] for r in world.results} == {"2026-03-01T15:00:00.000000Z"}
    # On record before it can be called, told when it can be.
    assert world.steps == ["stored", "offered", "published"]
    assert world.stored["a"].updated_at == 1_772_377_200.001


async def test_bad_messages_are_named_and_the_others_are_done(world: World) -> None:
    with pytest.raises(Poison) as told:
        await world.intake.handle_contacts(
            [
                message(b"not json", 1),
                message({"campaign": "winter", "contacts": [contact("a")]}, 2),
                message({"id": "m-3", "campaign": "sumer", "contacts": [contact("b")]}, 3),
                message({"id": "m-4", "campaign": "winter", "contacts": []}, 4),
            ]
        )
    reasons = told.value.reasons
    assert set(reasons) == {"1772377200001-0", "1772377200003-0", "1772377200004-0"}
    assert reasons["1772377200001-0"].startswith("not_json: ")
    assert reasons["1772377200003-0"] == (
        "unknown_campaign: there is no campaign 'sumer'; create it first (cadencia campaign create sumer)"
    )
    assert told.value.refs["1772377200003-0"] == "m-3"
    assert list(world.stored) == ["a"]
    assert [r["contact"] for r in world.results] == ["a"]


async def test_a_contact_that_comes_twice_is_offered_twice_and_the_last_counts(world: World) -> None:
    await world.intake.handle_contacts(
        [
            message({"campaign": "winter", "contacts": [contact("a", name="old"), contact("b")]}, 1),
            message({"campaign": "winter", "contacts": [contact("a", name="new")]}, 2),
        ]
    )
    assert world.offers == [["a", "b"], ["a"]]
    assert world.stored["a"].contact.name == "new"
    assert len(world.results) == 3


async def test_thousands_of_contacts_are_offered_a_thousand_at_a_time(world: World) -> None:
    messages = [
        message({"campaign": "winter", "contacts": [contact(f"{m}-{i}") for i in range(700)]}, m) for m in range(3)
    ]
    await world.intake.handle_contacts(messages)
    assert [len(ids) for ids in world.offers] == [1_000, 1_000, 100]
    assert len(world.results) == 2_100


async def test_trouble_with_redis_leaves_the_batch_to_be_handed_in_again(world: World) -> None:
    world.queue_error = QueueError("Redis is out of reach")
    batch = [message({"campaign": "winter", "contacts": [contact("a")]})]
    with pytest.raises(QueueError):
        await world.intake.handle_contacts(batch)
    assert not world.results
    world.queue_error = None
    await world.intake.handle_contacts(batch)
    assert [r["type"] for r in world.results] == ["contact.accepted"]


def callback(**changes: Any) -> dict[str, Any]:
    return {
        "id": "m-1",
        "campaign": "winter",
        "contact": "a",
        "phone": "600333444",
        "at": "2026-03-02T16:00:00+01:00",
    } | changes


async def test_a_callback_waits_for_its_time_and_its_number_comes_first(world: World) -> None:
    known = Contact(
        campaign=WINTER,
        id=ContactId("a"),
        phones=(Phone("+34600111222"), Phone("+34600333444")),
        name="Ana",
        fields={"debt": 17},
    )
    await world.upsert([known], 0.0)
    await world.intake.handle_callbacks([message(callback(agent="agent01"))])
    assert world.steps[-4:] == ["stored", "promised", "offered", "published"]
    assert world.promises == {
        "a": Promise(
            campaign=WINTER,
            contact=ContactId("a"),
            at=NOW + 86_400,
            agent=AgentId("agent01"),
            fallback_at=NOW + 86_400 + 900,
            until_at=NOW + 86_400 + 3_600,
        )
    }
    assert world.stored["a"].contact == msgspec.structs.replace(
        known,
        phones=(Phone("+34600333444"), Phone("+34600111222")),
        not_before_at=NOW + 86_400,
        fields={
            "debt": 17,
            "callback": {"ref": "m-1", "at": "2026-03-02T15:00:00.000000Z", "agent": "agent01"},
        },
    )
    assert world.results == [
        {
            "type": "callback.accepted",
            "at": "2026-03-01T15:00:00.000000Z",
            "campaign": "winter",
            "contact": "a",
            "phone": "+34600333444",
            "ref": "m-1",
        }
    ]


async def test_a_callback_for_somebody_unknown_makes_a_contact(world: World) -> None:
    await world.intake.handle_callbacks([message(callback())])
    assert world.stored["a"].contact.phones == ("+34600333444",)
    assert world.results[0]["type"] == "callback.accepted"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"campaign": "sumer"}, "unknown_campaign"),
        ({"at": "2026-03-01T10:00:00+01:00"}, "invalid_time"),
        ({"contact": "gone"}, "removed"),
        ({"contact": "listed"}, "do_not_call"),
        ({"contact": "short"}, "invalid_time"),
    ],
)
async def test_callbacks_that_cannot_be_made_are_rejected(world: World, changes: dict[str, Any], reason: str) -> None:
    short = Contact(campaign=WINTER, id=ContactId("short"), phones=(Phone("+34600111222"),), expires_at=NOW + 60)
    gone = msgspec.structs.replace(short, id=ContactId("gone"))
    await world.upsert([short, gone], 0.0)
    world.stored["gone"] = replace(world.stored["gone"], state=ContactState.REMOVED)
    world.answers = {"listed": Offered.DO_NOT_CALL}
    await world.intake.handle_callbacks([message(callback(**changes))])
    (result,) = world.results
    assert result["type"] == "callback.rejected"
    assert result["reason"].startswith(f"{reason}: ")
    assert result["ref"] == "m-1"
    assert world.promises == {}


async def test_dispositions_are_told_to_the_engine(world: World) -> None:
    good = {"id": "m-1", "call": "c-1", "code": "SALE", "amount": "129.90", "notes": "ok", "agent": "agent01"}
    with pytest.raises(Poison) as told:
        await world.intake.handle_dispositions([message(b"{", 1), message(good, 2)])
    assert set(told.value.reasons) == {"1772377200001-0"}
    (event,) = world.disposed
    assert (event.at, event.call, event.code, event.agent) == (1_772_377_200.002, "c-1", "SALE", "agent01")
    assert (event.amount, event.notes, event.ref) == ("129.90", "ok", "m-1")


async def test_the_desk_answers_requests_with_a_verdict_on_each_contact(world: World) -> None:
    desk = ContactDesk(world, world, PhoneReader("ES"))
    world.answers = {"gone": Offered.REMOVED}
    rows = [json.dumps(row).encode() for row in (contact("a"), contact("bad", "x"), contact("gone"))]
    verdicts = await desk.take_json(WINTER, [*rows, b"{"], 5.0)
    assert [(v.id, v.accepted, v.reason) for v in verdicts] == [
        ("a", True, None),
        ("bad", False, "phone_not_a_number"),
        ("gone", False, "removed"),
        (None, False, "not_json"),
    ]

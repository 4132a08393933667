"""Which results are told to which webhook: those of its tenant, of its types, and from its beginning on."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from dialer.core.tenants import tenant_of
from dialer.crm.webhooks import WebhookFeed
from dialer.queues.streams import Message
from dialer.settings import Webhook
from dialer.storage.webhook_book import KeptWebhook
from dialer.storage.webhooks import Delivery

#: Some that only look like another's.
NAMES: Final = ("acme--winter", "acme--*", "beta--winter", "acme-2--winter", "winter", "acme-winter", "*", "")
TYPES: Final = ("call.ended", "call.started", "dnc.applied")
OWN: Final = Webhook(url="https://own.example/", types=("call.ended",))


class Kept:
    """Webhooks and deliveries in lists."""

    def __init__(self, webhooks: Sequence[KeptWebhook]) -> None:
        self.webhooks = webhooks
        self.deliveries: list[Delivery] = []

    async def all(self) -> Sequence[KeptWebhook]:
        return self.webhooks

    async def add(self, batch: Sequence[Delivery], now: float) -> None:
        self.deliveries += batch

    async def known(self, ids: Collection[str]) -> set[str]:
        return {each.id for each in self.deliveries} & set(ids)


def hook(tenant: str, types: Sequence[str], created_at: float, number: int) -> KeptWebhook:
    return KeptWebhook(
        id=f"{tenant}--{number}" if tenant else str(number),
        tenant=tenant,
        url="https://crm.example/",
        types=tuple(types),
        secret="whsec_",
        former_secret=None,
        former_until=None,
        created_at=created_at,
        updated_at=created_at,
    )


HOOKS: Final = st.lists(
    st.tuples(
        st.sampled_from(["acme", "beta", "acme-2", ""]),
        st.lists(st.sampled_from(TYPES), max_size=2),
        st.integers(0, 9).map(float),
    ),
    max_size=5,
).map(lambda rows: [hook(*row, number) for number, row in enumerate(rows)])
RESULTS: Final = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES)},
        optional={"campaign": st.sampled_from(NAMES), "agent": st.sampled_from(NAMES), "contact": st.just("crm-1")},
    ),
    max_size=6,
)


@given(HOOKS, RESULTS)
async def test_a_webhook_is_told_its_own_results_alone(hooks: list[KeptWebhook], results: list[dict[str, Any]]) -> None:
    kept = Kept(hooks)
    feed = WebhookFeed([OWN], kept, lambda: None, lambda: 100.0, kept)
    numbered = [result | {"n": at} for at, result in enumerate(results)]
    messages = [Message(id=f"{at}000-0", data=json.dumps(result).encode()) for at, result in enumerate(numbered)]
    await feed.handle_results(messages)
    expected = set()
    for at, result in enumerate(results):
        whose = result.get("campaign") or result.get("agent") or ""
        for each in hooks:
            wanted = not each.types or result["type"] in each.types
            if wanted and at >= each.created_at and (not each.tenant or tenant_of(whose) == each.tenant):
                expected.add((at, each.id))
        if result["type"] == "call.ended":
            expected.add((at, OWN.url))
    told = [(int(delivery.position.split("-")[0]) // 1_000, delivery.url) for delivery in kept.deliveries]
    assert sorted(told) == sorted(expected)
    ids = {delivery.id for delivery in kept.deliveries}
    assert len(ids) == len(told)
    # Told again in another place, all of them are what they were, for whoever was there when they were told first.
    await feed.handle_results([Message(id=f"{message.id[:-1]}9", data=message.data) for message in messages])
    assert {delivery.id for delivery in kept.deliveries} == ids


async def test_one_that_is_made_later_is_not_told_what_is_told_again() -> None:
    kept = Kept([hook("", (), 1_893_456_120.0, 1)])  # two minutes past midnight
    feed = WebhookFeed([], kept, lambda: None, lambda: 100.0, kept)

    def told(minute: int, call: str) -> Message:
        result = {"type": "call.ended", "at": f"2030-01-01T00:0{minute}:00.000000Z", "call": call}
        return Message(id="1893456180000-0", data=json.dumps(result).encode())

    await feed.handle_results([told(0, "n-1"), told(2, "n-2"), told(3, "n-3")])
    assert [json.loads(delivery.payload)["call"] for delivery in kept.deliveries] == ["n-2", "n-3"]


async def test_what_is_no_result_of_ours_is_told_to_nobody() -> None:
    kept = Kept([hook("acme", (), 0.0, 1), hook("", (), 0.0, 2)])
    feed = WebhookFeed([], kept, lambda: None, lambda: 100.0, kept)
    for data in (b"", b"\xff", b"[]", b'{"type": 1}', b'{"campaign": "acme--winter"}', b'{"type": "x", "agent": 7}'):
        await feed.handle_results([Message(id="1-0", data=data)])
    assert kept.deliveries == []


@given(st.lists(st.sampled_from(["made", "gone", "told"]), max_size=12))
async def test_one_is_told_what_happens_while_it_is_there(steps: list[str]) -> None:
    """One feed, and webhooks that come and go between two results of the same second."""
    kept = Kept([])
    feed = WebhookFeed([], kept, lambda: None, lambda: 100.0, kept)
    expected = []
    for at, step in enumerate(steps):
        if step == "made":
            kept.webhooks = [*kept.webhooks, hook("acme", (), float(at), at)]
        elif step == "gone":
            kept.webhooks = kept.webhooks[1:]
        else:
            data = json.dumps({"type": "call.ended", "campaign": "acme--winter"}).encode()
            await feed.handle_results([Message(id=f"{at}000-0", data=data)])
            expected += [(f"{at}000-0", each.id) for each in kept.webhooks]
    assert [(f"{int(each.position.partition('-')[0])}-0", each.url) for each in kept.deliveries] == expected

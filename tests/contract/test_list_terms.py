"""Priority and filter of lists at the gate: both hold from the next reservation, and nobody is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core import filters_in_force
from dialer.core.contact import Contact
from dialer.core.contact_filter import parse_filter
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.permit import Permit
from dialer.errors import GateNotReady, InputError
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import FilterInForce, Record, Release
from dialer.runtime.filters import FilterDesk
from tests.queue_worlds import NOW, WINTER, Caller, MemoryWorld, Pages, RedisWorld, World, contact, granted

TEXTS = ("", 'state = "CA"', "debt > 3")


@pytest.fixture(params=["memory", "redis"])
async def world(
    request: pytest.FixtureRequest, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[World]:
    made: World = MemoryWorld() if request.param == "memory" else RedisWorld(valkey, valkey_server.url)
    yield made
    await made.close()


async def test_a_list_is_called_before_others_from_the_next_reservation_on(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer(
        [contact(1), contact(2, list="may"), contact(3, priority=5), contact(4, priority=-1, list="may")]
    )
    await queues.set_list_priority(WINTER, "may", 10)
    assert await queues.list_priorities(WINTER) == {"may": 10}
    await queues.offer([contact(5, list="may"), contact(6, list="june")])
    assert granted(await Caller(queues)(4)) == ["c2", "c5", "c4", "c3"]
    await queues.offer([contact(7, list="may")])
    await queues.set_list_priority(WINTER, "may", -10)
    assert granted(await Caller(queues, "l")(5)) == ["c1", "c6", "c7"]


async def test_without_it_contacts_have_the_place_that_they_had(world: World) -> None:
    queues = await world.node("n1")
    await queues.offer([contact(n, list="may" if n % 2 else None) for n in range(6)])
    await queues.set_list_priority(WINTER, "may", 1_000)
    await queues.set_list_priority(WINTER, "may", 0)
    assert await queues.list_priorities(WINTER) == {}
    assert granted(await Caller(queues)(6)) == [f"c{n}" for n in range(6)]


async def test_whoever_comes_back_stands_by_it(world: World) -> None:
    """Given back, waited for a time, or loaded from the record."""
    queues = await world.node("n1")
    await queues.set_list_priority(WINTER, "may", 3)
    await queues.offer([contact(n, list="may" if n > 3 else None) for n in range(6)])
    taken = await Caller(queues)(6)
    late = {"c5": NOW + 10}
    await queues.write([Release(permit=p, not_before_at=late.get(p.contact)) for p in taken.granted.permits])
    assert granted(await Caller(queues, "l")(2, now=NOW + 11)) == ["c4", "c5"]
    await queues.rebuild(Pages(Record(contacts=[(contact(8, list="may"), 1, None)])))
    assert granted(await Caller(queues, "m")(1, now=NOW + 12)) == ["c8"]


async def test_a_field_of_that_name_is_no_list(world: World) -> None:
    queues = await world.node("n1")
    tricky = [contact(1), contact(2, fields={"list": "may"}), contact(3, name='","list":"may"}')]
    await queues.offer([*tricky, contact(4, fields={"x": '"list":"may"}'}), contact(5, list="may")])
    await queues.set_list_priority(WINTER, "may", 1)
    assert granted(await Caller(queues)(5)) == ["c5", "c1", "c2", "c3", "c4"]


async def test_thousands_are_moved_step_by_step(world: World) -> None:
    queues = await world.node("n1")
    for first in range(0, 1_500, 750):
        await queues.offer([contact(n, list="may" if n >= 700 else "june") for n in range(first, first + 750)])
    await queues.set_list_priority(WINTER, "may", 2)
    assert granted(await Caller(queues)(900))[:800] == [f"c{n}" for n in range(700, 1_500)]


async def test_it_is_taken_up_where_it_broke_off(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> None:
    world = RedisWorld(valkey, valkey_server.url)
    try:
        queues = await world.node("n1")
        for first in range(0, 1_500, 750):
            await queues.offer([contact(n, list="may") for n in range(first, first + 750)])
        await queues.offer([contact(9_000)])
        # One step, and then the process died.
        assert await queues._link.run("rank", WINTER, "may", "-5", "0", 10) != b"0"
        assert await queues.list_priorities(WINTER) == {"may": -5}
        await queues.set_list_priority(WINTER, "may", -5)
        assert granted(await Caller(queues)(1)) == ["c9000"]
    finally:
        await world.close()


async def test_a_gate_without_the_record_is_told_nothing(world: World) -> None:
    queues = await world.node("n1", opened=False)
    with pytest.raises(GateNotReady):
        await queues.set_list_priority(WINTER, "may", 1)


def permit(contact: Contact) -> Permit:
    return Permit(
        call=CallId("k"),
        campaign=contact.campaign,
        contact=contact.id,
        phone=contact.phones[0],
        fencing_token=1,
        attempt_number=1,
        expires_at=0.0,
        fields=contact.fields,
        list=contact.list,
    )


@given(
    campaign=st.sampled_from(TEXTS),
    lists=st.dictionaries(st.sampled_from(("may", "june")), st.sampled_from(TEXTS)),
    of=st.lists(st.tuples(st.sampled_from((None, "may", "june", "july")), st.sampled_from(("CA", "NY", 5, 2)))),
)
def test_a_contact_must_pass_its_lists_filter_and_the_campaigns(
    campaign: str, lists: dict[str, str], of: list[tuple[str | None, object]]
) -> None:
    text = filters_in_force.written(campaign, lists)
    assert (text == campaign) == (not any(lists.values()))
    permits = [
        permit(
            Contact(
                campaign=CampaignId("w"),
                id=ContactId(f"c{n}"),
                phones=(Phone("+34600111222"),),
                fields={"state" if isinstance(value, str) else "debt": value},
                list=name,
            )
        )
        for n, (name, value) in enumerate(of)
    ]
    passed, left_out = FilterDesk().choose(FilterInForce(text, 1), WINTER, permits)
    for one in permits:
        wanted = [each for each in (campaign, lists.get(one.list or "", "")) if each]
        assert (one in passed) == all(parse_filter(each).passes(one.fields) for each in wanted)
    assert len(passed) + len(left_out) == len(permits)


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"campaign": 1, "lists": {}}', json.dumps({"campaign": "", "lists": {"a": "no ="}})]
)
def test_filters_that_cannot_be_read_let_nobody_through(text: str) -> None:
    with pytest.raises(InputError):
        filters_in_force.read(text)
    passed, left_out = FilterDesk().choose(FilterInForce(text, 1), WINTER, [permit(contact(1))])
    assert (passed, len(left_out)) == ([], 1)

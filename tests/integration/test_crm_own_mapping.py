"""A campaign's own mapping in the workers' hands: it holds from the next page and the next update, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dialer.campaigns import change_campaign
from dialer.crm import puller
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.campaigns import Campaigns
from dialer.storage.crm_updates import UpdateState
from tests.crm_rig import CAMPAIGN, KEY, CrmRig, crm_rig, disposed, ended
from tests.crm_servers import TwoFunctions, serving


@pytest.fixture
async def crm() -> AsyncIterator[TwoFunctions]:
    server = TwoFunctions()
    async with serving(server):
        yield server


@pytest.fixture
async def rig(
    crm: TwoFunctions, sqlite_url: str, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[CrmRig]:
    async with crm_rig(crm, "rest.toml", KEY, sqlite_url, valkey_server.url, valkey) as made:
        yield made


async def change(rig: CrmRig, **settings: object) -> None:
    """Somebody saves the campaign."""
    campaigns = Campaigns(rig.database)
    stored = await campaigns.get(CAMPAIGN)
    assert stored is not None
    await campaigns.save(change_campaign(stored.campaign, settings), rig.now)


def call(number: int, **values: Any) -> dict[str, Any]:
    row = {"id": f"c-{number}", "phone": f"+346001{number:05d}", "status": "pending", "name": "Ana"}
    return row | {"account": {"balance": 10 + number}} | values


async def fields(rig: CrmRig, id: str) -> tuple[str, dict[str, object]]:
    stored = await rig.contact(id)
    assert stored is not None
    return stored.contact.name, dict(stored.contact.fields)


async def test_a_change_holds_from_the_next_page_also_for_those_listed_before(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(n) for n in range(3)]
    assert await rig.turn() == {"accepted": 3, "pages": 1}
    assert await fields(rig, "c-1") == ("Ana", {})
    await change(
        rig,
        crm_contact=[
            {"field": "fields.debt", "expression": "account.balance", "type": "number"},
            {"field": "name", "expression": "join(' ', [name, id])"},
        ],
    )
    crm.calls.append(call(3))
    assert await rig.turn(after_s=30) == {"accepted": 4, "pages": 1}, "three of them anew, with what is read now"
    assert await fields(rig, "c-1") == ("Ana c-1", {"debt": 11})
    assert await fields(rig, "c-3") == ("Ana c-3", {"debt": 13})
    assert await rig.turn(after_s=30) == {"unchanged": 4, "pages": 1}


async def test_a_change_in_the_middle_of_a_listing_holds_from_its_next_page(
    crm: TwoFunctions, rig: CrmRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.page_size = 2
    crm.calls = [call(n) for n in range(4)]
    ask = puller.Puller._ask
    asked = 0

    async def then_change(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            await change(rig, crm_contact=[{"field": "name", "expression": "id"}])
        return await ask(*arguments)

    monkeypatch.setattr(puller.Puller, "_ask", then_change)
    assert await rig.turn() == {"accepted": 4, "pages": 2}
    assert [(await fields(rig, f"c-{n}"))[0] for n in (0, 3)] == ["Ana", "c-3"]


async def test_results_are_written_in_the_campaigns_own_words(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1)]
    await rig.turn()
    await rig.tell(ended("c-1"))
    await rig.turn(after_s=1)
    await change(
        rig,
        crm_words=[{"table": "status", "word": "SALE", "becomes": "won"}],
        crm_update=[{"rule": 1, "field": "comments", "value": "{code}: {notes}"}, {"rule": 1, "field": "agent"}],
    )
    await rig.tell(disposed("c-1"))
    assert (await rig.turn(after_s=1))["update_delivered"] == 1
    before, after = crm.updates.values()
    assert (before["status"], before["agent"]) == ("talked", "agent01")
    assert (after["status"], after["comments"], "agent" in after) == ("won", "SALE: pays by card", False)


async def test_rows_that_no_longer_fit_are_on_record_and_nothing_is_lost_or_withdrawn(
    crm: TwoFunctions, rig: CrmRig
) -> None:
    crm.calls = [call(1), call(2)]
    await rig.turn()
    await rig.tell(ended("c-1"))
    # As if the mapping's file had had a second rule when the row was saved.
    await change(rig, crm_update=[{"rule": 2, "field": "x", "value": "y"}])
    crm.calls = [call(1)]
    assert await rig.turn(after_s=30) == {"failed": 1}
    source = await rig.source()
    assert (source.last_error.code, source.failures) == ("crm_no_rule", 1)
    assert "there is no rule 2; the mapping has 1" in source.last_error.says
    assert not crm.updates
    assert await rig.removals() == []
    await change(rig, crm_update=[])
    told = await rig.turn(after_s=60)
    assert (told["update_delivered"], told["withdrawn"]) == (1, 1)
    assert (await rig.source()).failures == 0


async def test_an_expression_that_finds_no_numbers_rejects_and_withdraws_nobody(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1), call(2)]
    await rig.turn()
    await change(rig, crm_contact=[{"field": "phones", "expression": "account.balance"}])
    told = await rig.turn(after_s=30)
    assert told == {"rejected": 2, "pages": 1}
    assert await rig.removals() == []
    assert await rig.waiting() == 2, "those taken before wait as they were"
    await change(rig, crm_contact=[])
    assert await rig.turn(after_s=30) == {"accepted": 2, "pages": 1}


async def test_a_row_for_another_crm_is_not_for_this_one(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1)]
    await change(rig, crm_contact=[{"field": "name", "expression": "id", "crm": "another"}])
    await rig.turn()
    assert (await fields(rig, "c-1"))[0] == "Ana"
    assert await rig.updates(UpdateState.WAITING) == []
    assert replace(await rig.source(), counts={}).name == "crm"

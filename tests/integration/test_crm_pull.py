"""Pending calls pulled from a CRM over real HTTP, and its updates written back: all goes well, or is put right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dialer.core.ids import CallId
from dialer.intake.desk import ContactDesk
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.contacts import ContactState
from dialer.storage.crm_sources import CrmSources
from dialer.storage.crm_updates import CrmUpdates, UpdateState
from tests.crm_rig import CAMPAIGN, KEY, MAPPINGS, CrmRig, crm_rig, disposed, ended
from tests.crm_servers import TwoFunctions, answers, serving
from tests.queue_worlds import finish


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


class Killed(BaseException):
    """Nothing in the way catches it."""


def call(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"c-{number}", "phone": f"+346001{number:05d}", "status": "pending", "name": f"Ñ {number}"} | values


async def test_pages_become_contacts_once(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(n, priority=3, amount="12.50") for n in range(700)]
    assert await rig.turn() == {"accepted": 700, "pages": 2}
    assert await rig.waiting() == 700
    stored = await rig.contact("c-7")
    assert stored is not None
    assert (stored.contact.phones, stored.contact.priority) == (("+34600100007",), 3)
    assert stored.contact.fields == {"amount": "12.50"}
    assert len(await rig.results("contact.accepted")) == 700
    # Not due yet; when it is, nothing has changed, and nothing is taken again.
    assert await rig.turn(after_s=1) == {}
    assert await rig.turn(after_s=30) == {"unchanged": 700, "pages": 2}
    crm.calls[7]["priority"] = 9
    assert await rig.turn(after_s=30) == {"accepted": 1, "unchanged": 699, "pages": 2}
    stored = await rig.contact("c-7")
    assert stored is not None
    assert stored.contact.priority == 9


async def test_what_the_crm_withdraws_is_withdrawn_here(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(n) for n in range(5)]
    await rig.turn()
    await rig.finish("c-3")
    crm.calls[1]["status"] = "cancelled"
    del crm.calls[2:4]
    told = await rig.turn(after_s=30)
    assert (told["withdrawn"], told["unchanged"]) == (2, 2)
    # That which was called to the end has nothing left to be withdrawn.
    assert {each["contact"] for each in await rig.removals()} == {"c-1", "c-2"}
    await rig.queues.drain()
    assert await rig.waiting() == 3
    # A removal is final: what comes back is not called again.
    crm.calls.append(call(2))
    assert (await rig.turn(after_s=30))["unchanged"] == 3
    assert await rig.waiting() == 3


async def called_to_the_end(rig: CrmRig) -> str:
    """The next contact is called and done, for the gate and on record."""
    async with rig.queues.reserve(CAMPAIGN, [CallId(f"n-1-{rig.turns}")], rig.now) as reservation:
        (permit,) = reservation.granted.permits
    await rig.queues.write([finish(permit)])
    await rig.finish(permit.contact)
    return permit.contact


@pytest.mark.parametrize("listed_again", ["call", "leave"])
async def test_a_call_that_comes_back_after_its_end_is_made_again_if_the_mapping_says_so(
    crm: TwoFunctions,
    sqlite_url: str,
    valkey_server: EmbeddedServer,
    valkey: AsyncRedis,
    tmp_path: Path,
    listed_again: str,
) -> None:
    mapping = tmp_path / "again.toml"
    text = (MAPPINGS / "rest.toml").read_text(encoding="utf-8")
    assert "[pending]\n" in text
    mapping.write_text(text.replace("[pending]\n", f'[pending]\nlisted_again = "{listed_again}"\n'), encoding="utf-8")
    async with crm_rig(crm, str(mapping), KEY, sqlite_url, valkey_server.url, valkey) as rig:
        crm.calls = [call(1), call(2)]
        await rig.turn()
        done = await called_to_the_end(rig)
        # As long as it never left the list it is done, whatever the CRM changes about it.
        [row] = [row for row in crm.calls if row["id"] == done]
        row["name"] = "Ana"
        await rig.turn(after_s=30)
        assert await rig.waiting() == 1
        crm.calls.remove(row)
        await rig.turn(after_s=30)
        assert not await rig.removals()
        crm.calls.append(row | {"name": "Eva"})
        told = await rig.turn(after_s=30)
        stored = await rig.contact(done)
        assert stored is not None
        if listed_again == "leave":
            assert (told.get("accepted"), await rig.waiting(), stored.state) == (None, 1, ContactState.FINISHED)
            return
        assert (told["accepted"], told.get("rejected"), await rig.waiting()) == (1, None, 2)
        assert (stored.state, stored.attempts, stored.contact.name) == (ContactState.WAITING, 0, "Eva")
        assert (await rig.turn(after_s=30))["unchanged"] == 2
        # A removal holds, whoever lists it.
        crm.calls = [row for row in crm.calls if row["id"] != done]
        await rig.turn(after_s=30)
        await rig.queues.drain()
        crm.calls.append(call(3) | {"id": done})
        await rig.turn(after_s=30)
        assert await rig.waiting() == 1


async def test_what_nobody_has_spoken_of_for_months_is_forgotten(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(n) for n in range(4)] + [{"id": "c-9", "phone": "", "status": "pending"}]
    await rig.turn()
    sources = CrmSources(rig.database)
    names = [f"c-{n}" for n in (0, 1, 2, 3, 9)]
    assert set(await sources.known("crm", names)) == set(names)
    await rig.finish("c-0")
    crm.calls = [each for each in crm.calls if each["id"] in {"c-2", "c-3"}]
    await rig.turn(after_s=30)
    await rig.finish("c-1", "removed")
    await rig.turn(after_s=89 * 86_400)
    assert set(await sources.known("crm", names)) == set(names)
    await rig.turn(after_s=2 * 86_400)
    assert set(await sources.known("crm", names)) == {"c-2", "c-3"}


async def test_one_listing_that_lacks_them_is_not_enough_where_two_are_asked_for(
    crm: TwoFunctions, sqlite_url: str, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> None:
    async with crm_rig(crm, "rest.toml", KEY, sqlite_url, valkey_server.url, valkey, withdrawn_after=2) as rig:
        crm.calls = [call(n) for n in range(3)]
        await rig.turn()
        moved = crm.calls.pop()
        await rig.turn(after_s=30)
        assert not await rig.removals()
        crm.calls.append(moved)  # it had only moved between two pages
        await rig.turn(after_s=30)
        crm.calls.pop()
        await rig.turn(after_s=30)
        assert not await rig.removals()
        assert (await rig.turn(after_s=30))["withdrawn"] == 1


async def test_a_list_that_is_suddenly_empty_is_asked_for_once_more(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(n) for n in range(30)]
    await rig.turn()
    crm.calls = []
    assert await rig.turn(after_s=30) == {"pages": 1}
    assert not await rig.removals()
    assert (await rig.turn(after_s=30))["withdrawn"] == 30


async def test_nothing_new_is_taken_while_the_hopper_has_enough(
    crm: TwoFunctions, sqlite_url: str, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> None:
    async with crm_rig(crm, "rest.toml", KEY, sqlite_url, valkey_server.url, valkey, enough=10) as rig:
        crm.calls = [call(n) for n in range(25)]
        assert await rig.turn() == {"accepted": 10, "left": 15, "pages": 1}
        # Withdrawals do not wait for room.
        del crm.calls[0]
        assert (await rig.turn(after_s=30))["withdrawn"] == 1
        await rig.queues.drain()
        assert (await rig.turn(after_s=30))["accepted"] == 1
        assert await rig.waiting() == 10


async def test_the_result_of_a_call_is_written_once_with_its_key(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1, priority=4)]
    await rig.turn()
    result = ended("c-1")
    await rig.tell(result, ended("somebody-pushed", "n-1-2"))
    await rig.tell(result)  # the stream hands it out again after a crash
    assert (await rig.turn())["update_delivered"] == 1
    ((key, update),) = crm.updates.items()
    assert crm.heard == {key: 1}
    assert {name: update[name] for name in ("id", "agent", "attempts", "seconds", "priority", "status")} == {
        "id": "c-1",
        "agent": "agent01",
        "attempts": 1,
        "seconds": 61,
        "priority": 4,
        "status": "talked",
    }
    assert await rig.turn() == {}


async def test_a_code_that_is_told_again_is_no_second_update(crm: TwoFunctions, rig: CrmRig) -> None:
    """Redis has lost it, and a node tells it once more: it stands in another place of the stream then."""
    crm.calls = [call(1)]
    await rig.turn()
    code = disposed("c-1", "n-1-1")
    await rig.tell(code)
    rig.now += 5.0
    await rig.tell(code, code | {"at": "2030-01-31T13:00:00.000000Z"})
    assert len(await rig.updates(UpdateState.WAITING)) == 2


async def test_an_answer_that_was_lost_is_no_second_update(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1)]
    await rig.turn()
    await rig.tell(ended("c-1"))

    async def heard_and_silent(request: Any) -> Any:
        answer = await crm.update(request)
        request.transport.close()
        return answer

    crm.faults = [heard_and_silent]
    assert await rig.turn() == {"failed": 1}
    assert (await rig.turn(after_s=60))["update_delivered"] == 1
    assert list(crm.heard.values()) == [2]
    assert len(crm.updates) == 1


async def test_updates_of_one_contact_are_in_order_and_do_not_hold_back_others(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1), call(2)]
    await rig.turn()
    await rig.tell(ended("c-1", "n-1-1"), disposed("c-1", "n-1-1"), ended("c-2", "n-1-2"), disposed("c-2", "n-1-2"))

    async def not_the_first(request: Any) -> Any:
        if request.match_info["id"] == "c-1":
            return await answers(500)(request)
        return await crm.update(request)

    crm.always = not_the_first
    told = await rig.turn()
    assert (told["update_delivered"], told["update_put_off"]) == (2, 1)
    assert [each["id"] for each in crm.updates.values()] == ["c-2", "c-2"]
    crm.always = None
    assert (await rig.turn(after_s=10))["update_delivered"] == 2
    assert [each["status"] for each in crm.updates.values() if each["id"] == "c-1"] == ["talked", "other"]


@pytest.mark.parametrize("status", [404, 409, 410])
async def test_a_call_that_is_gone_at_its_update_is_withdrawn(crm: TwoFunctions, rig: CrmRig, status: int) -> None:
    crm.calls = [call(1)]
    await rig.turn()
    await rig.tell(ended("c-1", final=False))
    crm.faults = [answers(status)]
    assert (await rig.turn())["update_withdrawn"] == 1
    assert [each["contact"] for each in await rig.removals()] == ["c-1"]
    (update,) = await rig.updates(UpdateState.WITHDRAWN)
    assert str(status) in update.last_error.says


async def test_what_can_never_be_written_is_kept_and_can_be_replayed(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1)]
    await rig.turn()
    await rig.tell(ended("c-1"))
    crm.faults = [answers(422, '{"error": {"code": "E17", "message": "about +34600111222"}}')]
    assert (await rig.turn())["update_given_up"] == 1
    (failed,) = await rig.updates(UpdateState.FAILED)
    assert failed.last_error.says == "the CRM answered 422 (E17)"
    assert await CrmUpdates(rig.database).again([failed.id], rig.now) == 1
    assert (await rig.turn())["update_delivered"] == 1
    assert await CrmUpdates(rig.database).again(None, rig.now) == 0


async def test_a_turn_that_is_killed_goes_on_where_it_was(
    crm: TwoFunctions, rig: CrmRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.page_size = 10
    crm.calls = [call(n) for n in range(30)]
    taken, take = 0, ContactDesk.take_json

    async def killed(self: ContactDesk, *arguments: Any) -> Any:
        nonlocal taken
        verdicts = await take(self, *arguments)
        taken += 1
        if taken == 2:
            raise Killed  # after the contacts were taken, before that was noted
        return verdicts

    with monkeypatch.context() as patched:
        patched.setattr(ContactDesk, "take_json", killed)
        with pytest.raises(Killed):
            await rig.turn()
    # What was dialed meanwhile is known to be the CRM's.
    await rig.tell(ended("c-12"))
    told = await rig.turn()
    assert (told["update_delivered"], told["accepted"], told["pages"]) == (1, 20, 2)
    assert await rig.waiting() == 30
    assert {path for path, _, _ in crm.asked("GET")} == {
        f"/pending-calls?after={after}&limit=500" for after in ("", "10", "20")
    }


async def test_two_workers_do_not_meet(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(1)]
    answers = await asyncio.gather(rig.turn(), rig.turn(), rig.turn())
    assert sorted(map(str, answers)) == sorted(map(str, [{"accepted": 1, "pages": 1}, {"busy": 1}, {"busy": 1}]))


async def test_rows_that_are_no_contacts_are_told_once_and_spoil_nothing(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [
        call(1),
        call(2, phone="no number"),
        call(3, amount="a lot"),
        {"phone": "+34600111222"},
        call(5, priority="high"),
        call(1),  # once more
    ]
    told = await rig.turn()
    assert told == {"accepted": 1, "rejected": 3, "unreadable": 1, "pages": 1}
    reasons = {each["contact"]: each["reason"] for each in await rig.results("contact.rejected")}
    assert reasons["c-2"].startswith("phone_not_a_number")
    assert "fields.amount must be a number" in reasons["c-3"]
    assert "priority must be a number" in reasons["c-5"]
    assert await rig.turn(after_s=30) == {"unchanged": 2, "unreadable": 1, "pages": 1}
    assert len(await rig.results("contact.rejected")) == 3
    stored = await rig.contact("c-1")
    assert stored is not None
    assert stored.state is ContactState.WAITING

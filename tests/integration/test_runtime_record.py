"""States of campaigns and dispositions on their way into the database, and codes for calls at every age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, ContactId, MessageId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import InputError, QueueError, StorageError
from dialer.projections.live import LiveView
from dialer.runtime import disposing, record_keeper
from dialer.runtime.control import NodeControl
from dialer.runtime.disposing import DispositionDesk
from dialer.runtime.record_keeper import RecordKeeper
from dialer.runtime.tasks import Tasks
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.testing import FakePurges
from tests.e2e.floor import until
from tests.patience import PATIENCE_S
from tests.runtime_floor import CAMPAIGN, PBX, RuntimeFloor

ENDED = CallId("n1-boot-0000000009")
NOW = 1_800_000_000.0


def attempt(call: CallId = ENDED) -> Attempt:
    return Attempt(
        call=call, campaign=CAMPAIGN, contact=ContactId("crm-9"), phone=Phone("+34600000009"), attempt_number=1,
        outcome=Outcome.CONNECTED, reason="", started_at=NOW - 60, ended_at=NOW, agent=AgentId("anna"),
    )  # fmt: skip


def disposed(code: str, ref: str | None = "m1", call: CallId = ENDED) -> ntc.CallWasDisposed:
    return ntc.CallWasDisposed(
        at=NOW, call=call, campaign=CAMPAIGN, contact=ContactId("crm-9"), phone=Phone("+34600000009"), code=code,
        agent=AgentId("anna"), amount="12.50", notes="", ref=None if ref is None else MessageId(ref),
    )  # fmt: skip


def changed(state: CampaignState, at: float = NOW) -> ntc.CampaignChanged:
    return ntc.CampaignChanged(at=at, campaign=CAMPAIGN, state=state, previous=CampaignState.DRAFT)


@pytest.fixture
async def keeper(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RecordKeeper]:
    monkeypatch.setattr(record_keeper, "_RETRY_S", 0.01)
    await Campaigns(database).create(Campaign(id=CAMPAIGN), NOW)
    made = RecordKeeper(database)
    async with Tasks() as tasks:
        tasks.start("record", made.run())
        yield made
        assert tasks._failed is not None
        assert not tasks._failed.done()


async def test_only_the_latest_state_of_a_campaign_is_kept(keeper: RecordKeeper, database: Database) -> None:
    for state in (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.DRAINING):
        keeper.apply(changed(state))
    assert len(keeper) == 1
    assert await keeper.flush(PATIENCE_S)
    found = await Campaigns(database).get(CAMPAIGN)
    assert found is not None
    assert found.state is CampaignState.DRAINING


async def test_a_message_is_kept_once_and_the_latest_code_counts(keeper: RecordKeeper, database: Database) -> None:
    for notice in (disposed("SALE"), disposed("SALE"), disposed("REFUND", ref="m2")):
        keeper.apply(notice)
    assert await keeper.flush(PATIENCE_S)
    history = await Dispositions(database).history(ENDED)
    assert [(d.code, d.amount) for d in history] == [("REFUND", "12.50"), ("SALE", "12.50")]


async def test_what_comes_while_the_database_is_away_is_kept_when_it_is_back(
    keeper: RecordKeeper, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = 3
    add = Dispositions.add

    async def away(self: Dispositions, disposition: Disposition) -> bool:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StorageError("away")
        return await add(self, disposition)

    monkeypatch.setattr(Dispositions, "add", away)
    keeper.apply(disposed("ONE", "m1"))
    keeper.apply(changed(CampaignState.RUNNING))
    keeper.apply(disposed("TWO", "m2"))
    assert not await keeper.flush(0)
    assert await keeper.flush(PATIENCE_S)
    assert refusals == 0
    assert [d.code for d in await Dispositions(database).history(ENDED)] == ["TWO", "ONE"]


async def test_the_line_of_codes_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_keeper, "_LIMIT", 2)
    keeper = RecordKeeper(database)
    for number in range(4):
        keeper.apply(disposed("SALE", f"m{number}"))
        keeper.apply(ntc.CallEnded(at=NOW, attempt=attempt(CallId(f"call-{number}")), retry_at=None))
    assert len(keeper) == 2
    assert [keeper.recently_ended(CallId(f"call-{n}")) is not None for n in range(4)] == [False, False, True, True]


# ---- codes from outside, at every age of a call


class Ear:
    """A projection that hears of codes for calls that are over."""

    def __init__(self) -> None:
        self.heard: list[ntc.AnyNotice] = []

    def apply(self, notice: ntc.AnyNotice) -> None:
        self.heard.append(notice)


class Site:
    def __init__(self, keeper: RecordKeeper, database: Database) -> None:
        self.floor = RuntimeFloor()
        self.ear = Ear()
        self.live = LiveView()
        #: Calls of a node that has just died.
        self.left_behind: set[CallId] = set()
        self.keeper = keeper
        self.control = NodeControl(
            dispatcher=self.floor.dispatcher,
            live=self.live,
            dispositions=DispositionDesk(
                dispatcher=self.floor.dispatcher,
                keeper=keeper,
                attempts=Attempts(database),
                campaigns=Campaigns(database),
                streams=FakePurges(),
                outbox=self.floor.outbox,
                now=lambda: NOW,
                listeners=(self.ear,),
                left_behind=self.left_behind.__contains__,
            ),
            now=lambda: NOW,
        )

    async def open(self) -> Site:
        """The queues have their record."""
        await self.floor.queues.rebuild(self.floor._record())
        return self

    async def dispose(self, call: CallId, ref: str = "m1") -> list[object]:
        """Results that a code has led to once it is taken."""
        before = len(self.floor.server.results)
        await self.control.submit(ev.CallDisposed(at=NOW, call=call, code="SALE", ref=MessageId(ref)))
        new = list(self.floor.server.results)[before:]
        return [(result["type"], result["ref"]) for result in new if result["type"] == "call.disposed"]


@pytest.fixture
async def site(keeper: RecordKeeper, database: Database) -> AsyncIterator[Site]:
    made = await Site(keeper, database).open()
    async with Tasks() as tasks:
        tasks.start("outbox", made.floor.outbox.run())
        yield made
    made.floor.dispatcher.close()


async def test_a_code_for_a_call_under_way_or_in_wrapup_goes_through_the_engine(site: Site) -> None:
    site.floor.work("anna")
    feed, at = site.floor.dispatcher.feed, site.floor.clock.now()
    call = CallId("n1-beef0001-0000000001")
    await site.floor.offer(1)
    async with site.floor.queues.reserve(CAMPAIGN, [call], at, 10.0) as reservation:
        feed(reservation.granted)
    assert await site.dispose(call, "m1") == [("call.disposed", "m1")]
    feed(ev.CallAnswered(at=at, call=call))
    feed(ev.CallJoined(at=at, call=call, agent=AgentId("anna")))
    site.floor.hang_up(call)
    assert call not in site.floor.engine.floor.calls
    assert await site.dispose(call, "m2") == [("call.disposed", "m2")], "anna wraps it up"


async def test_a_code_that_is_faster_than_the_record_is_not_turned_away(site: Site) -> None:
    site.keeper.apply(ntc.CallEnded(at=NOW, attempt=attempt(), retry_at=None))
    assert await site.dispose(ENDED) == [("call.disposed", "m1")]
    assert await site.keeper.flush(PATIENCE_S)


async def test_a_code_for_a_call_of_long_ago_is_looked_up(site: Site, database: Database) -> None:
    await Attempts(database).record([(attempt(), None)])
    assert await site.dispose(ENDED) == [("call.disposed", "m1")]
    assert await site.keeper.flush(PATIENCE_S)
    (kept,) = await Dispositions(database).history(ENDED)
    assert (kept.code, kept.agent) == ("SALE", "anna")
    # The engine does not tell of it, so whoever acts on codes hears of it here.
    (told,) = site.ear.heard
    assert isinstance(told, ntc.CallWasDisposed)
    assert (told.call, told.code) == (ENDED, "SALE")


async def test_a_code_is_taken_when_it_is_on_record_and_told_and_not_before(
    keeper: RecordKeeper, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has been told that a code is taken does not send it again, and the node may die the next moment."""
    await Attempts(database).record([(attempt(), None)])
    site, may_record, add = await Site(keeper, database).open(), asyncio.Event(), Dispositions.add

    async def late(self: Dispositions, disposition: Disposition) -> None:
        await may_record.wait()
        await add(self, disposition)

    monkeypatch.setattr(Dispositions, "add", late)
    async with Tasks() as tasks:
        taken = asyncio.create_task(site.dispose(ENDED))
        await until(lambda: len(keeper) == 1, "the code at the record")
        assert not taken.done(), "it is not on record"
        may_record.set()
        await until(lambda: len(keeper) == 0, "the code on record")
        assert len(site.floor.outbox) == 1
        assert not taken.done(), "nobody has been told"
        tasks.start("outbox", site.floor.outbox.run())
        async with asyncio.timeout(PATIENCE_S):
            assert await taken == [("call.disposed", "m1")]
    site.floor.dispatcher.close()


@pytest.mark.parametrize("away", ["the database", "redis"])
async def test_a_code_that_cannot_be_written_in_time_is_not_taken_and_still_tried(
    keeper: RecordKeeper, database: Database, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    monkeypatch.setattr(disposing, "_RECORDED_WITHIN_S", 0.05)
    await Attempts(database).record([(attempt(), None)])
    site, is_back, add = await Site(keeper, database).open(), asyncio.Event(), Dispositions.add

    async def late(self: Dispositions, disposition: Disposition) -> None:
        await is_back.wait()
        await add(self, disposition)

    async with Tasks() as tasks:
        if away == "redis":
            with pytest.raises(QueueError, match="not among the results yet"):
                await site.dispose(ENDED)
        else:
            monkeypatch.setattr(Dispositions, "add", late)
            with pytest.raises(StorageError, match="not on record yet"):
                await site.dispose(ENDED)
        is_back.set()
        tasks.start("outbox", site.floor.outbox.run())
        assert await keeper.flush(PATIENCE_S)
        assert await site.floor.outbox.flush(PATIENCE_S)
    assert [kept.code for kept in await Dispositions(database).history(ENDED)] == ["SALE"]
    assert [result["ref"] for result in site.floor.server.results if result["type"] == "call.disposed"] == ["m1"]
    site.floor.dispatcher.close()


async def test_a_code_for_no_call_is_rejected_in_words(site: Site) -> None:
    with pytest.raises(InputError, match="there is no call 'unheard-of'"):
        await site.dispose(CallId("unheard-of"))
    assert len(site.keeper) == 0


async def test_a_code_for_a_call_of_a_node_that_has_just_died_is_tried_again(site: Site) -> None:
    call = CallId("n2-b1-0000000001")
    site.left_behind.add(call)
    with pytest.raises(QueueError, match="not on record yet"):
        await site.dispose(call)
    site.left_behind.clear()
    with pytest.raises(InputError, match="there is no call"):
        await site.dispose(call)


async def test_a_changed_method_goes_on_with_the_budget_of_the_legal_window(site: Site) -> None:
    site.live.abandonment.restore(CAMPAIGN, NOW - 3_600, 900, 26)
    await site.control.submit(ev.CampaignConfigured(at=NOW, campaign=Campaign(id=CAMPAIGN, method="progressive")))
    await site.control.submit(ev.CampaignConfigured(at=NOW, campaign=Campaign(id=CAMPAIGN, method="predictive")))
    told = site.floor.engine.floor.campaigns[CAMPAIGN].pacers[PBX].snapshot()
    assert (told["answers"], told["abandoned"]) == (900, 26)
    assert site.control.live() is site.live
    await asyncio.sleep(0)

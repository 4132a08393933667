"""The record, page by page, for a Redis that has lost its memory (`dialer.queues.port.Queues.rebuild`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from dialer.core.ids import CampaignId
from dialer.core.shards import ONE_REDIS, Shards
from dialer.queues.cap_law import CapLaw
from dialer.queues.port import Record
from dialer.storage.attempts_made import attempts_made
from dialer.storage.calls_elsewhere import CallsElsewhere
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCallList
from dialer.storage.gate_marks import GateMarks
from dialer.storage.phone_attempts import attempts_by_number
from dialer.storage.promises import Promises
from dialer.storage.removals import Removals

#: As many as `Queues.offer` takes at once.
PAGE: Final = 1_000
#: Do-not-call entries a page for each row of others: there may be tens of millions, and each is small.
LISTED_TIMES: Final = 50
#: The longest window of the caps that are shipped, but for rests after a refusal, and a day.
ATTEMPTS_SINCE_S: Final = 31 * 86_400.0


class RecordPages:
    """All pages of the record, once, as an asynchronous iterator.

    What forbids a call comes first, what asks for one last: a rebuild that breaks off half-way has never loaded a
    contact without knowing that it was withdrawn. No transaction is open between two pages.

    Raises (while iterating):
        StorageError: the database refused or is out of reach; begin again from the first page.
    """

    def __init__(
        self,
        database: Database,
        now: float,
        *,
        gate: str = "cadencia:",
        page: int = PAGE,
        laws: Mapping[CampaignId, CapLaw] | None = None,
        attempts_since_s: float = ATTEMPTS_SINCE_S,
        shards: Shards = ONE_REDIS,
    ) -> None:
        """Prepare.

        Args:
            database: the record.
            now: do-not-call entries that have expired by then are left out.
            gate: key prefix of the queues, under which the highest fencing token is kept.
            page: rows a page, at most.
            laws: by which caps each campaign's calls are counted; calls of others count for their number alone.
            attempts_since_s: attempts that ended longer ago count for no cap any more; where a law counts longer than
                that, so is longer.
            shards: of which the own one is to be loaded: with its own campaigns, and all do-not-call entries.
        """
        self._database = database
        self._now = now
        self._gate = gate
        self._page = page
        self._shards = shards
        self._laws = dict(laws or {})
        # A year is the longest rest of a law; caps for good can look back no further than the record does.
        counts_s = max((law.keep_s for law in self._laws.values()), default=0.0)
        self._attempts_since = now - max(attempts_since_s, counts_s)
        self._pages = self._read()

    def __aiter__(self) -> RecordPages:
        return self

    async def __anext__(self) -> Record:
        return await anext(self._pages)

    async def _read(self) -> AsyncIterator[Record]:
        totals = {"removed": 0, "do_not_call": 0, "attempts_made": 0, "finished": 0, "contacts": 0}
        removal_key: tuple[str, str, str] | None = None
        while removed := await Removals(self._database).after(removal_key, self._page):
            removal_key = (removed[-1].campaign, removed[-1].kind, removed[-1].subject)
            here = [removal for removal in removed if self._shards.here(removal.campaign)]
            totals["removed"] += len(here)
            yield Record(removed=[(removal.campaign, removal.subject) for removal in here])
        phone_key: tuple[str, str] | None = None
        listed_page = self._page * LISTED_TIMES
        while held := await DoNotCallList(self._database).listed_after(phone_key, listed_page, holding_at=self._now):
            phone_key = (held[-1].scope, held[-1].last)
            totals["do_not_call"] += sum(one.count for one in held)
            yield Record(
                listed=[(one.scope, one.numbers) for one in held if one.numbers],
                do_not_call=[(one.scope, *other) for one in held for other in one.others],
            )
        attempt_key: tuple[str, float, str] | None = None
        while made := await attempts_made(self._database, self._attempts_since, attempt_key, self._page):
            attempt_key = made[-1].key
            attempts = [row.attempt for row in made if self._shards.mine(row.attempt.campaign)]
            totals["attempts_made"] += len(attempts)
            yield Record(attempts_made=attempts, laws=self._laws)
        call_key: tuple[float, str] | None = None
        while calls := await CallsElsewhere(self._database).after(self._attempts_since, call_key, self._page):
            call_key = (calls[-1].made.ended_at, calls[-1].id)
            elsewhere = [call.made for call in calls if self._shards.mine(call.made.campaign)]
            yield Record(attempts_made=elsewhere, laws=self._laws)
        promise_key: tuple[str, str] | None = None
        while promised := await Promises(self._database).after(promise_key, self._page):
            promise_key = (promised[-1].campaign, promised[-1].contact)
            yield Record(promises=[promise for promise in promised if self._shards.mine(promise.campaign)])
        contact_key: tuple[str, str] | None = None
        states = (ContactState.WAITING, ContactState.FINISHED)
        while known := await Contacts(self._database).after(contact_key, self._page, states=states):
            contact_key = (known[-1].contact.campaign, known[-1].contact.id)
            known = [row for row in known if self._shards.mine(row.contact.campaign)]
            finished = [(row.contact.campaign, row.contact.id) for row in known if row.state is ContactState.FINISHED]
            waiting = [(row.contact, row.attempts, row.next_at) for row in known if row.state is ContactState.WAITING]
            totals["finished"] += len(finished)
            totals["contacts"] += len(waiting)
            called = [row for row in known if row.state is ContactState.WAITING]
            by_number = await attempts_by_number(self._database, called)
            numbers = [(*key, counts) for key, counts in by_number.items()]
            yield Record(contacts=waiting, finished=finished, numbers=numbers)
        mark = await GateMarks(self._database).get(self._gate)
        totals["fencing_token"] = 0 if mark is None else mark.fencing_token
        # The last page says how many rows the others held, so that whoever loaded them can compare.
        yield Record(counts=totals)

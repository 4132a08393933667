"""`Get the pending calls`: a listing, page by page, into the ordinary intake, and withdrawals out through removals.

Each page is one step: ask, note the contacts (so that no result of them can be missed), hand them to the intake, then
put on record what was taken and where the listing goes on. A worker that is killed in between is followed by one that
asks for the same page again; the intake takes a contact twice as it takes it once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import msgspec
import structlog

from dialer.core.ids import CampaignId, ContactId
from dialer.crm.client import Answer
from dialer.crm.listing import Finished, Listing, Repeats, after, begun
from dialer.crm.mapping import CrmMapping
from dialer.crm.reading import PulledCall, PulledPage, read_page
from dialer.crm.requests import Request, page_request
from dialer.errors import CrmError, InputError
from dialer.intake.desk import Verdict
from dialer.intake.record import RejectReason
from dialer.queues import results
from dialer.queues.port import Offered
from dialer.settings import CrmPull
from dialer.storage.crm_sources import CallState, CrmSources, KnownCall, Source

_log = structlog.get_logger(__name__)

#: The intake takes no more at once.
_TAKE_AT_ONCE: Final = 1_000
#: A CRM that has lost more of its list than this between two looks may have lost its mind: it is asked once more.
_SUDDEN_SHARE: Final = 0.5
_SUDDEN_COUNT: Final = 20
_HELD: Final = frozenset({CallState.NOTED, CallState.TAKEN})
_DAY_S: Final = 86_400.0
#: What the CRM has not spoken of for so long, and is not to be called, is forgotten; a result of it that comes later
#: is not written to the CRM.
_FORGOTTEN_AFTER_S: Final = 90 * _DAY_S


class Sender(Protocol):
    """Makes requests (`dialer.crm.client.CrmClient`)."""

    async def send(self, request: Request) -> Answer:
        """Make a request."""


class Desk(Protocol):
    """Takes contacts (`dialer.intake.desk.ContactDesk`)."""

    async def take_json(self, campaign: CampaignId, rows: Sequence[bytes], at: float) -> list[Verdict]:
        """Take contacts in JSON; a verdict on each."""


#: Lets contacts be called again that are finished; which of them wait now.
Reopen = Callable[[CampaignId, Sequence[ContactId]], Awaitable[Collection[ContactId]]]
#: The mapping as the campaign has it at this moment; raises InputError where the campaign's rows do not fit.
Own = Callable[[], Awaitable[CrmMapping]]
#: Publishes results.
Publish = Callable[[Sequence[results.Result]], Awaitable[None]]


class Withdrawals:
    """Withdraws contacts by the way of every removal: the stream that the gate drains before each dial.

    Args:
        pull: whose.
        sources: their record.
        write: to the stream of removals (`dialer.runtime.api_ports.StreamPurges.remove`).
        now: the clock.
    """

    def __init__(
        self,
        pull: CrmPull,
        sources: CrmSources,
        write: Callable[[Sequence[Mapping[str, object]]], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._pull = pull
        self._sources = sources
        self._write = write
        self._now = now

    async def withdraw(self, contacts: Sequence[str], reason: str) -> None:
        """Withdraw contacts, but for those who have been called to the end here: nothing is left to be withdrawn.

        Written first and noted then, so that it is done again rather than not at all.
        """
        for start in range(0, len(contacts), _TAKE_AT_ONCE):
            some = contacts[start : start + _TAKE_AT_ONCE]
            waiting = await self._sources.still_waiting(self._pull.campaign, some)
            if waiting:
                await self._write([self._message(contact, reason) for contact in sorted(waiting)])
                await self._sources.move(self._pull.name, sorted(waiting), CallState.WITHDRAWN, self._now())
            settled = [contact for contact in some if contact not in waiting]
            await self._sources.move(self._pull.name, settled, CallState.SETTLED, self._now())

    def _message(self, contact: str, reason: str) -> Mapping[str, object]:
        digest = hashlib.sha256(f"{self._pull.campaign}\n{contact}".encode()).hexdigest()[:24]
        return {
            "id": f"crm-{self._pull.name}-{digest}",
            "campaign": self._pull.campaign,
            "contact": contact,
            "reason": reason,
        }


class Puller:
    """Listings of one CRM.

    Args:
        pull: of the settings.
        mapping: how to ask it.
        own: how to read what it answers; asked for each page.
        client: the way to it.
        sources: the record.
        withdrawals: the way out.
        desk: the intake.
        reopen: the way back for those who were called to the end here.
        publish: where results go.
        ready: how many contacts of the campaign can be called now.
        now: the clock.
    """

    def __init__(
        self,
        *,
        pull: CrmPull,
        mapping: CrmMapping,
        own: Own,
        client: Sender,
        sources: CrmSources,
        withdrawals: Withdrawals,
        desk: Desk,
        reopen: Reopen,
        publish: Publish,
        ready: Callable[[], Awaitable[int]],
        now: Callable[[], float],
    ) -> None:
        self._pull = pull
        self._campaign = CampaignId(pull.campaign)
        self._mapping = mapping
        self._own = own
        self._client = client
        self._sources = sources
        self._withdrawals = withdrawals
        self._desk = desk
        self._reopen = reopen
        self._publish = publish
        self._ready = ready
        self._now = now

    async def run(self, source: Source, owner: str, until: float) -> Counter[str]:
        """Go on with the listing under way, or begin one, until it is complete or `until` has come.

        Returns:
            What was done, by what it was: accepted, rejected, unchanged, withdrawn, pages.

        Raises:
            CrmError: the CRM did not answer, or not what it was asked.
            InputError: its answer cannot be understood, or goes round in circles; or the campaign's own rows do not
                fit the mapping.
            QueueError, StorageError: the same page is asked for again.
        """
        told: Counter[str] = Counter()
        changes = self._mapping.file.pending.lists == "changes"
        round, listing = source.round, _listing(source.place)
        if listing is None:
            listing = begun(source.cursor, changes=changes)
            round = await self._sources.begin(source.name, owner, _text(listing), self._now())
        while self._now() < until:
            room = self._pull.enough - await self._ready()
            if changes and room <= 0:
                # What changed is told once: it waits in the CRM until there is room for it.
                told["enough"] += 1
                break
            asked_at = self._now()
            answer = await self._ask(listing, source)
            page = read_page(await self._own(), answer.body)
            then = after(listing, page, self._mapping.file.pending.paging)
            calls, counts = await self._take(page, round, None if changes else room, asked_at)
            counts["pages"] = 1
            told += counts
            match then:
                case Repeats():
                    await self._sources.page_done(source.name, owner, calls, place="", counts=counts, now=self._now())
                    problem = then.problem
                    raise InputError(problem.says, code=problem.code, **dict[str, Any](problem.arguments))
                case Finished():
                    await self._sources.round_done(
                        source.name,
                        owner,
                        calls,
                        round=round,
                        whole=not listing.partial,
                        cursor=(then.cursor or source.cursor) if changes else "",
                        next_at=self._now() + self._pull.every_s,
                        counts=counts,
                        now=self._now(),
                    )
                    await self._forget(source)
                    break
                case Listing():
                    listing = then
                    await self._sources.page_done(
                        source.name, owner, calls, place=_text(listing), counts=counts, now=self._now()
                    )
        missing = await self.withdraw_missing(source.name)
        if missing:
            told["withdrawn"] += missing
            await self._sources.counted(source.name, owner, {"withdrawn": missing}, self._now())
        return told

    async def _forget(self, source: Source) -> None:
        """Once a day: it reads all calls of the CRM."""
        now = self._now()
        if source.completed_at is None or source.completed_at // _DAY_S != now // _DAY_S:
            await self._sources.forget(source.name, self._campaign, now - _FORGOTTEN_AFTER_S)

    async def withdraw_missing(self, name: str) -> int:
        """Withdraw what complete listings no longer have; how many there were."""
        enough = 1 if self._mapping.file.pending.lists == "changes" else self._pull.withdrawn_after
        missing = await self._sources.missing(name, self._campaign, enough)
        settled = [contact for contact, waiting in missing if not waiting]
        if settled:
            await self._sources.move(name, settled, CallState.SETTLED, self._now())
        gone = [contact for contact, waiting in missing if waiting]
        if len(gone) > max(_SUDDEN_COUNT, _SUDDEN_SHARE * await self._sources.taken(name)):
            _log.warning("most of the CRM's list is gone: it is asked once more", source=name, missing=len(gone))
            gone = [
                contact for contact, waiting in await self._sources.missing(name, self._campaign, enough + 1) if waiting
            ]
        if gone:
            await self._withdrawals.withdraw(gone, "withdrawn by the CRM: no longer among its pending calls")
        return len(gone)

    async def _ask(self, listing: Listing, source: Source) -> Answer:
        answer = await self._client.send(page_request(self._mapping, listing, source.cursor))
        if not answer.ok:
            raise CrmError(
                f"the CRM answered {answer.status} to the question for pending calls",
                status=answer.status,
                code="crm_no_pending",
            )
        return answer

    async def _take(
        self, page: PulledPage, round: int, room: int | None, at: float
    ) -> tuple[list[KnownCall], Counter[str]]:
        """Take what is new on a page, withdraw what is gone; how each call stands now.

        `room`: new calls beyond are left for a later listing; None: there is room.
        """
        name, counts = self._pull.name, Counter[str]()
        known = await self._sources.known(name, page.records)
        latest = {call.record: call for call in page.calls}  # a page may have a call twice
        gone = [c.record for c in latest.values() if not c.pending and _state(known, c.record) in _HELD]
        if gone:
            await self._withdrawals.withdraw(gone, "withdrawn by the CRM")
            counts["withdrawn"] = len(gone)
        stand: list[KnownCall] = []
        fresh: list[PulledCall] = []
        again: list[str] = []
        for call in latest.values():
            before = known.get(call.record)
            if not call.pending:
                continue
            if self._again(before):
                again.append(call.record)
                fresh.append(call)
            elif before is not None and before.digest == call.digest:
                counts["unchanged"] += 1
                stand.append(replace(before, version=call.version, round=round, missing=0))
            elif before is None and room is not None and room <= 0:
                counts["left"] += 1
            else:
                room = room if before is not None or room is None else room - 1
                fresh.append(call)
        stand += await self._hand_over(fresh, again, round, at, counts)
        stand += await self._tell_refused(page, known, round, counts)
        return stand, counts

    def _again(self, before: KnownCall | None) -> bool:
        """Whether the CRM wants a call made again that it had seen the end of."""
        if before is None or before.state is not CallState.SETTLED:
            return False
        return self._mapping.file.pending.listed_again == "call"

    async def _hand_over(
        self, fresh: Sequence[PulledCall], again: Collection[str], round: int, at: float, counts: Counter[str]
    ) -> list[KnownCall]:
        await self._sources.note(self._pull.name, [call.record for call in fresh], self._now())
        stand: list[KnownCall] = []
        for start in range(0, len(fresh), _TAKE_AT_ONCE):
            some = fresh[start : start + _TAKE_AT_ONCE]
            verdicts = await self._desk.take_json(self._campaign, [call.contact for call in some], at)
            # With the data that they have now.
            done = {v.id for v in verdicts if v.id is not None and v.reason is RejectReason.FINISHED} & set(again)
            opened = await self._reopen(self._campaign, sorted(done)) if done else ()
            verdicts = [Verdict(id=v.id, offered=Offered.ADDED) if v.id in opened else v for v in verdicts]
            told: list[results.Result] = []
            for call, verdict in zip(some, verdicts, strict=True):
                told.append(self._result(call, verdict, round))
                counts["accepted" if verdict.accepted else "rejected"] += 1
                stand.append(
                    KnownCall(
                        contact=call.record,
                        version=call.version,
                        digest=call.digest,
                        round=round,
                        missing=0,
                        state=_state_of(verdict),
                    )
                )
            await self._publish(told)
        return stand

    def _result(self, call: PulledCall, verdict: Verdict, round: int) -> results.Result:
        ref = f"pull-{self._pull.name}-{round}"
        now = self._now()
        if verdict.reason is None:
            told = results.contact_accepted(now, campaign=self._campaign, contact=call.record)
            return told | {"ref": ref} | ({"reason": verdict.problem} if verdict.problem else {})
        reason = f"{verdict.reason}: {verdict.problem}"
        return results.contact_rejected(now, campaign=self._campaign, contact=call.record, reason=reason, ref=ref)

    async def _tell_refused(
        self, page: PulledPage, known: Mapping[str, KnownCall], round: int, counts: Counter[str]
    ) -> list[KnownCall]:
        """Rows that make no contact: told once, and again when something else is wrong with them."""
        told: list[results.Result] = []
        stand: list[KnownCall] = []
        for row in page.refused:
            if row.record is None:
                counts["unreadable"] += 1
                _log.warning("a row of the CRM has no key", source=self._pull.name, row=row.index, problem=row.problem)
                continue
            digest = hashlib.sha256(row.problem.encode()).hexdigest()[:32]
            before = known.get(row.record)
            # What was taken before goes on as it was taken: a broken row is no withdrawal.
            state = before.state if before is not None and before.state in _HELD else CallState.REFUSED
            version = None if before is None else before.version
            stand.append(
                KnownCall(contact=row.record, version=version, digest=digest, round=round, missing=0, state=state)
            )
            if before is None or before.digest != digest:
                counts["rejected"] += 1
                told.append(
                    results.contact_rejected(
                        self._now(),
                        campaign=self._campaign,
                        contact=row.record,
                        reason=f"{RejectReason.WRONG_VALUE}: {row.problem}",
                        ref=f"pull-{self._pull.name}-{round}",
                    )
                )
        await self._publish(told)
        return stand


def _listing(place: str) -> Listing | None:
    try:
        return msgspec.json.decode(place, type=Listing) if place else None
    except msgspec.DecodeError:
        return None  # of another version: begin again


def _text(listing: Listing) -> str:
    return msgspec.json.encode(listing).decode()


def _state(known: Mapping[str, KnownCall], record: str) -> CallState | None:
    return known[record].state if record in known else None


def _state_of(verdict: Verdict) -> CallState:
    if verdict.accepted:
        return CallState.TAKEN
    if verdict.reason is RejectReason.REMOVED:
        return CallState.WITHDRAWN
    # Finished here: its data was updated, and its results go on to be told.
    return CallState.TAKEN if verdict.reason is RejectReason.FINISHED else CallState.REFUSED

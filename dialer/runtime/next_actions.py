"""The rules of the next best action at work: looked at after each call and each code, carried out the ordinary ways.

A rule that fires is put on record first, which only one node can do for a contact, and then carried out: by the intake
of contacts, by the streams that a CRM writes to, by an event on the results stream. None of these dials; whoever is
called passes the gate. What a process that died has left on record without an end is carried out again, with the same
ids, so that nothing comes of it twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec
import structlog

from dialer.actions.matching import Fired, Past, call_again_at, matching
from dialer.actions.rules import RuleSet, Then
from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId
from dialer.core.notices import AnyNotice, CallEnded, CallWasDisposed
from dialer.core.saying import of_error, say
from dialer.core.shards import ONE_REDIS, Shards
from dialer.errors import InputError, QueueError, StorageError
from dialer.intake.desk import verdict_on
from dialer.intake.record import RejectReason
from dialer.queues.port import Offered, Publish, Write
from dialer.queues.results import action_requested, rfc3339
from dialer.reporting.order import zone_named
from dialer.storage.action_firings import Firing, Firings, FiringState, called_since, past_of
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database

_log = structlog.get_logger(__name__)

#: Contacts that may wait to be looked at; beyond, the oldest is looked at when it is called next.
LIMIT: Final = 50_000
#: After a call and before a look: attempts and codes take a second to be on record.
_SETTLE_S: Final = 2.0
#: A call that is not on record by then never will be.
_GIVE_UP_S: Final = 900.0
_EVERY_S: Final = 0.5
_AT_ONCE: Final = 200
#: What ended in this time before a start may not have been looked at.
_LOOK_BACK_S: Final = 3_600.0
#: A firing without an end that is younger may be another node's, at work.
_OTHERS_S: Final = 60.0
#: Why the intake does not take a contact, as codes for a catalogue.
_NOT_TAKEN: Final[Mapping[RejectReason, str]] = {
    RejectReason.REMOVED: "contact_removed",
    RejectReason.FINISHED: "contact_finished",
    RejectReason.DO_NOT_CALL: "all_listed",
}
#: Field of a contact that says which rule moved it, and from where.
MOVED_FIELD: Final = "moved"

_Key = tuple[CampaignId, ContactId]


class Desk(Protocol):
    """The intake of contacts (`dialer.intake.desk.ContactDesk`)."""

    async def take(self, contacts: Sequence[Contact], at: float) -> list[Offered]:
        """Put contacts on record, then into the hopper."""


class Streams(Protocol):
    """Where a CRM writes (`dialer.runtime.api_ports.StreamPurges`)."""

    async def remove(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write removals."""

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write callbacks."""


class ResultWriter(Protocol):
    """Where results are published (`dialer.queues.port.Queues`)."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Carry out writes in their order."""


@dataclass(slots=True)
class _Due:
    """A contact that is to be looked at."""

    at: float
    call: CallId
    #: A code was given, and must be on record.
    coded: bool
    until: float


class RecentCalls:
    """The projection: contacts that were called, or whose call was closed with a code, until they are looked at."""

    def __init__(self, rules: RuleSet, now: Callable[[], float], limit: int = LIMIT) -> None:
        self._idle = not rules.rules
        self._now = now
        self._limit = limit
        self.due: OrderedDict[_Key, _Due] = OrderedDict()

    def __len__(self) -> int:
        return len(self.due)

    def apply(self, notice: AnyNotice) -> None:
        """Take a notice in; never waits and never fails."""
        if self._idle:
            return
        match notice:
            case CallEnded():
                made = notice.attempt
                self.put((made.campaign, made.contact), made.call, coded=False)
            case CallWasDisposed():
                self.put((notice.campaign, notice.contact), notice.call, coded=True)
            case _:
                pass

    def put(self, key: _Key, call: CallId, *, coded: bool) -> None:
        """Have a contact looked at when this call, and its code, have had time to get on record."""
        now = self._now()
        before = self.due.pop(key, None)
        if before is not None and before.call == call:
            coded = coded or before.coded
        self.due[key] = _Due(at=now + _SETTLE_S, call=call, coded=coded, until=now + _GIVE_UP_S)
        if len(self.due) > self._limit:
            self.due.popitem(last=False)


class NextActions:
    """Looks at contacts and carries out what the rules say.

    Args:
        rules: in force.
        recent: the contacts to look at.
        database: the record.
        desk: takes contacts that are moved or given another priority.
        streams: take removals and callbacks.
        results: takes events for the CRM.
        zone: in which hours are told of whom no zone is known.
        now: the clock.
        shards: contacts of campaigns of the own one are looked at.
    """

    def __init__(
        self,
        rules: RuleSet,
        recent: RecentCalls,
        *,
        database: Database,
        desk: Desk,
        streams: Streams,
        results: ResultWriter,
        zone: ZoneInfo,
        now: Callable[[], float],
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._shards = shards
        self._rules = rules.rules
        self._recent = recent
        self._database = database
        self._firings = Firings(database)
        self._contacts = Contacts(database)
        self._campaigns = Campaigns(database)
        self._desk = desk
        self._streams = streams
        self._results = results
        self._zone = zone
        self._now = now

    async def run(self) -> None:
        """Look and carry out, until cancelled."""
        await self._resume()
        finish_at = self._now() + _OTHERS_S
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.look()
                if self._now() >= finish_at:
                    finish_at = self._now() + _OTHERS_S
                    await self.finish_pending()
            except (StorageError, QueueError) as error:
                _log.warning("next actions wait", contacts=len(self._recent), error=str(error))

    async def look(self) -> int:
        """Look at the contacts whose time has come; how many rules fired.

        Raises:
            StorageError, QueueError: not all were looked at; they wait.
        """
        now, fired, waiting = self._now(), 0, self._recent.due
        due = [(key, one) for key, one in list(waiting.items())[:_AT_ONCE] if one.at <= now]
        for key, one in due:
            past = await past_of(self._database, *key)
            known = next((call for call in past.calls if call.call == one.call), None)
            missing = known is None or (one.coded and known.coded_at is None)
            if waiting.get(key) is not one:
                continue  # something else has happened meanwhile, and has its own time
            if missing and now < one.until:
                one.at = now + _SETTLE_S
                waiting.move_to_end(key)
                continue
            fired += await self.fire(past)
            if waiting.get(key) is one:
                del waiting[key]
        return fired

    async def fire(self, past: Past) -> int:
        """Let every rule fire that holds for a contact and has not yet; how many did.

        Raises:
            StorageError, QueueError: what is on record and not done is done later.
        """
        already = await self._firings.fired(past.campaign, past.contact)
        fired = 0
        for found in matching(self._rules, past, already):
            firing = self._firing(found, past)
            if await self._firings.add(firing):
                fired += 1
                await self._carry_out(firing, found.rule.then)
                if found.rule.then.move_to is not None:
                    break  # it is another campaign's contact from here on
        return fired

    async def finish_pending(self) -> int:
        """Carry out what others have left without an end; how many there were.

        Raises:
            StorageError, QueueError: not all was done; it stays on record.
        """
        pending = await self._firings.pending(self._now() - _OTHERS_S)
        left = [firing for firing in pending if self._shards.mine(firing.campaign)]
        rules = {rule.name: rule.then for rule in self._rules}
        for firing in left:
            then = rules.get(firing.rule)
            if then is None or then.kind != firing.action:
                gone = say("the rule is no longer in force", code="rule_not_in_force")
                await self._firings.ended(firing, FiringState.REFUSED, gone)
            else:
                await self._carry_out(firing, then)
        return len(left)

    # ---- inside

    async def _resume(self) -> None:
        """What an earlier process has not looked at, and what it has not ended."""
        while True:
            try:
                called = await called_since(self._database, self._now() - _LOOK_BACK_S, LIMIT)
                for campaign, contact, call in called:
                    if (campaign, contact) not in self._recent.due and self._shards.mine(campaign):
                        self._recent.put((campaign, contact), call, coded=False)
                await self.finish_pending()
            except (StorageError, QueueError) as error:
                _log.warning("next actions of before are not known yet", error=str(error))
                await asyncio.sleep(_SETTLE_S)
            else:
                return

    def _firing(self, found: Fired, past: Past) -> Firing:
        then = found.rule.then
        details: dict[str, object] = {}
        if then.move_to is not None:
            details["move_to"] = then.move_to
        if then.priority is not None:
            details["priority"] = then.priority
        if then.ask is not None:
            details |= {"what": then.ask.what, "template": then.ask.template}
        return Firing(
            rule=found.rule.name,
            campaign=past.campaign,
            contact=past.contact,
            at=self._now(),
            action=then.kind,
            call=past.calls[-1].call,
            why=found.why,
            details=details,
        )

    async def _carry_out(self, firing: Firing, then: Then) -> None:
        try:
            if then.ask is not None:
                await self._ask(firing)
            else:
                await self._change(firing, then)
        except InputError as refused:
            await self._firings.ended(firing, FiringState.REFUSED, of_error(refused))
        else:
            await self._firings.ended(firing, FiringState.DONE)
            _log.info("next action", rule=firing.rule, action=firing.action, campaign=firing.campaign)

    async def _ask(self, firing: Firing) -> None:
        past = await past_of(self._database, firing.campaign, firing.contact)
        result = action_requested(
            firing.at,
            id=_id(firing),
            campaign=firing.campaign,
            contact=firing.contact,
            phone=past.calls[-1].phone if past.calls else None,
            call=firing.call,
            rule=firing.rule,
            action=str(firing.details.get("what", "")),
            template=str(firing.details.get("template", "")),
            reason=firing.why.says,
        )
        await self._results.write([Publish(result=result)])

    async def _change(self, firing: Firing, then: Then) -> None:
        stored = await self._contacts.get(firing.campaign, firing.contact)
        if stored is None:
            raise InputError("the contact is not on record any more", code="contact_gone")
        if then.move_to is not None and await self._is_moved(firing, CampaignId(then.move_to)):
            return  # by a process that died before it could say so
        if stored.state is ContactState.REMOVED:
            raise InputError("the contact was removed; a removal is final", code="contact_removed")
        if then.move_to is not None:
            await self._move(firing, stored.contact, CampaignId(then.move_to), then.priority)
        elif then.call_again is not None:
            past = await past_of(self._database, firing.campaign, firing.contact)
            last = past.calls[-1]
            zone = await self._zone_of(stored.contact)
            # Of the moment at which the rule fired, so that a repetition says the same.
            at = call_again_at(then.call_again, last.started_at, firing.at, zone)
            message = {
                "id": _id(firing),
                "campaign": firing.campaign,
                "contact": firing.contact,
                "phone": last.phone,
                "at": rfc3339(at),
            }
            await self._streams.call_back([message])
        elif then.priority is not None:
            changed = msgspec.structs.replace(stored.contact, priority=then.priority)
            await self._take(changed)

    async def _move(self, firing: Firing, contact: Contact, target: CampaignId, priority: int | None) -> None:
        if await self._campaigns.get(target) is None:
            raise InputError(f"there is no campaign {target!r} to move it to", code="no_campaign", campaign=target)
        fields = {name: value for name, value in contact.fields.items() if name != "callback"}
        moved = msgspec.structs.replace(
            contact,
            campaign=target,
            list=None,
            priority=contact.priority if priority is None else priority,
            not_before_at=None,
            fields={**fields, MOVED_FIELD: {"from": firing.campaign, "rule": firing.rule}},
        )
        # Out of the old campaign last: between the two the gate lets one call at most be made.
        await self._take(moved)
        await self._streams.remove(
            [
                {
                    "id": _id(firing),
                    "campaign": firing.campaign,
                    "contact": firing.contact,
                    "reason": f"moved to {target} by rule {firing.rule}",
                }
            ]
        )

    async def _is_moved(self, firing: Firing, target: CampaignId) -> bool:
        there = await self._contacts.get(target, firing.contact)
        here = await self._contacts.get(firing.campaign, firing.contact)
        mark = None if there is None else there.contact.fields.get(MOVED_FIELD)
        gone = here is not None and here.state is ContactState.REMOVED
        return gone and mark == {"from": firing.campaign, "rule": firing.rule}

    async def _take(self, contact: Contact) -> None:
        (offered,) = await self._desk.take([contact], self._now())
        verdict = verdict_on(contact, offered)
        if verdict.reason is not None:
            says = f"{verdict.reason}: the contact {verdict.problem}"
            raise InputError(says, code=_NOT_TAKEN.get(verdict.reason, ""))

    async def _zone_of(self, contact: Contact) -> ZoneInfo:
        """The contact's own, else the campaign's, else the node's."""
        stored = await self._campaigns.get(contact.campaign)
        for name in (contact.timezone, None if stored is None else stored.campaign.timezone):
            if name:
                try:
                    return zone_named(name)
                except InputError:
                    continue
        return self._zone


def _id(firing: Firing) -> str:
    """The same whenever it is done: receivers know a repetition by it."""
    named = "\0".join((firing.rule, firing.campaign, firing.contact))
    return f"action-{hashlib.sha256(named.encode()).hexdigest()[:24]}"

"""Everything that is on record of a contact, a number or a person, in a fixed number of statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.compliance.evidence import EvidenceKind
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.queues.removals import forms_listed
from dialer.reporting.history import MOST, Entry, Happening, History, Subject
from dialer.storage.contacts import stored_contact
from dialer.storage.database import Database
from dialer.storage.removals import ALL
from dialer.storage.sayings import from_record
from dialer.storage.tables import (
    action_firings,
    attempts,
    campaigns,
    contacts,
    dispositions,
    do_not_call,
    evidence,
    promises,
    recordings,
    removals,
)
from dialer.storage.tenants import of_tenant
from dialer.storage.text import from_json

#: Field of a contact that holds the callback it waits for (`dialer.intake.consumer.CALLBACK_FIELD`).
_CALLBACK: Final = "callback"
#: Contacts that one number or person may be: more is a number of a test, or of a switchboard.
_MOST_CONTACTS: Final = 200

_Pair = tuple[str, str]


async def history(database: Database, subject: Subject) -> History:
    """All that is on record, the latest first; at most `MOST` entries of each kind.

    Ten statements at most, in one transaction, each by an index.

    Raises:
        StorageError: the database refused or is out of reach.
    """
    async with database.read() as connection:
        return await _read(connection, subject)


async def _read(connection: AsyncConnection, subject: Subject) -> History:
    column = attempts.c
    if subject.phone is not None:
        wanted: ColumnElement[bool] = column.phone == subject.phone
    elif subject.campaign is not None:
        wanted = and_(column.campaign == subject.campaign, column.contact == subject.contact)
    else:
        wanted = and_(column.campaign.in_(select(campaigns.c.id)), column.contact == subject.contact)
    wanted = and_(wanted, of_tenant(column.campaign, subject.tenant))
    latest = select(attempts).where(wanted).order_by(column.ended_at.desc(), column.call.desc()).limit(MOST + 1)
    calls = (await connection.execute(latest)).all()
    more = len(calls) > MOST
    calls = calls[:MOST]

    pairs: list[_Pair] = sorted({(row.campaign, row.contact) for row in calls})[:_MOST_CONTACTS]
    known = (await connection.execute(select(contacts).where(_contacts(subject, pairs)).limit(_MOST_CONTACTS))).all()
    pairs = sorted({*pairs, *((row.campaign, row.id) for row in known)})
    phones = {str(row.phone) for row in calls} | {
        str(phone) for row in known for phone in stored_contact(row).contact.phones
    }
    if subject.phone is not None:
        # What somebody's other numbers are listed for says nothing of this one.
        phones = {subject.phone}
    if not pairs and subject.phone is None:
        return History(entries=(), contacts=(), phones=())

    ids = [row.call for row in calls]
    given = await _all(connection, dispositions, dispositions.c.call.in_(ids), dispositions.c.at) if ids else []
    recorded = await _all(connection, recordings, recordings.c.call.in_(ids), recordings.c.started_at) if ids else []
    here = evidence.c
    refused = await _all(
        connection,
        evidence,
        and_(
            here.kind == EvidenceKind.REFUSAL.value,
            of_tenant(here.campaign, subject.tenant),
            here.phone == subject.phone
            if subject.phone is not None
            else tuple_(here.campaign, here.contact).in_(pairs),
        ),
        here.at,
    )
    removed = and_(_removed(pairs, phones), of_tenant(removals.c.campaign, subject.tenant))
    withdrawn = await _all(connection, removals, removed, removals.c.at)
    listed = [form for phone in sorted(phones) for form in forms_listed(phone)]
    holds = and_(do_not_call.c.phone.in_(listed), of_tenant(do_not_call.c.scope, subject.tenant))
    barred = await _all(connection, do_not_call, holds, do_not_call.c.at)
    promised = (
        await _all(connection, promises, tuple_(promises.c.campaign, promises.c.contact).in_(pairs), promises.c.made_at)
        if pairs
        else []
    )
    fired = (
        await _all(
            connection,
            action_firings,
            tuple_(action_firings.c.campaign, action_firings.c.contact).in_(pairs),
            action_firings.c.at,
        )
        if pairs
        else []
    )
    # Which contact a call was of, for what is on record by call alone.
    of_call = {row.call: (row.campaign, row.contact) for row in calls}
    entries = [
        *(entry for row in calls for entry in _attempt(row)),
        *(_disposition(row, of_call) for row in given),
        *(_recording(row) for row in recorded),
        *(_refusal(row) for row in refused),
        *(_removal(row) for row in withdrawn),
        *(_barred(row) for row in barred),
        *(_action(row) for row in fired),
        *(_promised(row) for row in promised),
        *(entry for row in known for entry in _contact(row, {(each.campaign, each.contact) for each in promised})),
    ]
    read = (given, recorded, refused, withdrawn, barred, promised, fired)
    more = more or len(pairs) >= _MOST_CONTACTS or any(len(rows) == MOST for rows in read)
    return History(
        entries=sorted(entries, key=lambda entry: (-entry.at, entry.kind, entry.call or "")),
        contacts=[(CampaignId(campaign), ContactId(contact)) for campaign, contact in pairs],
        phones=[Phone(phone) for phone in sorted(phones)],
        more=more,
    )


async def _all(
    connection: AsyncConnection, table: Any, wanted: ColumnElement[bool], at: ColumnElement[Any]
) -> Sequence[Row[Any]]:
    return (await connection.execute(select(table).where(wanted).order_by(at.desc()).limit(MOST))).all()


def _contacts(subject: Subject, pairs: Sequence[_Pair]) -> ColumnElement[bool]:
    column = contacts.c
    if subject.phone is not None:
        return tuple_(column.campaign, column.id).in_(pairs)
    own = of_tenant(column.campaign, subject.tenant)
    if subject.campaign is not None:
        return and_(own, column.campaign == subject.campaign, column.id == subject.contact)
    return and_(own, column.campaign.in_(select(campaigns.c.id)), column.id == subject.contact)


def _removed(pairs: Sequence[_Pair], phones: set[str]) -> ColumnElement[bool]:
    column = removals.c
    everywhere = {(ALL, "contact", contact) for _, contact in pairs} | {(ALL, "phone", phone) for phone in phones}
    here = {(campaign, "contact", contact) for campaign, contact in pairs}
    here |= {(campaign, "phone", phone) for campaign, _ in pairs for phone in phones}
    return or_(tuple_(column.campaign, column.kind, column.subject).in_(sorted(everywhere | here)))


# ---- rows as entries


def _kept(details: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in details.items() if value is not None and value != ""}


def _attempt(row: Row[Any]) -> Iterator[Entry]:
    where: dict[str, Any] = {"campaign": row.campaign, "contact": row.contact, "call": row.call}
    details = {
        "attempt": row.attempt_number or None,
        "phone": row.phone,
        "caller_id": row.caller_id,
        "outcome": row.outcome,
        "reason": row.reason,
        "duration_s": round(max(0.0, row.ended_at - row.started_at), 3),
        "hung_up_by": row.hung_up_by,
        "machine_verdict": row.machine_verdict,
        "opted_out": row.opted_out or None,
        "retry_at": row.retry_at,
    }
    yield Entry(at=row.started_at, kind=Happening.ATTEMPT, details=_kept(details), **where)
    if row.connected_at is not None:
        talk = {"agent": row.agent, "talk_s": round(max(0.0, row.ended_at - row.connected_at), 3)}
        yield Entry(at=row.connected_at, kind=Happening.TALK, details=_kept(talk), **where)


def _disposition(row: Row[Any], of_call: Mapping[str, _Pair]) -> Entry:
    campaign, contact = of_call[row.call]
    details = {
        "code": row.code,
        "category": row.category,
        "amount": row.amount,
        "currency": row.currency,
        "notes": row.notes,
        "agent": row.agent,
        "by": row.by,
    }
    return Entry(
        at=row.at,
        kind=Happening.DISPOSITION,
        campaign=CampaignId(campaign),
        contact=ContactId(contact),
        call=CallId(row.call),
        details=_kept(details),
    )


def _recording(row: Row[Any]) -> Entry:
    # Where it is kept is for nobody to know; it is played through its own route.
    details = {"recording": row.id, "state": row.state, "duration_s": row.duration_s, "by": row.by, "agent": row.agent}
    return Entry(
        at=row.started_at,
        kind=Happening.RECORDING,
        campaign=CampaignId(row.campaign),
        contact=ContactId(row.contact),
        call=CallId(row.call),
        details=_kept(details),
    )


def _refusal(row: Row[Any]) -> Entry:
    facts = from_json(row.facts)
    details = facts if isinstance(facts, dict) else {}
    return Entry(
        at=row.at,
        kind=Happening.REFUSAL,
        campaign=None if row.campaign is None else CampaignId(row.campaign),
        contact=None if row.contact is None else ContactId(row.contact),
        details=_kept({"reason": details.get("reason"), "phone": row.phone, "verdict": details.get("verdict")}),
    )


def _removal(row: Row[Any]) -> Entry:
    everywhere, contact = row.campaign == ALL, row.kind == "contact"
    return Entry(
        at=row.at,
        kind=Happening.REMOVAL,
        campaign=None if everywhere else CampaignId(row.campaign),
        contact=ContactId(row.subject) if contact else None,
        details=_kept({"phone": None if contact else row.subject, "reason": row.reason, "ref": row.ref}),
    )


def _barred(row: Row[Any]) -> Entry:
    scope = row.scope
    details = {
        "phone": row.phone,
        "scope": scope,
        "active": row.active,
        "reason": row.reason,
        "source": row.source,
        "by": row.who,
        "expires_at": row.expires_at,
    }
    of_one = scope != ALL and not scope.startswith("account:")
    return Entry(
        at=row.at,
        kind=Happening.DO_NOT_CALL,
        campaign=CampaignId(scope) if of_one else None,
        details=_kept(details),
    )


def _action(row: Row[Any]) -> Entry:
    details = {"rule": row.rule, "action": row.action, "why": row.why, "state": row.state, "problem": row.problem}
    return Entry(
        at=row.at,
        kind=Happening.ACTION,
        campaign=CampaignId(row.campaign),
        contact=ContactId(row.contact),
        call=None if row.call is None else CallId(row.call),
        details=_kept({**details, **row.details}),
        sayings={
            "why": from_record(row.why, row.why_told),
            "problem": from_record(row.problem, row.problem_told),
        },
    )


def _promised(row: Row[Any]) -> Entry:
    details = {"state": "waiting", "call_at": row.at, "agent": row.agent, "fallback_at": row.fallback_at}
    return Entry(
        at=row.made_at,
        kind=Happening.CALLBACK,
        campaign=CampaignId(row.campaign),
        contact=ContactId(row.contact),
        details=_kept(details),
    )


def _contact(row: Row[Any], promised: set[_Pair]) -> Iterator[Entry]:
    """How it stands now: its data, its consent, and the last callback that was agreed, where it waits for none."""
    stored = stored_contact(row)
    contact = stored.contact
    where: dict[str, Any] = {"campaign": contact.campaign, "contact": contact.id}
    details = {
        "state": stored.state.value,
        "list": stored.list,
        "priority": contact.priority or None,
        "attempts": stored.attempts,
        "next_at": stored.next_at,
        "expires_at": contact.expires_at,
    }
    yield Entry(at=stored.updated_at, kind=Happening.CONTACT, details=_kept(details), **where)
    if contact.consent:
        yield Entry(at=stored.updated_at, kind=Happening.CONSENT, details=dict(contact.consent), **where)
    callback = contact.fields.get(_CALLBACK)
    if isinstance(callback, dict) and (contact.campaign, contact.id) not in promised:
        done = {"state": "done", **callback}
        yield Entry(at=stored.updated_at, kind=Happening.CALLBACK, details=done, **where)

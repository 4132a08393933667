"""What an agent's page shows: the agent now, and one call with its person; numbers as far as the settings allow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from dialer.api.desk_ports import CallingTimes, Seat
from dialer.api.ports import ApiPorts
from dialer.api.rows import CallOut
from dialer.console.desk_script import script_html
from dialer.console.desk_times import Day, calendar
from dialer.console.problems import words
from dialer.console.texts import Texts
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, RecordingConsent, RecordingMode
from dialer.core.contact import Contact
from dialer.core.disposition import DEFAULT_DISPOSITIONS, DispositionCode
from dialer.core.ids import AgentId, CallId, masked
from dialer.core.recording import RecordingState
from dialer.core.screen_pop import field_text, field_texts, page_of
from dialer.projections.live_rows import AgentRow, OfferRow
from dialer.reporting.history import Entry, Happening

#: Keys for codes, in the order of the codes; further ones have none.
KEYS: Final = "1234567890abcdefghijklmnopqrstuvwxyz"
#: Entries of the history on the page.
_MOST_ENTRIES: Final = 50
#: Fields of a contact on the page, and characters of each.
_MOST_FIELDS: Final = 100
_MOST_TEXT: Final = 2_000
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
#: Details of an entry that are told, in their order; the others are for those who look into reasons.
_TOLD: Final = ("code", "amount", "currency", "outcome", "reason", "scope", "rule", "state", "phone", "agent", "notes")
_SECONDS: Final = ("talk_s", "duration_s")
_MOMENTS: Final = ("call_at", "retry_at", "next_at", "expires_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskView:
    """The agent now; two that are equal look the same."""

    agent: AgentId
    #: None: not signed in today.
    row: AgentRow | None
    seat: Seat | None
    recording: RecordingState
    #: Whom they are shown before the call; None: nobody.
    offer: OfferRow | None = None

    @property
    def state(self) -> str:
        """Of the agent."""
        return AgentState.SIGNED_OUT.value if self.row is None else self.row.state

    @property
    def call(self) -> str:
        """That they talk in or wrap up; empty: none."""
        row = self.row
        return row.call or "" if row is not None and row.state in {AgentState.TALKING, AgentState.WRAPUP} else ""

    @property
    def working(self) -> bool:
        """Whether they are signed in with a phone that is there, or about to be."""
        return self.state not in {AgentState.SIGNED_OUT, AgentState.LOST}


def look(ports: ApiPorts, agent: AgentId) -> DeskView:
    """The agent now; in the event loop only."""
    row = ports.control.live().agent(agent)
    recording = RecordingState.OFF
    if ports.recordings is not None and row is not None and row.call is not None:
        recording = ports.recordings.state(CallId(row.call))
    seat = None if ports.desks is None else ports.desks.seat(agent)
    offer = ports.control.live().offer(agent)
    return DeskView(agent=agent, row=row, seat=seat, recording=recording, offer=offer)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeButton:
    """One code with which the call can be closed."""

    code: str
    name: str
    #: Empty: it has none.
    key: str
    callback: bool
    needs_amount: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One entry of the contact's history."""

    at: float
    kind: str
    #: Values, as they are.
    says: tuple[str, ...]
    #: A moment that it is about.
    when: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """One call of an agent, with its person."""

    call: CallOut
    campaign: Campaign
    name: str
    #: Of the call, and all of the contact, as they may be seen.
    phone: str
    phones: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    script: Markup
    #: Page of the CRM; empty: none. And whether it may stand beside.
    page: str
    framed: bool
    history: tuple[HistoryLine, ...]
    #: Whether there is more than these.
    earlier: bool
    codes: tuple[CodeButton, ...]
    #: Code that it was closed with; empty: none yet.
    given: str
    #: The person's coming days, their clock, and why there is no time for a callback.
    days: tuple[Day, ...]
    zone: str
    no_time: str
    may_record: bool
    asks_consent: bool

    @property
    def live(self) -> bool:
        """Whether it goes on."""
        return self.call.state != "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What a call's page is made of."""

    call: CallOut
    campaign: Campaign
    #: None: nobody of that id is on record any more.
    person: Contact | None
    history: Sequence[Entry]
    times: CallingTimes | None
    given: str


def call_view(facts: CallFacts, texts: Texts, *, now: float, numbers: bool, frames: Sequence[str]) -> CallView:
    """One call as its agent sees it; `numbers`: whole ones, `frames`: origins of pages that may stand beside."""
    call, campaign, person = facts.call, facts.campaign, facts.person
    fields: Mapping[str, object] = {} if person is None else person.fields
    name = "" if person is None else person.name
    some = list(fields.items())[:_MOST_FIELDS]
    shown = {str(key): seen(field_text(value), whole=numbers)[:_MOST_TEXT] for key, value in some}
    own = {"id": call.contact, "name": name, "campaign": campaign.id, "call": call.id}
    page = page_of(campaign.screen_pop, field_texts(fields, **own, phone=call.phone))
    times = facts.times
    return CallView(
        call=call,
        campaign=campaign,
        name=name,
        phone=seen(call.phone, whole=numbers),
        phones=() if person is None else tuple(seen(phone, whole=numbers) for phone in person.phones),
        fields=tuple((key, text) for key, text in shown.items() if text),
        script=script_html(campaign.script, {**shown, **own, "phone": seen(call.phone, whole=numbers)}),
        page=page,
        framed=any(page.startswith((f"{origin}/", f"{origin}?", f"{origin}#")) for origin in frames),
        history=tuple(_line(entry, texts, numbers) for entry in facts.history[:_MOST_ENTRIES] if _told(entry)),
        earlier=len(facts.history) > _MOST_ENTRIES,
        codes=tuple(
            CodeButton(
                code=code.code,
                name=code_name(code, texts),
                key=KEYS[place] if place < len(KEYS) else "",
                callback=code.callback,
                needs_amount=code.needs_amount,
            )
            for place, code in enumerate(campaign.dispositions)
        ),
        given=facts.given,
        days=() if times is None else tuple(calendar(times, now)),
        zone="" if times is None else times.zone,
        no_time="" if times is None else words(texts, times.problem),
        may_record=campaign.recording is not RecordingMode.OFF,
        asks_consent=campaign.recording_consent is RecordingConsent.REQUIRED,
    )


def code_name(code: DispositionCode, texts: Texts) -> str:
    """A code for people; our own codes in the visitor's language."""
    if code in DEFAULT_DISPOSITIONS:
        return texts.word("desk.code", code.code)
    return code.name or code.code


def seen(text: str, *, whole: bool) -> str:
    """A text in which numbers are whole, or masked."""
    return text if whole else _NUMBER.sub(lambda found: masked(found.group()), text)


def _told(entry: Entry) -> bool:
    return entry.kind is not Happening.CONTACT


def _in_words(entry: Entry, name: str, value: str, texts: Texts, numbers: bool) -> str:
    if name == "outcome":
        return texts.word("outcome", value)
    if name == "reason" and entry.kind is Happening.REFUSAL:
        return texts.word("gate", value)
    if name == "scope" and value == "*":
        return texts("history.everywhere")
    return seen(texts.word(f"detail_value.{name}", value), whole=numbers)


def _line(entry: Entry, texts: Texts, numbers: bool) -> HistoryLine:
    details = entry.details
    says = []
    for name in _TOLD:
        value = details.get(name)
        if value is None or isinstance(value, bool):
            continue
        says.append(_in_words(entry, name, str(value), texts, numbers))
    for name in _SECONDS:
        value = details.get(name)
        if isinstance(value, int | float):
            says.append(f"{texts.number(value)} s")
            break
    when = next((value for name in _MOMENTS if isinstance(value := details.get(name), float)), None)
    return HistoryLine(at=entry.at, kind=entry.kind.value, says=tuple(says), when=when)

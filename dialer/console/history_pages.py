"""Everything that is on record of a contact, on one page: found by its id, or by a number, which no address names."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from dialer.api.errors import ApiError
from dialer.api.requests import Phones
from dialer.console.answers import FORM, MAX_FIELD, PageRequest, Site, Staff, campaign_names, page, to
from dialer.console.problems import said
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.core.ids import CampaignId, ContactId, RecordingId, valid_contact_id, valid_name
from dialer.core.kept_recording import Keeping
from dialer.core.recording import valid_recording_id
from dialer.reporting.history import History, Subject

#: Details that are moments.
MOMENTS: Final = frozenset({"retry_at", "next_at", "expires_at", "call_at", "fallback_at"})


@get("/history")
async def history_page(
    console: Site, staff: Staff, contact: FromQuery[str] = "", campaign: FromQuery[str] = ""
) -> Response[str]:
    """The form, and what is on record of a contact of one campaign or of all."""
    asked, of = contact.strip()[:MAX_FIELD], campaign.strip()[:MAX_FIELD]
    if not asked:
        return await _page(console, staff)
    if not valid_contact_id(asked) or (of and not valid_name(of)):
        return await _page(console, staff, contact=asked, campaign=of, problem=staff.texts("history.no_id"), status=422)
    subject = Subject(campaign=CampaignId(of) if of else None, contact=ContactId(asked))
    return await _page(console, staff, contact=asked, campaign=of, found=await _find(console, subject))


@post("/history", opt=FORM, status_code=200)
async def search_by_number(request: PageRequest, console: Site, staff: Staff, phones: Phones) -> Response[str]:
    """What is on record of whoever has or had a number."""
    form = await request.form()
    await check_csrf(request, staff, form)
    number = str(form.get("phone", "")).strip()[:MAX_FIELD]
    reading = phones.read(number)
    if reading.phone is None:
        return await _page(
            console,
            staff,
            number=number,
            problem=said(staff.texts, reading.problem, f"phone_{reading.verdict}", {}),
            status=422,
        )
    return await _page(console, staff, number=number, found=await _find(console, Subject(phone=reading.phone)))


@get("/recordings/{recording:str}")
async def play(console: Site, staff: Staff, recording: FromPath[str]) -> Response[str]:
    """Go to the recording by a link that expires; that somebody listens is in the audit."""
    recordings = console.ports.recordings
    if recordings is None or not valid_recording_id(recording):
        raise ApiError(404, "there is no such recording")
    stored = await recordings.get(RecordingId(recording))
    if stored is None or stored.state is not Keeping.STORED:
        raise ApiError(404, "there is no such recording, or not any more")
    link = await recordings.link(stored, staff.who)
    return to(link.path)


async def _find(console: Console, subject: Subject) -> History:
    histories = console.ports.histories
    if histories is None:
        raise ApiError(503, "this node keeps no record")
    return await histories.find(subject)


async def _page(
    console: Console,
    staff: Visit,
    *,
    contact: str = "",
    campaign: str = "",
    number: str = "",
    found: History | None = None,
    problem: str = "",
    status: int = 200,
) -> Response[str]:
    return page(
        console,
        "history",
        staff.texts,
        status=status,
        visit=staff,
        contact=contact,
        campaign=campaign,
        number=number,
        found=found,
        problem=problem,
        moments=MOMENTS,
        campaigns=await campaign_names(console),
    )


HANDLERS: Final = (history_page, search_by_number, play)

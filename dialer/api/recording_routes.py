"""Recordings: start, pause, resume and stop them, find them, play them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import Meta, Struct

from dialer.api.auth import own_agent, requires, unauthorized
from dialer.api.byte_range import byte_range
from dialer.api.errors import BODY, KEYED, ApiError, ErrorBody, documented
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import ApiPorts
from dialer.api.recording_ports import CallRecordings
from dialer.api.requests import (
    Cursor,
    KeyedRequest,
    Limit,
    Ports,
    checked_name,
    cursor_from,
    cursor_to,
    known_campaign,
    moment,
)
from dialer.api.rows import rfc3339
from dialer.core.ids import AgentId, CallId, ContactId, RecordingId, valid_name
from dialer.core.kept_recording import Keeping, RecordingFilter, StoredRecording
from dialer.core.recording import RecordingOrder, RecordingState, valid_recording_id

#: Of one call: more than anybody starts.
_OF_CALL: Final = 500
_AUDIO: Final = {
    **documented(*KEYED, 404, 409, 422, 503),
    200: ResponseSpec(bytes, description="The sound, WAV", media_type="audio/wav", generate_examples=False),
    206: ResponseSpec(bytes, description="A part of it", media_type="audio/wav", generate_examples=False),
    410: ResponseSpec(ErrorBody, description="Its sound is kept no more.", generate_examples=False),
    416: ResponseSpec(ErrorBody, description="There is nothing of this range.", generate_examples=False),
}


class RecordingOrderInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to become of the recording of a call."""

    order: RecordingOrder
    consent: Annotated[bool, Meta(description="start: the person has just agreed to be recorded")] = False


class RecordingStateOut(Struct, kw_only=True):
    """How the recording of a call stands, as Asterisk has confirmed it."""

    state: RecordingState
    recording: str | None


class RecordingOut(Struct, kw_only=True):
    """One recording."""

    id: str
    call: str
    campaign: str
    contact: str
    agent: str | None
    #: Who asked for it; "campaign" where it records all its calls.
    by: str
    state: Keeping
    started_at: str
    ended_at: str | None
    duration_s: float | None
    #: Seconds from its beginning, [from, until], during which there is silence in place of what was said.
    pauses: list[list[float]]
    bytes: int | None
    sha256: str | None
    retain_until: str | None
    deleted_at: str | None
    #: Why it is not where it should be; empty: it is.
    problem: str
    #: Path by which it can be played without a key until `url_expires_at`; null where it cannot.
    url: str | None = None
    url_expires_at: str | None = None


class CallRecordingsOut(Struct, kw_only=True):
    """The recordings of one call, newest first, and how it stands with the call now."""

    state: RecordingState
    items: list[RecordingOut]


class RecordingsPage(Struct, kw_only=True):
    """Recordings, newest first."""

    items: list[RecordingOut]
    next_cursor: str | None


def _recordings(ports: ApiPorts) -> CallRecordings:
    if ports.recordings is None:
        raise ApiError(503, "this node keeps no recordings")
    return ports.recordings


async def _agent_of(ports: ApiPorts, recordings: CallRecordings, call: str) -> str:
    """Whose call it is or was; empty where nobody's yet."""
    if valid_name(call):
        row = ports.control.live().call(CallId(call))
        if row is not None:
            return row.agent or ""
        # Talks of an earlier process are not in the live view, and calls that have just ended not yet on record.
        for recording in await recordings.page(RecordingFilter(call=CallId(call)), None, 1):
            return recording.agent or ""
        attempt = await ports.attempts.get(CallId(call))
        if attempt is not None:
            return attempt.agent or ""
    raise ApiError(404, f"there is no call {call[:80]!r}", code="no_call", call=call[:80])


@post(
    "/calls/{call:str}/recording",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=200,
    tags=["calls"],
)
async def order_recording(
    call: FromPath[str], data: JSONBody[RecordingOrderInput], request: KeyedRequest, ports: Ports
) -> RecordingStateOut:
    """Start, pause, resume or stop the recording of a call. It is done when this answers with 200."""
    return await order(ports, request.auth, call, data)


async def order(ports: ApiPorts, key: ApiKey, call: str, data: RecordingOrderInput) -> RecordingStateOut:
    """Start, pause, resume or stop the recording of a call; done when it returns.

    Raises:
        ApiError: 404, 403; 409 where it is not possible, 503 where it was not done.
    """
    recordings = _recordings(ports)
    own_agent(key, await _agent_of(ports, recordings, call))
    answer = await recordings.order(CallId(call), data.order, _who(key), consented=data.consent)
    details: dict[str, Any] = {"state": answer.state.value, "recording": answer.recording}
    if answer.refused:
        raise ApiError(409, answer.problem, error="not_possible", details=details)
    if answer.problem:
        raise ApiError(503, answer.problem, error="not_done", details=details)
    return RecordingStateOut(state=answer.state, recording=answer.recording)


@get(
    "/calls/{call:str}/recording",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 503),
    tags=["calls"],
)
async def recordings_of_call(call: FromPath[str], request: KeyedRequest, ports: Ports) -> CallRecordingsOut:
    """The recordings of a call, each with a link by which it can be played for a while. Making one is logged."""
    recordings = _recordings(ports)
    own_agent(request.auth, await _agent_of(ports, recordings, call))
    found = await recordings.page(RecordingFilter(call=CallId(call)), None, _OF_CALL)
    return CallRecordingsOut(
        state=recordings.state(CallId(call)),
        items=[await _linked(recordings, recording, request.auth) for recording in found],
    )


@get("/recordings", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED, 404, 422, 503))
async def list_recordings(
    ports: Ports,
    campaign: FromQuery[str | None] = None,
    contact: FromQuery[str | None] = None,
    agent: FromQuery[str | None] = None,
    recording_state: Annotated[Keeping | None, QueryParameter(name="state")] = None,
    started_from: Annotated[str | None, QueryParameter(description="RFC 3339 with zone")] = None,
    started_before: Annotated[str | None, QueryParameter(description="RFC 3339 with zone")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> RecordingsPage:
    """Recordings, newest first, without links."""
    wanted = RecordingFilter(
        campaign=None if campaign is None else (await known_campaign(ports, campaign)).campaign.id,
        contact=None if contact is None else ContactId(contact),
        agent=None if agent is None else AgentId(checked_name(agent, "agent")),
        state=recording_state,
        started_from=moment(started_from, "started_from"),
        started_before=moment(started_before, "started_before"),
    )
    found = await _recordings(ports).page(wanted, cursor_from(cursor), limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return RecordingsPage(
        items=[recording_out(recording) for recording in found[:limit]],
        next_cursor=None if last is None else cursor_to(last.started_at, last.id),
    )


@get(
    "/recordings/{recording:str}",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 503),
)
async def get_recording(recording: FromPath[str], request: KeyedRequest, ports: Ports) -> RecordingOut:
    """One recording, with a link by which it can be played for a while. Making it is logged."""
    recordings = _recordings(ports)
    found = await _known(recordings, recording)
    own_agent(request.auth, found.agent or "")
    return await _linked(recordings, found, request.auth)


@get("/recordings/{recording:str}/audio", responses=_AUDIO, media_type="audio/wav")
async def play_recording(
    recording: FromPath[str],
    request: Request[Any, Any, State],
    ports: Ports,
    holder: Annotated[str, QueryParameter(max_length=200)] = "",
    expires: Annotated[str, QueryParameter(max_length=20)] = "",
    signature: Annotated[str, QueryParameter(max_length=100)] = "",
) -> Stream:
    """Play a recording by the link that its description gave; no key is needed. Ranges are served. Logged."""
    if not signature:
        raise unauthorized("a recording is played by the link that its description gives")
    recordings = _recordings(ports)
    fault = await recordings.judge(recording, holder, expires, signature)
    if fault == "expired":
        raise ApiError(403, "this link has expired: ask for the recording again", error="link_expired")
    if fault:
        raise ApiError(403, "this link was not made here, or was changed", error="link_forged")
    found = await _known(recordings, recording)
    if found.state in {Keeping.DELETED, Keeping.MISSING, Keeping.FAILED}:
        raise ApiError(410, f"this recording is {found.state}", error="gone")
    if found.state is not Keeping.STORED or found.bytes is None:
        raise ApiError(409, "this recording is on its way into the store: try again in a moment", error="not_stored")
    asked = byte_range(request.headers.get("range"), found.bytes)
    if asked is None:
        raise ApiError(
            416,
            f"this recording has {found.bytes} bytes",
            error="range_not_satisfiable",
            headers={"content-range": f"bytes */{found.bytes}"},
        )
    sound = await recordings.play(found, holder, asked.begin, asked.end)
    headers = {
        "accept-ranges": "bytes",
        "content-length": str(asked.end - asked.begin),
        "cache-control": "private, no-store",
        "content-disposition": f'inline; filename="{found.id}.wav"',
        "x-content-type-options": "nosniff",
    }
    if asked.partial:
        headers["content-range"] = f"bytes {asked.begin}-{asked.end - 1}/{found.bytes}"
    return Stream(sound, status_code=206 if asked.partial else 200, headers=headers, media_type="audio/wav")


async def _known(recordings: CallRecordings, recording: str) -> StoredRecording:
    found = await recordings.get(RecordingId(recording)) if valid_recording_id(recording) else None
    if found is None:
        raise ApiError(404, f"there is no recording {recording[:80]!r}")
    return found


async def _linked(recordings: CallRecordings, recording: StoredRecording, key: ApiKey) -> RecordingOut:
    out = recording_out(recording)
    if recording.state is Keeping.STORED:
        link = await recordings.link(recording, _who(key))
        out.url, out.url_expires_at = link.path, rfc3339(link.expires_at)
    return out


def _who(key: ApiKey) -> str:
    return key.agent or key.id


def recording_out(recording: StoredRecording) -> RecordingOut:
    """A recording as the API tells of it."""

    def maybe(at: float | None) -> str | None:
        return None if at is None else rfc3339(at)

    return RecordingOut(
        id=recording.id,
        call=recording.call,
        campaign=recording.campaign,
        contact=recording.contact,
        agent=recording.agent,
        by=recording.by,
        state=recording.state,
        started_at=rfc3339(recording.started_at),
        ended_at=maybe(recording.ended_at),
        duration_s=recording.duration_s,
        pauses=[list(pause) for pause in recording.pauses],
        bytes=recording.bytes,
        sha256=recording.sha256,
        retain_until=maybe(recording.retain_until),
        deleted_at=maybe(recording.deleted_at),
        problem=recording.problem,
    )


routes = Router(
    "/",
    route_handlers=[order_recording, recordings_of_call, list_recordings, get_recording, play_recording],
    tags=["recordings"],
)

"""Segments: one request that makes a campaign from a template, loads its contacts and starts it."""

from __future__ import annotations

from litestar import Router, post

from dialer.api.auth import requires
from dialer.api.bodies import JSON, STREAMED, check_json, chunks
from dialer.api.described import body_of
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.requests import KeyedRequest, Ports
from dialer.api.rows import ContactOut, SegmentOut
from dialer.intake.messages import MAX_MESSAGE_BYTES
from dialer.intake.segments import RawSegment, read_segment


@post(
    "/segments",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
    opt={STREAMED: True},
    request_max_body_size=None,
    operation_class=body_of({JSON: RawSegment}),
    description=(
        "Make a campaign from a template of the settings (or like an existing campaign), load up to 1,000 contacts and "
        "start it. Sent again with the same `id` it changes nothing that has been done: contacts are updated, and a "
        "campaign that somebody has paused or stopped is not started."
    ),
)
async def take_segment(request: KeyedRequest, ports: Ports) -> SegmentOut:
    """Make a campaign of a segment."""
    if ports.segments is None:
        raise ApiError(503, "this node takes no segments")
    body = b"".join([chunk async for chunk in chunks(request, MAX_MESSAGE_BYTES)])
    check_json(body)
    taken = await ports.segments.take(read_segment(body))
    items = [
        ContactOut(
            line=place,
            status="accepted" if verdict.accepted else "rejected",
            reason=str(verdict.reason or verdict.offered or ""),
            id=verdict.id,
            problem=verdict.problem,
        )
        for place, verdict in enumerate(taken.verdicts, start=1)
    ]
    accepted = sum(verdict.accepted for verdict in taken.verdicts)
    return SegmentOut(
        campaign=taken.campaign,
        created=taken.created,
        started=taken.started,
        accepted=accepted,
        rejected=len(items) - accepted,
        items=items,
    )


routes = Router("/", route_handlers=[take_segment], tags=["campaigns"])

"""Contacts: one as JSON, many as NDJSON (one JSON object a line), each with a verdict of its own."""

from __future__ import annotations

from typing import Final

from litestar import Router, post
from litestar.params import FromPath

from dialer.api.auth import requires
from dialer.api.bodies import ACCEPTS, JSON, NDJSON, STREAMED, TooLong, check_json, chunks, content_type, lines
from dialer.api.described import body_of
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.intake_ports import ContactVerdict
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, NodeSettings, Ports, known_campaign
from dialer.api.rows import ContactOut, ContactsOut
from dialer.core.ids import CampaignId
from dialer.intake.record import RawContact

#: A contact has some fields of the CRM's; one that needs more than this is not a contact.
MAX_CONTACT_BYTES: Final = 64 * 1024
#: Verdicts are answered in one document; longer lists come as CSV, which is imported in the background.
MAX_CONTACTS: Final = 10_000
_BATCH: Final = 500


class _Answer:
    """Verdicts of one request, collected in the order of its lines."""

    def __init__(self, ports: ApiPorts, campaign: CampaignId) -> None:
        self._ports = ports
        self._campaign = campaign
        self._batch: list[tuple[int, bytes]] = []
        self.items: list[ContactOut] = []

    async def add(self, line: int, row: bytes) -> None:
        self._batch.append((line, row))
        if len(self._batch) >= _BATCH:
            await self.flush()

    def too_long(self, line: int, row: TooLong) -> None:
        problem = f"{row.size} bytes; one contact may have at most {MAX_CONTACT_BYTES}"
        self.items.append(ContactOut(line=line, status="rejected", reason="too_large", problem=problem))

    async def flush(self) -> None:
        if self._batch:
            verdicts = await self._ports.intake.offer(self._campaign, [row for _, row in self._batch])
            self.items.extend(_out(line, verdict) for (line, _), verdict in zip(self._batch, verdicts, strict=True))
            self._batch.clear()

    def done(self) -> ContactsOut:
        self.items.sort(key=lambda item: item.line)
        accepted = sum(item.status == "accepted" for item in self.items)
        return ContactsOut(accepted=accepted, rejected=len(self.items) - accepted, items=self.items)


def _out(line: int, verdict: ContactVerdict) -> ContactOut:
    return ContactOut(line=line, status=verdict.status, reason=verdict.reason, id=verdict.id, problem=verdict.problem)


@post(
    "/campaigns/{campaign:str}/contacts",
    guards=[requires(Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=200,
    opt={ACCEPTS: (NDJSON, JSON), STREAMED: True},
    request_max_body_size=None,
    operation_class=body_of({JSON: RawContact, NDJSON: RawContact}),
    description=(
        "Add or update contacts by (campaign, id): one as `application/json`, or up to 10,000 as "
        "`application/x-ndjson`, one JSON object a line, each with the keys of a contact of `cadencia:contacts`. "
        "Every line gets a verdict; a bad one does not spoil the others. Sending the same again changes nothing."
    ),
)
async def offer_contacts(
    campaign: FromPath[str], request: KeyedRequest, ports: Ports, settings: NodeSettings
) -> ContactsOut:
    """Add or update contacts."""
    stored = await known_campaign(ports, campaign)
    answer = _Answer(ports, stored.campaign.id)
    if content_type(request) == JSON:
        body = b"".join([chunk async for chunk in chunks(request, MAX_CONTACT_BYTES)])
        check_json(body)
        await answer.add(1, body)
    else:
        number = 0
        async for line in lines(chunks(request, settings.api.max_body_bytes), MAX_CONTACT_BYTES):
            number += 1
            if number > MAX_CONTACTS:
                await answer.flush()
                raise _too_many(stored.campaign.id)
            if isinstance(line, TooLong):
                answer.too_long(number, line)
            elif line.strip():
                await answer.add(number, line)
    await answer.flush()
    return answer.done()


def _too_many(campaign: CampaignId) -> ApiError:
    return ApiError(
        413,
        f"more than {MAX_CONTACTS} lines; those before were taken. Send the rest in further requests, or the whole "
        f"as CSV to /api/v1/campaigns/{campaign}/lists",
        details={"lines_taken": MAX_CONTACTS},
    )


routes = Router("/", route_handlers=[offer_contacts], tags=["contacts"])

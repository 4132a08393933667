"""Preview dialing: what an agent is shown, and what they decide about it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import own_agent, requires
from dialer.api.call_request_routes import decider, refusal
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, Ports, checked_name
from dialer.core.ids import AgentId, ContactId, valid_contact_id
from dialer.errors import InputError
from dialer.projections.live_rows import OfferRow

#: Characters of the words in which an agent says why they skip somebody.
MAX_REASON: Final = 200


class PreviewOut(Struct, kw_only=True):
    """Whom an agent is being shown; null: nobody. Moments are unix seconds."""

    offer: OfferRow | None


class PreviewAnswer(Struct, forbid_unknown_fields=True, kw_only=True):
    """What an agent decides."""

    answer: Annotated[Literal["call", "skip"], Meta(description="skip: it goes back, and no attempt is counted")]
    contact: Annotated[str, Meta(description="Whom they have looked at")]
    reason: Annotated[str, Meta(max_length=MAX_REASON, description="Why it is skipped")] = ""


class PreviewDone(Struct, kw_only=True):
    """The call has started, or the contact is back in the list."""

    answer: str
    contact: str
    agent: str
    call: str | None = None


@get(
    "/agents/{agent:str}/preview",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 422),
)
async def get_preview(agent: FromPath[str], request: KeyedRequest, ports: Ports) -> PreviewOut:
    """Whom an agent of a campaign with the method `preview` is being shown now."""
    own_agent(request.auth, agent)
    return PreviewOut(offer=ports.control.live().offer(AgentId(checked_name(agent, "agent"))))


@post(
    "/agents/{agent:str}/preview",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=200,
)
async def answer_preview(
    agent: FromPath[str], data: JSONBody[PreviewAnswer], request: KeyedRequest, ports: Ports
) -> PreviewDone:
    """Have the contact called that the agent is shown, or skip it.

    Only with this consent it is called, and only if every rule still allows it: one that must not be called any more is
    refused with 409; `details` has the `reason` and, where that may change by itself, `retry_at`.
    """
    own_agent(request.auth, agent)
    return await answer(ports, request.auth, AgentId(checked_name(agent, "agent")), data)


async def answer(ports: ApiPorts, key: ApiKey, agent: AgentId, data: PreviewAnswer) -> PreviewDone:
    """Do what an agent has decided.

    Raises:
        ApiError: 409 where the contact must not be called, or they are not being shown it; 503.
        InputError: names the field.
    """
    if not valid_contact_id(data.contact):
        raise InputError("contact: must have 1 to 128 characters, none of them a control character")
    reason = data.reason.strip()
    if reason and not reason.isprintable():
        raise InputError("reason: must have printable characters only")
    if ports.previews is None:
        raise ApiError(503, "this node shows nobody whom they are to call")
    consent = data.answer == "call"
    told = await ports.previews.answer(agent, ContactId(data.contact), consent=consent, reason=reason, by=decider(key))
    if told.reason:
        raise refusal(told.reason, told.retry_at)
    return PreviewDone(answer=data.answer, contact=told.contact, agent=agent, call=told.call)


routes = Router("/", route_handlers=[get_preview, answer_preview], tags=["agents"])

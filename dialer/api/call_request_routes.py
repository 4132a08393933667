"""Click to call: somebody asks for one call, now, for one agent."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Router, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import own_agent, requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, Ports, checked_name, known_campaign
from dialer.api.rows import rfc3339
from dialer.core.ids import AgentId, ContactId, valid_contact_id
from dialer.errors import InputError

#: Why nobody is called, for people. What is not here speaks for itself, as far as one word can.
_SAYS: Final = {
    "agent_not_there": "the agent is not signed in, or their phone is not there",
    "agent_busy": "the agent is talking, or about to",
    "agent_not_of_campaign": "the agent does not work for this campaign",
    "campaign_not_running": "the campaign is not running",
    "server_not_connected": "the agent's Asterisk server is not connected",
    "try_again": "the node or Asterisk was too slow to call by a fresh permit; ask again",
    "no_line": "no line is free on the agent's server",
    "no_caller_id": "no number is left for this campaign to show",
    "cost_cap": "what calls may cost today is used up, or would be by this call",
    "no_rate": "no trunk of the campaign has a rate for this number",
    "destination_barred": "numbers of this kind or country are not called from here",
    "gate_unavailable": "the gate does not answer",
    "removed": "the CRM has removed this contact or number from the campaign; that is final",
    "do_not_call": "the number is on a do-not-call list",
    "registry": "the number is on a registry of people who want no calls",
    "expired": "the contact has expired",
    "live": "this contact is being called",
    "number_live": "this number is being called",
    "unknown": "none of this contact's numbers may be called any more",
    "unknown_phone": "this is none of the contact's numbers",
    "attempt_cap": "this number, person or account has been called as often as is allowed",
    "cooldown": "this number, person or account must be left in peace for a while",
    "no_such_offer": "the agent is not being shown this contact any more",
    "put_off": "the contact has been given another time",
    "compliance": "the campaign may not dial: its registries or rules are not in order",
}
#: What is wrong with us, and not with the wish.
_UNAVAILABLE: Final = frozenset({"gate_unavailable", "gate is out of reach", "gate is shut", "queues are behind"})


class CallRequestInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whom to call, and for whom."""

    agent: str
    campaign: str
    contact: Annotated[str | None, Meta(description="Id of a contact of the campaign")] = None
    phone: Annotated[
        str | None, Meta(description="A number: of the contact, or of anybody; without +, of the default region")
    ] = None


class AskedCallOut(Struct, kw_only=True):
    """The call has started; results and `/events` tell how it goes on."""

    call: str
    campaign: str
    contact: str
    agent: str


@post(
    "/calls",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=201,
)
async def ask_for_call(data: JSONBody[CallRequestInput], request: KeyedRequest, ports: Ports) -> AskedCallOut:
    """Call a contact or a number for an agent, who hears it from the answer on.

    The agent must be signed in and idle, paused or wrapping up. Every rule of a campaign's calls holds: one that must
    not be made is refused with 409; `details` has the `reason` and, where that may change by itself, `retry_at`.
    """
    return await ask(ports, request.auth, data)


async def ask(ports: ApiPorts, key: ApiKey, data: CallRequestInput) -> AskedCallOut:
    """Have a contact or a number called for an agent.

    Raises:
        ApiError: 409 where the call must not be made, with the reason; 404, 403, 503.
        InputError: names the field.
    """
    agent = AgentId(checked_name(data.agent, "agent"))
    own_agent(key, agent)
    if data.contact is None and data.phone is None:
        raise InputError("contact: give the contact, or the phone, or both")
    if data.contact is not None and not valid_contact_id(data.contact):
        raise InputError("contact: must have 1 to 128 characters, none of them a control character")
    campaign = (await known_campaign(ports, data.campaign)).campaign.id
    if ports.call_requests is None:
        raise ApiError(503, "this node takes no wishes for calls")
    contact = None if data.contact is None else ContactId(data.contact)
    asked = await ports.call_requests.call(agent, campaign, contact, data.phone, by=decider(key))
    if asked is None:
        raise ApiError(
            404,
            f"campaign {campaign} has no contact {str(data.contact)[:80]!r}",
            code="no_contact",
            campaign=campaign,
            contact=str(data.contact)[:80],
        )
    if asked.call is None:
        raise refusal(asked.reason, asked.retry_at)
    return AskedCallOut(call=asked.call, campaign=campaign, contact=asked.contact, agent=agent)


def decider(key: ApiKey) -> str:
    """Whoever decides on a call, as the evidence names them: an agent by their own name, whichever way they came."""
    return f"agent:{key.agent}" if key.role is Role.AGENT and key.agent is not None else key.who


def refusal(reason: str, retry_at: float | None) -> ApiError:
    """Why nobody is called, for people and programs."""
    if reason in _UNAVAILABLE:
        return ApiError(503, f"nobody was called: {_SAYS.get(reason, reason)}; try again", headers={"retry-after": "1"})
    details: dict[str, Any] = {"reason": reason}
    says = _SAYS.get(reason, reason.replace("_", " "))
    if retry_at is not None:
        details["retry_at"] = rfc3339(retry_at)
        says += f"; not before {details['retry_at']}"
    return ApiError(409, f"nobody was called: {says}", error="refused", details=details)


routes = Router("/", route_handlers=[ask_for_call], tags=["calls"])

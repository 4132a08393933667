"""Supervision: listening, whispering and barging in on talks, messages to agents, and who works for which campaigns."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Router, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import own_agent, requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, Ports, checked_name, known_campaign, submit
from dialer.api.rows import Accepted
from dialer.api.supervision_ports import AgentMessage, Supervision
from dialer.campaigns import Name
from dialer.core.agent import AgentState
from dialer.core.events import AgentReassigned
from dialer.core.ids import AgentId, MonitorId
from dialer.core.monitor import MonitorMode
from dialer.projections.live_rows import MonitorRow

#: A phone as the dialplan knows it; never a number in E.164, let alone more than one phone.
EXTENSION_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?![\s\S])"
MAX_MESSAGE: Final = 500


class MonitorInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """How somebody wants to attend an agent's talks."""

    mode: Annotated[
        MonitorMode,
        Meta(description="listen: unheard; whisper: the agent hears you; barge: agent and customer hear you"),
    ]
    extension: Annotated[
        str, Meta(pattern=EXTENSION_PATTERN, description="Your own phone as Asterisk knows it, such as boss01")
    ]


class MonitorsOut(Struct, kw_only=True):
    """Who attends whose talks now."""

    items: list[MonitorRow]


class MessageInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """A few words to an agent."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_MESSAGE)]


class MessagesOut(Struct, kw_only=True):
    """The latest messages to an agent, the oldest first."""

    items: list[AgentMessage]


class CampaignsInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """The campaigns that an agent takes calls of from now on."""

    campaigns: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]


@get("/monitors", guards=[requires(Role.SUPERVISOR)], responses=documented(*KEYED))
async def list_monitors(ports: Ports) -> MonitorsOut:
    """Supervisors who attend talks now."""
    return MonitorsOut(items=list(ports.control.live().monitors()))


@post(
    "/agents/{agent:str}/monitor",
    guards=[requires(Role.SUPERVISOR)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=202,
    description="Your phone is called, and attends the agent's talks, this one and the next ones, until the agent's "
    "leg ends, you hang up, or it is ended here. Sent again it changes the mode, or moves on to another agent. Who "
    "barges in only listens once the talk is over. Sessions and the talks that they attended go into the audit log.",
)
async def start_monitor(
    agent: FromPath[str], data: JSONBody[MonitorInput], request: KeyedRequest, ports: Ports
) -> MonitorRow:
    """Listen, whisper or barge in."""
    return attend(ports, agent, data, request.auth.who)


@delete(
    "/agents/{agent:str}/monitor",
    guards=[requires(Role.SUPERVISOR)],
    responses=documented(*KEYED, 404, 422),
    status_code=204,
)
async def end_monitor(
    agent: FromPath[str], request: KeyedRequest, ports: Ports, extension: FromQuery[str | None] = None
) -> None:
    """Stop attending an agent: with that phone, or (without `extension`) with all that were asked for by you."""
    leave(ports, agent, request.auth.who, extension)


@post(
    "/agents/{agent:str}/messages",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=201,
)
async def send_message(
    agent: FromPath[str], data: JSONBody[MessageInput], request: KeyedRequest, ports: Ports
) -> AgentMessage:
    """Send an agent a message: it stands on their page, and is told as `agent.message`."""
    return tell(ports, agent, data.text, request.auth.who)


@get(
    "/agents/{agent:str}/messages",
    guards=[requires(Role.AGENT, Role.SUPERVISOR)],
    responses=documented(*KEYED, 404, 422),
)
async def list_messages(agent: FromPath[str], request: KeyedRequest, ports: Ports) -> MessagesOut:
    """What an agent was told lately."""
    own_agent(request.auth, agent)
    return MessagesOut(items=list(_port(ports).told(AgentId(checked_name(agent, "agent")))))


@post(
    "/agents/{agent:str}/campaigns",
    guards=[requires(Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=202,
)
async def assign(agent: FromPath[str], data: JSONBody[CampaignsInput], ports: Ports) -> Accepted:
    """Move a signed-in agent to other campaigns; a talk under way goes on."""
    return await move(ports, agent, data.campaigns)


# ---- shared with the console


def attend(ports: ApiPorts, agent: str, wanted: MonitorInput, by: str) -> MonitorRow:
    """Begin a session, or change one.

    Raises:
        ApiError: 404 where the agent is not signed in, 409 where it cannot be now, with the reason.
    """
    who = _signed_in(ports, agent)
    refusal = _port(ports).attend(who, wanted.extension, wanted.mode, by)
    if refusal:
        raise ApiError(409, refusal, error="not_possible")
    rows = [row for row in ports.control.live().monitors(who) if row.extension == wanted.extension]
    if not rows:
        raise ApiError(
            409,
            f"{wanted.extension} could not be called",
            error="not_possible",
            code="phone_not_called",
            phone=wanted.extension,
        )
    return rows[0]


def leave(ports: ApiPorts, agent: str, by: str, extension: str | None = None) -> None:
    """End sessions at an agent: that of a phone, or all of whoever asks.

    Raises:
        ApiError: 404 where there is none.
    """
    rows = ports.control.live().monitors(AgentId(checked_name(agent, "agent")))
    found = [row for row in rows if (row.by == by if extension is None else row.extension == extension)]
    if not found:
        raise ApiError(404, f"nobody attends agent {agent!r} so", code="nobody_attends", agent=agent)
    for row in found:
        _port(ports).leave(MonitorId(row.id), by)


def tell(ports: ApiPorts, agent: str, text: str, by: str) -> AgentMessage:
    """Send an agent a message.

    Raises:
        ApiError: 404 where the agent is not signed in, 422 where there is nothing to read in it.
    """
    who = _signed_in(ports, agent)
    words = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    if not words or len(words) > MAX_MESSAGE:
        raise ApiError(
            422, f"text: must have 1 to {MAX_MESSAGE} printable characters", code="text_length", most=MAX_MESSAGE
        )
    return _port(ports).tell(who, words, by)


async def move(ports: ApiPorts, agent: str, campaigns: tuple[str, ...]) -> Accepted:
    """Give a signed-in agent other campaigns.

    Raises:
        ApiError: 404 where the agent is not signed in, or there is no such campaign.
    """
    who = _signed_in(ports, agent)
    known = [(await known_campaign(ports, campaign)).campaign.id for campaign in campaigns]
    event = AgentReassigned(at=ports.clock.now(), agent=who, campaigns=tuple(dict.fromkeys(known)))
    await submit(ports, event)
    return Accepted()


def _signed_in(ports: ApiPorts, agent: str) -> AgentId:
    who = AgentId(checked_name(agent, "agent"))
    row = ports.control.live().agent(who)
    if row is None or row.state == AgentState.SIGNED_OUT:
        raise ApiError(404, f"agent {agent!r} is not signed in", code="agent_not_in", agent=agent)
    return who


def _port(ports: ApiPorts) -> Supervision:
    if ports.supervision is None:
        raise ApiError(404, "agents are not supervised here")
    return ports.supervision


routes = Router(
    "/",
    route_handlers=[list_monitors, start_monitor, end_monitor, send_message, list_messages, assign],
    tags=["supervision"],
)

"""Agents: who works, and sign-in, ready, pause, sign-out and hang-up for one of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import own_agent, requires
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import Role
from dialer.api.ports import ApiPorts
from dialer.api.requests import KeyedRequest, Ports, checked_name, known_campaign, moment, submit
from dialer.api.rows import Accepted, AgentsOut
from dialer.campaigns import Name
from dialer.core.agent import AgentState
from dialer.core.events import AgentHungUp, AgentPauseAsked, AgentReadied, AgentSignedIn, AgentSignedOut, PeopleEvent
from dialer.core.ids import AgentId, ServerName
from dialer.projections.live_rows import AgentRow

#: What may stand in a dial string of the settings; anything else could be more than a phone.
_PHONE_PATTERN: Final = r"^[A-Za-z0-9_+.-]{1,64}(?![\s\S])"


class SignInInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where an agent is to be called, and for what."""

    phone: Annotated[
        str, Meta(pattern=_PHONE_PATTERN, description="Endpoint or number as Asterisk knows it, such as agent01")
    ]
    campaigns: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]
    server: Annotated[Name | None, Meta(description="Asterisk server; null: where agents of the campaigns are")] = None
    ready: Annotated[bool, Meta(description="Takes calls as soon as the phone is up")] = True
    priority: Annotated[int, Meta(ge=-1_000, le=1_000)] = 0
    skills: Annotated[frozenset[Name], Meta(max_length=100)] = frozenset()
    shift_ends_at: Annotated[
        str | None, Meta(description="When their shift ends (RFC 3339): nobody is called for them who would talk later")
    ] = None


class PauseInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why an agent takes no calls."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]


@get("/agents", guards=[requires(Role.SUPERVISOR, Role.CRM)], responses=documented(*KEYED))
async def list_agents(ports: Ports) -> AgentsOut:
    """Agents who have signed in today."""
    return AgentsOut(items=list(ports.control.live().agents(ports.clock.now())))


@get(
    "/agents/{agent:str}",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 422),
)
async def get_agent(agent: FromPath[str], request: KeyedRequest, ports: Ports) -> AgentRow:
    """One agent."""
    return _signed_in(ports, _checked(request, agent), also_signed_out=True)


@post(
    "/agents/{agent:str}/sign-in",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=202,
)
async def sign_in(agent: FromPath[str], data: JSONBody[SignInInput], request: KeyedRequest, ports: Ports) -> Accepted:
    """Call the agent's phone and keep it; calls come into it."""
    return await begin_work(ports, _checked(request, agent), data)


async def begin_work(ports: ApiPorts, who: AgentId, data: SignInInput) -> Accepted:
    """Call the agent's phone and keep it.

    Raises:
        ApiError: 409 where they are signed in already, 404 for an unknown campaign.
    """
    row = ports.control.live().agent(who)
    if row is not None and row.state not in {AgentState.SIGNED_OUT, AgentState.LOST}:
        raise ApiError(
            409,
            f"agent {who!r} is signed in already ({row.state})",
            error="wrong_state",
            code="agent_is_in",
            **_told(who, row),
        )
    campaigns = [(await known_campaign(ports, campaign)).campaign.id for campaign in data.campaigns]
    event = AgentSignedIn(
        at=ports.clock.now(),
        agent=who,
        phone=data.phone,
        campaigns=tuple(dict.fromkeys(campaigns)),
        server=None if data.server is None else ServerName(data.server),
        ready=data.ready,
        priority=data.priority,
        skills=data.skills,
        shift_ends_at=moment(data.shift_ends_at, "shift_ends_at"),
    )
    return await _do(ports, event)


@post(
    "/agents/{agent:str}/ready",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 409, 422, 503),
    status_code=202,
    opt={"no_body": True},
)
async def ready(agent: FromPath[str], request: KeyedRequest, ports: Ports) -> Accepted:
    """The agent wants calls: ends wrap-up or pause."""
    return await be_ready(ports, _checked(request, agent))


async def be_ready(ports: ApiPorts, who: AgentId) -> Accepted:
    """End wrap-up or pause.

    Raises:
        ApiError: 404 where they are not signed in, 409 where there is nothing to end.
    """
    row = _signed_in(ports, who)
    if row.state not in {AgentState.WRAPUP, AgentState.PAUSED, AgentState.IDLE}:
        raise ApiError(
            409,
            f"agent {who!r} is {row.state}; ready follows wrapup or paused",
            error="wrong_state",
            code="agent_not_ready",
            **_told(who, row),
        )
    return await _do(ports, AgentReadied(at=ports.clock.now(), agent=who))


@post(
    "/agents/{agent:str}/pause",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, *BODY, 404),
    status_code=202,
)
async def pause(agent: FromPath[str], data: JSONBody[PauseInput], request: KeyedRequest, ports: Ports) -> Accepted:
    """The agent wants no more calls; takes effect after the present one."""
    return await take_pause(ports, _checked(request, agent), data)


async def take_pause(ports: ApiPorts, who: AgentId, data: PauseInput) -> Accepted:
    """No more calls, at once or after the present one.

    Raises:
        ApiError: 404 where they are not signed in, 422 for a code that is none.
    """
    if not data.code.isprintable() or not data.code.strip():
        raise ApiError(422, "code: must have 1 to 64 printable characters")
    _signed_in(ports, who)
    return await _do(ports, AgentPauseAsked(at=ports.clock.now(), agent=who, code=data.code.strip()))


@post(
    "/agents/{agent:str}/sign-out",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 422, 503),
    status_code=202,
    opt={"no_body": True},
)
async def sign_out(agent: FromPath[str], request: KeyedRequest, ports: Ports) -> Accepted:
    """The agent goes home; takes effect after the present call."""
    return await go_home(ports, _checked(request, agent))


async def go_home(ports: ApiPorts, who: AgentId) -> Accepted:
    """Sign out, at once or after the present call.

    Raises:
        ApiError: 404 where they are not signed in.
    """
    _signed_in(ports, who)
    return await _do(ports, AgentSignedOut(at=ports.clock.now(), agent=who))


@post(
    "/agents/{agent:str}/hangup",
    guards=[requires(Role.AGENT, Role.SUPERVISOR, Role.CRM)],
    responses=documented(*KEYED, 404, 409, 422, 503),
    status_code=202,
    opt={"no_body": True},
)
async def hang_up(agent: FromPath[str], request: KeyedRequest, ports: Ports) -> Accepted:
    """The agent ends the present talk; their phone stays."""
    return await end_talk(ports, _checked(request, agent))


async def end_talk(ports: ApiPorts, who: AgentId) -> Accepted:
    """Hang up on the customer; the agent's phone stays.

    Raises:
        ApiError: 404 where they are not signed in, 409 where they have no call.
    """
    row = _signed_in(ports, who)
    if row.state not in {AgentState.TALKING, AgentState.RESERVED}:
        raise ApiError(
            409,
            f"agent {who!r} has no call ({row.state})",
            error="wrong_state",
            code="agent_no_call",
            **_told(who, row),
        )
    return await _do(ports, AgentHungUp(at=ports.clock.now(), agent=who))


def _checked(request: KeyedRequest, agent: str) -> AgentId:
    own_agent(request.auth, agent)
    return AgentId(checked_name(agent, "agent"))


def _told(agent: AgentId, row: AgentRow) -> dict[str, Any]:
    return {"agent": agent, "state": row.state}


def _signed_in(ports: ApiPorts, agent: AgentId, *, also_signed_out: bool = False) -> AgentRow:
    row = ports.control.live().agent(agent)
    if row is None or (row.state == AgentState.SIGNED_OUT and not also_signed_out):
        raise ApiError(404, f"agent {agent!r} is not signed in", code="agent_not_in", agent=agent)
    return row


async def _do(ports: ApiPorts, event: PeopleEvent) -> Accepted:
    await submit(ports, event)
    return Accepted()


routes = Router("/", route_handlers=[list_agents, get_agent, sign_in, ready, pause, sign_out, hang_up], tags=["agents"])

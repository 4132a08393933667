"""The snippet for a CRM's pages: the script, the tokens that it works with, and how a call of it goes on."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Annotated, Final

from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.auth import own_agent, requires
from dialer.api.call_routes import find_call
from dialer.api.cross_origin import TOKEN
from dialer.api.errors import BODY, KEYED, ApiError, documented
from dialer.api.key_ports import ApiKey, Role
from dialer.api.requests import KeyedRequest, NodeSettings, Ports, checked_name
from dialer.api.rows import rfc3339
from dialer.api.snippet_tokens import SnippetToken
from dialer.core.ids import AgentId

#: What a page that includes it relies on; another one would be served beside it.
VERSION: Final = "v1"
#: A CRM's pages load it from here each time; a change is there within it.
_KEPT_S: Final = 300


class TokenInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """For whose pages."""

    origin: Annotated[str, Meta(max_length=300, description="Of the CRM's pages: https://crm.example")]


class TokenOut(Struct, kw_only=True):
    """What the page is given, as `data-token` of the script."""

    token: str
    agent: str
    expires_at: str
    expires_in_s: float


class CallStateOut(Struct, kw_only=True):
    """How far a call is: dialing, ringing, answered, connected, abandoned or ended, then with its outcome."""

    state: str
    outcome: str | None = None


@get(["/snippet/cadencia.js", f"/snippet/{VERSION}/cadencia.js"], sync_to_thread=False, include_in_schema=False)
def script(request: Request[None, ApiKey | None, State]) -> Response[bytes]:
    """The script, for any page."""
    data, tag = _script()
    headers = {
        "cache-control": f"public, max-age={_KEPT_S}",
        "etag": tag,
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=304, headers=headers)
    return Response(data, media_type="text/javascript", headers=headers)


@cache
def _script() -> tuple[bytes, str]:
    data = (resources.files("dialer.api") / "snippet" / "cadencia.js").read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:16]}"'


@post(
    "/agents/{agent:str}/snippet-token",
    guards=[requires(Role.AGENT, Role.CRM)],
    responses=documented(*KEYED, *BODY),
    status_code=201,
)
async def make_token(
    agent: FromPath[str], data: JSONBody[TokenInput], request: KeyedRequest, ports: Ports, settings: NodeSettings
) -> TokenOut:
    """A token with which pages of one origin may ask for this agent's calls, for some minutes, and for more tokens.

    To be asked for by the CRM's server, never by a page. Origins are allowed in the settings (`snippet.origins`).
    """
    own_agent(request.auth, agent)
    who = AgentId(checked_name(agent, "agent"))
    if ports.snippet is None or data.origin not in settings.snippet.origins:
        raise ApiError(409, "pages of this origin may not use the snippet: see snippet.origins in the settings")
    now = ports.clock.now()
    return _out(*ports.snippet.make(who, data.origin, request.auth.digest, now), now)


@post(
    "/snippet/token",
    guards=[requires(Role.AGENT)],
    responses=documented(*KEYED),
    status_code=201,
    opt={"no_body": True},
)
async def renew_token(request: KeyedRequest, ports: Ports) -> TokenOut:
    """Another token for the page that has one, as long as the agent's day lasts."""
    token: SnippetToken | None = request.scope.get(TOKEN)  # type: ignore[assignment]  # a key of our own
    if token is None or ports.snippet is None:
        raise ApiError(403, "this is for pages that have a token")
    now = ports.clock.now()
    renewed = ports.snippet.renew(token, now)
    if renewed is None:
        raise ApiError(403, "this token has been renewed for long enough; load the page again")
    return _out(*renewed, now)


@get("/snippet/calls/{call:str}", guards=[requires(Role.AGENT)], responses=documented(*KEYED, 404, 503))
async def call_state(call: FromPath[str], request: KeyedRequest, ports: Ports) -> CallStateOut:
    """How far a call is that was asked for; nothing of whom it is with."""
    found = await find_call(ports, call)
    if found.agent is not None and found.agent != request.auth.agent:
        raise ApiError(404, f"there is no call {call[:80]!r}")
    return CallStateOut(state=found.state, outcome=found.outcome)


def _out(text: str, token: SnippetToken, now: float) -> TokenOut:
    return TokenOut(
        token=text,
        agent=token.agent,
        expires_at=rfc3339(token.expires_at),
        expires_in_s=round(token.expires_at - now, 3),
    )


routes = Router("/", route_handlers=[make_token, renew_token, call_state], tags=["calls"])

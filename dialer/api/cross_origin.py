"""What pages of other origins may do: what the snippet needs, from the origins that are set, with its tokens alone.

Stands around the whole application, so that its answers reach the page whatever they are. Everybody else's requests
pass through untouched: without these headers a browser lets no other page read an answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final, cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from dialer.api.auth import FOUND, Authenticator
from dialer.api.key_ports import ApiKey, Role
from dialer.api.ports import Clock
from dialer.api.snippet_tokens import PREFIX, SnippetToken, SnippetTokens

#: Key in the scope: the token that a request came with.
TOKEN: Final = "cadencia.snippet_token"  # noqa: S105 - a name
#: What a page may ask for, and how.
_PLACES: Final = (
    ("POST", re.compile(r"/api/v1/calls\Z")),
    ("POST", re.compile(r"/api/v1/snippet/token\Z")),
    ("GET", re.compile(r"/api/v1/snippet/calls/[^/]{1,200}\Z")),
)
_PREFLIGHT: Final = (
    (b"access-control-allow-headers", b"authorization, content-type, idempotency-key"),
    (b"access-control-max-age", b"600"),
)


class CrossOrigin:
    """The application, with a door for the snippet.

    Args:
        app: the application.
        origins: whose pages may use it, as browsers write them.
        tokens: reads those of the snippet.
        authenticator: knows whether the key behind a token is valid still.
        clock: the one clock.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Collection[str],
        tokens: SnippetTokens,
        authenticator: Authenticator,
        clock: Clock,
    ) -> None:
        self._app: Final = app
        self._origins: Final = frozenset(origins)
        self._tokens: Final = tokens
        self._authenticator: Final = authenticator
        self._clock: Final = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what browsers ask beforehand, see who asks, and go on."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        scope = cast("HTTPScope", scope)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get(b"origin", "")
        preflight = scope["method"] == "OPTIONS"
        method = headers.get(b"access-control-request-method", "") if preflight else scope["method"]
        if origin not in self._origins or not _may(method, scope["path"]):
            await self._app(scope, receive, send)
            return
        told = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
        if preflight:
            allowed = [*told, (b"access-control-allow-methods", method.encode("latin-1")), *_PREFLIGHT]
            await send({"type": "http.response.start", "status": 204, "headers": allowed})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def told_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *told]
            await send(message)

        scheme, _, secret = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip().startswith(PREFIX):
            # A key has no business in a page.
            await _refuse(told_send, "a page needs a token of the snippet")
            return
        token = self._tokens.read(secret.strip(), self._clock.now())
        key = None if token is None or token.origin != origin else await self._key(token)
        if key is None:
            await _refuse(told_send, "this token is not valid here (any more)")
            return
        cast("dict[str, Any]", scope).update({TOKEN: token, FOUND: key})
        await self._app(scope, receive, told_send)

    async def _key(self, token: SnippetToken) -> ApiKey | None:
        """The agent's, as long as the key is valid that asked for the token."""
        issuer = await self._authenticator.known(token.digest)
        if issuer is None or (issuer.role is Role.AGENT and issuer.agent != token.agent):
            return None
        return ApiKey(
            id=issuer.id,
            role=Role.AGENT,
            digest=issuer.digest,
            agent=token.agent,
            expires_at=token.expires_at,
            tenant=issuer.tenant,
        )


def _may(method: str, path: str) -> bool:
    return any(method == allowed and place.match(path) for allowed, place in _PLACES)


async def _refuse(send: Send, says: str) -> None:
    body = msgspec.json.encode({"error": "unauthorized", "message": says, "details": {}})
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

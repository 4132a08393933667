"""Who is asking: bearer keys, found by their SHA-256 and compared in constant time, with a limit on guessing."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from dialer.api.allowance import Allowance, Guesses, GuessLimits, OwnLimits
from dialer.api.errors import ApiError
from dialer.api.key_ports import ApiKey, KeyStore, Role
from dialer.api.ports import Clock

_log = structlog.get_logger(__name__)

_MAX_KEY: Final = 256
#: A key that was found is good for so long without another look: a revocation takes effect within it.
_TRUST_S: Final = 5.0
_MAX_TRUSTED: Final = 1_024
#: Wrong keys that one address may try in a row, and how many more each second.
_GUESSES: Final = 20.0
_GUESSES_PER_S: Final = 0.5
#: Requests that a key may send at once, as so many seconds of what it may send steadily.
_BURST_S: Final = 10.0


def guesses() -> Allowance:
    """Wrong keys and passwords that an address may try."""
    return Allowance(_GUESSES, _GUESSES_PER_S)


def shared_guesses(limits: GuessLimits) -> Guesses:
    """The same, counted wherever `limits` counts."""
    return limits.of("address", _GUESSES, _GUESSES_PER_S)


#: Key in the scope: what whoever stands around the application has found a request's credentials to be.
FOUND: Final = "cadencia.found_key"


class Authenticator:
    """Finds the key of a request."""

    def __init__(self, keys: KeyStore, clock: Clock, limits: GuessLimits | None = None) -> None:
        """`limits`: where wrong keys are counted; None: here."""
        self._keys: Final = keys
        self._clock: Final = clock
        self._guesses: Final = shared_guesses(limits or OwnLimits())
        self._trusted: Final[OrderedDict[str, tuple[ApiKey, float]]] = OrderedDict()

    async def authenticate(self, authorization: str | None, address: str) -> ApiKey | None:
        """The key in an Authorization header; None where there is no header.

        Raises:
            ApiError: 401 where the key is not valid, 429 where this address has tried too many.
        """
        if authorization is None:
            return None
        scheme, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret or len(secret) > _MAX_KEY:
            raise unauthorized("the Authorization header must be: Bearer, a space, and the key")
        now = self._clock.now()
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        trusted = self._trusted.get(digest)
        if trusted is not None and now < trusted[1]:
            return self._valid(trusted[0], now)
        wait_s = await self._guesses.wait_s(address, now)
        if wait_s > 0:
            retry = {"retry-after": str(max(1, round(wait_s)))}
            raise ApiError(429, "too many wrong keys came from this address; wait", headers=retry)
        key = await self._find(digest, now)
        if key is None:
            await self._guesses.take(address, now)
            _log.warning("wrong API key", address=address)
            raise unauthorized("this key is not valid")
        return self._valid(key, now)

    async def recognises(self, authorization: str, address: str) -> bool:
        """Whether a header has a valid key, for whoever decides nothing by it; a wrong one is not counted here."""
        scheme, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret or len(secret) > _MAX_KEY:
            return False
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        trusted, now = self._trusted.get(digest), self._clock.now()
        if (trusted is None or now >= trusted[1]) and await self._guesses.wait_s(address, now) > 0:
            return False
        return await self.known(digest) is not None

    async def known(self, digest: str) -> ApiKey | None:
        """The valid key with this SHA-256 (hexadecimal), for whoever has shown it before; None where it is no more."""
        now = self._clock.now()
        trusted = self._trusted.get(digest)
        key = trusted[0] if trusted is not None and now < trusted[1] else await self._find(digest, now)
        return key if key is not None and (key.expires_at is None or now < key.expires_at) else None

    async def _find(self, digest: str, now: float) -> ApiKey | None:
        key = await self._keys.find(digest)
        # The store found it by its digest; comparing again costs nothing and does not rely on how it looked.
        if key is None or not hmac.compare_digest(key.digest, digest):
            return None
        self._trusted[digest] = (key, now + _TRUST_S)
        self._trusted.move_to_end(digest)
        while len(self._trusted) > _MAX_TRUSTED:
            self._trusted.popitem(last=False)
        return key

    def _valid(self, key: ApiKey, now: float) -> ApiKey:
        if key.expires_at is not None and now >= key.expires_at:
            raise unauthorized("this key has expired")
        return key


class AuthMiddleware:
    """Puts the key of each request into ``scope["auth"]``; whether the route wants one is for its guard to say.

    Args:
        requests_per_s: that one key may send steadily; ten seconds of them at once.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, clock: Clock, requests_per_s: float) -> None:
        self._app: Final = app
        self._authenticator: Final = authenticator
        self._clock: Final = clock
        self._requests: Final = Allowance(_BURST_S * requests_per_s, requests_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, then go on."""
        header = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        client = scope.get("client")
        found: ApiKey | None = scope.get(FOUND)  # type: ignore[assignment]  # a key of our own
        key = found or await self._authenticator.authenticate(
            None if header is None else header.decode("latin-1"), client[0] if client else ""
        )
        if key is not None:
            self._count(key)
        scope["auth"] = key
        scope["user"] = None
        await self._app(scope, receive, send)

    def _count(self, key: ApiKey) -> None:
        now = self._clock.now()
        wait_s = self._requests.wait_s(key.id, now)
        if wait_s > 0:
            retry = {"retry-after": str(max(1, round(wait_s)))}
            raise ApiError(429, "this key sends more requests than api.requests_per_s allows; wait", headers=retry)
        self._requests.take(key.id, now)


Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]


def requires(*roles: Role) -> Guard:
    """A guard that lets keys of these roles through; a manager's always."""
    allowed = frozenset(roles) | {Role.MANAGER}

    def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        key: ApiKey | None = connection.scope["auth"]
        if key is None:
            raise unauthorized("a key is needed: send the header Authorization: Bearer KEY")
        if key.role not in allowed:
            names = ", ".join(sorted(allowed))
            raise ApiError(403, f"a key of role {key.role} may not do this; it takes {names}")

    return guard


def own_agent(key: ApiKey, agent: str) -> None:
    """Make sure that an agent's key acts for its own agent.

    Raises:
        ApiError: 403.
    """
    if key.role is Role.AGENT and key.agent != agent:
        raise ApiError(403, "an agent's key may only act for its own agent")


def unauthorized(message: str) -> ApiError:
    """401, with the header that tells a client what is wanted."""
    return ApiError(401, message, headers={"www-authenticate": 'Bearer realm="cadencia"'})

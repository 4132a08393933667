"""A visit to the console: whose session it is, what their role lets them do, and in which language they read."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection

from dialer.api.auth import Authenticator
from dialer.api.errors import ApiError
from dialer.api.key_ports import ApiKey, Role
from dialer.api.tenancy import hold_back
from dialer.console.accounts import Accounts, principal
from dialer.console.places import HOME
from dialer.console.sessions import COOKIE, Session, Sessions
from dialer.console.texts import COOKIE as LANGUAGE_COOKIE
from dialer.console.texts import Texts, chosen, texts
from dialer.errors import DialerError, RetryableError

#: Who may look at the console: whoever has a page to begin with. Programs have the API.
ROLES: Final = frozenset(HOME)
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"


class NotSignedIn(DialerError):
    """There is no session, or it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who asks for a page."""

    #: Their role, and of an agent's whose; of somebody who signed in with a password it stands for a key.
    key: ApiKey
    session: Session
    texts: Texts

    @property
    def who(self) -> str:
        """The visitor as records name them: ``user:marta`` or ``key:4f2a…``."""
        return self.key.who


class Door:
    """Lets people in: by a key, or by name and password.

    Args:
        sessions: what cookies are made of.
        authenticator: for keys.
        accounts: for users; None: there are none.
    """

    def __init__(self, sessions: Sessions, authenticator: Authenticator, accounts: Accounts | None = None) -> None:
        self.sessions: Final = sessions
        self.accounts: Final = accounts
        self._authenticator: Final = authenticator

    async def visit(self, request: ASGIConnection[Any, Any, Any, Any]) -> Visit:
        """Whose visit a request is.

        Raises:
            NotSignedIn: there is no session, it has ended, or its key or account is not what it was any more.
        """
        session = self.sessions.read(request.cookies.get(COOKIE))
        key = None if session is None else await self._holder(session)
        if session is None or key is None or key.role not in ROLES:
            raise NotSignedIn("sign in first")
        request.scope["auth"] = key
        hold_back(request, key)
        return Visit(key=key, session=session, texts=language(request))

    async def holder_of(self, cookies: str) -> ApiKey | None:
        """Whose session a header of cookies has; None: nobody's."""
        pairs = (part.strip().partition("=") for part in cookies.split(";"))
        session = self.sessions.read(next((value for name, _, value in pairs if name == COOKIE), None))
        return None if session is None else await self._holder(session)

    async def still(self, request: ASGIConnection[Any, Any, Any, Any]) -> bool:
        """Whether the session of a stream goes on; where it cannot be looked up for the moment, it does."""
        try:
            await self.visit(request)
        except NotSignedIn:
            return False
        except RetryableError:
            return True
        return True

    async def sign_in(self, request: Request[Any, Any, Any], key: str, address: str) -> tuple[str, Role]:
        """A cookie for whoever has this key, and their role.

        Raises:
            ApiError: 401 where it is not valid, 403 where its role has no business here, 429 after too many wrong ones.
        """
        found = await self._authenticator.authenticate(f"Bearer {key}", address)
        request.scope["auth"] = found
        if found is None or found.role not in ROLES or (found.role is Role.AGENT and found.agent is None):
            raise ApiError(403, "this key has no business in the console")
        return self.sessions.begin(key), found.role

    async def sign_in_user(
        self, request: Request[Any, Any, Any], name: str, password: str, code: str, address: str
    ) -> tuple[str, Role]:
        """The same for a user.

        Raises:
            ApiError: 401 where anything is wrong, 403 where their role has no page here, 429 after too many wrong ones.
            RetryableError: too many sign in at once.
        """
        if self.accounts is None:
            raise ApiError(401, "nobody signs in with a password here")
        user = await self.accounts.sign_in(name, password, code, address)
        request.scope["auth"] = principal(user)
        if user.role not in ROLES:
            raise ApiError(403, "this role has no business in the console")
        return self.sessions.begin_user(user.name, user.version), user.role

    async def _holder(self, session: Session) -> ApiKey | None:
        if session.digest:
            return await self._authenticator.known(session.digest)
        return None if self.accounts is None else await self.accounts.holder(session.user, session.version)


def allowed(visit: Visit, roles: frozenset[Role]) -> Visit:
    """The visit, where its role is one of these.

    Raises:
        ApiError: 403.
    """
    if visit.key.role not in roles:
        raise ApiError(
            403, f"this is not for the role {visit.key.role}", code="not_for_role", role=visit.key.role.value
        )
    return visit


def language(request: ASGIConnection[Any, Any, Any, Any]) -> Texts:
    """The texts that a visitor reads."""
    cookie = request.cookies.get(LANGUAGE_COOKIE)
    return texts(chosen(cookie, request.headers.get("accept-language", "")))


async def check_csrf(request: Request[Any, Any, Any], visit: Visit, form: Mapping[str, Any] | None = None) -> None:
    """Make sure that a write comes from a page of ours.

    Raises:
        ApiError: 403.
    """
    given = request.headers.get(CSRF_HEADER) or str((form or {}).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(given.encode(), visit.session.csrf.encode()):
        raise ApiError(403, "this page is out of date; load it again", code="page_old")

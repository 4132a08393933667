"""How a CRM knows us: headers of each request, and the token of OAuth 2.0 client credentials (RFC 6749, section 4.4).

A token is kept in this process alone, and asked for again when it has run out or the CRM refuses it.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from dialer.errors import ConfigError, CrmError
from dialer.settings import CrmAccess

#: A token is not used in its last seconds: the request with it takes time as well.
_MARGIN_S: Final = 30.0
#: Salesforce says no lifetime; it refuses the token when it is over.
_LIFETIME_S: Final = 1_800.0
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")
_WORD: Final = re.compile(r"[a-z_]{1,40}")

#: Posts a form to a URL; status and body of the answer.
PostForm = Callable[[str, dict[str, str]], Awaitable[tuple[int, bytes]]]


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


class _TokenError(msgspec.Struct):
    error: str = ""


class Access:
    """The headers by which one CRM knows us."""

    def __init__(self, settings: CrmAccess) -> None:
        """Check that there is what the kind needs.

        Raises:
            ConfigError: names what is missing.
        """
        needs = {
            "none": (),
            "basic": ("username", "password"),
            "bearer": ("token",),
            "header": ("header", "token"),
            "oauth2": ("token_url", "client_id", "client_secret"),
        }[settings.kind]
        missing = [name for name in needs if not getattr(settings, name)]
        if missing:
            raise ConfigError(f"crm.pull.access: kind {settings.kind!r} needs {', '.join(missing)}")
        for name in (*needs, "scope"):
            if not str(getattr(settings, name)).isprintable():
                raise ConfigError(f"crm.pull.access.{name} has characters that no header can carry")
        self._settings = settings
        self._token = ""
        self._until = 0.0
        #: A CRM may end a token when it gives the next one: requests side by side wait for one token.
        self._renewing = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether a refused request is worth another with a new token."""
        return self._settings.kind == "oauth2"

    def forget(self, refused: Mapping[str, str]) -> None:
        """The CRM has refused a request with these headers; a token that was fetched since then is kept."""
        if refused.get("Authorization") == f"Bearer {self._token}":
            self._token = ""

    async def headers(self, post: PostForm, now: float) -> dict[str, str]:
        """The headers of a request made at unix second `now`.

        Raises:
            CrmError: the server of tokens refused, or is out of reach.
        """
        settings = self._settings
        match settings.kind:
            case "none":
                return {}
            case "basic":
                pair = f"{settings.username}:{settings.password}".encode()
                return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
            case "bearer":
                return {"Authorization": f"Bearer {settings.token}"}
            case "header":
                return {settings.header: settings.token}
            case "oauth2":
                async with self._renewing:
                    if not self._token or now >= self._until:
                        await self._renew(post, now)
                return {"Authorization": f"Bearer {self._token}"}

    async def _renew(self, post: PostForm, now: float) -> None:
        settings = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
        }
        status, body = await post(settings.token_url, form | ({"scope": settings.scope} if settings.scope else {}))
        if status != 200:
            word = _word(body)
            raise CrmError(
                f"the server of tokens answered {status}{word}: check crm.pull.access",
                status=status,
                code="crm_token_refused",
                said=word,
            )
        try:
            answer = msgspec.json.decode(body, type=_TokenAnswer)
            lifetime_s = _LIFETIME_S if answer.expires_in is None else float(answer.expires_in)
        except (msgspec.DecodeError, UnicodeError, ValueError) as error:
            raise CrmError(
                "the server of tokens answered without a token: check crm.pull.access.token_url", code="crm_no_token"
            ) from error
        if not _TOKEN.fullmatch(answer.access_token):
            raise CrmError("the server of tokens gave a token that no header can carry", code="crm_token_odd")
        self._token = answer.access_token
        self._until = now + max(0.0, lifetime_s - _MARGIN_S)


def _word(body: bytes) -> str:
    """The error in the words of RFC 6749, 5.2, where there is one: never anything else of the answer."""
    try:
        word = msgspec.json.decode(body, type=_TokenError).error
    except (msgspec.DecodeError, UnicodeError):
        return ""
    return f" ({word})" if _WORD.fullmatch(word) else ""

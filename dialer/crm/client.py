"""The HTTP client of a CRM: one server, bounded answers, no redirects, no internal addresses; errors in plain words.

Nothing that a CRM says is repeated in an error: only statuses, and never a URL, which may hold a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp
from yarl import URL

from dialer.core.saying import Saying, say
from dialer.crm.access import Access
from dialer.crm.outbound import Destinations, InternalAddress
from dialer.crm.requests import Request
from dialer.errors import ConfigError, CrmError
from dialer.settings import CrmPull

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_MAX_TOKEN_BYTES: Final = 64 * 1024
_CONNECT_TIMEOUT_S: Final = 10.0
#: Nobody is believed who asks for more.
_LONGEST_WAIT_S: Final = 86_400.0
_CHUNK: Final = 64 * 1024
_URL: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a CRM answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300


class CrmClient(AbstractAsyncContextManager["CrmClient"]):
    """Requests to one CRM. Use as an async context.

    Args:
        pull: of the settings.
        destinations: where it may connect to.
        now: the clock.

    Raises:
        ConfigError: the settings lack something.
    """

    def __init__(self, pull: CrmPull, destinations: Destinations, now: Callable[[], float]) -> None:
        self._base = pull.url.rstrip("/")
        parts = urlsplit(self._base)
        self._origin = _origin(self._base)
        self._path = parts.path
        if self._origin is None:
            raise ConfigError("crm.pull.url must name a server, and no user or password: they belong into access")
        self._timeout_s = pull.timeout_s
        self._access = Access(pull.access)
        self._destinations = destinations
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No cookies, no redirects, no proxies of the environment: what is in the settings, and nothing else.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=self._destinations.open_socket, limit=16),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=_CONNECT_TIMEOUT_S),
            headers={"User-Agent": "Cadencia"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Answer:
        """Make a request; answers of success and of refusal come back as they are.

        Raises:
            CrmError: no answer, half of one, or one that says come later (429, 503) or who are you (401).
        """
        url = self._url(request.target)
        for last in (False, True):
            headers = dict(request.headers) | await self._access.headers(self._post_form, self._now())
            answer = await self._exchange(request.method, url, headers, request.body, MAX_BODY_BYTES)
            if answer.status == 401 and self._access.renewable and not last:
                self._access.forget(headers)
                continue
            break
        wait_s = retry_after(answer.headers.get("retry-after", ""), self._now())
        if answer.status == 401:
            raise CrmError(
                "the CRM answered 401: it does not know us, check crm.pull.access", status=401, code="crm_unknown_to_it"
            )
        if answer.status in {429, 503}:
            raise CrmError(
                f"the CRM answered {answer.status}: too much at once",
                status=answer.status,
                wait_s=wait_s,
                code="crm_too_much",
            )
        if 300 <= answer.status < 400:
            raise CrmError(
                f"the CRM answered {answer.status}, to be asked elsewhere, which is not followed: correct crm.pull.url",
                status=answer.status,
                code="crm_elsewhere",
            )
        return answer

    def _url(self, target: str) -> URL:
        """A path below the base, or a link of the CRM's, which must not lead to another server: it would get our key.

        A path that the CRM gives begins at the server, one of the mapping at the base; for most these are the same.
        """
        if target.startswith(("http://", "https://")):
            url = target
        elif self._path and target.startswith(f"{self._path}/"):
            url = urljoin(self._base, target)
        elif target.startswith("/") or not target:
            url = self._base + target
        else:
            url = urljoin(f"{self._base}/", target)
        if not _URL.fullmatch(url):
            raise CrmError("the CRM's link to the next page has characters that no URL has", code="crm_link_broken")
        if _origin(url) != self._origin:
            raise CrmError(
                "the CRM's link to the next page leads to another server, which is not followed", code="crm_link_away"
            )
        return URL(url, encoded=True)

    async def _post_form(self, url: str, form: dict[str, str]) -> tuple[int, bytes]:
        if not url.startswith(("http://", "https://")):
            raise CrmError(
                "crm.pull.access.token_url must begin with http:// or https://", retryable=False, code="crm_token_url"
            )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = await self._exchange("POST", URL(url), headers, urlencode(form).encode(), _MAX_TOKEN_BYTES)
        return answer.status, answer.body

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, limit: int
    ) -> Answer:
        assert self._session is not None, "use it as an async context"
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                data = await _body(response, limit)
                return Answer(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=data,
                )
        except TimeoutError as error:
            raise CrmError(
                f"no answer within {self._timeout_s:g} s", code="no_answer_within", timeout_s=self._timeout_s
            ) from error
        except aiohttp.ClientPayloadError as error:
            raise CrmError("the answer broke off in the middle", code="answer_broke_off") from error
        except aiohttp.ClientError as error:
            problem = words_of(error)
            raise CrmError(f"no answer: {problem}", code="crm_no_answer", problem=problem) from error


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None where there is no such server, or somebody is named before it."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    if parts.username is not None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise CrmError(
                f"the answer is longer than {limit // 1024:,} KiB: ask for smaller pages in the mapping",
                code="crm_answer_long",
                kib=limit // 1024,
            )
        parts.append(chunk)
    return b"".join(parts)


def words_of(error: aiohttp.ClientError) -> Saying:
    """The class of an error, and the system's words where there are some: never the URL, which may hold a key."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, InternalAddress):
        return say(f"{type(error).__name__} {cause.strerror}", code="internal_address", address=cause.address)
    system = error.strerror if isinstance(error, OSError) and error.strerror else ""
    says = f"{type(error).__name__} {system}".strip()
    return say(says, code="connection_failed", problem=says)


def retry_after(text: str, now: float) -> float | None:
    """Seconds that the header Retry-After asks to wait (RFC 9110, 10.2.3: seconds or a date); a day at most."""
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    return min(max(0.0, moment - now), _LONGEST_WAIT_S)

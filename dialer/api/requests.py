"""What routes have in common: their ports, the engine's ear, cursors, and the checking of ids."""

from __future__ import annotations

import asyncio
import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from dialer.api.campaign_ports import StoredCampaign
from dialer.api.errors import ApiError
from dialer.api.key_ports import ApiKey
from dialer.api.ports import ApiPorts
from dialer.core.events import PeopleEvent
from dialer.core.ids import CampaignId, valid_name
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader
from dialer.settings import Settings

Ports = NamedDependency[SkipValidation[ApiPorts]]
NodeSettings = NamedDependency[SkipValidation[Settings]]
Phones = NamedDependency[SkipValidation[PhoneReader]]
KeyedRequest = Request[None, ApiKey, State]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Items on one page")]
Cursor = Annotated[str | None, QueryParameter(max_length=500, description="`next_cursor` of the page before")]

#: The engine empties its queue thousands of times a second; if there is no room in this time it is in trouble.
_SUBMIT_TIMEOUT_S: Final = 5.0


async def submit(ports: ApiPorts, event: PeopleEvent) -> None:
    """Hand an event to the engine.

    Raises:
        ApiError: 503 where the engine does not take it.
    """
    try:
        async with asyncio.timeout(_SUBMIT_TIMEOUT_S):
            await ports.control.submit(event)
    except TimeoutError as error:
        raise ApiError(
            503, "the engine takes no orders at present; try again", headers={"retry-after": "1"}, code="engine_busy"
        ) from error


async def known_campaign(ports: ApiPorts, campaign: str) -> StoredCampaign:
    """The campaign of that id.

    Raises:
        ApiError: 404.
    """
    stored = await ports.campaigns.get(CampaignId(campaign)) if valid_name(campaign) else None
    if stored is None:
        raise ApiError(404, f"there is no campaign {campaign[:80]!r}", code="no_campaign", campaign=campaign[:80])
    return stored


def checked_name(text: str, field: str) -> str:
    """`text`, where it may be the name of an agent, campaign or server.

    Raises:
        InputError: otherwise.
    """
    if not valid_name(text):
        raise InputError(f"{field}: must be 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return text


def moment(text: str | None, field: str) -> float | None:
    """An RFC 3339 moment with a zone, as unix seconds.

    Raises:
        InputError: it is none.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.timestamp()
    except (ValueError, OverflowError):
        pass
    raise InputError(f"{field}: must be a moment with its zone, such as 2026-05-04T09:30:00Z")


def cursor_to(at: float | str, id: str = "") -> str:
    """An opaque cursor to the item behind which the next page begins."""
    return base64.urlsafe_b64encode(msgspec.json.encode([at, id])).decode().rstrip("=")


def cursor_from(cursor: str | None) -> tuple[float, str] | None:
    """What `cursor_to` was given with a number.

    Raises:
        InputError: it was not made by us.
    """
    if cursor is None:
        return None
    at, id = _decoded(cursor, tuple[float, str])
    return at, id


def cursor_name(cursor: str | None) -> str | None:
    """What `cursor_to` was given with a name.

    Raises:
        InputError: it was not made by us.
    """
    return None if cursor is None else str(_decoded(cursor, tuple[str, str])[0])


def cursor_pair(cursor: str | None) -> tuple[str, str] | None:
    """What `cursor_to` was given with two names.

    Raises:
        InputError: it was not made by us.
    """
    if cursor is None:
        return None
    first, second = _decoded(cursor, tuple[str, str])
    return first, second


def cursor_to_three(at: float, first: str, second: str) -> str:
    """A cursor to the item at a moment with two names."""
    return base64.urlsafe_b64encode(msgspec.json.encode([at, first, second])).decode().rstrip("=")


def cursor_of_three(cursor: str | None) -> tuple[float, str, str] | None:
    """What `cursor_to_three` was given.

    Raises:
        InputError: it was not made by us.
    """
    if cursor is None:
        return None
    at, first, second = _decoded(cursor, tuple[float, str, str])
    return at, first, second


def _decoded(cursor: str, kind: Any) -> Any:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=kind)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InputError("cursor: is not one that an answer of this API gave") from error

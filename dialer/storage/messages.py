"""What a CRM's removals and do-not-call entries say, read for the record by the rules of the gate.

The gate (``dialer/queues/lua/draining.lua``) reads the same entries for the calls of this minute, and answers the CRM.
What it accepts must be accepted here, or a rebuilt Redis would forget it; where the two could differ, this side is the
more lenient one.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from dialer.core.ids import MessageId, Phone, valid_name
from dialer.errors import InputError
from dialer.storage.do_not_call import DoNotCall, position_of
from dialer.storage.removals import ALL, Removal

_FILLERS: Final = re.compile(r"[\s().\u00a0-]")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CONTACT_BYTES: Final = 512
_SIZE_LIMIT: Final = 65_536


def entry_moment(entry: str) -> float:
    """Unix seconds at which the server took a stream entry, from its id.

    Raises:
        InputError: not the id of a stream entry.
    """
    try:
        return int(entry.partition("-")[0]) / 1_000
    except ValueError as error:
        raise InputError("this is not the id of a stream entry") from error


def parse_removal(entry: str, data: bytes) -> list[Removal]:
    """The removals of one entry: of a contact, a number, or both.

    Raises:
        InputError: what the CRM should correct.
    """
    message = _object(data)
    at = entry_moment(entry)
    campaign, contact, phone = (_text(message, name) for name in ("campaign", "contact", "phone"))
    if campaign is None:
        raise InputError('campaign is missing: give its name, or "*" for all')
    if campaign != ALL and not valid_name(campaign):
        raise InputError('campaign must be a name of letters, digits, _ and -, or "*"')
    if contact is not None and (len(contact.encode("utf-8", "replace")) > _CONTACT_BYTES or _CONTROL.search(contact)):
        raise InputError("contact must be a text without control characters")
    if contact is None and phone is None:
        raise InputError("neither contact nor phone is given")
    reason = _text(message, "reason") or ""
    ref = _ref(message)
    found = []
    if contact is not None:
        found.append(Removal(campaign=campaign, kind="contact", subject=contact, reason=reason, ref=ref, at=at))
    if phone is not None:
        found.append(Removal(campaign=campaign, kind="phone", subject=_number(phone), reason=reason, ref=ref, at=at))
    return found


def parse_do_not_call(entry: str, data: bytes) -> DoNotCall:
    """The do-not-call entry of one message.

    Raises:
        InputError: what the CRM should correct.
    """
    message = _object(data)
    at = entry_moment(entry)
    scope = _text(message, "scope") or ALL
    if scope != ALL and not valid_name(scope):
        raise InputError('scope must be "*" or the name of a campaign')
    phone = _text(message, "phone")
    if phone is None:
        raise InputError("phone is missing")
    op = message.get("op")
    if op not in {"add", "remove"}:
        raise InputError('op must be "add" or "remove"')
    _ref(message)
    try:
        position = position_of(entry)
    except ValueError as error:
        raise InputError("this is not the id of a stream entry") from error
    return DoNotCall(
        scope=scope,
        phone=_number(phone),
        at=at,
        active=op == "add",
        reason=_text(message, "reason") or "",
        source="stream",
        expires_at=_moment(message.get("expires")),
        position=position,
    )


def _object(data: bytes) -> dict[str, Any]:
    if not data:
        raise InputError('it has no field "data"')
    if len(data) > _SIZE_LIMIT:
        raise InputError("data is longer than 64 KiB")
    try:
        # Not strict: the gate's reader takes raw control characters in a string.
        message = json.loads(data.decode(), strict=False)
    except UnicodeDecodeError as error:
        raise InputError("data is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise InputError("data is not a JSON object") from error
    if not isinstance(message, dict):
        raise InputError("data is not a JSON object")
    return message


def _text(message: dict[str, Any], name: str) -> str | None:
    """A text, or a whole number as text (some CRMs number their contacts); None where absent or empty."""
    value = message.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value // 1 and abs(value) < 1e15:
        return str(int(value))
    raise InputError(f"{name} must be a text")


def _ref(message: dict[str, Any]) -> MessageId | None:
    ref = _text(message, "id")
    return None if ref is None else MessageId(ref)


def _number(text: str) -> Phone:
    digits = _FILLERS.sub("", text)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if _PHONE.fullmatch(digits) is None:
        raise InputError("phone is not a number with + and country code")
    return Phone(digits)


def _moment(value: object) -> float | None:
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError("expires must be a time of RFC 3339 with zone, such as 2030-01-31T12:00:00Z")
    try:
        return moment.astimezone(UTC).timestamp()
    except (OverflowError, ValueError):
        return moment.timestamp()

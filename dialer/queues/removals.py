"""What a CRM writes on ``removals`` and ``dnc``, parsed; pure.

The gate reads these streams itself, in Lua (``lua/draining.lua``), so that nothing stands between the CRM's write and
the next reservation. This is the same grammar for everybody else: the in-memory adapter, the API before it writes, the
keeper of the record. A property test holds both to the same verdicts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from dialer.core.ids import Phone
from dialer.core.tenants import everywhere
from dialer.errors import InputError

MAX_MESSAGE_BYTES: Final = 65_536
#: Every campaign; every scope.
ALL: Final = "*"

#: Before the name of an account, as the scope of a do-not-call entry.
ACCOUNT: Final = "account:"

_SCOPE: Final = re.compile(r"\*|[A-Za-z0-9_-]{1,64}", re.ASCII)
_MAX_ACCOUNT_BYTES: Final = 256
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
_FILLING: Final = re.compile("[ \t\n\v\f\r\u00a0.()-]")
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_BEGINNING: Final = re.compile(r"\+[1-9][0-9]{0,14}", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A contact, or whoever has a number, is no longer to be called by a campaign, or by any."""

    ref: str | None
    campaign: str
    contact: str | None
    phone: Phone | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotCall:
    """A number, or all that begin alike, go on a do-not-call list or off it."""

    ref: str | None
    add: bool
    #: "*", a campaign, all campaigns of a tenant (``acme--*``), or "account:" and the name of an account.
    scope: str
    #: A number in E.164, or the beginning of numbers and a *.
    phone: str
    reason: str | None
    #: Where it comes from, and who said it, as far as the message tells.
    source: str | None
    by: str | None
    #: Unix seconds from which the entry counts no more.
    expires_at: float | None


class Malformed(InputError):
    """A message that cannot be used; `ref` is its id where that could be read."""

    def __init__(self, reason: str, ref: str | None = None) -> None:
        super().__init__(reason)
        self.ref = ref


def lenient_phone(text: str) -> Phone | None:
    """E.164 from a number as people write it: blanks, dashes, dots and parentheses are dropped, 00 means +."""
    digits = _FILLING.sub("", text)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    return Phone(digits) if _NUMBER.fullmatch(digits) else None


def lenient_listed(text: str) -> str | None:
    """What a do-not-call list may have: a number as `lenient_phone` reads it, or the beginning of numbers and a *."""
    if not text.endswith("*"):
        return lenient_phone(text)
    digits = _FILLING.sub("", text[:-1])
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    return digits + "*" if _BEGINNING.fullmatch(digits) else None


def listing_scope(text: str) -> str | None:
    """What is wrong with the scope of a do-not-call entry, for people; None: nothing."""
    if text.startswith(ACCOUNT) and len(text) > len(ACCOUNT):
        name = text.removeprefix(ACCOUNT)
        if len(name.encode("utf-8", "surrogatepass")) > _MAX_ACCOUNT_BYTES or _CONTROL.search(name):
            return f"scope names an account by at most {_MAX_ACCOUNT_BYTES} bytes, without control characters"
        return None
    if _SCOPE.fullmatch(text) is None and text != everywhere(text):
        return 'scope must be "*", the name of a campaign, or account: and the name of an account'
    return None


def account_of(scope: str) -> str | None:
    """The account whose list this is; None: it is everybody's or a campaign's."""
    return scope.removeprefix(ACCOUNT) if scope.startswith(ACCOUNT) else None


def forms_listed(phone: str) -> list[str]:
    """Under what a number may be listed: itself, and each of its beginnings with a *, the longest first."""
    return [phone, *(f"{phone[:n]}*" for n in range(len(phone), 1, -1))]


def parse_removal(data: bytes) -> Removal:
    """A message of ``removals``.

    Raises:
        Malformed: says what to correct.
    """
    message, ref = _object(data)
    campaign, contact, phone, reason = (_text(message.get(key)) for key in ("campaign", "contact", "phone", "reason"))
    if not campaign:
        raise Malformed('campaign is missing: give its name, or "*" for all', ref)
    if _SCOPE.fullmatch(campaign) is None:
        raise Malformed('campaign must be a name of letters, digits, _ and -, or "*"', ref)
    if contact is False or (contact is not None and (len(contact.encode()) > 512 or _CONTROL.search(contact))):
        raise Malformed("contact must be a text without control characters", ref)
    if phone is False:
        raise Malformed("phone must be a text", ref)
    if contact is None and phone is None:
        raise Malformed("neither contact nor phone is given", ref)
    if reason is False:
        raise Malformed("reason must be a text", ref)
    number = None if phone is None else lenient_phone(phone)
    if phone is not None and number is None:
        raise Malformed("phone is not a number with + and country code", ref)
    return Removal(ref=ref, campaign=campaign, contact=contact, phone=number, reason=reason)


def parse_do_not_call(data: bytes) -> DoNotCall:
    """A message of ``dnc``.

    Raises:
        Malformed: says what to correct.
    """
    message, ref = _object(data)
    names = ("scope", "phone", "reason", "source", "by")
    scope, phone, reason, source, by = (_text(message.get(key)) for key in names)
    if scope is None:
        scope = ALL
    problem = listing_scope(scope or "")
    if scope is False or problem is not None:
        raise Malformed(problem or "", ref)
    if not phone:
        raise Malformed("phone is missing", ref)
    listed = lenient_listed(phone)
    if listed is None and phone.endswith("*"):
        raise Malformed("phone must have + and a country code at least before its *", ref)
    if listed is None:
        raise Malformed("phone is not a number with + and country code", ref)
    if reason is False:
        raise Malformed("reason must be a text", ref)
    if source is False:
        raise Malformed("source must be a text", ref)
    if by is False:
        raise Malformed("by must be a text", ref)
    expires = message.get("expires")
    expires_at = None
    if expires is not None and expires != "":
        expires_at = parse_moment(expires) if isinstance(expires, str) else None
        if expires_at is None:
            raise Malformed("expires must be a time of RFC 3339 with zone, such as 2030-01-31T12:00:00Z", ref)
    op = message.get("op")
    if op not in ("add", "remove"):  # a tuple: what cannot be hashed is no op either
        raise Malformed('op must be "add" or "remove"', ref)
    return DoNotCall(
        ref=ref,
        add=op == "add",
        scope=scope,
        phone=listed,
        reason=reason,
        source=source,
        by=by,
        expires_at=expires_at,
    )


def parse_moment(text: str) -> float | None:
    """Unix seconds of an RFC 3339 time with zone; None where it is none."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, hours, minutes = found.groups()[6:]
    try:
        moment = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the zone is taken off below
    except ValueError:
        return None
    offset_s = 0
    if sign is not None:
        if int(hours) > 23 or int(minutes) > 59:
            return None
        offset_s = (int(hours) * 60 + int(minutes)) * (-60 if sign == "-" else 60)
    whole = (moment - datetime(1970, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001 - as above
    return whole - offset_s + float(fraction or 0)


def _object(data: bytes) -> tuple[Mapping[str, object], str | None]:
    if len(data) > MAX_MESSAGE_BYTES:
        raise Malformed("data is longer than 64 KiB")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Malformed("data is not UTF-8 text") from None
    try:
        message = json.loads(text)
        if _HALF.search(text):
            # Half a character by its escape: the gate takes none, and neither SQL nor Redis could keep it.
            json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Malformed("data is not a JSON object") from None
    if not isinstance(message, dict):
        raise Malformed("data is not a JSON object")
    ref = _text(message.get("id"))
    if ref is False:
        raise Malformed("id must be a text")
    return message, ref


def _text(value: object) -> str | Literal[False] | None:
    # A whole number is taken as text, since some CRMs number their contacts; an empty text as absent.
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return False

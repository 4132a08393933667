"""Settings as they may be shown to a stranger: figures, switches and names of things, and nothing else that is text.

What is shown is listed; a setting that is new, or whose text could be anything, only says whether it is set. So a
secret that somebody adds to the settings stays hidden without anybody thinking of it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec import Struct

from dialer.settings import Settings

HIDDEN: Final = "(set)"
#: Texts that are names of things, not of people, and open nothing: by type and field.
_SHOWN: Final = frozenset(
    {
        *("Settings.node", "Settings.default_region", "Redis.prefix", "Pacing.timezone", "Reports.currency"),
        *("Asterisk.name", "Asterisk.host", "Trunk.name", "Api.host", "Mail.host", "Webhook.types"),
        *("CrmPull.name", "CrmPull.campaign", "CrmPull.mapping", "Recordings.s3_region"),
        *("Registry.name", "Registry.region", "Registry.column", "Registry.campaigns", "Registry.answers"),
        *("ReportSchedule.name", "ReportSchedule.cron", "ReportSchedule.by", "ReportSchedule.campaigns"),
        *("ReportSchedule.timezone", "Outbound.internal", "Tracing.service"),
    }
)
#: Of these is shown what is reached, not by whom nor with what.
_ADDRESSES: Final = frozenset(
    {
        *("Database.url", "Redis.url", "Webhook.url", "CrmPull.url", "CrmAccess.token_url"),
        *("Recordings.s3_endpoint", "ReportSchedule.webhook", "Tracing.endpoint"),
    }
)
#: Shorter texts are not looked for elsewhere: they are words.
_SHORTEST: Final = 4
#: Of a path; some receivers' paths hold a token.
_SHORTEST_PART: Final = 8


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, to be written as JSON."""
    values = _shown(settings)
    assert isinstance(values, dict)
    return values


def hidden_texts(settings: Settings) -> frozenset[str]:
    """Everything that `shown` hides, to be looked for in other texts; the longest parts of addresses included."""
    found: set[str] = set()
    for text, address in _hidden(settings):
        if not address:
            found.add(text)
            continue
        parts = urlsplit(text)
        found |= {unquote(part) for part in (parts.username, parts.password) if part}
        found |= {value for _, value in parse_qsl(parts.query)}
        if parts.scheme not in {"sqlite", "postgresql", "postgres", "unix"}:
            found |= {unquote(part) for part in parts.path.split("/") if len(part) >= _SHORTEST_PART}
    return frozenset(text for text in found if len(text) >= _SHORTEST)


def _shown(value: Any, name: str = "", kind: object = None) -> Any:
    if isinstance(value, Struct):
        whose = type(value).__name__
        return {
            field.name: _shown(getattr(value, field.name), f"{whose}.{field.name}", field.type)
            for field in msgspec.structs.fields(value)
        }
    if isinstance(value, tuple | list):
        return [_shown(each, name, kind) for each in value]
    if isinstance(value, dict):
        return HIDDEN if value else {}
    if not isinstance(value, str) or not value:
        return value
    if name in _SHOWN or _is_choice(kind):
        return value
    return _reached(value) if name in _ADDRESSES else HIDDEN


def _hidden(value: Any, name: str = "", kind: object = None) -> Iterator[tuple[str, bool]]:
    if isinstance(value, Struct):
        whose = type(value).__name__
        for field in msgspec.structs.fields(value):
            yield from _hidden(getattr(value, field.name), f"{whose}.{field.name}", field.type)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _hidden(each, name, kind)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _hidden(each, name)
    elif isinstance(value, str) and value and name not in _SHOWN and not _is_choice(kind):
        yield value, name in _ADDRESSES


def _is_choice(kind: object) -> bool:
    """Whether a field can only be one of some words."""
    return get_origin(kind) is Literal or any(get_origin(each) is Literal for each in get_args(kind))


def _reached(url: str) -> str:
    """Scheme, host and port of an address."""
    if url == "embedded":
        return url
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return HIDDEN
    return f"{parts.scheme}://{parts.hostname or ''}{port}/…" if parts.scheme else HIDDEN

"""The page of the CRM that the agent's screen opens when a customer arrives."""

from __future__ import annotations

import json
from string import Formatter
from urllib.parse import quote

from dialer.core.call import Call


def screen_pop(call: Call) -> str:
    """The campaign's URL with the contact's fields filled in, each one percent-encoded; "" without a template."""
    template = call.campaign.screen_pop
    if not template:
        return ""
    permit = call.permit
    values = {
        **{str(name): _text(value) for name, value in permit.fields.items()},
        "id": permit.contact,
        "name": permit.name,
        "phone": permit.phone,
        "campaign": permit.campaign,
        "call": permit.call,
    }
    parts: list[str] = []
    for text, name, _, _ in Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(_quoted(values.get(name, "")))
    return "".join(parts)


def _text(value: object) -> str:
    """A field as the CRM would write it: texts as they are, the rest as JSON, nothing for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _quoted(text: str) -> str:
    # Browsers take a segment of dots for a way up, percent-encoded or not: such a value is nobody's id.
    if text and not text.strip("."):
        return ""
    return quote(text, safe="", errors="replace")

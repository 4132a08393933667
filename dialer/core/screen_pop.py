"""What templates are filled with, and the page of the CRM that the agent's screen opens when a customer arrives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Formatter
from urllib.parse import quote

from dialer.core.call import Call


def screen_pop(call: Call) -> str:
    """The campaign's URL with the contact's fields filled in, each one percent-encoded; "" without a template."""
    permit = call.permit
    return page_of(
        call.campaign.screen_pop,
        field_texts(
            permit.fields,
            id=permit.contact,
            name=permit.name,
            phone=permit.phone,
            campaign=permit.campaign,
            call=permit.call,
        ),
    )


def page_of(template: str, values: Mapping[str, str]) -> str:
    """A URL with values filled in, each one percent-encoded; "" without a template."""
    parts: list[str] = []
    for text, name, _, _ in Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(_quoted(values.get(name, "")))
    return "".join(parts)


def field_texts(fields: Mapping[str, object], **own: str) -> dict[str, str]:
    """What templates can name: the CRM's fields as texts, and those of our `own`, which go before."""
    return {**{str(name): field_text(value) for name, value in fields.items()}, **own}


def field_text(value: object) -> str:
    """A field as the CRM would write it: texts as they are, the rest as JSON, nothing for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _quoted(text: str) -> str:
    # Browsers take a segment of dots for a way up, percent-encoded or not: such a value is nobody's id.
    if text and not text.strip("."):
        return ""
    return quote(text, safe="", errors="replace")

"""The page of the CRM that the agent's screen opens when a customer arrives."""

from __future__ import annotations

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
        **{str(name): str(value) for name, value in permit.fields.items()},
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
            parts.append(quote(values.get(name, ""), safe=""))
    return "".join(parts)

"""The filters of a campaign and of its lists as one text, which the gate hands out with each reservation. Pure.

Where no list has one, that is the campaign's filter as it stands; else JSON, with whose brace no filter begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from dialer.core.contact_filter import ContactFilter, parse_filter
from dialer.errors import InputError


class _Written(msgspec.Struct, frozen=True):
    campaign: str
    lists: dict[str, str]


@dataclass(frozen=True, slots=True)
class FiltersInForce:
    """Filters that have been read."""

    campaign: ContactFilter | None = None
    #: By id of the list.
    lists: Mapping[str, ContactFilter] = field(default_factory=dict)

    def passes(self, fields: Mapping[str, object], attempts: int, list_id: str | None) -> bool:
        """Whether a contact is called for; see `ContactFilter.passes`.

        Args:
            fields: what the CRM has said of it.
            attempts: how often it has been called.
            list_id: of the list with which it came.
        """
        if self.campaign is not None and not self.campaign.passes(fields, attempts):
            return False
        own = self.lists.get(list_id) if list_id is not None else None
        return own is None or own.passes(fields, attempts)


def written(campaign: str, lists: Mapping[str, str]) -> str:
    """The text of a campaign's filter and those of its lists, the same for the same ones."""
    own = {name: text for name, text in sorted(lists.items()) if text}
    return msgspec.json.encode(_Written(campaign, own)).decode() if own else campaign


def read(text: str) -> FiltersInForce:
    """What `written` has made; of an empty text: no filter.

    Raises:
        InputError: it is none that this version knows.
    """
    if not text.startswith("{"):
        return FiltersInForce(parse_filter(text) if text else None)
    try:
        found = msgspec.json.decode(text, type=_Written)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InputError(f"filter: is no JSON of filters: {error}") from error
    return FiltersInForce(
        parse_filter(found.campaign) if found.campaign else None,
        {name: parse_filter(own) for name, own in found.lists.items()},
    )

"""What a list has of its own in its campaign: which of its contacts are called, and how soon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: As a contact's.
MAX_PRIORITY: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTerms:
    """Of one list."""

    #: Contacts that came with it are called where this lets them pass, besides the campaign's own; empty: all of them.
    filter: str = ""
    #: Is added to the priority of each of them; -1000 to 1000.
    priority: int = 0


NO_TERMS: Final = ListTerms()

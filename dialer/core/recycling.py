"""Calling a list once more, and how far the present pass through it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dialer.core.ids import ContactId


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """What became of the contacts that one step of a reset looked at."""

    #: They wait to be called again, as if never called.
    reopened: int = 0
    #: Finished contacts that stay so, by reason: removed, do_not_call.
    refused: Mapping[str, int] = field(default_factory=dict)
    #: Where the next step goes on; None: that was the last one.
    next: ContactId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Penetration:
    """How far the calling of one list has come; contacts that were reset count anew."""

    #: Id of the list; None: contacts that were pushed one by one.
    list: str | None
    contacts: int
    #: Called at least once.
    called: int
    #: Done: reached, or their attempts are used up.
    finished: int
    #: Withdrawn by the CRM.
    removed: int
    #: Calls made to them.
    attempts: int

    @property
    def share_called(self) -> float:
        """Of all contacts, those that were called at least once."""
        return self.called / self.contacts if self.contacts else 0.0

    @property
    def share_finished(self) -> float:
        """Of all contacts, those that are done."""
        return self.finished / self.contacts if self.contacts else 0.0

"""What the API needs of the rest for its audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dialer.core.audit_note import AuditNote, AuditQuery, AuditRow


class AuditTrail(Protocol):
    """The audit log (`dialer.runtime.audit_writer.AuditWriter`)."""

    def note(self, note: AuditNote) -> None:
        """Put a deed on record, within a second; never waits and never fails."""

    async def page(self, query: AuditQuery, before: int | None, limit: int) -> Sequence[AuditRow]:
        """Up to `limit` deeds, the latest first, those with a number below `before`."""

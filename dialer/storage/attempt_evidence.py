"""What an attempt leaves as evidence: everything that is known of it, the person apart from the facts."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from dialer.compliance.evidence import Evidence, EvidenceKind
from dialer.core.attempt import Attempt
from dialer.storage.text import storable

#: What tells whom was called.
_PERSONAL: Final = frozenset({"phone", "contact"})
_NAMES: Final = tuple(field.name for field in fields(Attempt))


def evidence_of(attempt: Attempt, retry_at: float | None) -> Evidence:
    """The record of an attempt that has ended.

    Args:
        attempt: which.
        retry_at: unix seconds of the next one; None: this contact is done.
    """
    facts: dict[str, object] = {name: _plain(getattr(attempt, name)) for name in _NAMES if name not in _PERSONAL}
    facts["retry_at"] = retry_at
    return Evidence(
        kind=EvidenceKind.ATTEMPT,
        reference=attempt.call,
        at=attempt.ended_at,
        facts=facts,
        personal={name: _plain(getattr(attempt, name)) for name in sorted(_PERSONAL)},
    )


def _plain(value: object) -> object:
    # Both databases must keep the very characters that were hashed.
    return storable(value) if isinstance(value, str) else value

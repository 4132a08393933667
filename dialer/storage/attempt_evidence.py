"""What attempts and refusals leave as evidence: all that is known of them, the person apart from the facts."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import msgspec

from dialer.compliance.evidence import Evidence, EvidenceKind
from dialer.compliance.suppression import ERASED
from dialer.core.attempt import Attempt
from dialer.core.decision import Decision
from dialer.queues.journal import RefusalEntry
from dialer.storage.text import from_json, storable, to_json

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
    facts["verdict"] = msgspec.json.decode(attempt.verdict) if attempt.verdict else None
    facts["decision"] = None if attempt.decision is None else _plain_decision(attempt.decision)
    return Evidence(
        kind=EvidenceKind.ATTEMPT,
        reference=attempt.call,
        at=attempt.ended_at,
        facts=facts,
        personal={name: _plain(getattr(attempt, name)) for name in sorted(_PERSONAL)},
    )


def refusal_evidence(refusal: RefusalEntry, entry: str) -> Evidence:
    """The record of a call that was not made; `entry` is the id of its journal entry, its only name."""
    return Evidence(
        kind=EvidenceKind.REFUSAL,
        reference=entry,
        at=refusal.at,
        facts={
            "campaign": storable(refusal.campaign),
            "call": storable(refusal.call),
            "reason": storable(refusal.reason),
            "verdict": from_json(to_json(refusal.evidence)),
        },
        # Who was erased is not put on record again by being refused for it.
        personal={} if refusal.reason == ERASED else _person(refusal),
    )


def _person(refusal: RefusalEntry) -> dict[str, object]:
    return {"contact": storable(refusal.contact), "phone": storable(refusal.phone)}


def _plain_decision(decision: Decision) -> dict[str, object]:
    return {"kind": decision.kind.value, "at": decision.at, "by": _plain(decision.by)}


def _plain(value: object) -> object:
    # Both databases must keep the very characters that were hashed.
    return storable(value) if isinstance(value, str) else value

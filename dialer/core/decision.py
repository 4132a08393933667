"""Who decided that a call be made, where it was a person and not the pace of a campaign."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DecisionKind(StrEnum):
    """How somebody came to decide on a call."""

    #: They asked for it (click to call).
    ASKED = "asked"
    #: The agent had been shown the contact, and wanted it called.
    CONSENTED = "consented"
    #: The agent had been shown it and said nothing in time: the campaign's setting decided.
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the evidence of an attempt says of it."""

    kind: DecisionKind
    #: Unix seconds.
    at: float
    #: ``agent:ana``, ``user:marta`` or ``key:4f2a…``; empty: nobody.
    by: str = ""

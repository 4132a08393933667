"""Who did what, as it goes into the audit log. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Details = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """One deed, or what was tried: who, from where, what, on what, and what came of it. Nothing in it is personal."""

    #: Unix seconds.
    at: float
    #: ``user:NAME``, ``key:ID``, ``cli:ACCOUNT``, ``node:NAME``; empty: nobody whom we know.
    who: str
    #: As it was then; empty: none.
    role: str = ""
    #: Where the request came from; empty: from this machine.
    address: str = ""
    #: In the form noun.verb, such as user.created, or a method and the path of a route.
    action: str
    #: What it was done to; never a phone number, a contact or a name of a customer.
    object: str = ""
    #: ok, or why not: a word such as ``forbidden``.
    outcome: str = "ok"
    details: Details = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """A deed on record."""

    #: Counts up; the log's order.
    number: int
    note: AuditNote


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which deeds are wanted; None does not restrict."""

    who: str | None = None
    #: The beginning of the action.
    action: str | None = None
    object: str | None = None
    outcome: str | None = None
    since: float | None = None
    until: float | None = None

    def wants(self, note: AuditNote) -> bool:
        """Whether a deed is wanted."""
        return (
            self.who in {None, note.who}
            and (self.action is None or note.action.startswith(self.action))
            and self.object in {None, note.object}
            and self.outcome in {None, note.outcome}
            and (self.since is None or note.at >= self.since)
            and (self.until is None or note.at < self.until)
        )

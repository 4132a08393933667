"""The tables. `dialer.storage.migrations` makes exactly these, which a test compares.

Moments are double precision unix seconds, UTC: the unit of the whole dialer, the same in both databases, exact to a
quarter of a microsecond in this century, and free of any session's time zone. ``docs/storage.md`` has the SQL to
read them as dates.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
    true,
)

from dialer.storage.text import storable


class StorableText(TypeDecorator[str]):
    """Text that both databases can keep (see `dialer.storage.text`)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """`value` without what PostgreSQL would refuse."""
        return None if value is None else storable(value)


metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite counts rows by itself only in a column that is exactly INTEGER.
_Serial: Final = BigInteger().with_variant(Integer(), "sqlite")

campaigns: Final = Table(
    "campaigns",
    metadata,
    Column("id", StorableText, primary_key=True),
    Column("settings", JSON, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("updated_at", Double, nullable=False),
)

lists: Final = Table(
    "lists",
    metadata,
    Column("id", StorableText, primary_key=True),
    Column("campaign", StorableText, nullable=False),
    Column("name", StorableText, nullable=False),
    Column("source", StorableText, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("read", BigInteger, nullable=False, server_default=text("0")),
    Column("accepted", BigInteger, nullable=False, server_default=text("0")),
    Column("rejected", BigInteger, nullable=False, server_default=text("0")),
    Column("reasons", JSON, nullable=False),
    Column("error", StorableText, nullable=False, server_default=text("''")),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    Index(None, "campaign", "started_at"),
)

rejected_rows: Final = Table(
    "rejected_rows",
    metadata,
    Column("list", StorableText, ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True),
    Column("row", BigInteger, primary_key=True),
    Column("code", StorableText, nullable=False),
    Column("message", StorableText, nullable=False),
    Column("raw", StorableText, nullable=False),
)

#: The latest look through the contacts of a list.
list_checks: Final = Table(
    "list_checks",
    metadata,
    Column("list", StorableText, ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True),
    Column("state", StorableText, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("counts", JSON, nullable=False),
    Column("error", StorableText, nullable=False, server_default=text("''")),
)

list_warnings: Final = Table(
    "list_warnings",
    metadata,
    Column("list", StorableText, ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True),
    Column("contact", StorableText, primary_key=True),
    Column("phone", StorableText, primary_key=True),
    Column("kind", StorableText, primary_key=True),
    Column("message", StorableText, nullable=False),
)

# No index besides the key: each would cost about a fifth of the speed of an import.
contacts: Final = Table(
    "contacts",
    metadata,
    Column("campaign", StorableText, primary_key=True),
    Column("id", StorableText, primary_key=True),
    Column("phones", JSON, nullable=False),
    Column("name", StorableText, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("timezone", StorableText),
    Column("not_before_at", Double),
    Column("expires_at", Double),
    Column("consent", JSON, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("list", StorableText),
    Column("updated_at", Double, nullable=False),
    Column("state", StorableText, nullable=False, server_default=text("'waiting'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Double),
)

# No foreign key: an attempt is evidence and is kept whatever became of its campaign or contact.
attempts: Final = Table(
    "attempts",
    metadata,
    Column("call", StorableText, primary_key=True),
    Column("campaign", StorableText, nullable=False),
    Column("contact", StorableText, nullable=False),
    Column("phone", StorableText, nullable=False),
    Column("attempt_number", Integer, nullable=False),
    Column("outcome", StorableText, nullable=False),
    Column("reason", StorableText, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double, nullable=False),
    Column("server", StorableText),
    Column("trunk", StorableText),
    Column("ringing_at", Double),
    Column("answered_at", Double),
    Column("waiting_at", Double),
    Column("connected_at", Double),
    Column("agent", StorableText),
    Column("cause", Integer, nullable=False),
    Column("sip_code", Integer),
    Column("hung_up_by", StorableText, nullable=False),
    Column("machine_verdict", StorableText),
    Column("machine_verdict_s", Double),
    Column("caller_id", StorableText),
    Column("message_played", Boolean, nullable=False, server_default=false()),
    Column("method", StorableText, nullable=False),
    Column("connect_within_s", Double),
    Column("opted_out", Boolean, nullable=False, server_default=false()),
    Column("machine_sampled", Boolean, nullable=False, server_default=false()),
    Column("retry_at", Double),
    Index(None, "campaign", "ended_at"),
    Index(None, "campaign", "contact"),
    Index(None, "phone", "ended_at"),
)

# A journal, not evidence: kept for some days, and rather incomplete than in the way of a call.
pacing_journal: Final = Table(
    "pacing_journal",
    metadata,
    Column("campaign", StorableText, primary_key=True),
    Column("at", Double, primary_key=True),
    Column("node", StorableText, primary_key=True),
    Column("method", StorableText, nullable=False),
    Column("dial", Integer, nullable=False),
    Column("started", Integer, nullable=False),
    Column("limit", StorableText, nullable=False),
    Column("explanation", StorableText, nullable=False),
    Column("expected_abandonment", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("budget_left", Double),
    Column("idle", Integer, nullable=False),
    Column("busy", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("answer_rate", Double),
    Column("mean_talk_s", Double),
    Column("mean_wrapup_s", Double),
    Index(None, "at"),
)

dispositions: Final = Table(
    "dispositions",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("call", StorableText, nullable=False),
    Column("ref", StorableText),
    Column("code", StorableText, nullable=False),
    # Text: the amount in the digits of the CRM, whatever its currency.
    Column("amount", StorableText),
    Column("notes", StorableText, nullable=False),
    Column("agent", StorableText),
    Column("at", Double, nullable=False),
    UniqueConstraint("call", "ref"),
)

removals: Final = Table(
    "removals",
    metadata,
    #: A campaign, or "*" for all of them.
    Column("campaign", StorableText, primary_key=True),
    #: contact or phone: what `subject` is.
    Column("kind", StorableText, primary_key=True),
    Column("subject", StorableText, primary_key=True),
    Column("reason", StorableText, nullable=False),
    Column("ref", StorableText),
    Column("at", Double, nullable=False),
)

do_not_call: Final = Table(
    "do_not_call",
    metadata,
    Column("scope", StorableText, primary_key=True),
    Column("phone", StorableText, primary_key=True),
    Column("reason", StorableText, nullable=False),
    Column("source", StorableText, nullable=False),
    Column("expires_at", Double),
    Column("at", Double, nullable=False),
    #: Place in the stream, in a form that sorts: a later entry is never undone by an earlier one read again.
    Column("position", StorableText, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Index(None, "phone"),
)

agents: Final = Table(
    "agents",
    metadata,
    Column("id", StorableText, primary_key=True),
    Column("name", StorableText, nullable=False),
    Column("phone", StorableText, nullable=False),
    Column("skills", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("updated_at", Double, nullable=False),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", StorableText, primary_key=True),
    Column("role", StorableText, nullable=False),
    Column("hash", StorableText, nullable=False),
    Column("name", StorableText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("last_used_at", Double),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    UniqueConstraint("hash"),
)

webhook_deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    #: Also the idempotency key that the receiver sees.
    Column("id", StorableText, primary_key=True),
    Column("url", StorableText, nullable=False),
    Column("type", StorableText, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("last_error", StorableText, nullable=False),
    # Text: the very characters that were signed.
    Column("payload", StorableText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "state", "next_at"),
)

gate_marks: Final = Table(
    "gate_marks",
    metadata,
    #: The key prefix of the queues.
    Column("name", StorableText, primary_key=True),
    Column("run_id", StorableText, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("fencing_token", BigInteger, nullable=False),
    Column("updated_at", Double, nullable=False),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("at", Double, nullable=False),
    Column("who", StorableText, nullable=False),
    Column("what", StorableText, nullable=False),
    Column("details", JSON, nullable=False),
    Index(None, "at"),
)

set_aside: Final = Table(
    "set_aside",
    metadata,
    Column("stream", StorableText, primary_key=True),
    Column("entry", StorableText, primary_key=True),
    Column("reason", StorableText, nullable=False),
    Column("data", StorableText, nullable=False),
    Column("at", Double, nullable=False),
)

# Append-only: only `EvidenceStore.erase` ever changes a row, and of that only what tells of a person.
evidence: Final = Table(
    "evidence",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", StorableText, nullable=False),
    Column("reference", StorableText, nullable=False),
    Column("at", Double, nullable=False),
    Column("campaign", StorableText),
    Column("contact", StorableText),
    Column("phone", StorableText),
    # Text: the very characters that were hashed.
    Column("facts", StorableText, nullable=False),
    Column("personal", StorableText),
    Column("salt", StorableText),
    Column("personal_digest", StorableText, nullable=False),
    Column("hash", StorableText, nullable=False),
    UniqueConstraint("reference", "kind"),
    Index(None, "phone"),
    Index(None, "campaign", "contact"),
    Index(None, "at"),
)

#: One row: where the chain ends.
evidence_head: Final = Table(
    "evidence_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", StorableText, nullable=False),
)

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
    #: Code and arguments of the error, as `dialer.storage.sayings` writes them; empty: the words alone.
    Column("error_told", StorableText, nullable=False, server_default=text("''")),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    #: Which of its contacts are called, and what is added to the priority of each.
    Column("filter", StorableText, nullable=False, server_default=text("''")),
    Column("priority", Integer, nullable=False, server_default=text("0")),
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
    #: Code and arguments of the error, as `dialer.storage.sayings` writes them; empty: the words alone.
    Column("error_told", StorableText, nullable=False, server_default=text("''")),
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
    #: Number -> what was said of it; null of nearly all contacts.
    Column("phone_terms", JSON(none_as_null=True)),
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
    Column("cost_micros", BigInteger),
    Column("billed_s", Integer),
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
    Column("currency", StorableText),
    Column("by", StorableText, nullable=False, server_default=text("''")),
    # What the code meant when it was given; null where its campaign did not say.
    Column("category", StorableText),
    Column("is_sale", Boolean),
    Column("is_contact", Boolean),
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
    #: "*", a campaign, or "account:" and the name of an account.
    Column("scope", StorableText, primary_key=True),
    #: A number in E.164, or the beginning of numbers and a *.
    Column("phone", StorableText, primary_key=True),
    Column("reason", StorableText, nullable=False),
    Column("source", StorableText, nullable=False),
    Column("expires_at", Double),
    Column("at", Double, nullable=False),
    #: Place in the stream, in a form that sorts: a later entry is never undone by an earlier one read again.
    Column("position", StorableText, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("who", StorableText, nullable=False, server_default=text("''")),
    Index(None, "phone"),
)

#: Calls that a CRM made itself: caps count them, reports do not.
calls_elsewhere: Final = Table(
    "calls_elsewhere",
    metadata,
    #: The CRM's name of it.
    Column("id", StorableText, primary_key=True),
    Column("campaign", StorableText, nullable=False),
    Column("phone", StorableText, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double, nullable=False),
    Column("outcome", StorableText, nullable=False),
    #: They called us.
    Column("inbound", Boolean, nullable=False),
    #: They want no more calls about it.
    Column("refused", Boolean, nullable=False),
    #: person, account and subject, where the CRM gave them.
    Column("fields", JSON, nullable=False),
    Index(None, "ended_at"),
)

#: Numbers of people who were erased: nobody calls them any more, and nobody can read them here.
suppressions: Final = Table(
    "suppressions",
    metadata,
    #: `dialer.compliance.evidence.suppression_key` of the number.
    Column("hash", StorableText, primary_key=True),
    Column("at", Double, nullable=False),
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
    #: Whose it is; empty: the installation's.
    Column("tenant", StorableText, nullable=False, server_default=text("''")),
    #: The id of the key that takes its place; none: it was not rotated.
    Column("replaced_by", StorableText),
    UniqueConstraint("hash"),
)

#: People who sign in to the console with a password.
users: Final = Table(
    "users",
    metadata,
    #: In small letters.
    Column("name", StorableText, primary_key=True),
    #: manager, supervisor or agent.
    Column("role", StorableText, nullable=False),
    #: As whom an agent signs in.
    Column("agent", StorableText),
    #: argon2id of the password.
    Column("hash", StorableText, nullable=False),
    #: active or disabled.
    Column("state", StorableText, nullable=False),
    #: Counts up with every change that ends sessions.
    Column("version", Integer, nullable=False),
    #: Base 32; null: no second factor.
    Column("totp_secret", StorableText),
    #: The latest time step whose code was taken: none is taken twice.
    Column("totp_step", BigInteger, nullable=False),
    #: SHA-256 of the recovery codes that are left.
    Column("recovery", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("password_changed_at", Double, nullable=False),
    Column("signed_in_at", Double),
    #: Whose they are; empty: the installation's.
    Column("tenant", StorableText, nullable=False, server_default=text("''")),
)

#: Companies that share the installation. Whose a campaign or an agent is stands in its name (`dialer.core.tenants`).
tenants: Final = Table(
    "tenants",
    metadata,
    Column("name", StorableText, primary_key=True),
    Column("created_at", Double, nullable=False),
)

#: Who did what. Append-only: triggers refuse every change.
audit_log: Final = Table(
    "audit_log",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("at", Double, nullable=False),
    Column("who", StorableText, nullable=False),
    Column("role", StorableText, nullable=False),
    Column("address", StorableText, nullable=False),
    Column("action", StorableText, nullable=False),
    Column("object", StorableText, nullable=False),
    Column("outcome", StorableText, nullable=False),
    Column("details", JSON, nullable=False),
    Index(None, "at"),
    Index(None, "who"),
)

#: Webhooks that are made while the node runs; others stand in the settings.
webhooks: Final = Table(
    "webhooks",
    metadata,
    #: Of a tenant's it begins as all its names do.
    Column("id", StorableText, primary_key=True),
    #: Whose results it is told; empty: everybody's.
    Column("tenant", StorableText, nullable=False),
    Column("url", StorableText, nullable=False),
    #: Result types; empty: all.
    Column("types", JSON, nullable=False),
    #: Key of the signature, and the one before until the moment after it; sealed where there is a key for it.
    Column("secret", StorableText, nullable=False),
    Column("former_secret", StorableText),
    Column("former_until", Double),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

#: Up to when deeds were taken out of the audit log: without such a row its triggers let none go.
audit_cuts: Final = Table(
    "audit_cuts",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("at", Double, nullable=False),
    Column("before", Double, nullable=False),
)

webhook_deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    #: Also the idempotency key that the receiver sees.
    Column("id", StorableText, primary_key=True),
    #: To whom: the URL of a webhook of the settings, or the id of another.
    Column("url", StorableText, nullable=False),
    Column("type", StorableText, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("last_error", StorableText, nullable=False),
    #: Code and arguments of the error, as `dialer.storage.sayings` writes them; empty: the words alone.
    Column("error_told", StorableText, nullable=False, server_default=text("''")),
    # Text: the very characters that were signed.
    Column("payload", StorableText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    #: Campaign and contact, joined by a slash: what is told of one contact is told in its order. Empty: of nobody.
    Column("subject", StorableText, nullable=False, server_default=text("''")),
    #: Place in the stream, in a form that sorts.
    Column("position", StorableText, nullable=False, server_default=text("''")),
    Index(None, "state", "next_at"),
    Index(None, "url", "subject", "position"),
)

#: How far each CRM has been asked for its pending calls.
crm_sources: Final = Table(
    "crm_sources",
    metadata,
    Column("name", StorableText, primary_key=True),
    #: The listing under way, or the last one: counted from 1.
    Column("round", Integer, nullable=False),
    # Text: JSON of `dialer.crm.rounds.Listing`; empty between two listings.
    Column("place", StorableText, nullable=False),
    #: From where the next listing of changes begins; empty: from the beginning.
    Column("cursor", StorableText, nullable=False),
    Column("started_at", Double),
    #: End of the last complete listing.
    Column("completed_at", Double),
    Column("next_at", Double, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_error", StorableText, nullable=False),
    #: Code and arguments of the error, as `dialer.storage.sayings` writes them; empty: the words alone.
    Column("error_told", StorableText, nullable=False, server_default=text("''")),
    Column("lease_owner", StorableText, nullable=False),
    Column("lease_until", Double, nullable=False),
    #: Contacts and updates by what became of them, since the beginning.
    Column("counts", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
)

crm_contacts: Final = Table(
    "crm_contacts",
    metadata,
    Column("source", StorableText, primary_key=True),
    Column("contact", StorableText, primary_key=True),
    #: Of the CRM's record, such as its ETag, as last seen.
    Column("version", StorableText),
    #: Of what was taken last; empty: nothing was yet.
    Column("digest", StorableText, nullable=False),
    #: The latest listing that had it, and how many complete ones since had it not.
    Column("round", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "source", "round"),
)

#: What is to be written to a CRM: a row for each result of a call whose contact came from there.
crm_updates: Final = Table(
    "crm_updates",
    metadata,
    #: Also the idempotency key that the CRM sees.
    Column("id", StorableText, primary_key=True),
    Column("source", StorableText, nullable=False),
    Column("contact", StorableText, nullable=False),
    Column("type", StorableText, nullable=False),
    #: Place in the stream of results, in a form that sorts.
    Column("position", StorableText, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("last_error", StorableText, nullable=False),
    #: Code and arguments of the error, as `dialer.storage.sayings` writes them; empty: the words alone.
    Column("error_told", StorableText, nullable=False, server_default=text("''")),
    # Text: the result as it stood on the stream.
    Column("result", StorableText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "state", "next_at"),
    Index(None, "source", "contact", "position"),
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
    #: Until when (unix seconds) results have been read by all groups, and of which loading of Redis.
    Column("results_generation", StorableText),
    Column("results_read_until", Double),
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

# Append-only: `EvidenceStore.erase_person` and `expire` alone change rows, and of these only what tells of a person.
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

#: Never over the edge of a quarter of an hour, so each row is in one hour of every zone (`dialer.core.agent_spell`).
agent_time: Final = Table(
    "agent_time",
    metadata,
    Column("agent", StorableText, primary_key=True),
    Column("began_at", Double, primary_key=True),
    #: Empty: of an agent who had none.
    Column("campaign", StorableText, primary_key=True),
    Column("state", StorableText, nullable=False),
    Column("ended_at", Double, nullable=False),
    #: The campaign's share, where an agent waits for several of them.
    Column("ms", BigInteger, nullable=False),
    Column("call", StorableText),
    Column("reason", StorableText, nullable=False),
    Index(None, "began_at"),
)

#: What the rules of the next best action did. The key is the promise that each does it once for a contact.
action_firings: Final = Table(
    "action_firings",
    metadata,
    Column("rule", StorableText, primary_key=True),
    Column("campaign", StorableText, primary_key=True),
    Column("contact", StorableText, primary_key=True),
    Column("at", Double, nullable=False),
    Column("action", StorableText, nullable=False),
    Column("call", StorableText),
    Column("why", StorableText, nullable=False),
    Column("details", JSON, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("problem", StorableText, nullable=False),
    Column("why_told", StorableText, nullable=False, server_default=text("''")),
    Column("problem_told", StorableText, nullable=False, server_default=text("''")),
    Index(None, "campaign", "contact"),
    Index(None, "at"),
    Index(None, "state"),
)

recordings: Final = Table(
    "recordings",
    metadata,
    Column("id", StorableText, primary_key=True),
    Column("call", StorableText, nullable=False),
    Column("campaign", StorableText, nullable=False),
    Column("contact", StorableText, nullable=False),
    Column("agent", StorableText),
    Column("server", StorableText, nullable=False),
    Column("node", StorableText, nullable=False),
    #: Who asked for it.
    Column("by", StorableText, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    #: Seconds from its beginning, in pairs; an open one has no end.
    Column("pauses", JSON, nullable=False),
    Column("duration_s", Double),
    Column("bytes", BigInteger),
    Column("sha256", StorableText),
    #: Key in the store of recordings, once it is there.
    Column("place", StorableText),
    Column("encrypted", Boolean, nullable=False, server_default=false()),
    #: Of being moved into the store.
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Double),
    Column("problem", StorableText, nullable=False, server_default=text("''")),
    Column("retain_until", Double),
    Column("deleted_at", Double),
    Column("updated_at", Double, nullable=False),
    Index(None, "call"),
    Index(None, "campaign", "contact"),
    Index(None, "state", "next_at"),
    Index(None, "started_at"),
    Index(None, "retain_until"),
    Index(None, "updated_at"),
)

#: Contacts that are called with an agent reserved for them: callbacks that were agreed, and people who were abandoned.
promises: Final = Table(
    "promises",
    metadata,
    Column("campaign", StorableText, primary_key=True),
    Column("contact", StorableText, primary_key=True),
    Column("at", Double, nullable=False),
    Column("agent", StorableText),
    Column("fallback_at", Double, nullable=False),
    Column("until_at", Double, nullable=False),
    Column("made_at", Double, nullable=False),
    #: False: nobody has agreed it with them; they were abandoned.
    Column("agreed", Boolean, nullable=False, server_default=true()),
    Column("reminded_at", Double),
    Index(None, "at"),
)

#: What all nodes of an installation sign with: 32 bytes in hexadecimal, made by whichever node comes first.
shared_keys: Final = Table(
    "shared_keys",
    metadata,
    Column("name", StorableText, primary_key=True),
    Column("secret", StorableText, nullable=False),
    Column("made_at", Double, nullable=False),
)

#: The shards that all nodes must agree on (docs/adr/0020); none: the installation has one Redis.
shards: Final = Table(
    "shards",
    metadata,
    Column("name", StorableText, primary_key=True),
    #: Names of campaigns, and beginnings of names with a *.
    Column("campaigns", JSON, nullable=False),
    Column("adopted_at", Double, nullable=False),
)

"""Of whom each column that can hold text tells: the inventory that the erasure of a person is held against.

A column that is not here fails a test, and so does one of `Says.PERSON` whose content outlives the person's erasure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sqlalchemy import JSON, Column, Text

from dialer.storage.tables import StorableText, metadata


class Says(StrEnum):
    """Whom the content of a column is about."""

    #: Nobody: states, settings, ids of ours, figures.
    NOTHING = "nothing"
    #: Those who work with the dialer: agents, users, whose order it was.
    STAFF = "staff"
    #: Those who are called: numbers, names, the CRM's ids, what was said. `dialer.storage.erasure` takes it out.
    PERSON = "person"
    #: Keyed hashes of numbers that were erased: they stay, so that nobody calls them again.
    HASH = "hash"


_NOTHING, _STAFF, _PERSON, _HASH = Says


def _columns(nothing: str = "", *, person: str = "", staff: str = "", hash: str = "") -> Mapping[str, Says]:
    named = ((nothing, _NOTHING), (person, _PERSON), (staff, _STAFF), (hash, _HASH))
    return MappingProxyType({name: says for names, says in named for name in names.split()})


#: By table and column, all that can hold text.
PERSONAL: Final[Mapping[str, Mapping[str, Says]]] = MappingProxyType(
    {
        "action_firings": _columns(
            "rule campaign action call state", person="contact why details problem why_told problem_told"
        ),
        "agent_time": _columns("campaign state call reason", staff="agent"),
        "agents": _columns("skills", staff="id name phone"),
        "api_keys": _columns("id role hash tenant replaced_by", staff="name"),
        "attempts": _columns(
            "call campaign outcome reason server trunk hung_up_by machine_verdict caller_id method",
            person="contact phone",
            staff="agent",
        ),
        "audit": _columns("what", person="details", staff="who"),
        # Append-only, even for an erasure: what goes in says nothing of customers (`dialer.api.audit`).
        "audit_log": _columns("role action object outcome details", staff="who address"),
        "calls_elsewhere": _columns("id campaign outcome", person="phone fields"),
        "campaigns": _columns("id settings state"),
        "contacts": _columns("campaign timezone list state", person="id phones name consent fields phone_terms"),
        "crm_contacts": _columns("source version state", person="contact digest"),
        "crm_sources": _columns("name place cursor last_error error_told lease_owner counts"),
        "crm_updates": _columns("id source type position state", person="contact result last_error error_told"),
        "dispositions": _columns("call ref code amount currency category", person="notes", staff="agent by"),
        "do_not_call": _columns("scope source position", person="phone reason", staff="who"),
        # Facts are what the chain is made of; whom they are about stands in the personal part alone.
        "evidence": _columns(
            "kind reference campaign facts salt personal_digest hash", person="contact phone personal"
        ),
        "evidence_head": _columns("hash"),
        "gate_marks": _columns("name run_id results_generation"),
        "list_checks": _columns("list state counts error error_told"),
        "list_warnings": _columns("list kind", person="contact phone message"),
        "lists": _columns("id campaign name source state reasons error error_told filter"),
        "pacing_journal": _columns("campaign node method limit explanation"),
        "promises": _columns("campaign", person="contact", staff="agent"),
        "recordings": _columns(
            "id call campaign server node state pauses sha256 place problem", person="contact", staff="agent by"
        ),
        "rejected_rows": _columns("list code", person="message raw"),
        "removals": _columns("campaign kind ref", person="subject reason"),
        "set_aside": _columns("stream entry reason", person="data"),
        # What nodes sign with: it opens nothing about anybody.
        "shared_keys": _columns("name secret"),
        "shards": _columns("name campaigns"),
        "suppressions": _columns(hash="hash"),
        "tenants": _columns("name"),
        "users": _columns("role state tenant", staff="name agent hash totp_secret recovery"),
        "webhooks": _columns("id tenant url types secret former_secret"),
        "webhook_deliveries": _columns("id url type state position", person="payload subject last_error error_told"),
    }
)


def textual() -> dict[str, set[str]]:
    """The columns that can hold text, by table, as the tables themselves have them."""
    return {
        table.name: {column.name for column in table.columns if _holds_text(column)}
        for table in metadata.sorted_tables
        if any(map(_holds_text, table.columns))
    }


def _holds_text(column: Column[object]) -> bool:
    return isinstance(column.type, StorableText | Text | JSON)

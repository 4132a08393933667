"""A CRM's mapping as one campaign has it: its own rows in place of those of the file; pure.

A campaign says what is read into its contacts and what its results are called. Where the CRM is, which of its records
are to be called, by which key they are known, what is asked and which rule is carried out stay the mapping's: a row
that would reach into an address is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from dialer.core.campaign import Campaign
from dialer.core.crm_terms import CrmField, CrmWord, CrmWrite
from dialer.crm.mapping import ContactKeys, CrmMapping, MappingFile, UpdateRule, compile_mapping
from dialer.crm.templates import compiled, slots_of
from dialer.errors import InputError


class _Row(Protocol):
    @property
    def crm(self) -> str: ...


R = TypeVar("R", bound=_Row)


def own_mapping(mapping: CrmMapping, campaign: Campaign, crm: str) -> CrmMapping:
    """The mapping of the CRM of this name as it holds for a campaign.

    Raises:
        InputError: a row of the campaign does not fit it; names the setting.
    """
    parts = _of(campaign.crm_contact, crm)
    words = _of(campaign.crm_words, crm)
    writes = _of(campaign.crm_update, crm)
    if not (parts or words or writes):
        return mapping
    file = replace(
        mapping.file,
        contact=_contact(mapping.file.contact, parts),
        update=_updates(mapping.file, writes),
        tables=_tables(mapping.file.tables, words),
    )
    _check_tables(mapping, file, words)
    try:
        return compile_mapping(file)
    except InputError as error:
        raise InputError(f"crm_update: {error}", code=error.code, **error.arguments) from error


def has_own(campaign: Campaign) -> bool:
    """Whether a campaign says anything about its CRM."""
    return bool(campaign.crm_contact or campaign.crm_words or campaign.crm_update)


def check_names(campaign: Campaign, crms: Sequence[str]) -> None:
    """Make sure that rows name CRMs by which the campaign is fed.

    Raises:
        InputError: names the setting, and the CRMs that there are.
    """
    for setting, rows in (
        ("crm_contact", campaign.crm_contact),
        ("crm_words", campaign.crm_words),
        ("crm_update", campaign.crm_update),
    ):
        stranger = next((row.crm for row in rows if row.crm and row.crm not in crms), None)
        if stranger is not None:
            raise InputError(
                f"{setting}: {stranger!r} does not feed this campaign; {', '.join(crms)} does",
                code="crm_stranger",
                crm=stranger,
                crms=list(crms),
            )


def free_tables(mapping: CrmMapping) -> list[str]:
    """The tables in which a campaign may have words of its own."""
    return sorted(_used(mapping.file) - _addressing(mapping))


def _of(rows: Iterable[R], crm: str) -> list[R]:
    """The rows for one CRM; those that name it come last, and so have the last word."""
    return sorted((row for row in rows if row.crm in ("", crm)), key=lambda row: row.crm)


def _contact(keys: ContactKeys, rows: Iterable[CrmField]) -> ContactKeys:
    plain: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = {"fields": dict(keys.fields), "consent": dict(keys.consent)}
    types: dict[str, Any] = dict(keys.types)
    for row in rows:
        group, dot, name = row.field.partition(".")
        if not dot:
            plain[row.field] = row.expression
            continue
        groups[group].pop(name, None)
        if row.expression:
            groups[group][name] = row.expression
        if group == "fields":
            types.pop(name, None)
            if row.type and row.expression:
                types[name] = row.type
    return replace(keys, **plain, **groups, types=types)


def _tables(tables: Mapping[str, dict[str, Any]], rows: Iterable[CrmWord]) -> dict[str, dict[str, Any]]:
    made = {name: dict(words) for name, words in tables.items()}
    for row in rows:
        words = made.setdefault(row.table, {})
        words.pop(row.word, None)
        if row.becomes is not None:
            words[row.word] = row.becomes
    return made


def _updates(file: MappingFile, rows: Iterable[CrmWrite]) -> tuple[UpdateRule, ...]:
    made = list(file.update)
    for row in rows:
        if row.rule > len(made):
            raise InputError(
                f"crm_update: there is no rule {row.rule}; the mapping has {len(made)}",
                code="crm_no_rule",
                rule=row.rule,
                rules=len(made),
            )
        rule = made[row.rule - 1]
        if not isinstance(rule.body, dict):
            raise InputError(
                f"crm_update: rule {row.rule} writes a text as a whole, which the mapping alone has",
                code="crm_whole_body",
                rule=row.rule,
            )
        body = {name: value for name, value in rule.body.items() if name != row.field or row.value is not None}
        if row.value is not None:
            body[row.field] = row.value
        made[row.rule - 1] = replace(rule, body=body)
    return tuple(made)


def _check_tables(mapping: CrmMapping, file: MappingFile, rows: Iterable[CrmWord]) -> None:
    addressing, used = _addressing(mapping), _used(file)
    for row in rows:
        if row.table in addressing:
            raise InputError(
                f"crm_words: the table {row.table!r} stands in an address or a header, which the mapping alone has",
                code="crm_table_of_address",
                table=row.table,
            )
        if row.table not in used:
            known = sorted(used - addressing)
            raise InputError(
                f"crm_words: nothing that is written uses a table {row.table!r}; tables: {', '.join(known) or 'none'}",
                code="crm_table_unused",
                table=row.table,
                tables=known,
            )


def _addressing(mapping: CrmMapping) -> set[str]:
    """Tables that stand in addresses and headers."""
    questions = [mapping.pending, mapping.one, *(rule.question for rule in mapping.rules)]
    addresses = [{"path": each.path, **each.headers} for each in questions if each is not None]
    return {slot.table for address in addresses for slot in slots_of(address) if slot.table is not None}


def _used(file: MappingFile) -> set[str]:
    """Tables that stand in what is written."""
    bodies = [compiled(rule.body) for rule in file.update]
    return {slot.table for body in bodies for slot in slots_of(body) if slot.table is not None}

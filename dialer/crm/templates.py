"""Templates of what is written to a CRM: text with slots, pure.

    {agent}              a fact; dots go into it: {fields.debt}
    {outcome|status}     its translation by the table `status` of the mapping; "*" in a table is everything else
    {version?*}          what follows the question mark, where the fact is absent
    {{  }}               braces

A value of JSON that is nothing but one slot keeps the type of the fact, and is left out where the fact is absent. In
text an absent fact is empty. How a fact is made harmless depends on the place: percent-encoded in a path, escaped in
XML, in one line in a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from dialer.errors import InputError

Facts = Mapping[str, object]
Tables = Mapping[str, Mapping[str, str | int | float | bool]]

#: What stands in templates of updates, and what `when` is asked of.
FACTS: Final = frozenset(
    {"key", "type", "at", "campaign", "contact", "record", "version", "call", "phone", "agent", "attempts", "seconds"}
    | {"minutes", "priority", "comments", "status", "outcome", "reason", "code", "amount", "notes", "name", "fields"}
    | {"final", "retry_at", "started_at", "ended_at", "duration_s", "ring_s", "wait_s", "hung_up_by"}
    | {"category", "is_sale", "is_contact", "currency", "by"}
)

_PART: Final = re.compile(
    r"\{\{|\}\}|\{(?P<name>[a-z_]+(?:\.[A-Za-z0-9_]+)*)(?:\|(?P<table>[a-z][a-z0-9_]*))?(?:\?(?P<default>[^{}]*))?\}|[{}]"
)
#: Everything that XML 1.0 cannot hold.
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place where a fact stands."""

    name: str
    table: str | None
    default: str | None

    def value(self, facts: Facts, tables: Tables) -> object:
        """What stands there; None where it is absent.

        Raises:
            InputError: the table does not have it.
        """
        found: object = facts
        for part in self.name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is not None and self.table is not None:
            table = tables[self.table]
            key = _text(found)
            if key not in table and "*" not in table:
                raise InputError(
                    f"tables.{self.table} of the mapping has no {key!r} for {{{self.name}}}, and no '*'",
                    code="crm_no_such_word",
                    table=self.table,
                    key=key,
                    fact=self.name,
                )
            found = table.get(key, table.get("*"))
        return self.default if found is None else found


class Template:
    """One text with slots."""

    def __init__(self, text: str) -> None:
        """Read it.

        Raises:
            InputError: a brace that is none of a slot.
        """
        self._parts: list[str | Slot] = []
        end = 0
        for match in _PART.finditer(text):
            if match.start() > end:
                self._parts.append(text[end : match.start()])
            end = match.end()
            if match["name"] is not None:
                self._parts.append(Slot(match["name"], match["table"], match["default"]))
            elif len(match.group()) == 2:
                self._parts.append(match.group()[0])
            else:
                raise InputError(
                    f"{text[:80]!r}: a brace alone; write {{name}} for a fact, {{{{ or }}}} for a brace",
                    code="crm_brace",
                )
        if end < len(text):
            self._parts.append(text[end:])

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Its slots."""
        return tuple(part for part in self._parts if isinstance(part, Slot))

    def text(self, facts: Facts, tables: Tables, harmless: Callable[[str], str]) -> str:
        """The text, each fact made harmless.

        Raises:
            InputError: a table has no value for a fact.
        """
        return "".join(
            part if isinstance(part, str) else harmless(_text(part.value(facts, tables))) for part in self._parts
        )

    def value(self, facts: Facts, tables: Tables) -> object:
        """The value in JSON: of its own type where this is one slot alone, else a text.

        Raises:
            InputError: a table has no value for a fact.
        """
        if len(self._parts) == 1 and isinstance(self._parts[0], Slot):
            return self._parts[0].value(facts, tables)
        return self.text(facts, tables, str)


def compiled(body: Any) -> Any:
    """The body with a `Template` for each text.

    Raises:
        InputError: one of them cannot be read.
    """
    match body:
        case str():
            return Template(body)
        case Mapping():
            return {key: compiled(value) for key, value in body.items()}
        case list() | tuple():
            return [compiled(value) for value in body]
        case _:
            return body


def rendered(body: Any, facts: Facts, tables: Tables) -> Any:
    """A compiled body with its facts; keys whose fact is absent are left out.

    Raises:
        InputError: a table has no value for a fact.
    """
    match body:
        case Template():
            return body.value(facts, tables)
        case dict():
            made = {key: rendered(value, facts, tables) for key, value in body.items()}
            return {key: value for key, value in made.items() if value is not None or body[key] is None}
        case list():
            return [value for value in (rendered(each, facts, tables) for each in body) if value is not None]
        case _:
            return body


def slots_of(body: Any) -> Iterator[Slot]:
    """All slots of a compiled body."""
    match body:
        case Template():
            yield from body.slots
        case dict():
            for value in body.values():
                yield from slots_of(value)
        case list():
            for value in body:
                yield from slots_of(value)


def check_slots(slots: Iterator[Slot] | Collection[Slot], known: Collection[str], tables: Collection[str]) -> None:
    """Make sure that there are such facts and tables.

    Raises:
        InputError: names the slot.
    """
    for slot in slots:
        if slot.name.partition(".")[0] not in known:
            facts = sorted(known)
            raise InputError(
                f"{{{slot.name}}} is no fact; there are {', '.join(facts)}",
                code="crm_no_fact",
                fact=slot.name,
                facts=facts,
            )
        if slot.table is not None and slot.table not in tables:
            raise InputError(
                f"{{{slot.name}|{slot.table}}}: there is no [tables.{slot.table}]",
                code="crm_no_table",
                fact=slot.name,
                table=slot.table,
            )


def in_path(text: str) -> str:
    """A fact in a path or query."""
    return quote(text, safe="")


def in_xml(text: str) -> str:
    """A fact in XML."""
    return escape(_NO_XML.sub("", text), {'"': "&quot;", "'": "&apos;"})


def in_header(text: str) -> str:
    """A fact in a header: one line of ASCII."""
    return _CONTROL.sub(" ", text).encode("ascii", "replace").decode().strip()


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)

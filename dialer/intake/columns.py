"""The columns of a list: which of them is the number, the name, the key, by what people call them.

English and Spanish names are known, whatever their case, accents, spaces and underscores. What is not known is not
lost: it becomes a field of the contact.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dialer.errors import InputError
from dialer.intake.phones import PhoneReader

MAX_COLUMNS: Final = 500

_PHONE: Final = re.compile(
    r"(?:(?:num(?:ero)?|no?)_(?:de_)?)?"
    r"(?:phones?|telephone|tele?fonos?|tel|tlfn?o?|tfno|mobile|moviles|movil|cell|celular|fijo|landline|msisdn)"
    r"(?:_(?:number|phone|no|num|numero|movil|fijo|mobile|home|work|casa|trabajo|principal|alternativo))*(?:_?[0-9]{1,2})?"
)
#: What may stand behind the name of a column of numbers: more about each of them.
_DETAILS: Final = {
    "type": {"type", "tipo"},
    "order": {"order", "orden"},
    "hours": {"hours", "horario", "horas"},
    "max_attempts": {"max_attempts", "max_intentos", "intentos_maximos"},
}
_DETAIL: Final = {alias: detail for detail, aliases in _DETAILS.items() for alias in aliases}
_DETAILED: Final = re.compile(rf"(?P<number>.+)_(?P<detail>{'|'.join(sorted(_DETAIL))})")
_NAMES: Final = {
    "id": {
        *("id", "contact_id", "crm_id", "external_id", "customer_id", "client_id", "lead_id", "record_id"),
        *("id_cliente", "id_contacto", "cliente_id", "contacto_id", "id_crm", "codigo_cliente", "contact"),
    },
    "name": {"name", "full_name", "contact_name", "customer_name", "nombre", "nombre_completo", "nombre_y_apellidos"},
    "first_name": {"first_name", "firstname", "given_name"},
    "last_name": {"last_name", "lastname", "surname", "family_name", "apellidos", "apellido"},
    "priority": {"priority", "prioridad"},
    "timezone": {"timezone", "time_zone", "tz", "zona_horaria", "huso_horario"},
    "not_before": {"not_before", "no_antes_de", "no_llamar_antes_de"},
    "expires": {"expires", "expires_at", "caduca", "caducidad"},
}
_ROLES: Final = {alias: role for role, aliases in _NAMES.items() for alias in aliases}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where in a row to find what; places count from 0."""

    count: int
    phones: tuple[int, ...]
    #: Place of a column of numbers -> what is said of them, with the places of that; empty: nothing.
    phone_details: Mapping[int, Mapping[str, int]]
    id: int | None
    #: Joined with a space.
    name: tuple[int, ...]
    priority: int | None
    timezone: int | None
    not_before: int | None
    expires: int | None
    #: Keys of `Contact.consent` and of `Contact.fields`, with their places.
    consent: tuple[tuple[str, int], ...]
    fields: tuple[tuple[str, int], ...]
    #: Whether there is a column of time zones, times or consent.
    limited: bool


def read_header(cells: Sequence[str], reader: PhoneReader) -> Columns:
    """Understand the first row of a list.

    Raises:
        InputError: it has no column of numbers, or two that claim the same role; names the columns found.
    """
    if len(cells) > MAX_COLUMNS:
        raise InputError(
            f"the first row has {len(cells)} columns; at most {MAX_COLUMNS}",
            code="list_columns",
            columns=len(cells),
            most=MAX_COLUMNS,
        )
    phones: list[int] = []
    roles: dict[str, int] = {}
    consent: dict[str, int] = {}
    fields: dict[str, int] = {}
    details = _details(cells)
    about_phones = {place for said in details.values() for place in said.values()}
    for place, cell in enumerate(cells):
        key = normalized(cell)
        role = _ROLES.get(key)
        if _PHONE.fullmatch(key):
            phones.append(place)
        elif place in about_phones:
            continue
        elif role is not None:
            if role in roles:
                raise InputError(
                    f"two columns can be the {role.replace('_', ' ')} of a contact: "
                    f"{cells[roles[role]].strip()!r} and {cell.strip()!r}; rename one of them",
                    code="list_two_columns",
                    role=role.replace("_", " "),
                    one=cells[roles[role]].strip(),
                    other=cell.strip(),
                )
            roles[role] = place
        elif key == "consent" or key.startswith("consent_"):
            consent[_free(consent, key.removeprefix("consent_"))] = place
        else:
            fields[_free(fields, " ".join(cell.split())[:100] or f"column {place + 1}")] = place
    if not phones:
        raise _no_phone_column(cells, reader)
    name = [roles[role] for role in ("first_name", "name", "last_name") if role in roles]
    return Columns(
        count=len(cells),
        phones=tuple(phones),
        phone_details=details,
        id=roles.get("id"),
        name=tuple(name),
        priority=roles.get("priority"),
        timezone=roles.get("timezone"),
        not_before=roles.get("not_before"),
        expires=roles.get("expires"),
        consent=tuple(consent.items()),
        fields=tuple(fields.items()),
        limited=bool(consent) or not roles.keys().isdisjoint({"timezone", "not_before", "expires"}),
    )


def _details(cells: Sequence[str]) -> dict[int, dict[str, int]]:
    """Columns that say something of another column's numbers (``phone1_type``); those of no other are fields."""
    keys = [normalized(cell) for cell in cells]
    numbers = {key.replace("_", ""): place for place, key in enumerate(keys) if _PHONE.fullmatch(key)}
    found: dict[int, dict[str, int]] = {}
    for place, key in enumerate(keys):
        said = _DETAILED.fullmatch(key)
        number = None if said is None or place in numbers.values() else numbers.get(said["number"].replace("_", ""))
        if said is not None and number is not None:
            detail = _DETAIL[said["detail"]]
            other = found.setdefault(number, {}).setdefault(detail, place)
            if other != place:
                raise InputError(
                    f"two columns can be the {detail} of {cells[number].strip()!r}: {cells[other].strip()!r} and "
                    f"{cells[place].strip()!r}; rename one of them",
                    code="list_two_details",
                    detail=detail,
                    column=cells[number].strip(),
                    one=cells[other].strip(),
                    other=cells[place].strip(),
                )
    return found


def normalized(title: str) -> str:
    """A column's title without case, accents and punctuation: ``Teléfono 1`` is ``telefono_1``."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", title) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", "_", plain.casefold(), flags=re.ASCII).strip("_")


def _free(taken: dict[str, int], title: str) -> str:
    """`title`, or where another column has it already, with a number."""
    free, number = title, 1
    while free in taken:
        number += 1
        free = f"{title} ({number})"
    return free


def _no_phone_column(cells: Sequence[str], reader: PhoneReader) -> InputError:
    if any(reader.read(cell).phone is not None for cell in cells):
        return InputError(
            "the first row must name the columns, but has a telephone number itself; "
            "put a row such as id,name,phone before it",
            code="list_no_names",
        )
    found = ", ".join(repr(cell.strip()[:40]) for cell in cells[:20]) + (", …" if len(cells) > 20 else "")
    return InputError(
        f"no column of telephone numbers; found: {found}; "
        "name one phone, phone1, phone2, mobile, telefono or movil (case, accents and spaces do not matter)",
        code="list_no_phone",
        found=found,
    )

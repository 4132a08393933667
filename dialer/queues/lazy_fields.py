"""A contact's fields and numbers as the gate hands them over, read when somebody looks; pure.

The gate hands over fifty contacts at a time, and most calls end without an answer, so that nobody ever asks for the
fields: to read them all would take a good part of a reservation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast, overload

import msgspec

from dialer.core.contact_phone import ContactNumber
from dialer.core.ids import Phone

_FIELDS: Final = msgspec.json.Decoder(dict[str, object])


class LazyFields(Mapping[str, object]):
    """The object that `json` says. It must be one: what goes into Redis has been encoded by us."""

    __slots__ = ("_fields", "_json")

    def __init__(self, json: msgspec.Raw) -> None:
        self._json = json
        self._fields: dict[str, object] | None = None

    def _read(self) -> dict[str, object]:
        if self._fields is None:
            self._fields = _FIELDS.decode(self._json)
        return self._fields

    def __getitem__(self, key: str) -> object:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())


class LazyNumbers(Sequence[ContactNumber]):
    """The numbers of a contact that says nothing of any of them, from the head of its record (``prelude.lua``)."""

    __slots__ = ("_head", "_numbers")

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._numbers: tuple[ContactNumber, ...] | None = None

    def _read(self) -> tuple[ContactNumber, ...]:
        if self._numbers is None:
            self._numbers = tuple(map(ContactNumber, phones_in(self._head)))
        return self._numbers

    @overload
    def __getitem__(self, place: int) -> ContactNumber: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[ContactNumber]: ...
    def __getitem__(self, place: int | slice) -> ContactNumber | Sequence[ContactNumber]:
        return self._read()[place]

    def __iter__(self) -> Iterator[ContactNumber]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())


def phones_in(head: bytes) -> list[Phone]:
    """All numbers of a contact, from the head of its record."""
    return cast("list[Phone]", ("+" + head.decode().split("\t")[5].replace(",", ",+")).split(","))

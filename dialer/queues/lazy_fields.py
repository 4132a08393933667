"""A contact's fields as JSON that is read when somebody looks; pure.

The gate hands over fifty contacts at a time, and most calls end without an answer, so that nobody ever asks for the
fields: to read them all would take a good part of a reservation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

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

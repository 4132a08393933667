"""Many things in one request, each with a verdict of its own: NDJSON, one JSON object a line, or CSV with a header."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from dialer.api.bodies import ACCEPTS, CSV, NDJSON, STREAMED, TooLong, chunks, content_type, lines
from dialer.api.errors import ApiError
from dialer.api.requests import KeyedRequest
from dialer.campaigns import explained
from dialer.errors import InputError

#: Such a thing has a number, some ids and a reason.
MAX_LINE_BYTES: Final = 64 * 1024
T = TypeVar("T")

#: `opt` of a handler whose body `parsed_lines` reads.
BULK: Final[dict[str, Any]] = {ACCEPTS: (NDJSON, CSV), STREAMED: True}
FORMATS: Final = (
    "As `application/x-ndjson`, one JSON object a line, or as `text/csv`, one row a line below a header with the names "
    "of the fields. Every line gets a verdict; a bad one does not spoil the others."
)


class ItemOut(Struct, kw_only=True, omit_defaults=True):
    """What became of one line."""

    #: From 1, as it stands in the body; of CSV the header is line 1.
    line: int
    #: accepted or rejected.
    status: str
    #: Of the message that was made of it.
    id: str | None = None
    #: For machines: why it was rejected.
    reason: str = ""
    #: For people: what to correct.
    problem: str = ""


class ItemsOut(Struct, kw_only=True):
    """What became of the lines of one request."""

    accepted: int
    rejected: int
    items: list[ItemOut]


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """One line that can be used as far as its form goes."""

    line: int
    value: T


class Verdicts:
    """The verdicts of one request."""

    def __init__(self) -> None:
        self._items: list[ItemOut] = []

    def accept(self, line: int, id: str | None) -> None:
        """It was carried out."""
        self._items.append(ItemOut(line=line, status="accepted", id=id))

    def reject(self, line: int, error: Exception, id: str | None = None) -> None:
        """It cannot be used."""
        word = error.word if isinstance(error, InputError) else getattr(error, "error", "invalid")
        self._items.append(ItemOut(line=line, status="rejected", id=id, reason=word, problem=str(error)))

    def out(self) -> ItemsOut:
        """All of them, by line."""
        items = sorted(self._items, key=lambda item: item.line)
        accepted = sum(item.status == "accepted" for item in items)
        return ItemsOut(accepted=accepted, rejected=len(items) - accepted, items=items)


async def parsed_lines(
    request: KeyedRequest, kind: type[T], verdicts: Verdicts, *, max_bytes: int, max_lines: int
) -> list[Parsed[T]]:
    """The lines of a body that have the form of `kind`; the others get their verdict here.

    Raises:
        ApiError: 413, more than `max_lines` or `max_bytes`; nothing has been done with any of them.
        ApiError: 400, a CSV without header.
    """
    rows = _rows_of_csv if content_type(request) == CSV else _rows_of_json
    raw: list[tuple[int, bytes | TooLong]] = []
    number = 0
    async for line in lines(chunks(request, max_bytes), MAX_LINE_BYTES):
        number += 1
        if isinstance(line, TooLong) or line.strip():
            raw.append((number, line))
        if len(raw) > max_lines + 1:
            break
    found = rows(raw, kind, verdicts)
    if len(raw) - (rows is _rows_of_csv) > max_lines:
        raise ApiError(413, f"more than {max_lines} lines; nothing was taken. Send them in several requests")
    return found


def _rows_of_json(raw: Sequence[tuple[int, bytes | TooLong]], kind: type[T], verdicts: Verdicts) -> list[Parsed[T]]:
    decoder = msgspec.json.Decoder(kind)
    found: list[Parsed[T]] = []
    for number, line in raw:
        try:
            found.append(Parsed(number, decoder.decode(_short(line))))
        except msgspec.ValidationError as error:
            verdicts.reject(number, InputError(explained(error)))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            verdicts.reject(number, InputError(f"is not JSON: {error}", word="not_json"))
        except InputError as error:
            verdicts.reject(number, error)
    return found


def _rows_of_csv(raw: Sequence[tuple[int, bytes | TooLong]], kind: type[T], verdicts: Verdicts) -> list[Parsed[T]]:
    if not raw:
        return []
    try:
        titles = [title.strip().lower() for title in _cells(raw[0][1])]
    except InputError as error:
        raise ApiError(400, f"the header of the CSV {error}", error="not_csv") from error
    found: list[Parsed[T]] = []
    for number, line in raw[1:]:
        try:
            cells = _cells(line)
            if len(cells) > len(titles):
                raise InputError(f"has {len(cells)} cells, the header has {len(titles)}", word="too_many_columns")
            # What is empty is absent.
            given = {title: cell for title, cell in zip(titles, cells, strict=False) if cell}
            found.append(Parsed(number, msgspec.convert(given, kind, strict=False)))
        except msgspec.ValidationError as error:
            verdicts.reject(number, InputError(explained(error)))
        except InputError as error:
            verdicts.reject(number, error)
    return found


def _short(line: bytes | TooLong) -> bytes:
    if isinstance(line, TooLong):
        raise InputError(f"{line.size} bytes; one line may have at most {MAX_LINE_BYTES}", word="too_large")
    return line


def _cells(line: bytes | TooLong) -> list[str]:
    try:
        text = _short(line).decode("utf-8-sig").strip("\r\n")
        (cells,) = csv.reader([text], strict=True)
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", word="not_text") from error
    except (csv.Error, ValueError) as error:
        raise InputError("is not one row of CSV: a quote is not closed, or a cell has a line end") from error
    return [cell.strip() for cell in cells]

"""Lists from files: CSV and NDJSON, row by row, each to a contact or the reason why not.

Nothing of a list is lost in silence: every row that is not blank comes out either as a `Contact` or as a `RejectedRow`,
and a number that was left out of a contact with others as a `RejectedRow` that is `partial`. Nothing is held but what
finds duplicates (about 0.2 KB a row).
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final, Protocol

import msgspec

from dialer.core.contact import Contact
from dialer.core.contact_phone import PhoneTerms
from dialer.core.ids import CampaignId, ContactId, Phone, valid_contact_id
from dialer.errors import InputError
from dialer.intake.columns import Columns, read_header
from dialer.intake.lines import MAX_RAW, BadLine, Encoding, detect_encoding, read_lines
from dialer.intake.messages import read_contact
from dialer.intake.phones import PhoneReader
from dialer.intake.record import (
    MAX_PHONES,
    MAX_PRIORITY,
    NOT_A_MOMENT,
    RawPhone,
    Refusal,
    RejectReason,
    id_from_phone,
    moment,
    read_phones,
    read_phones_said,
    refused_for_phones,
    tidy,
    too_large,
    valid_timezone,
)

#: A cell may hold an address of some lines; a record of more is a quote that nobody closed.
MAX_RECORD_LINES: Final = 50
MAX_RECORD_CHARACTERS: Final = 64 * 1024
#: A record shorter than this cannot break the limits on names and data: they need not be looked at.
SMALL_RECORD: Final = 150
#: An id of so few characters is valid where they can be printed, which is quickly seen.
_SHORT: Final = 64
#: What nearly all cells of priorities hold.
_PRIORITIES: Final = {str(priority): priority for priority in range(-MAX_PRIORITY, MAX_PRIORITY + 1)}
#: Of what is said of a number, what must be a whole number, of which few digits are read.
_WHOLE: Final = ("order", "max_attempts")
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
#: What lists call the types of phones, besides their names.
_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("cell", "cellphone", "movil", "móvil", "celular"), "mobile"),
    **dict.fromkeys(("house", "landline", "casa", "fijo", "particular"), "home"),
    **dict.fromkeys(("office", "business", "trabajo", "oficina", "empresa"), "work"),
    **dict.fromkeys(("otro", "otros"), "other"),
}
_DELIMITERS: Final = (",", ";", "\t", "|")


class ListFormat(StrEnum):
    """How the rows of a file are written."""

    CSV = "csv"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """A row, or a number of it, that cannot be used."""

    #: As a spreadsheet counts: the first row of the file is 1.
    row: int
    reason: RejectReason
    #: For people: what is wrong and what to correct.
    message: str
    #: The row as it stood in the file, at most 500 characters.
    raw: str
    #: Only one of its numbers was left out; the contact was taken with the others.
    partial: bool = False


class KnownNumbers(Protocol):
    """Who has which number already (`dialer.intake.known_numbers.KnownNumbers`)."""

    def of_another(self, phone: str, contact: str) -> bool:
        """Whether contacts have the number, and `contact` is none of them."""


Row = Contact | RejectedRow


class ListReader:
    """One file, opened and understood, then read once.

    Args:
        source: seekable, at its beginning; stays open.
        campaign: whose contacts these become.
        phones: reads the numbers.
        form: None: found out.
        list_id: of the list that they come with.
        known: numbers that contacts have already; a row all of whose numbers belong to others is rejected.

    Raises:
        InputError: the file as a whole cannot be used; says what was found and what to do.
    """

    def __init__(
        self,
        source: BinaryIO,
        campaign: CampaignId,
        phones: PhoneReader,
        form: ListFormat | None = None,
        known: KnownNumbers | None = None,
        list_id: str | None = None,
    ) -> None:
        self.encoding: Encoding = detect_encoding(source)
        self._source = source
        self._campaign = campaign
        self._phones = phones
        self._known = known
        self._list = list_id
        self._lines = _Lines(read_lines(source, self.encoding))
        self._ids: dict[str, int] = {}
        self._numbers: dict[Phone, int] = {}
        #: Rows that came out so far, blank ones and the header included.
        self.rows_read = 0
        first = self._lines.first()
        self.form: ListFormat = form or (ListFormat.NDJSON if first.lstrip().startswith("{") else ListFormat.CSV)
        self.columns: Columns | None = None
        self.delimiter = ""
        if self.form is ListFormat.CSV:
            if first.lstrip().startswith("["):
                raise InputError(
                    "this is one JSON array; write one JSON object in each line (NDJSON), or CSV", code="list_array"
                )
            self.delimiter = self._find_delimiter(first)
            self.columns = self._read_columns()

    @property
    def bytes_read(self) -> int:
        """How far the file has been read (a block ahead of what came out); its size once it has ended."""
        return self._source.tell()

    def __iter__(self) -> Iterator[Row]:
        """Contacts and rejected rows, in the order of the file."""
        return self._csv_rows() if self.columns is not None else self._ndjson_rows()

    # ---- CSV

    def _find_delimiter(self, first: str) -> str:
        if first.casefold().startswith("sep=") and len(first) == 5:  # Excel's own way to say it
            self.rows_read += self._lines.skip()
            return first[4]
        parts = first.split('"')
        outside = "".join(parts[::2])
        return max(_DELIMITERS, key=outside.count)

    def _read_columns(self) -> Columns:
        for line in self._lines.records():
            self.rows_read += 1
            if isinstance(line, BadLine):
                raise InputError(
                    f"the row of column names cannot be read: {line.problem}", code="list_names", problem=line.problem
                )
            self._lines.give_back(line)
            try:
                record = next(csv.reader(self._lines, delimiter=self.delimiter))
            except (_RecordTooLongError, csv.Error) as error:
                problem = 'the row of column names cannot be read: a quote (") is opened and not closed'
                raise InputError(problem, code="list_quote") from error
            if any(cell.strip() for cell in record):
                return read_header(record, self._phones)
        raise InputError(
            "the file is empty; it must have a row of column names, then a row for each contact", code="list_empty"
        )

    def _csv_rows(self) -> Iterator[Row]:
        columns = self.columns
        assert columns is not None
        lines, delimiter, row_of = self._lines, self.delimiter, self._csv_row
        for line in lines.records():
            self.rows_read += 1
            if isinstance(line, BadLine):
                yield self._broken(line)
            elif '"' not in line:
                # What csv.reader makes of a line without quotes, at a third of the price.
                if line:
                    row = row_of(line.split(delimiter), columns, len(line))
                    if isinstance(row, Contact):
                        yield row
                    else:
                        yield from row
            else:
                lines.give_back(line)
                try:
                    record = next(csv.reader(lines, delimiter=delimiter))
                except (_RecordTooLongError, csv.Error):
                    # The quote that opened in the first line of this record closes nowhere near: that line is
                    # rejected, the others are read again as what they most likely are, rows of their own.
                    first = lines.give_back_all_but_first()
                    yield RejectedRow(
                        row=self.rows_read,
                        reason=RejectReason.UNCLOSED_QUOTE,
                        message='a quote (") is opened and not closed; double it ("") where it is part of the text',
                        raw=first[:MAX_RAW],
                    )
                else:
                    row = row_of(record, columns, sum(map(len, record)))
                    if isinstance(row, Contact):
                        yield row
                    else:
                        yield from row

    def _broken(self, line: BadLine) -> RejectedRow:
        reason = RejectReason.TOO_LARGE if line.too_long else RejectReason.NOT_TEXT
        return RejectedRow(row=self.rows_read, reason=reason, message=line.problem, raw=_clean(line.text))

    def _csv_row(self, record: list[str], columns: Columns, size: int) -> Contact | Sequence[Row]:
        row = self.rows_read
        if len(record) != columns.count:
            if len(record) > columns.count and any(cell.strip() for cell in record[columns.count :]):
                message = (
                    f"has {len(record)} cells, but there are {columns.count} columns; "
                    f"a cell that has a {self.delimiter!r} in it must stand in quotes"
                )
                return (RejectedRow(row=row, reason=RejectReason.TOO_MANY_COLUMNS, message=message, raw=self._raw()),)
            record += [""] * (columns.count - len(record))
        phones: tuple[Phone, ...] = ()
        refused: Sequence[Refusal] = ()
        certain = self._phones.certain
        terms: dict[Phone, PhoneTerms] = {}
        if columns.phone_details:
            phones, terms, refused = self._read_phones_said(record, columns)
        for place in columns.phones if not columns.phone_details else ():
            if cell := record[place]:
                phone = certain(cell)
                if phone is None:
                    phones, refused = self._read_phones(record, columns)
                    break
                if phone not in phones:
                    phones = (*phones, phone)
        contact_id = record[columns.id].strip() if columns.id is not None else ""
        if not phones:
            if not refused and not any(cell.strip() for cell in record):
                return ()  # a blank row, as spreadsheets leave them at the end
            refusal = refused_for_phones(refused, None)
            return (RejectedRow(row=row, reason=refusal.reason, message=refusal.problem, raw=self._raw()),)
        if not contact_id:
            contact_id = id_from_phone(phones[0])
        elif not (len(contact_id) <= _SHORT and contact_id.isprintable()) and not valid_contact_id(contact_id):
            message = "id must have 1 to 128 characters, none of them a control character"
            return (self._refused(row, RejectReason.INVALID_ID, message),)
        priority: int | None = 0
        if columns.priority is not None and (cell := record[columns.priority]):
            priority = _PRIORITIES.get(cell)
            if priority is None:
                priority = _priority(cell)
        contact = Contact(
            campaign=self._campaign,
            id=ContactId(contact_id),
            phones=phones,
            phone_terms=terms,
            name=_name(record, columns.name),
            priority=priority or 0,
            fields={title: cell for title, place in columns.fields if (cell := record[place])},
            list=self._list,
        )
        problem = None
        if columns.limited:
            contact, problem = _limited(contact, record, columns)
        if priority is None:
            message = f"priority must be a whole number between -{MAX_PRIORITY} and {MAX_PRIORITY}"
            problem = Refusal(RejectReason.INVALID_PRIORITY, message)
        elif problem is None and size > SMALL_RECORD:
            problem = too_large(contact)
        if problem is not None:
            return (self._refused(row, problem.reason, problem.problem),)
        return self._unless_duplicate(row, contact, refused)

    def _read_phones(self, record: list[str], columns: Columns) -> tuple[tuple[Phone, ...], list[Refusal]]:
        """As `read_phones`; where there is but one column, its cell may have several numbers in it."""
        texts = [record[place] for place in columns.phones]
        if len(texts) == 1 and self._phones.read(texts[0]).phone is None:
            texts = texts[0].replace("/", ";").replace("|", ";").split(";")[:MAX_PHONES]
        return read_phones(texts, self._phones)

    def _read_phones_said(
        self, record: list[str], columns: Columns
    ) -> tuple[tuple[Phone, ...], dict[Phone, PhoneTerms], list[Refusal]]:
        """As `read_phones_said`, from the columns of numbers and those that say something of them."""
        said: list[RawPhone] = []
        unread: list[Refusal] = []
        for number, place in enumerate(columns.phones, start=1):
            details = columns.phone_details.get(place, {})
            cells = {detail: record[at].strip() for detail, at in details.items() if record[at].strip()}
            wrong = [detail for detail in _WHOLE if detail in cells and not _WHOLE_NUMBER.fullmatch(cells[detail])]
            if wrong and record[place].strip():
                problem = f"phone {number} {wrong[0]} {cells[wrong[0]][:40]!r} is no whole number"
                unread.append(Refusal(RejectReason.INVALID_PHONE, problem))
            said.append(
                RawPhone(
                    number="" if wrong else record[place],
                    type=_TYPES.get(cells.get("type", "").casefold(), cells.get("type")),
                    order=int(cells["order"]) if "order" in cells and not wrong else None,
                    hours=cells["hours"].replace("|", ";").strip("; ").split(";") if "hours" in cells else None,
                    max_attempts=int(cells["max_attempts"]) if "max_attempts" in cells and not wrong else None,
                )
            )
        phones, terms, refused = read_phones_said(said, self._phones)
        return phones, terms, unread + refused

    # ---- NDJSON

    def _ndjson_rows(self) -> Iterator[Row]:
        for text in self._lines.records():
            self.rows_read += 1
            if isinstance(text, BadLine):
                yield self._broken(text)
            elif text.strip():
                try:
                    data = text.encode()
                except UnicodeEncodeError:
                    yield self._refused(self.rows_read, RejectReason.NOT_TEXT, "is not text")
                    continue
                made = read_contact(data, self._campaign, self._phones, default_id=True)
                if isinstance(made, Refusal):
                    yield self._refused(self.rows_read, made.reason, made.problem)
                    continue
                contact = msgspec.structs.replace(made[0], list=self._list)
                row = self._unless_duplicate(self.rows_read, contact, made[1])
                if isinstance(row, Contact):
                    yield row
                else:
                    yield from row

    # ---- both

    def _unless_duplicate(self, row: int, contact: Contact, left_out: Sequence[Refusal]) -> Contact | Sequence[Row]:
        known_numbers = self._known
        if known_numbers is not None and all(known_numbers.of_another(p, contact.id) for p in contact.phones):
            message = "another contact of the campaign has its number already, and the list refuses such rows"
            return (self._refused(row, RejectReason.DUPLICATE_PHONE, message),)
        # Numbers first: a list without ids has ids made of them.
        numbers, phones = self._numbers, contact.phones
        known = False
        for phone in phones:
            if numbers.setdefault(phone, row) != row:
                known = True
        new = tuple(phone for phone in phones if numbers[phone] == row) if known else phones
        if not new:
            message = f"its number is that of row {numbers[phones[0]]}"
            return (self._refused(row, RejectReason.DUPLICATE_PHONE, message),)
        earlier = self._ids.setdefault(contact.id, row)
        if earlier != row:
            for phone in new:
                del numbers[phone]
            return (self._refused(row, RejectReason.DUPLICATE_ID, f"its id is that of row {earlier}"),)
        if not left_out:
            return contact
        problems = "; ".join(refusal.problem for refusal in left_out)
        message = f"{problems}: left out; the contact was taken with its other numbers"
        return contact, RejectedRow(row=row, reason=left_out[0].reason, message=message, raw=self._raw(), partial=True)

    def _refused(self, row: int, reason: RejectReason, message: str) -> RejectedRow:
        return RejectedRow(row=row, reason=reason, message=message, raw=self._raw())

    def _raw(self) -> str:
        text = "\n".join(self._lines.record)
        # What is kept of a row must not bring back whom somebody wanted forgotten.
        return "" if self._phones.names_erased(text) else _clean(text)


def _clean(text: str) -> str:
    """The beginning of a raw row, with what could not be decoded made visible."""
    return text[:MAX_RAW].encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _limited(contact: Contact, record: list[str], columns: Columns) -> tuple[Contact, Refusal | None]:
    """`contact` with its time zone, its times and consent, which few lists have; and which of them is wrong."""
    timezone = record[columns.timezone].strip() if columns.timezone is not None else ""
    not_before = record[columns.not_before].strip() if columns.not_before is not None else ""
    expires = record[columns.expires].strip() if columns.expires is not None else ""
    contact = msgspec.structs.replace(
        contact,
        timezone=timezone or None,
        not_before_at=moment(not_before) if not_before else None,
        expires_at=moment(expires) if expires else None,
        consent={title: record[place] for title, place in columns.consent if record[place]},
    )
    problem = None
    if timezone and not valid_timezone(timezone):
        message = f"timezone {timezone[:40]!r} is no IANA zone such as Europe/Madrid"
        problem = Refusal(RejectReason.INVALID_TIMEZONE, message)
    elif not_before and contact.not_before_at is None:
        problem = Refusal(RejectReason.INVALID_TIME, f"not_before {NOT_A_MOMENT}")
    elif expires and contact.expires_at is None:
        problem = Refusal(RejectReason.INVALID_TIME, f"expires {NOT_A_MOMENT}")
    return contact, problem


def _name(record: list[str], places: tuple[int, ...]) -> str:
    if len(places) == 1:
        name = record[places[0]]
        return name.strip() if name.isprintable() and "  " not in name else tidy(name)
    return tidy(" ".join([record[place] for place in places]))


def _priority(cell: str) -> int | None:
    """The priority, 0 where the cell is empty, None where it is no priority."""
    text = cell.strip()
    if not text:
        return 0
    try:
        number = int(text) if len(text) < 10 else MAX_PRIORITY + 1
    except ValueError:
        return None
    return number if abs(number) <= MAX_PRIORITY else None


class _RecordTooLongError(Exception):
    """A record takes more lines, or characters, than any contact."""


class _Lines:
    """Lines, which remembers those of the present record and can take them back; an iterator for csv.reader."""

    def __init__(self, lines: Iterator[str | BadLine]) -> None:
        self._lines = lines
        self._returned: deque[str | BadLine] = deque()
        #: The lines of the present record.
        self.record: list[str] = []
        self._size = 0

    def first(self) -> str:
        """The first line that is not blank, without taking it; blank ones before it are given out all the same."""
        for line in self._lines:
            self._returned.append(line)
            if isinstance(line, BadLine):
                return ""
            if line.strip():
                return line.strip()
            if len(self._returned) > 1_000:
                break
        return ""

    def skip(self) -> int:
        """Leave out the first line that is not blank, and those before it; how many that were."""
        skipped = 0
        while self._returned:
            line = self._returned.popleft()
            skipped += 1
            if isinstance(line, BadLine) or line.strip():
                break
        return skipped

    def records(self) -> Iterator[str | BadLine]:
        """Lines that each begin a record; csv.reader takes further ones of it, which are left out here."""
        returned = self._returned
        while True:
            while returned:
                line = returned.popleft()
                self.record = [line] if isinstance(line, str) else []
                yield line
            for line in self._lines:
                self.record = [line] if isinstance(line, str) else []
                yield line
                if returned:
                    break
            else:
                return

    def give_back(self, line: str) -> None:
        """Undo the record, of which `line` is all that was taken."""
        self._returned.appendleft(line)
        self.record = []
        self._size = 0

    def give_back_all_but_first(self) -> str:
        """Undo the record but for its first line, which is given."""
        first, *others = self.record
        # Before a line that is waiting already: it came after these.
        self._returned.extendleft(reversed(others))
        return first

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines, None)
        record = self.record
        if isinstance(line, str):
            record.append(line)
            self._size += len(line)
            if self._size > MAX_RECORD_CHARACTERS or len(record) > MAX_RECORD_LINES:
                raise _RecordTooLongError
            return line + "\n"
        if line is None:
            if record:  # csv.reader wants more of a record: it is inside quotes
                raise _RecordTooLongError
            raise StopIteration
        if record:
            # Whatever was quoted, it ends before a line that cannot be used.
            self._returned.appendleft(line)
        raise _RecordTooLongError

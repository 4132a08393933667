"""The ways in for contacts: pushed one by one, uploaded as lists, with a segment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dialer.core.ids import CampaignId, ContactId
from dialer.core.list_terms import NO_TERMS, ListTerms
from dialer.core.saying import NOTHING, Saying
from dialer.intake.segments import Segment, Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactVerdict:
    """What became of one contact."""

    #: accepted or rejected.
    status: str
    id: ContactId | None
    #: For machines: added, updated, removed, finished, do_not_call, invalid_phone, ….
    reason: str
    #: For people, where there is something to correct.
    problem: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the contact was taken."""
        return self.status == "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListImport:
    """An uploaded list and how far its import has come."""

    id: str
    campaign: CampaignId
    name: str
    #: waiting, running, done or failed.
    state: str
    read: int
    accepted: int
    rejected: int
    #: Rejected rows by reason.
    reasons: Mapping[str, int]
    #: Why it failed, in words that say what to do; nothing otherwise.
    error: Saying
    started_at: float
    finished_at: float | None
    terms: ListTerms = NO_TERMS


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One row of a list that cannot be used."""

    #: As a person counts them in the file, the header being row 1.
    row: int
    code: str
    message: str
    #: The row as it stood in the file.
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCheck:
    """The latest look through the contacts of a list."""

    #: running, done or failed.
    state: str
    started_at: float
    finished_at: float | None
    #: Contacts whose data came last with the list, and their numbers.
    contacts: int = 0
    numbers: int = 0
    #: Numbers by sort of line, by the time zones that they may be in, and by the jurisdictions that count.
    types: Mapping[str, int] = field(default_factory=dict)
    zones: Mapping[str, int] = field(default_factory=dict)
    jurisdictions: Mapping[str, int] = field(default_factory=dict)
    #: Warnings by kind.
    warnings: Mapping[str, int] = field(default_factory=dict)
    contacts_with_warnings: int = 0
    #: Warnings that can be downloaded one by one.
    listed: int = 0
    #: Why it failed, in words that say what to do; nothing otherwise.
    error: Saying = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactWarning:
    """What there is to know about one number of one contact that was accepted."""

    contact: str
    phone: str
    kind: str
    message: str


class ContactIntake(Protocol):
    """The way in for contacts."""

    async def offer(self, campaign: CampaignId, rows: Sequence[bytes]) -> Sequence[ContactVerdict]:
        """Take contacts, each the JSON of one contact of ``cadencia:contacts``; one verdict each, in their order.

        At most 1,000 at once. What was accepted is in the record and in the hopper when this returns.
        """

    def upload_folder(self) -> Path:
        """Where an upload is written; a folder that exists, and which workers can read."""

    async def start_list(
        self,
        campaign: CampaignId,
        path: Path,
        name: str,
        *,
        refuse_duplicates: bool = False,
        terms: ListTerms = NO_TERMS,
    ) -> ListImport:
        """Begin to import an uploaded CSV file, which is the importer's from now on; its contacts have `terms`.

        With `refuse_duplicates` rows are rejected all of whose numbers other contacts of the campaign have.
        """

    async def note_broken_upload(self, campaign: CampaignId, name: str, size: int) -> None:
        """Put on record that an upload broke off after `size` bytes, and that nothing of it was loaded."""

    async def list_import(self, id: str) -> ListImport | None:
        """One list."""

    async def list_imports(
        self, campaign: CampaignId | None, before: tuple[float, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[ListImport]:
        """Lists, newest first by (started_at, id), those older than `before`; of one tenant or of all."""

    def rejected(self, id: str) -> AsyncIterator[RejectedRow]:
        """The rejected rows of a list, in their order."""

    async def check_list(self, id: str) -> None:
        """Have the contacts of a list looked through anew, in the background."""

    async def list_check(self, id: str) -> ListCheck | None:
        """The latest look through a list; None: nobody has looked yet."""

    def warnings(self, id: str) -> AsyncIterator[ContactWarning]:
        """What it found, by contact."""


class Segments(Protocol):
    """The way in for segments (`dialer.intake.segments.SegmentDesk`)."""

    async def take(self, segment: Segment) -> Taken:
        """Make the campaign, load its contacts, start it. Can be repeated.

        Raises:
            InputError: the segment cannot be used.
        """

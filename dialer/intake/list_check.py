"""Looking through the contacts of a list, after it has been loaded: three passes over the record, none in its way.

There is no index by number, since every import would pay for it. Instead the numbers of the list are put into one
sorted array (8 bytes each), then the whole record is read once, page by page, for others who have one of them, then
the contacts of the list once more with what was found. Memory grows by about 0.3 KB for each number that somebody else
has too; the record is read in pages of some thousand, each a transaction of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dialer.core.ids import CampaignId
from dialer.core.saying import NOTHING, Saying, of_error, unforeseen
from dialer.errors import DialerError, InputError, RetryableError
from dialer.intake.phones import PhoneReader
from dialer.intake.quality import MAX_HOLDERS, Holder, Number, Warned, WarningKind, warnings_of
from dialer.intake.standing import Law, Standing
from dialer.storage.contact_scan import ScannedContact
from dialer.storage.list_checks import CheckCounts, CheckState, StoredWarning
from dialer.storage.lists import ContactList

#: Warnings of one kind that are kept one by one; all are counted.
MAX_LISTED: Final = 100_000
#: Calls of a number that all found that it does not exist, before it is told: as many, or all that there were.
STALE_CALLS: Final = 3
_Numbers = NDArray[np.uint64]


class Contacts(Protocol):
    """The record of contacts (`dialer.storage.contact_scan.ContactScan`)."""

    def all(self) -> AsyncIterator[list[ScannedContact]]:
        """Every contact."""

    def of_list(self, campaign: CampaignId, list_id: str) -> AsyncIterator[list[ScannedContact]]:
        """The contacts of one list."""

    async def invalid_in_a_row(self, numbers: Sequence[int], most: int) -> dict[int, int]:
        """How many of the last calls of each number all found that it does not exist."""


class Lists(Protocol):
    """The record of imports (`dialer.storage.lists.Lists`)."""

    async def get(self, list_id: str) -> ContactList | None:
        """One import."""


class Checks(Protocol):
    """Where what was found is kept (`dialer.storage.list_checks.ListChecks`)."""

    async def start(self, list_id: str, *, now: float) -> None:
        """Begin anew."""

    async def add(self, list_id: str, warnings: Sequence[StoredWarning]) -> None:
        """Keep warnings."""

    async def finish(
        self, list_id: str, state: CheckState, counts: CheckCounts, *, now: float, error: Saying = NOTHING
    ) -> None:
        """Note how it ended."""


class ListChecker:
    """Looks through lists.

    Args:
        contacts: the record of contacts.
        lists: the record of imports.
        checks: where what is found is kept.
        phones: tells the sort of a line.
        now: the clock.
        max_listed: warnings of one kind that are kept one by one.
    """

    def __init__(
        self,
        contacts: Contacts,
        lists: Lists,
        checks: Checks,
        phones: PhoneReader,
        now: Callable[[], float],
        *,
        max_listed: int = MAX_LISTED,
    ) -> None:
        self._contacts = contacts
        self._lists = lists
        self._checks = checks
        self._phones = phones
        self._now = now
        self._max_listed = max_listed

    async def check(self, list_id: str, law: Law | None, *, tried_again: bool = False) -> CheckCounts:
        """Look through one list; what was found before is replaced.

        Args:
            list_id: of the list.
            law: that of its campaign; None: nobody asks for zones and consent.
            tried_again: whether the same is done again where the database fails: it has not failed then.

        Raises:
            InputError: there is no such list.
            StorageError: the database is out of reach; do it again.
        """
        found = await self._lists.get(list_id)
        if found is None:
            raise InputError(f"there is no list {list_id[:80]!r}")
        await self._checks.start(list_id, now=self._now())
        try:
            counts = await self._look(found, law)
        except Exception as error:
            if not (isinstance(error, RetryableError) and tried_again):
                problem = of_error(error) if isinstance(error, DialerError) else unforeseen(error)
                await self._checks.finish(list_id, CheckState.FAILED, CheckCounts(), now=self._now(), error=problem)
            raise
        await self._checks.finish(list_id, CheckState.DONE, counts, now=self._now())
        return counts

    async def _look(self, found: ContactList, law: Law | None) -> CheckCounts:
        own, repeated = await self._own_numbers(found)
        holders = await self._holders(found, own, repeated)
        tally = _Tally()
        listed: Counter[WarningKind] = Counter()
        async for page in self._contacts.of_list(found.campaign, found.id):
            stale = await self._contacts.invalid_in_a_row([n for one in page for n in one.numbers], STALE_CALLS)
            kept: list[StoredWarning] = []
            for contact in page:
                numbers = [self._number(contact, number, holders, stale, law) for number in contact.numbers]
                himself = Holder(contact.campaign, contact.id, contact.list, contact.name)
                warned = list(warnings_of(himself, numbers))
                tally.add(numbers, warned)
                for one in warned:
                    if listed[one.kind] < self._max_listed:
                        listed[one.kind] += 1
                        kept.append(
                            StoredWarning(
                                contact=one.contact, phone=one.phone, kind=one.kind.value, message=one.message
                            )
                        )
            await self._checks.add(found.id, kept)
        return tally.counts(listed.total())

    async def _own_numbers(self, found: ContactList) -> tuple[_Numbers, _Numbers]:
        """The numbers of the list, sorted, and those of them that it has more than once."""
        parts = [
            np.array([n for one in page for n in one.numbers], dtype=np.uint64)
            async for page in self._contacts.of_list(found.campaign, found.id)
        ]
        every = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
        own, times = np.unique(every, return_counts=True)
        return own, own[times > 1]

    async def _holders(self, found: ContactList, own: _Numbers, repeated: _Numbers) -> dict[int, list[Holder]]:
        """By number: who has it besides the contacts of the list that have it alone."""
        holders: dict[int, list[Holder]] = {}
        if not own.size:
            return holders
        async for page in self._contacts.all():
            flat = np.array([n for one in page for n in one.numbers], dtype=np.uint64)
            owners = np.repeat(np.arange(len(page)), [len(one.numbers) for one in page])
            shared = _among(flat, own)
            mine = np.array([one.list == found.id and one.campaign == found.campaign for one in page])
            # Those of the list are all among its numbers: of them only repeated ones say anything.
            shared &= ~mine[owners] | _among(flat, repeated)
            for place in np.flatnonzero(shared).tolist():
                one = page[owners[place]]
                several = holders.setdefault(int(flat[place]), [])
                if len(several) < MAX_HOLDERS:
                    several.append(Holder(one.campaign, one.id, one.list, one.name))
        return holders

    def _number(
        self,
        contact: ScannedContact,
        number: int,
        holders: dict[int, list[Holder]],
        stale: dict[int, int],
        law: Law | None,
    ) -> Number:
        phone = f"+{number}"
        standing: Standing | None = None
        if law is not None:
            standing = law.standing(
                contact.id,
                phone,
                timezone=contact.timezone,
                consent=contact.consent,
                fields=contact.fields,
                now=self._now(),
            )
        kind = self._phones.read(phone).kind
        return Number(phone, kind, holders.get(number, ()), stale.get(number, 0), standing)


class _Tally:
    """Counts of one look."""

    def __init__(self) -> None:
        self._contacts = 0
        self._numbers = 0
        self._warned = 0
        self._types: Counter[str] = Counter()
        self._zones: Counter[tuple[str, ...]] = Counter()
        self._jurisdictions: Counter[tuple[str, ...]] = Counter()
        self._kinds: Counter[str] = Counter()

    def add(self, numbers: Sequence[Number], warned: Sequence[Warned]) -> None:
        """One contact."""
        self._contacts += 1
        self._numbers += len(numbers)
        self._warned += bool(warned)
        for number in numbers:
            self._types[number.kind.value] += 1
            if number.standing is not None:
                self._zones[number.standing.zones] += 1
                self._jurisdictions[number.standing.jurisdictions] += 1
        for one in warned:
            self._kinds[one.kind.value] += 1

    def counts(self, listed: int) -> CheckCounts:
        """All of them."""
        return CheckCounts(
            contacts=self._contacts,
            numbers=self._numbers,
            types=dict(self._types.most_common()),
            zones={", ".join(zones) or "unknown": count for zones, count in self._zones.most_common()},
            jurisdictions={", ".join(ids) or "unknown": count for ids, count in self._jurisdictions.most_common()},
            warnings=dict(self._kinds.most_common()),
            contacts_with_warnings=self._warned,
            listed=listed,
        )


def _among(numbers: _Numbers, known: _Numbers) -> NDArray[np.bool_]:
    """Which of `numbers` are in the sorted array `known`."""
    if not known.size:
        return np.zeros(len(numbers), dtype=np.bool_)
    places = np.searchsorted(known, numbers)
    found: NDArray[np.bool_] = known[np.minimum(places, known.size - 1)] == numbers
    return found

"""Who has which number already, for lists that refuse numbers of others: 16 bytes each, in a file that is mapped.

The importer gathers them from the record before the list is read; the process that reads the list looks them up.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dialer.core.ids import CampaignId

if TYPE_CHECKING:
    from dialer.storage.contact_scan import ScannedContact

_COLUMNS: Final = 2


class NumberStore(Protocol):
    """Who has which number (`dialer.storage.contact_scan.ContactScan`)."""

    def of_campaign(self, campaign: CampaignId) -> AsyncIterator[list[ScannedContact]]:
        """Every contact of a campaign."""


class KnownNumbers:
    """Numbers and their owners, sorted by number; an owner is a digest of the contact's id."""

    def __init__(self, numbers: NDArray[np.uint64], owners: NDArray[np.uint64]) -> None:
        self._numbers = numbers
        self._owners = owners

    @classmethod
    def load(cls, path: Path) -> KnownNumbers:
        """Those of a file that `gather` wrote."""
        both = np.load(path, mmap_mode="r")
        return cls(both[0], both[1])

    def of_another(self, phone: str, contact: str) -> bool:
        """Whether contacts have the number, and `contact` is none of them."""
        number = np.uint64(phone[1:])
        begin = int(np.searchsorted(self._numbers, number, side="left"))
        end = int(np.searchsorted(self._numbers, number, side="right"))
        return begin < end and owner_of(contact) not in self._owners[begin:end]


async def gather(numbers: NumberStore, campaign: CampaignId, path: Path) -> int:
    """Write the numbers of all contacts of a campaign to `path`; how many.

    Raises:
        StorageError: the database is out of reach.
        OSError: the file cannot be written.
    """
    parts = [np.zeros((_COLUMNS, 0), dtype=np.uint64)]
    async for page in numbers.of_campaign(campaign):
        found = [(number, owner_of(one.id)) for one in page for number in one.numbers]
        parts.append(np.array(found, dtype=np.uint64).reshape(-1, _COLUMNS).T)
    both = np.concatenate(parts, axis=1)
    np.save(path, both[:, np.argsort(both[0], kind="stable")])
    return int(both.shape[1])


def owner_of(contact: str) -> np.uint64:
    """A digest of a contact's id: of a million in a campaign two are alike once in 40 million campaigns."""
    digest = hashlib.blake2b(contact.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest))

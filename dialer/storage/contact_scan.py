"""Reading contacts by the hundred thousand without holding up anybody: in pages of their key, each a transaction."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text

from dialer.core.ids import CampaignId
from dialer.storage.database import Database
from dialer.storage.text import from_json, to_json

_PAGE: Final = 5_000
_DIGITS: Final = re.compile(r"[0-9]+")
_SCAN: Final = (
    "SELECT campaign, id, list, name, CAST(phones AS text) AS phones{more} FROM contacts"
    " WHERE {campaign}(campaign, id) > (:campaign, :id) ORDER BY campaign, id LIMIT :limit"
)
_MORE: Final = ", timezone, CAST(consent AS text) AS consent, CAST(fields AS text) AS fields"


@dataclass(frozen=True, slots=True)
class ScannedContact:
    """What a look through the contacts tells of one; numbers in E.164 without plus, so that they are small integers."""

    campaign: str
    id: str
    list: str | None
    name: str
    numbers: tuple[int, ...]
    timezone: str | None = None
    consent: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)


class ContactScan:
    """All contacts of a database, page by page in the order of their key.

    What is changed meanwhile is seen or not, but no contact twice.
    """

    def __init__(self, database: Database, page: int = _PAGE) -> None:
        self._database = database
        self._page = page

    async def all(self) -> AsyncIterator[list[ScannedContact]]:
        """Every contact, without time zone, consent and fields.

        Raises:
            StorageError: out of reach.
        """
        statement = _SCAN.format(more="", campaign="")
        async for rows in self._pages(statement, ""):
            yield [ScannedContact(row[0], row[1], row[2], row[3], _numbers(row[4])) for row in rows]

    async def of_campaign(self, campaign: CampaignId) -> AsyncIterator[list[ScannedContact]]:
        """Every contact of one campaign, without time zone, consent and fields.

        Raises:
            StorageError: out of reach.
        """
        statement = _SCAN.format(more="", campaign="campaign = :campaign AND ")
        async for rows in self._pages(statement, campaign):
            yield [ScannedContact(row[0], row[1], row[2], row[3], _numbers(row[4])) for row in rows]

    async def of_list(self, campaign: CampaignId, list_id: str) -> AsyncIterator[list[ScannedContact]]:
        """The contacts whose data came last with one list; reads the whole campaign.

        Raises:
            StorageError: out of reach.
        """
        statement = _SCAN.format(more=_MORE, campaign="campaign = :campaign AND ")
        async for rows in self._pages(statement, campaign):
            yield [
                ScannedContact(
                    row[0], row[1], row[2], row[3], _numbers(row[4]), row[5], _data(row[6]), self._fields(row[7])
                )
                for row in rows
                if row[2] == list_id
            ]

    def _fields(self, data: str) -> Mapping[str, object]:
        found = self._database.load_json(data) if data != "{}" else {}
        return found if isinstance(found, dict) else {}

    async def _pages(self, statement: str, campaign: str) -> AsyncIterator[Sequence[Sequence[str]]]:
        key = (campaign, "")
        while True:
            values = {"campaign": key[0], "id": key[1], "limit": self._page}
            async with self._database.read() as connection:
                rows = (await connection.execute(text(statement), values)).all()
            if rows:
                yield rows
            if len(rows) < self._page:
                return
            key = (rows[-1][0], rows[-1][1])

    async def invalid_in_a_row(self, numbers: Sequence[int], most: int) -> dict[int, int]:
        """How many of the last calls of each number, at most so many looked at, all found that it does not exist.

        Numbers of which some of them found something else, or that were never called, are left out.

        Raises:
            StorageError: out of reach.
        """
        phones = [f"+{number}" for number in numbers]
        if self._database.dialect == "sqlite":
            among, values = "IN (SELECT value FROM json_each(:phones))", {"phones": to_json(phones)}
        else:
            among, values = "= ANY (CAST(:phones AS text[]))", {"phones": phones}  # type: ignore[dict-item]
        # Few numbers ever were invalid: only their other calls are looked at. The names are our own, values parameters.
        suspects = f"SELECT DISTINCT phone FROM attempts WHERE phone {among} AND outcome = 'invalid'"  # noqa: S608
        latest = (
            "SELECT phone, outcome FROM (SELECT phone, outcome, row_number() OVER"  # noqa: S608
            " (PARTITION BY phone ORDER BY ended_at DESC, call) AS place FROM attempts"
            f" WHERE phone IN ({suspects})) AS numbered WHERE place <= :most"
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(text(latest), {**values, "most": most})).all()
        alive = {row[0] for row in rows if row[1] != "invalid"}
        counts: dict[int, int] = {}
        for phone, _ in rows:
            if phone not in alive:
                counts[int(phone[1:])] = counts.get(int(phone[1:]), 0) + 1
        return counts


def _numbers(phones: str) -> tuple[int, ...]:
    # As `contact_rows` writes them: ["+34600111222","+34910000017"].
    return tuple(map(int, _DIGITS.findall(phones)))


def _data(data: str) -> Mapping[str, object]:
    found: object = from_json(data) if data != "{}" else {}
    return found if isinstance(found, dict) else {}

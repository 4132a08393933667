"""A filter tried out on the record: how many of a campaign's contacts it lets through, without changing anything."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import text

from dialer.core.contact_filter import ContactFilter, FilterCount, value_of
from dialer.core.ids import CampaignId
from dialer.storage.contacts import ContactState
from dialer.storage.database import Database
from dialer.storage.text import from_json

_PAGE: Final = 5_000
_SCAN: Final = (
    "SELECT id, list, attempts, CAST(fields AS text) AS fields FROM contacts"
    " WHERE campaign = :campaign AND id > :after AND state = :state ORDER BY campaign, id LIMIT :limit"
)


class FilterCounts:
    """Counts on one database, in pages, each a transaction of its own."""

    def __init__(self, database: Database, page: int = _PAGE) -> None:
        self._database = database
        self._page = page

    async def count(self, campaign: CampaignId, wanted: ContactFilter | None, list_id: str | None) -> FilterCount:
        """See `dialer.api.filter_ports.FilterTrials`."""
        contacts, passing, without, after = 0, 0, Counter[str](), ""
        values: dict[str, Any] = {"campaign": campaign, "state": ContactState.WAITING.value, "limit": self._page}
        while True:
            async with self._database.read() as connection:
                rows = (await connection.execute(text(_SCAN), {**values, "after": after})).all()
            mine = [(row.attempts, row.fields) for row in rows if list_id is None or row.list == list_id]
            contacts += len(mine)
            # Reading a million contacts takes seconds, which must not be the event loop's.
            passed, lacking = await asyncio.to_thread(_judge, wanted, mine)
            passing += passed
            without += lacking
            if len(rows) < self._page:
                return FilterCount(contacts=contacts, passing=passing, without=dict(sorted(without.items())))
            after = rows[-1].id


def _judge(wanted: ContactFilter | None, rows: Sequence[tuple[int, str]]) -> tuple[int, Counter[str]]:
    """How many pass, and how many lack each field that is asked for."""
    if wanted is None:
        return len(rows), Counter()
    passed, lacking = 0, Counter[str]()
    for attempts, data in rows:
        found: object = from_json(data) if data != "{}" else {}
        fields: Mapping[str, object] = found if isinstance(found, dict) else {}
        passed += wanted.passes(fields, attempts)
        lacking.update(name for name in wanted.names if value_of(fields, name) is None)
    return passed, lacking

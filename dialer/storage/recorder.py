"""Removals and do-not-call entries from their streams into SQL, so that a lost Redis can be rebuilt.

The gate does not wait for this: it reads the same streams by itself. Each recorder is a consumer (group ``record``)
of the very entries that a CRM wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

from dialer.errors import InputError
from dialer.storage.do_not_call import DoNotCall, DoNotCallList
from dialer.storage.messages import parse_do_not_call, parse_removal
from dialer.storage.removals import Removal, Removals
from dialer.storage.set_aside import SetAside
from dialer.storage.stream_consumer import Entry, StreamConsumer


class RemovalRecorder(StreamConsumer):
    """Keeps removals."""

    stream = "removals"

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        aside: list[SetAside] = []
        batch: list[Removal] = []
        for entry, data in entries:
            try:
                batch += parse_removal(entry, data)
            except InputError as error:
                aside.append(self._aside(entry, data, str(error)))
        await Removals(self._database).add(batch)
        return aside


class DoNotCallRecorder(StreamConsumer):
    """Keeps do-not-call entries."""

    stream = "dnc"

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        aside: list[SetAside] = []
        batch: list[DoNotCall] = []
        for entry, data in entries:
            try:
                batch.append(parse_do_not_call(entry, data))
            except InputError as error:
                aside.append(self._aside(entry, data, str(error)))
        await DoNotCallList(self._database).put(batch)
        return aside

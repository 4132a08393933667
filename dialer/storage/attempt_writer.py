"""Ended attempts from the journal (the stream ``attempts``) into SQL, together with what they mean for their contacts."""

from __future__ import annotations

from collections.abc import Sequence

from dialer.errors import InputError
from dialer.storage.attempts import Attempts
from dialer.storage.journal import decode_attempt
from dialer.storage.set_aside import SetAside
from dialer.storage.stream_consumer import Entry, StreamConsumer


class AttemptWriter(StreamConsumer):
    """Writes attempts in batches, each attempt once."""

    stream = "attempts"

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        aside = []
        batch = []
        for entry, data in entries:
            try:
                batch.append(decode_attempt(data))
            except InputError as error:
                aside.append(self._aside(entry, data, str(error)))
        await Attempts(self._database).record(batch)
        return aside

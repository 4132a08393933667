"""Ended attempts from the journal (the stream ``attempts``) into SQL, and what they mean for their contacts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dialer.core.attempt import Attempt
from dialer.core.ids import ContactId, Phone
from dialer.errors import InputError
from dialer.queues.journal import JournalEntry, decode_entry
from dialer.storage.attempts import Attempts
from dialer.storage.gate_marks import GateMarks
from dialer.storage.promises import Promises
from dialer.storage.recorder import nobody
from dialer.storage.set_aside import SetAside
from dialer.storage.stream_consumer import Entry, StreamConsumer


class AttemptWriter(StreamConsumer):
    """Writes attempts in batches, each attempt once, and the highest fencing token seen."""

    stream = "attempts"
    #: Under which name (the key prefix of the queues) the token is kept; see `dialer.storage.gate_marks`.
    gate = "cadencia:"
    #: Whose number was erased: what became of the call is kept, and not whom it was made to.
    erased: Callable[[str], bool] = staticmethod(nobody)

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        aside: list[SetAside] = []
        batch: list[JournalEntry] = []
        for entry, data in entries:
            try:
                batch.append(decode_entry(data))
            except (InputError, RecursionError) as error:
                aside.append(self._aside(entry, data, str(error)))
        if batch:
            # The token first: a permit must never seem newer than the record knows.
            await GateMarks(self._database).raise_token(self.gate, max(e.fencing_token for e in batch), self._now())
            made = [(entry.attempt, entry.retry_at) for entry in batch]
            await Attempts(self._database).record(
                [(nameless(attempt) if self.erased(attempt.phone) else attempt, retry_at) for attempt, retry_at in made]
            )
            await Promises(self._database).settle(batch)
        return aside


def nameless(attempt: Attempt) -> Attempt:
    """The attempt without the person."""
    return replace(attempt, phone=Phone(""), contact=ContactId(""))

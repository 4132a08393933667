"""Calls that were not made, from the journal (the stream ``refusals``) into the chain of evidence."""

from __future__ import annotations

from collections.abc import Sequence

from dialer.compliance.evidence import Evidence
from dialer.errors import InputError
from dialer.queues.journal import decode_refusal
from dialer.storage.attempt_evidence import refusal_evidence
from dialer.storage.evidence import EvidenceStore
from dialer.storage.set_aside import SetAside
from dialer.storage.stream_consumer import Entry, StreamConsumer


class RefusalWriter(StreamConsumer):
    """Writes refusals in batches, each once: its entry in the stream is its name."""

    stream = "refusals"

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        aside: list[SetAside] = []
        batch: list[Evidence] = []
        for entry, data in entries:
            try:
                batch.append(refusal_evidence(decode_refusal(data), entry))
            except (InputError, RecursionError) as error:
                aside.append(self._aside(entry, data, str(error)))
        await EvidenceStore(self._database).append(batch)
        return aside

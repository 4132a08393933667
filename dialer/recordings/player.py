"""Sound out of the store, from any place on, whether it is sealed there or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from dialer.core.kept_recording import StoredRecording
from dialer.recordings.sealing import CHUNK_BYTES, HEADER_BYTES, Opener, place_of_chunk
from dialer.recordings.store import RecordingStore

_PIECE_BYTES: Final = 4 * CHUNK_BYTES


async def play(
    store: RecordingStore, recording: StoredRecording, keys: Sequence[bytes], begin: int, end: int
) -> AsyncIterator[bytes]:
    """The bytes from `begin` up to but without `end` of the sound as it was recorded, piece by piece.

    Raises:
        StoreError: the store is out of reach, or has lost the file.
        InputError: the file was changed, or sealed with another key.
    """
    assert recording.place is not None, "what is not in the store cannot be played"
    total = recording.bytes or 0
    end = min(end, total)
    if not recording.encrypted:
        while begin < end:
            stop = min(begin + _PIECE_BYTES, end)
            yield await store.read(recording.place, begin, stop)
            begin = stop
        return
    opener = Opener(await store.read(recording.place, 0, HEADER_BYTES), keys, recording.id, total)
    while begin < end:
        number = begin // CHUNK_BYTES
        chunk = opener.open(number, await store.read(recording.place, *place_of_chunk(number, total)))
        first = number * CHUNK_BYTES
        yield chunk[begin - first : end - first]
        begin = first + CHUNK_BYTES

"""Ended attempts as JSON, on their way through the stream ``attempts`` into SQL; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from dialer.core.attempt import Attempt
from dialer.errors import InputError
from dialer.queues.encoding import to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What the record needs to know of an attempt that has ended; `attempt.call` is unique."""

    attempt: Attempt
    #: Unix seconds of the next attempt; None: this contact is done.
    retry_at: float | None
    fencing_token: int


_DECODER: Final = msgspec.json.Decoder(JournalEntry)


def encode_entry(entry: JournalEntry) -> bytes:
    """The entry as JSON; `decode_entry` gives back an equal one, but for lone surrogates (see `to_json`)."""
    return to_json(entry)


def decode_entry(data: bytes) -> JournalEntry:
    """The entry that `data` holds.

    Raises:
        InputError: it holds none; the text says what is wrong with it.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a journal entry of an attempt: {error}") from error

"""Ended attempts and refusals as JSON, on their way through ``attempts`` and ``refusals`` into SQL; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.errors import InputError
from dialer.queues.encoding import to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What the record needs to know of an attempt that has ended; `attempt.call` is unique."""

    attempt: Attempt
    #: Unix seconds of the next attempt; None: this contact is done.
    retry_at: float | None
    fencing_token: int
    #: The next attempt is made with an agent reserved for it.
    needs_agent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalEntry:
    """A call that was not made, and why."""

    #: Unix seconds of the refusal.
    at: float
    #: Of the reservation that was given up; empty where the gate itself refused, which reserves nothing.
    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    reason: str
    #: What was asked and what it said, as JSON values.
    evidence: Mapping[str, object]


_DECODER: Final = msgspec.json.Decoder(JournalEntry)
_REFUSALS: Final = msgspec.json.Decoder(RefusalEntry)


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


def encode_refusal(refusal: RefusalEntry) -> bytes:
    """The refusal as JSON; `decode_refusal` gives back an equal one, but for lone surrogates (see `to_json`)."""
    return to_json(refusal)


def decode_refusal(data: bytes) -> RefusalEntry:
    """The refusal that `data` holds.

    Raises:
        InputError: it holds none; the text says what is wrong with it.
    """
    try:
        return _REFUSALS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not an entry of a refusal: {error}") from error

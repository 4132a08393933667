"""The journal of ended attempts: how one entry is written, and how it is read back until it is in SQL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from dialer.core.attempt import Attempt
from dialer.errors import InputError
from dialer.storage.text import to_json


class _Entry(msgspec.Struct, frozen=True):
    attempt: Attempt
    retry_at: float | None = None


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Entry)


class JournalReader(Protocol):
    """One consumer of a stream whose entries are kept until they have been acknowledged."""

    async def read(self, count: int, wait_s: float) -> Sequence[tuple[str, bytes]]:
        """Up to `count` entries as (entry id, data), in order; empty after `wait_s` without any.

        The first reads after the start give those that this consumer, before it was killed, had been given and never
        acknowledged. Data is empty where an entry has no field ``data``.

        Raises:
            QueueError: out of reach.
        """

    async def ack(self, ids: Sequence[str]) -> None:
        """Never give these again; repeating it is harmless.

        Raises:
            QueueError: out of reach.
        """


def encode_attempt(attempt: Attempt, retry_at: float | None) -> bytes:
    """One journal entry.

    Args:
        attempt: the attempt that ended.
        retry_at: unix seconds of the next attempt at this contact; None: it is not called again.

    Raises:
        ValueError: a moment is infinite or not a number, which JSON cannot say.
    """
    for moment in (attempt.started_at, attempt.ended_at, retry_at):
        if moment is not None and not math.isfinite(moment):
            raise ValueError(f"a moment of attempt {attempt.call} is {moment}, not a time")
    try:
        return _encoder.encode(_Entry(attempt, retry_at))
    except UnicodeEncodeError:
        # Half a surrogate pair in a reason: kept as U+FFFD, since the attempt counts and the character does not.
        return to_json({"attempt": msgspec.to_builtins(attempt), "retry_at": retry_at}).encode()


def decode_attempt(data: bytes) -> tuple[Attempt, float | None]:
    """What `encode_attempt` was given; fields that a newer version may have added are passed over.

    Raises:
        InputError: not such an entry.
    """
    try:
        entry = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"journal entry cannot be read: {error}") from error
    return entry.attempt, entry.retry_at

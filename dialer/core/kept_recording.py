"""The record of a recording: what was recorded, where it is kept, until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, RecordingId, ServerName


class Keeping(StrEnum):
    """How far a recording is."""

    #: Asterisk writes it.
    RECORDING = "recording"
    PAUSED = "paused"
    #: Complete, and waits to be moved into the store.
    ENDED = "ended"
    STORED = "stored"
    #: Asterisk never began it.
    FAILED = "failed"
    #: Its file was never found.
    MISSING = "missing"
    DELETED = "deleted"


#: Not over yet, as far as is known.
OPEN: Final = (Keeping.RECORDING, Keeping.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecording:
    """One recording on record. Moments are unix seconds."""

    id: RecordingId
    call: CallId
    campaign: CampaignId
    contact: ContactId
    agent: AgentId | None
    server: ServerName
    node: str
    #: Who asked for it.
    by: str
    state: Keeping
    started_at: float
    ended_at: float | None = None
    #: Seconds from its beginning; an open one has no end.
    pauses: Sequence[Sequence[float]] = ()
    duration_s: float | None = None
    #: Of the sound as it is played, whether it is sealed in the store or not.
    bytes: int | None = None
    sha256: str | None = None
    #: Key in the store.
    place: str | None = None
    encrypted: bool = False
    attempts: int = 0
    next_at: float | None = None
    problem: str = ""
    retain_until: float | None = None
    deleted_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFilter:
    """Which recordings are wanted; None does not restrict."""

    campaign: CampaignId | None = None
    contact: ContactId | None = None
    agent: AgentId | None = None
    call: CallId | None = None
    state: Keeping | None = None
    started_from: float | None = None
    started_before: float | None = None
    #: Of this tenant's campaigns; empty: of all.
    tenant: str = ""

"""What the API needs to record calls and to play what was recorded (`dialer.runtime.recordings`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from dialer.core.ids import CallId, RecordingId
from dialer.core.kept_recording import RecordingFilter, StoredRecording
from dialer.core.recording import RecordingOrder, RecordingState


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """What became of an order."""

    state: RecordingState
    #: None where there never was one.
    recording: RecordingId | None
    #: Why it was refused or could not be done; empty: it was done, and Asterisk has said so.
    problem: str = ""
    #: Nothing was tried: the call is not in a state for it, or the campaign does not allow it.
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayLink:
    """A path with its query by which a recording can be played without a key."""

    path: str
    expires_at: float


class CallRecordings(Protocol):
    """Recordings, under way and kept."""

    async def order(self, call: CallId, order: RecordingOrder, by: str, *, consented: bool) -> OrderAnswer:
        """Change the recording of a call under way; answers when the switch has, or after a few seconds."""

    def state(self, call: CallId) -> RecordingState:
        """Where the recording of a call stands; OFF where there is none."""

    async def get(self, recording: RecordingId) -> StoredRecording | None:
        """One recording."""

    async def page(
        self, wanted: RecordingFilter, before: tuple[float, str] | None, limit: int
    ) -> Sequence[StoredRecording]:
        """Up to `limit` recordings, newest first by (started_at, id), those older than `before`."""

    async def link(self, recording: StoredRecording, holder: str) -> PlayLink:
        """A link for `holder`, written down in the audit."""

    async def judge(self, recording: str, holder: str, expires: str, signature: str) -> str:
        """Why a link is worth nothing: "forged" or "expired"; empty: it is good."""

    async def play(self, recording: StoredRecording, holder: str, begin: int, end: int) -> AsyncIterator[bytes]:
        """The sound from byte `begin` up to but without `end`; the access is in the audit when this returns.

        Raises:
            RetryableError: the store is out of reach.
            InputError: the file was changed in the store.
        """

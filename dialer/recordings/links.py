"""Links by which a recording can be played without a key: signed, for one recording and one holder, and short-lived."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from dialer.core.ids import RecordingId
from dialer.core.recording import valid_recording_id

#: Where the API serves them.
PATH: Final = "/api/v1/recordings/{id}/audio"
_HOLDER: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,128}", re.ASCII)
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SIGNATURE_BYTES: Final = 32


class LinkVerdict(StrEnum):
    """What a link is worth."""

    VALID = "valid"
    EXPIRED = "expired"
    #: Never made by us, or changed since.
    FORGED = "forged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A path with its query, good until `expires_at`."""

    path: str
    expires_at: int


class Links:
    """Makes links and judges them.

    Args:
        key: of the signatures, the same at all nodes; empty: made anew, so that links die with this process.
        good_for_s: seconds for which a link is good.
    """

    def __init__(self, key: str, good_for_s: float) -> None:
        self._key = key.encode() if key else secrets.token_bytes(_SIGNATURE_BYTES)
        self._good_for_s = good_for_s

    def make(self, recording: RecordingId, holder: str, now: float) -> Link:
        """A link for `holder`, who is named in it and in the audit of what it was used for.

        Raises:
            ValueError: one of the two cannot stand in a link.
        """
        if not valid_recording_id(recording) or _HOLDER.fullmatch(holder) is None:
            raise ValueError("neither recording nor holder may be anything but plain names")
        expires_at = int(now + self._good_for_s)
        signature = self._sign(recording, holder, expires_at)
        path = PATH.format(id=recording)
        return Link(
            path=f"{path}?holder={quote(holder, safe='')}&expires={expires_at}&signature={signature}",
            expires_at=expires_at,
        )

    def judge(self, recording: str, holder: str, expires: str, signature: str, now: float) -> LinkVerdict:
        """What a link with these parts is worth; any text at all may be asked about."""
        plain = (
            valid_recording_id(recording)
            and _HOLDER.fullmatch(holder) is not None
            and expires.isascii()
            and expires.isdigit()
            and 1 <= len(expires) <= 12
            and _SIGNATURE.fullmatch(signature) is not None
        )
        if not plain:
            return LinkVerdict.FORGED
        if not hmac.compare_digest(self._sign(RecordingId(recording), holder, int(expires)), signature):
            return LinkVerdict.FORGED
        # As written: another way to write the same moment is none of ours.
        if str(int(expires)) != expires:
            return LinkVerdict.FORGED
        return LinkVerdict.VALID if now < int(expires) else LinkVerdict.EXPIRED

    def _sign(self, recording: RecordingId, holder: str, expires_at: int) -> str:
        # No part can hold a line end, so no two links are signed as the same text.
        text = f"recording-link-1\n{recording}\n{holder}\n{expires_at}"
        return base64.urlsafe_b64encode(hmac.digest(self._key, text.encode(), "sha256")).decode().rstrip("=")

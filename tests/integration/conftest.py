"""The real Asterisk for the tests of this folder."""

from __future__ import annotations

from tests.lab import AsteriskLab, asterisk_lab, name, serials, session
from tests.talks import talking

__all__ = ["AsteriskLab", "asterisk_lab", "name", "serials", "session", "talking"]

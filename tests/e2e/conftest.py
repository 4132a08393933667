"""The real Asterisk for the tests of this folder."""

from __future__ import annotations

from tests.lab import asterisk_lab, serials

__all__ = ["asterisk_lab", "serials"]

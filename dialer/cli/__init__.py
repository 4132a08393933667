"""The command `cadencia`. Heavy parts (web, SQL, numpy) are imported by the sub-command that needs them."""

from __future__ import annotations

from dialer.cli.application import main

__all__ = ["main"]

"""How long a test waits for what must come: longer than a busy machine needs; waiting costs nothing where it comes."""

from __future__ import annotations

from typing import Final

PATIENCE_S: Final = 60.0

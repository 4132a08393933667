"""What a look at one part of an installation says."""

from __future__ import annotations

from dataclasses import dataclass

from dialer.core.saying import NOTHING, Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one part is, and what to do where it is not well."""

    part: str
    ok: bool
    said: Saying
    fix: Saying = NOTHING

    @property
    def says(self) -> str:
        """How it is, in English."""
        return self.said.says

    @property
    def mend(self) -> str:
        """What to do, in English; empty: nothing."""
        return self.fix.says

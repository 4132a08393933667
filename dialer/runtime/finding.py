"""What a look at one part of an installation says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one part is, and what to do where it is not well."""

    part: str
    ok: bool
    says: str
    mend: str = ""

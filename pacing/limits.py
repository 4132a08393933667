"""The hard limits, applied in one place after any method has had its say."""

from __future__ import annotations

import dataclasses
import math

from pacing.ledger import Ledger
from pacing.rule import Proposal
from pacing.settings import PacingSettings


def clamp(proposal: Proposal, settings: PacingSettings, floor: Ledger) -> Proposal:
    """The proposal cut to the limits: nothing without agents on duty, never more lines than allowed, never negative."""
    if floor.staffed == 0:
        return dataclasses.replace(proposal, dial=0, limit="no_agents", reason="no agent is on duty")
    lines = floor.ringing + floor.waiting
    dial, limit, reason = max(proposal.dial, 0), proposal.limit, proposal.reason
    if settings.max_lines is not None and lines + dial > settings.max_lines:
        dial = max(settings.max_lines - lines, 0)
        limit, reason = "max_lines", f"all of the {settings.max_lines} lines allowed would be in use"
    if settings.max_lines_per_agent is not None:
        allowed = math.floor(settings.max_lines_per_agent * floor.staffed + 1e-9)
        if lines + dial > allowed:
            dial = max(allowed - lines, 0)
            limit = "max_lines_per_agent"
            reason = f"at most {settings.max_lines_per_agent:g} lines per agent on duty, {allowed} in all"
    if dial == proposal.dial and limit == proposal.limit:
        return proposal
    return dataclasses.replace(proposal, dial=dial, limit=limit, reason=reason)

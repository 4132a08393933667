"""Predictive pacing: how many calls to start now.

Pure: numpy and the standard library, no clock, no I/O and no randomness of its own. Time is an argument everywhere, so
the same object paces the live dialer, the simulator, a replay of yesterday and every benchmark.

    pacer = build("predictive", max_abandonment=0.03, connect_within_s=2.0)
    pacer.agent_changed(now, "anna", "idle")
    decision = pacer.decide(now)  # decision.dial calls, and the reason in decision.explanation
"""

from __future__ import annotations

from pacing.contract import AgentState, Outcome, Pacer
from pacing.decision import Decision
from pacing.registry import build, method_names

__all__ = ["AgentState", "Decision", "Outcome", "Pacer", "build", "method_names"]

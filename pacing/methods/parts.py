"""What the predictive rule is made of, so that an ablation can do without one part at a time. No setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Parts in use.

    Attributes:
        elapsed_times: Chances by how long each call has rung and each agent has been busy; else one for all of them.
        censoring: Calls still ringing and talks still running count as evidence; else only finished ones.
        convolution: The wrap-up that follows a talk has its own distribution; else it takes its mean.
        budget: The threshold is held down by what is left of the legal windows and of the last half hour; else it is
            only steered towards the limit.
    """

    elapsed_times: bool = True
    censoring: bool = True
    convolution: bool = True
    budget: bool = True


ALL_PARTS = Parts()

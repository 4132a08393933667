"""One row of the pacing journal: how many calls were started over a moment, and why not one more."""

from __future__ import annotations

from dataclasses import dataclass

from dialer.core.ids import CampaignId, NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingEntry:
    """What the pacer of one campaign decided at `at`, with what happened since the row before.

    Everything but `dial` and `started` is as the pacer saw it at `at` (see `pacing.Decision`); shares are 0 to 1, None
    where the method does not estimate a figure.
    """

    at: float
    campaign: CampaignId
    node: NodeName
    method: str
    #: Calls that were to be started since the row before, this moment's included.
    dial: int
    #: Calls that were handed to the switch since the row before. The sum over a campaign's rows is its calls.
    started: int
    limit: str
    explanation: str
    expected_abandonment: float
    threshold: float
    budget_left: float | None
    idle: int
    busy: int
    waiting: int
    in_flight: int
    answer_rate: float | None
    mean_talk_s: float | None
    mean_wrapup_s: float | None

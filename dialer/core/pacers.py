"""A campaign's pacers, one for each Asterisk server that its agents are on (docs/adr/0015). Pure.

Somebody who answers can only be given to an agent on the same server: an agent who is idle on another is of no use to
them. So each server is a floor of its own, whose pacer hears of its agents and calls alone. Each holds the limit for
its own calls, so that the whole holds it; what the legal windows hold already is divided among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from dialer.core.events import CampaignConfigured
from dialer.core.ids import ServerName
from pacing import Decision, Pacer, build
from pacing.legal_window import Held, LegalWindow
from pacing.settings import PacingSettings

#: Of a campaign at a node without servers: nobody can be called, and somebody has to say so.
_NOWHERE: Final = ServerName("")


class Pacers(dict[ServerName, Pacer]):
    """The pacers that there are, by server; one that is asked for and is not there yet is made."""

    def __init__(self, terms: CampaignConfigured, weights: Mapping[ServerName, int]) -> None:
        """Prepare.

        Args:
            terms: settings and legal windows.
            weights: how much of the windows' history belongs to each server, compared with the others.
        """
        super().__init__()
        windows = terms.windows
        if not windows:
            before, lost = terms.answers_before, terms.abandoned_before
            windows = PacingSettings(answers_before=before, abandoned_before=lost).legal_windows
        self._terms = replace(terms, windows=tuple(replace(window, held=()) for window in windows))
        # All at once: what happens on a server from now on is that server's, whenever the others begin.
        self._windows = divided(windows, weights)
        #: Says that nobody is there, until somebody is.
        self._speaker = max(weights, key=lambda server: weights[server], default=_NOWHERE)
        self._speaks: Pacer | None = None

    def __missing__(self, server: ServerName) -> Pacer:
        spoken = self._speaks if server == self._speaker else None
        made = self[server] = spoken or self._make(server)
        return made

    def decide(self, now: float) -> dict[ServerName, Decision]:
        """How many calls each of them wants."""
        if self:
            return {server: pacer.decide(now) for server, pacer in self.items()}
        if self._speaks is None:
            self._speaks = self._make(self._speaker)
        return {self._speaker: self._speaks.decide(now)}

    def _make(self, server: ServerName) -> Pacer:
        return build_pacer(replace(self._terms, windows=self._windows.get(server, self._terms.windows)))


def build_pacer(event: CampaignConfigured) -> Pacer:
    """The pacer of a campaign's method, with the budgets of its legal windows as they stand."""
    campaign = event.campaign
    return build(
        campaign.method,
        max_abandonment=campaign.max_abandonment,
        connect_within_s=campaign.connect_within_s,
        ring_timeout_s=campaign.ring_timeout_s,
        max_lines=campaign.max_lines,
        max_lines_per_agent=campaign.max_lines_per_agent,
        ratio=campaign.ratio,
        answers_before=event.answers_before,
        abandoned_before=event.abandoned_before,
        windows=event.windows,
    )


def history_weights(servers: Mapping[ServerName, float], answered: Mapping[ServerName, int]) -> dict[ServerName, int]:
    """How much of a campaign's history belongs to each server.

    Args:
        servers: those of this node, with the weights by which agents who sign in are spread over them.
        answered: live answers that are known to have been theirs; where there are none, agents are taken to have been
            spread by the weights.
    """
    known = {server: answered.get(server, 0) for server in servers}
    return known if any(known.values()) else {name: max(1, round(1_000 * weight)) for name, weight in servers.items()}


def divided(
    windows: Sequence[LegalWindow], weights: Mapping[ServerName, int]
) -> dict[ServerName, tuple[LegalWindow, ...]]:
    """The windows of each server, whose counts add up to those of the whole at every moment.

    Args:
        windows: of the campaign.
        weights: not negative, and not all 0; a server of weight 0 begins with nothing.
    """
    parts: dict[ServerName, list[LegalWindow]] = {server: [] for server in weights}
    for window in windows if parts else ():
        served, lost = _Division(weights), _Division(weights)
        held: dict[ServerName, list[Held]] = {server: [] for server in weights}
        for counted in window.held:
            met, missed = served.of(counted.answers - counted.abandoned), lost.of(counted.abandoned)
            for server, its in held.items():
                if met[server] or missed[server]:
                    answers = met[server] + missed[server]
                    its.append(Held(answers=answers, abandoned=missed[server], at=counted.at))
        for server, its in held.items():
            parts[server].append(replace(window, held=tuple(its)))
    return {server: tuple(its) for server, its in parts.items()}


class _Division:
    """Divides one number after the other in whole people; what one gets too few of now, they get more of next time."""

    def __init__(self, weights: Mapping[ServerName, int]) -> None:
        self._weights = weights
        self._total = sum(weights.values())
        #: In parts of one person, as many of them as the weights come to.
        self._owed = dict.fromkeys(weights, 0)

    def of(self, count: int) -> dict[ServerName, int]:
        """The parts of one number."""
        parts = {}
        for server, weight in self._weights.items():
            parts[server], rest = divmod(count * weight, self._total)
            self._owed[server] += rest
        for _ in range(count - sum(parts.values())):
            server = max(self._owed, key=lambda name: self._owed[name])
            parts[server] += 1
            self._owed[server] -= self._total
        return parts

"""What the API needs of the rest for reports, histories and next actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dialer.actions.dry_run import DryRun
from dialer.actions.rules import Rule, RuleSet
from dialer.core.ids import CampaignId, Phone
from dialer.reporting.history import History, Subject
from dialer.reporting.order import ReportOrder
from dialer.reporting.report import Report
from dialer.storage.action_firings import Firing


class Reports(Protocol):
    """Makes reports (`dialer.runtime.reports.Reports`)."""

    @property
    def default_zone(self) -> str:
        """In which a day begins where nobody says."""

    async def make(self, order: ReportOrder) -> Report:
        """Make a report.

        Raises:
            InputError: it would be too large, or names a zone that does not exist.
            StorageError: the database refused or is out of reach.
        """


class Histories(Protocol):
    """Looks up what is on record of somebody (`dialer.runtime.reports.Histories`)."""

    async def find(self, subject: Subject) -> History:
        """All of it; nothing where nobody is known.

        Raises:
            StorageError: the database refused or is out of reach.
        """


class Actions(Protocol):
    """Rules of the next best action (`dialer.runtime.action_view.ActionView`)."""

    def rules(self) -> tuple[Rule, ...]:
        """Those in force."""

    async def firings(
        self, rule: str | None, campaign: CampaignId | None, cursor: str | None, limit: int
    ) -> tuple[list[Firing], str | None]:
        """What they did, the latest first, and the cursor of the next page.

        Raises:
            InputError: the cursor is none of ours.
        """

    async def dry_run(self, rules: RuleSet, since: float) -> tuple[DryRun, bool]:
        """What rules would have done since then, and whether all calls were looked at."""


class People(Protocol):
    """Hands out what is held about people (`dialer.runtime.reports.People`)."""

    async def export(self, phones: Sequence[Phone], *, all_numbers: bool) -> Mapping[str, Any]:
        """All rows about whoever has these numbers (`dialer.storage.person_export.export_person`).

        Raises:
            StorageError: the database refused or is out of reach.
        """

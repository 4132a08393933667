"""Reports and histories of one database: whose zones count, what costs are, and the figures of `dialer.storage`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dialer.core.ids import CampaignId, Phone
from dialer.reporting.history import History, Subject
from dialer.reporting.local_time import offsets
from dialer.reporting.order import Dimension, ReportOrder, zone_named
from dialer.reporting.report import Report, ReportRow
from dialer.reporting.schedule import costs_of
from dialer.settings import Settings
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.history import history
from dialer.storage.person_export import export_person
from dialer.storage.report_figures import LocalTimes, Offsets, report_figures


class Reports:
    """`dialer.api.report_ports.Reports`.

    Args:
        database: the record.
        settings: costs, and the zone of campaigns that have none.
        now: the clock.
    """

    def __init__(self, database: Database, settings: Settings, now: Callable[[], float]) -> None:
        self._database = database
        self._campaigns = Campaigns(database)
        self._settings = settings
        self._now = now

    @property
    def default_zone(self) -> str:
        """In which a day begins where nobody says."""
        return self._settings.pacing.timezone

    async def make(self, order: ReportOrder) -> Report:
        """Make a report.

        Raises:
            InputError: it would be too large, or names a zone that does not exist.
            StorageError: the database refused or is out of reach.
        """
        figures = await report_figures(self._database, order, await self._times(order))
        reports = self._settings.reports
        return Report(
            order=order,
            rows=[ReportRow(key=key, figures=sums) for key, sums in figures.items()],
            costs=costs_of(reports),
            currency=reports.currency,
            made_at=self._now(),
        )

    async def _times(self, order: ReportOrder) -> LocalTimes:
        if not {Dimension.DAY, Dimension.HOUR}.intersection(order.by):
            return LocalTimes(default=((order.since, 0),))
        default = order.timezone or self.default_zone
        made: dict[str, Offsets] = {}

        def of(name: str) -> Offsets:
            if name not in made:
                made[name] = offsets(zone_named(name), order.since, order.until)
            return made[name]

        own: dict[CampaignId, Offsets] = {}
        if order.timezone is None:
            for stored in await self._campaigns.all():
                name = stored.campaign.timezone
                if name and name != default:
                    own[stored.campaign.id] = of(name)
        return LocalTimes(default=of(default), campaigns=own)


class Histories:
    """`dialer.api.report_ports.Histories`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, subject: Subject) -> History:
        """All that is on record."""
        return await history(self._database, subject)


class People:
    """`dialer.api.report_ports.People`."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def export(self, phones: Sequence[Phone], *, all_numbers: bool) -> Mapping[str, Any]:
        """See the port."""
        return await export_person(self._database, phones, at=self._now(), all_numbers=all_numbers)

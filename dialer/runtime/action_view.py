"""Rules of the next best action for the API: those in force, what they did, and what others would have done."""

from __future__ import annotations

import asyncio
from typing import Final

from dialer.actions.dry_run import DryRun
from dialer.actions.rules import Rule, RuleSet
from dialer.core.ids import CampaignId
from dialer.storage.action_firings import Firing, Firings, pasts_since
from dialer.storage.database import Database

#: Calls that one dry run of a node looks at: some seconds beside its work. A command may look at all.
MOST_CALLS: Final = 100_000
#: Contacts between two breaths: the node has calls to see to.
_BREATH: Final = 50


class ActionView:
    """`dialer.api.report_ports.Actions`."""

    def __init__(self, rules: RuleSet, database: Database) -> None:
        self._rules = rules
        self._firings = Firings(database)
        self._database = database

    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return self._rules.rules

    async def firings(
        self, rule: str | None, campaign: CampaignId | None, cursor: str | None, limit: int
    ) -> tuple[list[Firing], str | None]:
        """What rules did, the latest first, and the cursor of the next page."""
        page = await self._firings.page(rule=rule, campaign=campaign, cursor=cursor, limit=limit)
        return list(page.items), page.next

    async def dry_run(self, rules: RuleSet, since: float) -> tuple[DryRun, bool]:
        """What rules would have done since then, and whether all calls were looked at."""
        return await dry_run(self._database, rules, since, most_calls=MOST_CALLS)


async def dry_run(
    database: Database, rules: RuleSet, since: float, *, most_calls: int | None = None
) -> tuple[DryRun, bool]:
    """What rules would have done since `since`; False where `most_calls` were looked at and there are more.

    Raises:
        StorageError: the database refused or is out of reach.
    """
    run = DryRun(rules, since)
    async for past in pasts_since(database, since):
        if most_calls is not None and run.calls >= most_calls:
            return run, False
        run.add(past)
        if run.contacts % _BREATH == 0:
            await asyncio.sleep(0)
    return run, True

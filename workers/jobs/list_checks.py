"""Looking through the contacts of a list, once it has been loaded or when somebody asks."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

from rq import get_current_job

from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.screening import terms_of
from dialer.intake.list_check import ListChecker
from dialer.intake.phones import PhoneReader
from dialer.intake.standing import CampaignLaw, Law
from dialer.runtime.clock import Clock
from dialer.settings import Settings
from dialer.storage.campaigns import Campaigns
from dialer.storage.contact_scan import ContactScan
from dialer.storage.database import Database
from dialer.storage.list_checks import CheckCounts, ListChecks
from dialer.storage.lists import Lists
from dialer.storage.opening import open_database
from workers.settings import load_settings


def check_list(list_id: str) -> dict[str, object]:
    """Look through the contacts of a list; what was found before is replaced.

    Raises:
        StorageError: the database is out of reach; RQ tries again.
        InputError: there is no such list.
        ConfigError: the jurisdictions cannot be read.
    """
    return asdict(asyncio.run(_run(load_settings(), list_id)))


async def _run(settings: Settings, list_id: str) -> CheckCounts:
    database = open_database(settings)
    job = get_current_job()
    try:
        checker = ListChecker(
            ContactScan(database),
            Lists(database),
            ListChecks(database),
            PhoneReader(settings.default_region),
            Clock().now,
        )
        law = await _law(settings, database, list_id)
        return await checker.check(list_id, law, tried_again=job is not None and bool(job.retries_left))
    finally:
        await database.close()


async def _law(settings: Settings, database: Database, list_id: str) -> Law | None:
    found = await Lists(database).get(list_id)
    stored = None if found is None else await Campaigns(database).get(found.campaign)
    if stored is None:
        return None
    folder = Path(settings.compliance.rules) if settings.compliance.rules else find_folder(None)
    return CampaignLaw(await asyncio.to_thread(load_rule_book, folder), terms_of(stored.campaign))

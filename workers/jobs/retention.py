"""What the law no longer wants kept. The dotted names of this package stand in Redis: they never change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import structlog

from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.retention import Keep, Retention
from dialer.compliance.rules import Purpose
from dialer.runtime.clock import Clock
from dialer.settings import Settings
from dialer.storage.campaigns import Campaigns
from dialer.storage.opening import open_database
from dialer.storage.retention import RetentionRun
from workers.settings import load_settings

_log = structlog.get_logger(__name__)


def apply_retention() -> dict[str, object]:
    """Take people out of records whose time is over by the law of their number; how many, by table and by rule.

    Raises:
        StorageError: the database is out of reach; RQ tries again.
        ConfigError: a file of the jurisdictions is wrong.
    """
    return asyncio.run(apply(load_settings(), Clock().now()))


async def apply(settings: Settings, now: float) -> dict[str, object]:
    """The same by given settings, at unix second `now`."""
    folder = Path(settings.compliance.rules) if settings.compliance.rules else find_folder(None)
    rules = Retention(load_rule_book(folder), datetime.fromtimestamp(now, UTC).date())
    database = open_database(settings)
    try:
        known = await Campaigns(database).all()
        purposes = {str(stored.campaign.id): Purpose(stored.campaign.purpose) for stored in known}

        def keep_of(phone: str, campaign: str | None) -> Keep | None:
            return rules.of(phone, purposes.get(campaign or ""))

        expired = await RetentionRun(database, keep_of, rules.shortest_s, now).apply()
    finally:
        await database.close()
    _log.info("retention applied", rows=dict(expired.rows))
    return {"rows": dict(expired.rows), "rules": dict(expired.rules)}

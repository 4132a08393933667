"""What the calls of a day have cost, from the record."""

from __future__ import annotations

from sqlalchemy import BigInteger, cast, func, select

from dialer.core.ids import CampaignId, ServerName, TrunkName
from dialer.core.spending import INSTALLATION, Amount, Scope, of_campaign, of_trunk
from dialer.storage.database import Database
from dialer.storage.tables import attempts, campaigns


async def spent_since(database: Database, since: float) -> dict[Scope, Amount]:
    """Costs and billed time of calls that started since then and have ended, by everything that may have a cap.

    Raises:
        StorageError: the database is out of reach.
    """
    column = attempts.c
    statement = (
        select(
            column.campaign,
            column.server,
            column.trunk,
            cast(func.coalesce(func.sum(column.cost_micros), 0), BigInteger),
            cast(func.coalesce(func.sum(column.billed_s), 0), BigInteger),
        )
        .where(
            # By the index of (campaign, ended_at): what started since then has ended since then.
            column.campaign.in_(select(campaigns.c.id)),
            column.ended_at >= since,
            column.started_at >= since,
        )
        .group_by(column.campaign, column.server, column.trunk)
    )
    found: dict[Scope, Amount] = {}
    async with database.read() as connection:
        for campaign, server, trunk, micros, seconds in (await connection.execute(statement)).all():
            scopes = [INSTALLATION, of_campaign(CampaignId(campaign))]
            if server is not None and trunk is not None:
                scopes.append(of_trunk(ServerName(server), TrunkName(trunk)))
            for scope in scopes:
                found[scope] = found.get(scope, Amount()) + Amount(int(micros), int(seconds))
    return found

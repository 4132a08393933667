"""Campaigns: their settings and where they stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Row, case, delete, select, update

from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import CampaignId
from dialer.errors import StorageError
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once, upsert
from dialer.storage.tables import campaigns
from dialer.storage.tenants import of_tenant

#: By how much a version is later than one of a clock that is ahead: a few steps of a double at today's date.
_NEXT_S: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCampaign:
    """A campaign as it is on record."""

    campaign: Campaign
    state: CampaignState
    updated_at: float


class Campaigns:
    """All campaigns of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, campaign: Campaign, now: float, state: CampaignState = CampaignState.DRAFT) -> bool:
        """Add a campaign; False where one with this id exists, which stays as it is."""
        statement = insert_once(self._database.dialect, campaigns).values(_row(campaign, state, now))
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def save(self, campaign: Campaign, now: float) -> None:
        """Add a campaign as a draft, or replace the settings of the one with this id; its state stays."""
        statement = upsert(self._database.dialect, campaigns, keep=("state",))
        async with self._database.write() as connection:
            await connection.execute(statement, _row(campaign, CampaignState.DRAFT, now))

    async def replace(self, campaign: Campaign, now: float, *, unchanged_since: float) -> bool:
        """Replace the settings of a campaign that nobody has touched since; its state stays. False where somebody has.

        No two writes have the same moment: it is made a little later than the one before.
        """
        at = max(now, math.nextafter(unchanged_since, math.inf))
        statement = (
            update(campaigns)
            .where(campaigns.c.id == campaign.id, campaigns.c.updated_at == unchanged_since)
            .values(settings=msgspec.to_builtins(campaign), updated_at=at)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def set_state(
        self, campaign: CampaignId, state: CampaignState, now: float, *, only_from: CampaignState | None = None
    ) -> bool:
        """Note where a campaign stands; False where there is none, or none that stands at `only_from`.

        Written twice, it is another version each time: nobody may take for seen what came in between.
        """
        before = campaigns.c.updated_at
        at = case((before < now, now), else_=before + _NEXT_S)
        statement = update(campaigns).where(campaigns.c.id == campaign).values(state=state.value, updated_at=at)
        if only_from is not None:
            statement = statement.where(campaigns.c.state == only_from.value)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """One campaign, or None."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(campaigns).where(campaigns.c.id == campaign))).one_or_none()
        return None if row is None else _stored(row)

    async def all(self, tenant: str = "") -> list[StoredCampaign]:
        """Every campaign, by id; of one tenant or of all."""
        statement = select(campaigns).where(of_tenant(campaigns.c.id, tenant)).order_by(campaigns.c.id)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [_stored(row) for row in rows]

    async def versions(self) -> dict[CampaignId, tuple[float, str]]:
        """Of every campaign what becomes another with each change: the moment of the latest one, and its state."""
        wanted = select(campaigns.c.id, campaigns.c.updated_at, campaigns.c.state)
        async with self._database.read() as connection:
            return {row.id: (row.updated_at, row.state) for row in (await connection.execute(wanted)).all()}

    async def delete(self, campaign: CampaignId) -> bool:
        """Forget the settings; contacts and attempts stay, as evidence. False where there is none."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(campaigns).where(campaigns.c.id == campaign))).rowcount == 1


def _row(campaign: Campaign, state: CampaignState, now: float) -> dict[str, object]:
    return {
        "id": campaign.id,
        "settings": msgspec.to_builtins(campaign),
        "state": state.value,
        "updated_at": now,
    }


def _stored(row: Row[tuple[object, ...]]) -> StoredCampaign:
    try:
        campaign = msgspec.convert(row.settings, Campaign)
        state = CampaignState(row.state)
    except (msgspec.ValidationError, ValueError) as error:
        raise StorageError(
            f"campaign {row.id!r} in the database cannot be read ({error}): it was written by another version; "
            "save its settings again",
            retryable=False,
        ) from error
    return StoredCampaign(campaign=campaign, state=state, updated_at=row.updated_at)

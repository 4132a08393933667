"""Changes of one campaign at the same moment: none is lost, and none is made to what it was not meant for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dialer.api.campaign_routes import save_changes, settings_version
from dialer.api.errors import ApiError
from dialer.api.key_ports import ApiKey, Role
from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.core.ids import CampaignId
from dialer.runtime.api_ports import StoredCampaigns
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.testing import FakeNode

WINTER = CampaignId("winter")
KEY = ApiKey(id="k", role=Role.MANAGER, digest="")


async def test_a_change_meets_what_it_was_made_for_or_nothing(database: Database) -> None:
    campaigns = Campaigns(database)
    await campaigns.create(parse_campaign({"id": WINTER}), 5.0)
    for now in (5.0, 4.0):  # a clock that stands, or goes back, makes no two changes one
        before = await campaigns.get(WINTER)
        assert before is not None
        named = replace(before.campaign, name=f"at {now}")
        assert await campaigns.replace(named, now, unchanged_since=before.updated_at)
        assert not await campaigns.replace(before.campaign, now, unchanged_since=before.updated_at)
        after = await campaigns.get(WINTER)
        assert after is not None
        assert after.campaign == named
        assert after.updated_at > before.updated_at
    assert not await campaigns.replace(parse_campaign({"id": "nobody"}), 6.0, unchanged_since=5.0)


async def test_of_changes_at_once_all_are_kept_and_the_state_too(database: Database, tmp_path: Path) -> None:
    node, campaigns = FakeNode(tmp_path), Campaigns(database)
    ports = replace(node.ports, campaigns=StoredCampaigns(campaigns))
    await campaigns.create(parse_campaign({"id": WINTER}), 1.0)
    changes: list[dict[str, object]] = [{"name": "Named"}, {"max_lines": 50}, {"ratio": 2.0}, {"seller": "Acme"}]
    await asyncio.gather(
        campaigns.set_state(WINTER, CampaignState.RUNNING, 2.0),
        *(save_changes(ports, KEY, WINTER, change, None) for change in changes),
    )
    stored = await campaigns.get(WINTER)
    assert stored is not None
    found = stored.campaign
    assert (found.name, found.max_lines, found.ratio, found.seller) == ("Named", 50, 2.0, "Acme")
    assert stored.state is CampaignState.RUNNING

    version = settings_version(found)
    await save_changes(ports, KEY, WINTER, {"name": "Again"}, None, version=version)
    with pytest.raises(ApiError, match="meanwhile") as refused:
        await save_changes(ports, KEY, WINTER, {"name": "Too late"}, None, version=version)
    assert (refused.value.status, refused.value.error) == (409, "changed")

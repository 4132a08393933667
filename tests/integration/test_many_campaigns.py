"""More campaigns than a page holds: nothing ends without saying so, and every one of them can be reached."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from urllib.parse import unquote

import pytest
import pytest_asyncio

from dialer.api.campaign_ports import StoredCampaign
from dialer.api.compliance_ports import OverrideRow
from dialer.api.key_ports import Role
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CampaignId
from dialer.testing import FakeNode
from tests.integration.test_console import Visitor, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: More than are read at once.
IDS = [f"c{number:04}" for number in range(1_203)]
LAST = IDS[-1]
STOPPED = IDS[3]


class Law:
    """Nothing is set aside."""

    async def overrides(self) -> Sequence[OverrideRow]:
        return ()


def furnish(node: FakeNode) -> None:
    node.ports = replace(node.ports, compliance=Law())  # type: ignore[arg-type]  # what is not asked for is not there
    now = node.clock.now()
    for id in IDS:
        campaign = Campaign(id=CampaignId(id), name="Spring <b>offer</b>" if id == LAST else "")
        state = CampaignState.STOPPED if id == STOPPED else CampaignState.RUNNING
        node.campaigns.rows[campaign.id] = StoredCampaign(campaign=campaign, state=state, updated_at=now)
    node.keys.issue("adam", Role.AGENT, agent=AgentId("adam"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visitor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visitor]:
    async with serving(tmp_path_factory.mktemp("many"), furnish) as found:
        found.agent_is("adam", AgentState.IDLE)
        yield found


def shown(page: str) -> list[str]:
    """Campaigns of the table, in its order; each stands in it once for every window."""
    return list(dict.fromkeys(re.findall(r"/console/compliance/abandonment/([^/]+)/", page)))


async def test_every_campaign_is_on_some_page_of_the_compliance_page_once(visitor: Visitor) -> None:
    await visitor.sign_in()
    path, found = "/console/compliance", list[str]()
    while path:
        page = await visitor.page(path)
        assert 0 < len(shown(page)) <= 100
        found += shown(page)
        onward = re.search(r'<a href="(/console/compliance\?after=[^"]+)">More campaigns', page)
        path = onward[1] if onward else ""
    assert found == IDS


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("C12", [id for id in IDS if "c12" in id]),
        ("spring", [LAST]),
        (" <B>Offer ", [LAST]),
        ("nowhere", []),
        ("x" * 2_000, []),
        ("<script>alert(1)</script>", []),
    ],
)
async def test_a_campaign_is_found_by_a_part_of_its_name(visitor: Visitor, of: str, expected: list[str]) -> None:
    await visitor.sign_in()
    page = await visitor.page("/console/compliance", params={"of": of})
    assert shown(page) == expected
    assert ("No campaign has this in its name" in page) == (not expected)
    assert "<script>alert" not in page
    assert "<b>offer" not in page


async def test_what_is_found_is_paged_as_well(visitor: Visitor) -> None:
    await visitor.sign_in()
    page = await visitor.page("/console/compliance", params={"of": "c0"})
    onward = re.search(r'href="(/console/compliance\?of=c0&amp;after=[^"]+)"', page)
    assert onward is not None
    following = await visitor.page(unquote(onward[1].replace("&amp;", "&")))
    assert shown(page) + shown(following) == IDS[:200]
    assert 'value="c0"' in following


@pytest.mark.parametrize("after", ["%00", "%C3%B1", "x" * 3_000, "'; DROP TABLE"])
async def test_a_place_that_is_none_is_the_beginning(visitor: Visitor, after: str) -> None:
    await visitor.sign_in()
    assert shown(await visitor.page(f"/console/compliance?after={after}"))[0] == IDS[0]


async def test_an_agent_can_work_for_the_last_of_them(visitor: Visitor) -> None:
    await visitor.sign_in("adam")
    page = await visitor.page("/console/desk")
    assert f'value="{LAST}"' in page
    assert f'value="{STOPPED}"' not in page


async def test_a_supervisor_can_give_an_agent_the_last_of_them(visitor: Visitor) -> None:
    await visitor.sign_in("eyes")
    page = await visitor.page("/console/agents/adam")
    assert f'name="campaign" value="{LAST}"' in page
    assert f'name="campaign" value="{STOPPED}"' not in page
    # The table can be narrowed to campaigns that somebody works for.
    assert '<option value="winter"' in await visitor.page("/console/agents")

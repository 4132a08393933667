"""Campaigns made and changed in the console: by the rules of the API, by two people at once, and with hostile names."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from dialer.campaigns import dump_campaign, parse_campaign
from dialer.console.campaign_forms import shown
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.events import CampaignConfigured
from dialer.core.ids import CampaignId
from dialer.core.saying import Saying
from dialer.projections.live import LiveView
from dialer.testing import FakeNode
from tests.integration.test_api_compliance import Recorded
from tests.integration.test_console import Visitor, csrf_of, serving

WINTER = CampaignId("winter")
NEW = "/console/new-campaign"
SETTINGS = "/console/campaigns/winter/settings"
CHECK = "/console/campaign-check"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def form_of(page: str) -> dict[str, str]:
    """The form of a page, as a browser would send it."""
    fields = {}
    for tag in re.findall(r"<input[^>]+>", page):
        name, value = (re.search(rf'{key}="([^"]*)"', tag) for key in (" name", " value"))
        if name is not None and ('type="checkbox"' not in tag or " checked" in tag):
            fields[html.unescape(name[1])] = html.unescape(value[1]) if value else "on"
    for name, inner in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', inner)
        assert chosen is not None, name
        fields[name] = html.unescape(chosen[1])
    for name, inner in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL):
        fields[name] = html.unescape(inner)
    return fields


class Desk:
    """Somebody with a form."""

    def __init__(self, visitor: Visitor, rules: Recorded) -> None:
        self.visitor = visitor
        self.rules = rules
        self.node = visitor.node
        self.csrf = ""

    async def sign_in(self, key: str = "boss") -> None:
        await self.visitor.sign_in(key)
        self.csrf = csrf_of(await self.visitor.page("/console/"))

    async def open(self, path: str) -> dict[str, str]:
        """The form at this address."""
        return form_of(await self.visitor.page(path))

    async def send(self, path: str, fields: Mapping[str, str], **headers: str) -> tuple[int, str, str]:
        """Status, words and where it leads."""
        data = {**fields, "csrf": fields.get("csrf", self.csrf)}
        async with self.visitor.http.post(
            self.visitor.url + path, data=data, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text(), answer.headers.get("location", "")

    @property
    def winter(self) -> Campaign:
        return self.node.campaigns.rows[WINTER].campaign


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Visitor, Recorded]]:
    rules = Recorded()

    def prepare(node: FakeNode) -> None:
        node.ports = replace(node.ports, campaign_rules=rules)

    async with serving(tmp_path_factory.mktemp("console"), prepare) as visitor:
        yield visitor, rules


@pytest_asyncio.fixture(loop_scope="module")
async def desk(served: tuple[Visitor, Recorded]) -> Desk:
    """A manager who has signed in where there is nothing yet."""
    visitor, rules = served
    visitor.node.campaigns.rows.clear()
    visitor.node.control.events.clear()
    visitor.node.control.view = LiveView()
    visitor.http.cookie_jar.clear()
    rules.aside.clear()
    rules.lacking = ()
    found = Desk(visitor, rules)
    await found.sign_in()
    return found


async def test_a_campaign_is_made_with_safe_defaults(desk: Desk) -> None:
    fields = await desk.open(NEW)
    status, _, location = await desk.send(NEW, {**fields, "id": "winter", "name": "Winter"})
    assert (status, location) == (303, "/console/campaigns/winter?saved=1")
    assert dump_campaign(desk.winter) == dump_campaign(parse_campaign({"id": "winter", "name": "Winter"}))
    assert [event.campaign.id for event in desk.node.control.events if isinstance(event, CampaignConfigured)] == [
        "winter"
    ]
    assert "Winter" in await desk.visitor.page("/console/campaigns")
    assert "data-saved" in await desk.visitor.page(location)


async def test_mistakes_stand_beside_their_fields_and_nothing_typed_is_lost(desk: Desk) -> None:
    fields = await desk.open(NEW)
    wrong = {"id": "a b", "max_abandonment": "7", "currency": "XXX", "name": "Typed"}
    status, page, _ = await desk.send(NEW, {**fields, **wrong})
    assert status == 422
    for place, says in (("id", "1 to 64"), ("max_abandonment", "regulators allow"), ("currency", "no currency")):
        assert says in page.partition(f'id="problem-{place}">')[2].partition("</p>")[0], place
    assert 'value="Typed"' in page
    assert not desk.node.campaigns.rows


async def test_while_it_is_typed_the_server_says_what_is_wrong(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    fields = await desk.open(NEW)
    status, said, _ = await desk.send(CHECK, {**fields, "id": "winter", "ring_timeout_s": "3 s"})
    assert status == 200
    assert "There is a campaign with this id" in said.partition('id="problem-id"')[2].partition("</p>")[0]
    assert "four rings" in said.partition('id="problem-ring_timeout_s"')[2].partition("</p>")[0]
    status, said, _ = await desk.send(CHECK, {**fields, "id": "spring"})
    assert "can be saved" in said
    assert said.count('class="problem bad"') > 40
    assert not re.search(r'class="problem bad"[^>]*>[^<\s]', said)


async def test_a_rule_of_law_is_named_and_may_be_set_aside_by_a_person(desk: Desk) -> None:
    fields = await desk.open(NEW) | {"id": "winter", "jurisdictions": "US-FL"}
    status, page, _ = await desk.send(NEW, fields)
    assert status == 422
    (version,) = set(re.findall(r'name="aside\.([^"]+)"', page))
    assert version.startswith("US-FED-caller-id@")
    aside = {**fields, f"aside.{version}": "on"}
    status, page, _ = await desk.send(NEW, {**aside, "override.by": "", "override.why": ""})
    assert status == 422
    assert not desk.rules.aside
    status, _, _ = await desk.send(NEW, {**aside, "override.by": "Ana Ruiz", "override.why": "the carrier does it"})
    assert status == 303
    ((campaign, rule, by),) = desk.rules.aside
    assert (campaign, rule, by.by, by.why) == ("winter", "US-FED-caller-id", "Ana Ruiz", "the carrier does it")
    # A change answers for what it changes: nobody is asked again.
    status, _, _ = await desk.send(SETTINGS, await desk.open(SETTINGS) | {"name": "Named"})
    assert (status, desk.winter.name) == (303, "Named")


async def test_a_jurisdiction_that_nobody_knows_stands_beside_its_field(desk: Desk) -> None:
    fields = await desk.open(NEW) | {"id": "winter", "jurisdictions": "ZZ"}
    status, page, _ = await desk.send(NEW, fields)
    assert status == 422
    assert "ZZ" in page.partition('id="problem-jurisdictions">')[2].partition("</p>")[0]


async def test_a_clone_has_the_settings_of_another(desk: Desk) -> None:
    campaign = parse_campaign({"id": "winter", "name": "Wint,er", "max_abandonment": 0.0123, "segment": "s1"})
    await desk.node.campaigns.create(campaign, 1.0)
    path = f"{NEW}?clone=winter"
    status, _, _ = await desk.send(path, await desk.open(path) | {"id": "copy"})
    assert status == 303
    made = dump_campaign(desk.node.campaigns.rows[CampaignId("copy")].campaign)
    assert made == dump_campaign(campaign) | {"id": "copy", "segment": ""}


async def test_two_people_who_change_the_same_campaign_lose_nothing(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    first, second = await desk.open(SETTINGS), await desk.open(SETTINGS)
    assert (await desk.send(SETTINGS, first | {"name": "First", "max_lines": "50"}))[0] == 303
    mine = second | {"name": "Second", "ratio": "2"}
    status, page, _ = await desk.send(SETTINGS, mine)
    assert status == 409
    told = page.partition("Somebody else has changed")[2].partition("</section>")[0]
    assert re.search(r"<td>Second</td>\s*<td>First</td>", told)
    assert re.search(r"<td>not touched</td>\s*<td>50</td>", told)
    assert desk.winter.name == "First"
    assert 'value="Second"' in page
    # Saved again, knowing of the other's: mine where it was mine, theirs where it was theirs.
    again = form_of(page)
    status, _, _ = await desk.send(SETTINGS, again)
    assert status == 303
    assert (desk.winter.name, desk.winter.max_lines, desk.winter.ratio) == ("Second", 50, 2.0)


async def test_a_state_that_changes_meanwhile_is_no_conflict(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    fields = await desk.open(SETTINGS)
    stored = desk.node.campaigns.rows[WINTER]
    desk.node.campaigns.rows[WINTER] = replace(stored, state=CampaignState.RUNNING, updated_at=stored.updated_at + 5)
    assert (await desk.send(SETTINGS, fields | {"name": "Named"}))[0] == 303
    assert desk.node.campaigns.rows[WINTER].state is CampaignState.RUNNING


async def test_rows_are_added_and_dropped_and_nothing_is_saved_by_that(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    fields = await desk.open(SETTINGS) | {"name": "Typed"}
    status, page, _ = await desk.send(SETTINGS, fields | {"add": "dispositions"})
    assert (status, 'name="dispositions.11.code"' in page, 'value="Typed"' in page) == (200, True, True)
    status, page, _ = await desk.send(SETTINGS, fields | {"drop": "dispositions.0"})
    assert (status, 'name="dispositions.0.code"' in page) == (200, False)
    status, page, _ = await desk.send(SETTINGS, fields | {"again": "1"})
    assert (status, 'value="Typed"' in page, "is here again" in page) == (200, True, True)
    assert desk.winter.name == ""


async def test_hostile_names_are_text_and_long_ones_are_refused(desk: Desk) -> None:
    hostile = '"><script>alert(1)</script>\u202e'
    fields = await desk.open(NEW) | {"id": "winter"}
    status, page, _ = await desk.send(NEW, fields | {"name": "x" * 2_000})
    assert status == 422
    assert "x" * 2_000 in page
    assert (await desk.send(NEW, fields | {"name": hostile[:-1]}))[0] == 303
    for path in ("/console/campaigns", SETTINGS, f"{NEW}?clone=winter"):
        found = await desk.visitor.page(path)
        assert "<script>alert" not in found
        assert "&lt;script&gt;" in found
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=", found)


@pytest.mark.parametrize("base", ["", "null", "[]", "{}", '{"name": []}', "[" * 5_000])
async def test_a_form_that_does_not_say_what_it_was_made_of_overwrites_nothing_unseen(desk: Desk, base: str) -> None:
    await desk.visitor.add_campaign("winter")
    fields: dict[str, Any] = shown(dump_campaign(desk.winter)) | {"base": base, "name": "Mine"}
    status, _, _ = await desk.send(SETTINGS, fields)
    assert status in {303, 409}


async def test_who_may_not_make_campaigns_does_not(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    fields = await desk.open(NEW)
    await desk.sign_in("eyes")
    await desk.visitor.page(NEW, 403)
    assert (await desk.send(NEW, fields | {"csrf": desk.csrf, "id": "spring"}))[0] == 403
    assert "New campaign" not in await desk.visitor.page("/console/campaigns")
    assert (await desk.send(SETTINGS, await desk.open(SETTINGS) | {"name": "By eyes"}))[0] == 303


async def test_a_form_of_another_site_changes_nothing(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    fields = await desk.open(SETTINGS) | {"csrf": "0" * 64, "name": "Theirs"}
    for path in (SETTINGS, NEW, CHECK):
        assert (await desk.send(path, fields))[0] == 403
    assert desk.winter.name == ""


async def test_a_form_sent_without_a_session_leads_to_the_door(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    fields = await desk.open(SETTINGS)
    desk.visitor.http.cookie_jar.clear()
    status, _, location = await desk.send(SETTINGS, fields, **{"Sec-Fetch-Mode": "navigate"})
    assert (status, location) == (303, "/console/login")
    assert (await desk.send(CHECK, fields, **{"Sec-Fetch-Mode": "cors"}))[0] == 401


async def test_the_order_to_start_asks_for_registries_as_the_api_does(desk: Desk) -> None:
    await desk.visitor.add_campaign("winter")
    desk.rules.lacking = (Saying("the registry robinson is missing"),)
    status, says = await desk.visitor.order("winter", "start", desk.csrf)
    assert (status, "robinson" in says) == (409, True)

"""The CRM mapping in the console: seen, changed by the form, tried by the workers' own code; by whom it may be."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
import pytest_asyncio

from dialer.api.campaign_ports import StoredCampaign
from dialer.api.crm_ports import Told
from dialer.api.delivery_ports import CrmState
from dialer.api.errors import ApiError
from dialer.api.tenant_ports import narrowed
from dialer.campaigns import dump_campaign, parse_campaign
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import CampaignId
from dialer.core.saying import NOTHING, say
from dialer.projections.live import LiveView
from dialer.runtime.crm_feeds import NodeCrmFeeds
from dialer.settings import Crm, CrmAccess, CrmPull, Settings
from dialer.testing import FakeNode
from tests.crm_rig import MAPPINGS
from tests.integration.test_api_compliance import Recorded
from tests.integration.test_campaign_pages import CHECK, SETTINGS, WINTER, Desk
from tests.integration.test_console import Visitor, serving

CRM = "/console/campaigns/winter/crm"
TRY = "/console/campaign-crm-try"
SECRET = "t0psecret"
PULLS = (
    CrmPull(
        name="ours",
        campaign="winter",
        mapping="rest.toml",
        url="https://crm.example/key-in-path",
        access=CrmAccess(kind="bearer", token=SECRET),
    ),
    CrmPull(name="soapy", campaign="summer", mapping="soap.toml", url="https://soap.example"),
    CrmPull(name="dynamics", campaign="acme--autumn", mapping="dynamics.toml", url="https://dynamics.example"),
)
RECORD = {"id": "c-1", "phone": "+34600111222", "status": "pending", "name": "Ana <b>", "account": {"balance": "12.5"}}

pytestmark = pytest.mark.asyncio(loop_scope="module")


class States:
    """How CRMs fare, as a test says."""

    found: Sequence[CrmState] = ()

    async def __call__(self) -> Sequence[CrmState]:
        return self.found


STATES = States()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visitor]:
    feeds = NodeCrmFeeds(Settings(crm=Crm(mappings=str(MAPPINGS), pull=PULLS)), STATES)

    def prepare(node: FakeNode) -> None:
        node.ports = replace(node.ports, crm_feeds=feeds)

    async with serving(tmp_path_factory.mktemp("console"), prepare) as visitor:
        yield visitor


@pytest_asyncio.fixture(loop_scope="module")
async def desk(served: Visitor) -> Desk:
    """A manager in front of the campaign `winter`, which the CRM `ours` feeds."""
    served.node.campaigns.rows.clear()
    served.node.control.events.clear()
    served.node.control.view = LiveView()
    served.http.cookie_jar.clear()
    STATES.found = ()
    found = Desk(served, Recorded())
    await found.sign_in()
    put(served)
    return found


def put(visitor: Visitor, name: str = "winter", **settings: object) -> None:
    campaign = parse_campaign({"id": name} | settings)
    visitor.node.campaigns.rows[CampaignId(name)] = StoredCampaign(
        campaign=campaign, state=CampaignState.RUNNING, updated_at=1.0
    )


def words(page: str) -> str:
    """What of a page one reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def beside(page: str, place: str) -> str:
    return page.partition(f'id="problem-{place}"')[2].partition(">")[2].partition("</p>")[0]


async def test_the_page_says_what_feeds_the_campaign_and_how_it_fares_and_no_secret(desk: Desk) -> None:
    put(desk.visitor, crm_contact=[{"field": "fields.debt", "expression": "account.balance", "type": "number"}])
    now = desk.node.clock.now()
    problem = say("the CRM answered 401: it does not know us", code="crm_unknown_to_it", status=401)
    STATES.found = [
        CrmState(
            name="ours",
            completed_at=now - 75,
            next_at=now + 5,
            failures=2,
            last_error=problem,
            waiting=3,
            failed=1,
            counts={"accepted": 1_200, "update_delivered": 9},
            oldest_at=now - 20,
        ),
        CrmState(
            name="dynamics", completed_at=0, next_at=0, failures=0, last_error=NOTHING, waiting=77, failed=0, counts={}
        ),
    ]
    page = await desk.visitor.page(CRM)
    read = words(page)
    for says in (
        "REST: two functions",
        "crm.example",
        "1:15 ago",
        "3 waiting (the oldest for 0:20)",
        "1 given up",
        "accepted 1,200",
        "the CRM answered 401",
        "failures in a row: 2",
        "Field debt account.balance number own",
        "no answer no_answer no answer",
        "cadencia:contacts",
        "POST /api/v1/campaigns/winter/contacts",
    ):
        assert says in read, says
    for hidden in (SECRET, "key-in-path", "dynamics", "77 waiting"):
        assert hidden not in page, hidden
    assert '/console/campaigns/winter/crm"' in await desk.visitor.page("/console/campaigns/winter")


async def test_a_campaign_without_a_crm_says_so_and_has_the_addresses_to_push_to(desk: Desk) -> None:
    put(desk.visitor, "spring")
    read = words(await desk.visitor.page("/console/campaigns/spring/crm"))
    assert "No CRM is asked" in read
    assert "POST /api/v1/campaigns/spring/contacts" in read
    await desk.visitor.page("/console/campaigns/nowhere/crm", 404)


async def test_a_line_of_the_mapping_becomes_a_row_is_tried_and_saved(desk: Desk) -> None:
    fields = await desk.open(SETTINGS + "?opened=mapping")
    page = await desk.visitor.page(SETTINGS)
    take = re.findall(r'value="(crm_contact:0:\d+)" formnovalidate>[^<]*<span class="unseen"> fields.amount<', page)
    status, page, _ = await desk.send(SETTINGS, {**fields, "add": take[0], "try_sample": "{}"})
    assert status == 200
    assert desk.winter == parse_campaign({"id": "winter"}), "nothing is saved by that"
    assert 'data-focus="crm_contact.0.expression"' in page
    assert re.search(r'name="crm_contact\.0\.field" value="fields\.amount"', page)
    assert re.search(r'name="crm_contact\.0\.expression" value="amount"', page)
    assert "{}</textarea>" in page, "what is tried stays on the page"
    fields |= {
        "crm_contact.0.field": "fields.amount",
        "crm_contact.0.expression": "account.balance",
        "crm_contact.0.type": "number",
        "crm_words.0.table": "status",
        "crm_words.0.word": "SALE",
        "crm_words.0.becomes": "true",
        "crm_update.0.rule": "1",
        "crm_update.0.field": "comments",
        "crm_update.0.value": "{code}: {notes}",
    }
    sample = {"try_crm": "ours", "try_sample": json.dumps(RECORD), "try_told": "code:SALE"}
    status, page, _ = await desk.send(TRY, {**fields, **sample})
    assert status == 200
    assert "Ana &lt;b&gt;" in page
    read = words(page)
    assert "Phone numbers +34…22" in read
    assert "Field amount 12.5" in read
    assert "status true" in read
    assert "comments SALE: pays by card" in read
    assert "600111222" not in page.replace(" ", "")
    assert desk.winter == parse_campaign({"id": "winter"}), "nor by trying"
    status, said, _ = await desk.send(CHECK, fields)
    assert "can be saved" in said
    status, page, location = await desk.send(SETTINGS, {**fields, **sample})
    assert (status, location) == (303, "/console/campaigns/winter?saved=1")
    assert dump_campaign(desk.winter)["crm_words"] == [{"crm": "", "table": "status", "word": "SALE", "becomes": True}]
    assert desk.winter.crm_contact[0].expression == "account.balance"


@pytest.mark.parametrize(
    ("typed", "place", "says"),
    [
        ({"crm_contact.0.field": "phone", "crm_contact.0.expression": "x"}, "crm_contact-0", "no part of a contact"),
        ({"crm_contact.0.field": "name", "crm_contact.0.expression": "a["}, "crm_contact-0", "no JMESPath"),
        (
            {"crm_contact.0.field": "name", "crm_contact.0.expression": "<script>alert(1)</script>"},
            "crm_contact-0",
            "&lt;script&gt;",
        ),
        ({"crm_contact.0.field": "name", "crm_contact.0.expression": "x" * 2_000}, "crm_contact-0", "length"),
        ({"crm_contact.0.field": "name", "crm_contact.0.crm": "other"}, "crm_contact", "does not feed this campaign"),
        ({"crm_words.0.table": "nope", "crm_words.0.word": "SALE"}, "crm_words", "uses a table"),
        ({"crm_update.0.rule": "x", "crm_update.0.field": "a"}, "crm_update-0", "not a number"),
        ({"crm_update.0.rule": "3", "crm_update.0.field": "a"}, "crm_update", "no rule 3"),
        (
            {"crm_update.0.rule": "1", "crm_update.0.field": "a", "crm_update.0.value": "{secret}"},
            "crm_update-0",
            "is no fact",
        ),
    ],
)
async def test_mistakes_stand_beside_their_rows_while_they_are_typed(
    desk: Desk, typed: dict[str, str], place: str, says: str
) -> None:
    fields = {**await desk.open(SETTINGS), **typed}
    status, said, _ = await desk.send(CHECK, fields)
    assert status == 200
    assert says in beside(said, place), beside(said, place)
    assert "<script>" not in said
    status, page, _ = await desk.send(SETTINGS, fields)
    assert status == 422
    assert says in beside(page, place)
    assert desk.winter == parse_campaign({"id": "winter"})


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ("", "Paste one record"),
        ("{", "is not JSON"),
        ("<html>", "HTML or XML"),
        ("[" * 20_000, "JSON"),
        ("7", "is no object"),
        ('{"id": 1}', "not to be called"),
        ('{"id": 1, "status": "pending"}', "It would be rejected: has no number"),
        ('{"id": ".", "status": "pending"}', "finds no key"),
        ('{"calls": [{"id": "a", "status": "pending", "phone": "+34600111222"}], "next": null}', "Record a"),
        ('{"calls": []}', "finds no key"),
        (json.dumps({"id": "x" * 70_000}), "longer than 64 KiB"),
        (json.dumps({"id": "a", "status": "pending", "amount": "much", "phone": "1"}), "must be a number"),
    ],
)
async def test_records_that_are_no_contacts_are_told_in_words(desk: Desk, sample: str, says: str) -> None:
    fields = await desk.open(SETTINGS)
    status, page, _ = await desk.send(TRY, {**fields, "try_sample": sample, "try_told": "outcome:busy"})
    assert status == 200
    assert says in words(page), words(page)


async def test_trying_says_what_nothing_is_written_of_and_what_to_correct_first(desk: Desk) -> None:
    fields = await desk.open(SETTINGS)
    tried = {"try_crm": "ours", "try_sample": json.dumps(RECORD)}
    _, page, _ = await desk.send(TRY, {**fields, **tried, "try_told": "code:NOBODYS"})
    assert "is no code of the campaign" in words(page)
    _, page, _ = await desk.send(TRY, {**fields, **tried, "try_crm": "dynamics"})
    assert "feeds campaign" in words(page)
    wrong = {"crm_contact.0.field": "name", "crm_contact.0.expression": "["}
    _, page, _ = await desk.send(TRY, {**fields, **tried, **wrong})
    assert "Correct the rows above first" in words(page)
    _, page, _ = await desk.send(TRY, {**fields, **tried, "name": "x" * 300, "try_told": "outcome:busy"})
    assert "status busy" in words(page), "what is wrong elsewhere does not matter here"
    put(desk.visitor, "summer")
    fields = await desk.open("/console/campaigns/summer/settings")
    envelope = (
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
        '<GetPendingCallsResponse xmlns="urn:calls"><calls><call version="3"><id>7</id><phone>+34600111222</phone>'
        "<debt>9</debt></call></calls></GetPendingCallsResponse></soap:Body></soap:Envelope>"
    )
    _, page, _ = await desk.send(TRY, {**fields, "try_crm": "soapy", "try_sample": envelope})
    assert "Field debt 9" in words(page)
    assert "&lt;status&gt;connected&lt;/status&gt;" in page


async def test_two_editors_of_one_mapping_lose_nothing(desk: Desk) -> None:
    fields = await desk.open(SETTINGS)
    row = {"crm_contact.0.field": "name", "crm_contact.0.expression": "mine"}
    put(
        desk.visitor,
        crm_contact=[{"field": "name", "expression": "theirs"}],
        crm_update=[{"rule": 1, "field": "agent"}],
    )
    status, page, _ = await desk.send(SETTINGS, {**fields, **row})
    assert status == 409
    assert "name mine" in words(page)
    assert "name theirs" in words(page)
    assert re.search(r'name="crm_update\.0\.field" value="agent"', page), "what only they changed is as they left it"
    assert desk.winter.crm_contact[0].expression == "theirs"


async def test_rows_that_no_longer_fit_are_told_on_the_page_and_hold_up_nothing_else(desk: Desk) -> None:
    put(desk.visitor, crm_update=[{"rule": 2, "field": "x", "value": "y"}])
    read = words(await desk.visitor.page(CRM))
    assert "do not fit this mapping" in read
    assert "there is no rule 2; the mapping has 1" in read
    fields = await desk.open(SETTINGS)
    status, _, _ = await desk.send(SETTINGS, {**fields, "name": "Renamed"})
    assert status == 303
    assert desk.winter.name == "Renamed"


async def test_a_clone_takes_the_rows_along(desk: Desk) -> None:
    put(desk.visitor, crm_contact=[{"field": "name", "expression": "who", "crm": "ours"}])
    path = "/console/new-campaign?clone=winter"
    fields = await desk.open(path)
    status, _, _ = await desk.send(path, {**fields, "id": "copy"})
    assert status == 303
    made = desk.node.campaigns.rows[CampaignId("copy")].campaign
    assert made.crm_contact == desk.winter.crm_contact


async def test_whoever_may_change_settings_may_this_and_nobody_else(desk: Desk) -> None:
    desk.visitor.http.cookie_jar.clear()
    await desk.sign_in("eyes")
    assert "ours" in await desk.visitor.page(CRM)
    status, _, _ = await desk.send(TRY, {"campaign": "winter", "csrf": "0" * 64})
    assert status == 403
    desk.visitor.http.cookie_jar.clear()
    await desk.visitor.page(CRM, 303)


async def test_a_tenant_sees_the_crm_of_its_own_campaigns_alone(desk: Desk) -> None:
    whole = desk.node.ports
    port = narrowed(whole, "acme").crm_feeds
    assert port is not None
    assert [feed.name for feed in port.of(CampaignId("acme--autumn"))] == ["dynamics"]
    assert port.prefix == "", "Redis is not for tenants"
    assert not port.of(WINTER)
    with pytest.raises(ApiError, match="there is no campaign"):
        await port.states(WINTER)
    with pytest.raises(ApiError, match="there is no campaign"):
        await port.tried(Campaign(id=WINTER), "ours", b"{}", Told())


async def test_the_api_takes_rows_and_refuses_what_does_not_fit(desk: Desk) -> None:
    async def api(method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": "Bearer boss"}
        async with desk.visitor.http.request(
            method, f"{desk.visitor.url}/api/v1{path}", json=body, headers=headers
        ) as answer:
            return answer.status, await answer.json()

    rows = [{"field": "fields.debt", "expression": "account.balance", "type": "number"}]
    status, found = await api("PATCH", "/campaigns/winter", {"crm_contact": rows})
    assert status == 200
    assert found["settings"]["crm_contact"] == [{"crm": "", **rows[0]}]
    status, found = await api("PATCH", "/campaigns/winter", {"crm_update": [{"rule": 9, "field": "x"}]})
    assert (status, found["message"]) == (422, "crm_update: there is no rule 9; the mapping has 1")
    status, found = await api("POST", "/campaigns", {"id": "made", "crm_contact": rows})
    assert status == 201
    status, found = await api("POST", "/campaigns", {"id": "bad", "crm_contact": [{"field": "record"}]})
    assert status == 422
    assert "is no part of a contact" in found["message"]

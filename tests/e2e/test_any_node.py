"""Several nodes behind one address: whichever is asked, what is wanted happens, once, and where it must."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from dialer.core.campaign import CampaignState
from dialer.core.events import CallDisposed
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.errors import InputError
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.cluster_checks import cluster_findings
from tests.e2e.floor import CAMPAIGN, Floor, until
from tests.e2e.two_nodes import ORIGIN, Answer, Pair, two_nodes
from tests.patience import PATIENCE_S

SETTINGS = {"id": CAMPAIGN, "method": "progressive", "wrapup_limit_s": 30.0, "max_attempts": 1}


def state_of(site: Floor, campaign: str = CAMPAIGN) -> CampaignState | None:
    """Where a campaign stands in the engine of a node."""
    run = site.node.dispatcher.engine.floor.campaigns.get(CampaignId(campaign))
    return None if run is None else run.state


async def test_a_day_behind_one_address(
    tmp_path: Path, own_valkey: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pair of nodes for all of it: they take their time to start."""
    # An order is answered when it is written down, however long a busy machine takes for that.
    monkeypatch.setattr("dialer.runtime.campaign_watch._WRITTEN_S", PATIENCE_S)
    async with two_nodes(tmp_path, own_valkey) as pair:
        await campaigns_are_the_same_everywhere(pair)
        await agents_are_reached_through_either(pair)
        await a_call_is_made_and_hung_up_through_the_other(pair)
        await a_page_of_the_crm_calls_through_either(pair)
        await everything_is_seen_from_either(pair)
        await pages_take_the_session_of_either(pair)
        await nobody_is_at_home_twice(pair)
        await forged_tickets_are_refused(pair)
        await the_doctor_finds_both(pair)
        await whoever_dies_is_told_of(pair)


async def campaigns_are_the_same_everywhere(pair: Pair) -> None:
    made = await pair.ask(pair.first, "POST", "/campaigns", SETTINGS)
    assert made.status == 201, made.body
    # Written by the first, ordered through the second at once, read at the first at once.
    started = await pair.ask(pair.second, "POST", "/campaigns/winter/start")
    assert (started.status, started.body["state"]) == (202, "running")
    assert (await pair.ask(pair.first, "GET", "/campaigns/winter")).body["state"] == "running"
    assert state_of(pair.first) is CampaignState.RUNNING
    changed = await pair.ask(pair.second, "PATCH", "/campaigns/winter", {"ring_timeout_s": 17.0})
    assert changed.status == 200, changed.body

    def told() -> bool:
        run = pair.first.node.dispatcher.engine.floor.campaigns[CAMPAIGN]
        return run.campaign.ring_timeout_s == 17.0

    await until(told, "the changed setting at the node that nobody asked")
    paused = await pair.ask(pair.first, "POST", "/campaigns/winter/pause")
    assert paused.status == 202
    await until(lambda: state_of(pair.second) is CampaignState.PAUSED, "the order at the node that nobody asked")
    # Forth and back within a moment: the last word counts, everywhere.
    assert (await pair.ask(pair.second, "POST", "/campaigns/winter/start")).status == 202
    assert (await pair.ask(pair.first, "POST", "/campaigns/winter/pause")).status == 202
    assert (await pair.ask(pair.second, "POST", "/campaigns/winter/start")).status == 202
    await until(lambda: {state_of(pair.first), state_of(pair.second)} == {CampaignState.RUNNING}, "one state")


async def agents_are_reached_through_either(pair: Pair) -> None:
    assert (await pair.sign_in(pair.first, "ann")).status == 202
    assert pair.home("ann") is pair.first, "who asked a node is at home there"
    # Before the second has been told: the claim is enough.
    paused = await pair.ask(pair.second, "POST", "/agents/ann/pause", {"code": "tea"})
    assert paused.status == 202, paused.body
    row = (await pair.ask(pair.second, "GET", "/agents/ann")).body
    assert (row["state"], row["reason"]) == ("paused", "tea")
    again = await pair.sign_in(pair.second, "ann")
    assert (again.status, again.body["error"]) == (409, "wrong_state"), "nobody is at home twice"
    assert pair.second.node.live.agent(AgentId("ann")) is None
    told = await pair.ask(pair.second, "POST", "/agents/ann/messages", {"text": "well done"})
    assert told.status == 201
    read = await pair.ask(pair.first, "GET", "/agents/ann/messages")
    assert [message["text"] for message in read.body["items"]] == ["well done"]
    refused = await pair.ask(pair.second, "POST", "/agents/ann/pause", {"code": ""})
    assert refused.status == 422, "the other node's own words"
    assert (await pair.ask(pair.second, "POST", "/agents/nobody/ready")).status == 404


async def a_call_is_made_and_hung_up_through_the_other(pair: Pair) -> None:
    wish = {"agent": "ann", "campaign": "winter", "phone": "+34600000001"}
    key = {"idempotency_key": "once"}
    asked: Answer | None = None

    async def called() -> bool:
        nonlocal asked
        asked = await pair.ask(pair.second, "POST", "/calls", wish, key="crm", **key)
        # Whoever clicks while the process stood still, or one node loads the record once more for both, clicks again.
        return asked.status != 503 and str(asked.body.get("details", {}).get("reason")) != "try_again"

    await until(called, "an answer that is one")
    assert asked is not None
    assert asked.status == 201, asked.body
    call = asked.body["call"]
    assert call.startswith("n1-"), "made by the node of the agent"
    again = await pair.ask(pair.first, "POST", "/calls", wish, key="crm", **key)
    assert (again.status, again.body["call"]) == (201, call), "the same key, whichever node is asked"
    assert again.headers["idempotency-replayed"] == "true"

    async def talking() -> bool:
        found = await pair.ask(pair.second, "GET", f"/calls/{call}")
        return str(found.body["state"]) == "connected"

    await until(talking, "a talk, seen from the other node")
    assert (await pair.ask(pair.second, "POST", "/agents/ann/hangup")).status == 202
    await until(lambda: not pair.first.node.dispatcher.engine.floor.calls, "the end of the call")
    # As from the stream, which either reads, and by name of the call alone.
    closed = CallDisposed(at=pair.second.now, call=CallId(call), code="NONSENSE", by="crm")
    with pytest.raises(InputError) as refused:
        await pair.second.node.control.submit(closed)
    assert (refused.value.word, "SALE" in refused.value.allowed) == ("unknown_code", True)
    await pair.second.node.control.submit(replace(closed, code="SALE"))
    given = await pair.ask(pair.second, "POST", "/dispositions", {"call": call, "code": "CALLBACK"}, key="crm")
    assert (given.status, given.body["error"]) == (422, "missing_callback"), (
        "the appointment is missing, says the other"
    )
    row = pair.first.node.live.agent(AgentId("ann"))
    assert row is not None
    assert row.state != "wrapup", "what was told to the second has ended it at the first"


async def a_page_of_the_crm_calls_through_either(pair: Pair) -> None:
    """A token that one node has made, at the other, which is not the agent's."""
    made = await pair.ask(pair.first, "POST", "/agents/ann/snippet-token", {"origin": ORIGIN}, key="crm")
    assert made.status == 201, made.body
    wish = {"agent": "ann", "campaign": "winter", "phone": "+34600000002"}
    pair.keys["page"] = made.body["token"]
    asked: Answer | None = None

    async def called() -> bool:
        nonlocal asked
        asked = await pair.ask(pair.second, "POST", "/calls", wish, key="page", origin=ORIGIN)
        return str(asked.body.get("details", {}).get("reason")) != "try_again"

    await until(called, "an answer that is one")
    assert asked is not None
    assert asked.status == 201, asked.body
    assert asked.body["call"].startswith("n1-")
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    other = await pair.ask(pair.second, "POST", "/calls", wish, key="page", origin="https://evil.example")
    assert other.status == 401
    hung_up = await pair.ask(pair.second, "POST", f"/calls/{asked.body['call']}/hangup")
    assert hung_up.status == 202, hung_up.body
    await until(lambda: not pair.first.node.dispatcher.engine.floor.calls, "the end of the call")


async def everything_is_seen_from_either(pair: Pair) -> None:
    assert (await pair.sign_in(pair.second, "bob")).status == 202
    await pair.meet()
    for site in (pair.first, pair.second):
        live = (await pair.ask(site, "GET", "/live")).body
        assert {(row["id"], row["node"]) for row in live["agents"]} == {("ann", "n1"), ("bob", "n2")}
        assert {row["node"] for row in live["servers"]} == {"n1", "n2"}
        assert [row["id"] for row in live["nodes"]] == ["n1", "n2"]
        (campaign,) = live["campaigns"]
        assert sum(campaign["agents"].values()) == 2
        assert campaign["today"]["started"] == 2
    # What is scraped is each node's own.
    for site in (pair.first, pair.second):
        async with pair.client.get(f"{site.node.api_url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        agents = [line for line in lines if line.startswith("cadencia_agents{")]
        assert sum(float(line.rpartition(" ")[2]) for line in agents) == 1.0, agents


async def pages_take_the_session_of_either(pair: Pair) -> None:
    """Signed in through one node, the pages of the other; an agent's desk is that of their home, live."""
    first, second = pair.first.node.api_url, pair.second.node.api_url
    for key, at, page, has in (
        ("manager", first, f"{second}/console/agents", "bob"),
        ("agent", second, f"{second}/console/desk", "ann"),
    ):
        cookies = await signed_in(pair, at, key)
        async with pair.client.get(page, cookies=cookies, allow_redirects=False) as answer:
            text = await answer.text()
            assert (answer.status, has in text) == (200, True), text[:500]
    csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', text)
    assert csrf is not None
    for token, status in (("0" * 64, 403), (csrf.group(1), 204)):
        url, order = f"{second}/console/desk/ready", {"x-csrf-token": token}
        async with pair.client.post(url, data={"now": "1"}, cookies=cookies, headers=order) as answer:
            assert answer.status == status, await answer.text()
    assert pair.home("ann") is pair.first, "ready, where they are at home"
    async with pair.client.get(f"{second}/console/stream/desk", cookies=cookies) as stream:
        assert stream.content_type == "text/event-stream"
        seen = b""
        while b"data: " not in seen:
            seen += await asyncio.wait_for(stream.content.readany(), PATIENCE_S)


async def signed_in(pair: Pair, at: str, key: str) -> dict[str, str]:
    """The cookies of a session that a node has begun."""
    form = {"key": pair.keys[key]}
    async with pair.client.post(f"{at}/console/login", data=form, allow_redirects=False) as answer:
        assert answer.status == 303
        return {name: morsel.value for name, morsel in answer.cookies.items()}


async def nobody_is_at_home_twice(pair: Pair) -> None:
    answers = await asyncio.gather(pair.sign_in(pair.first, "eve"), pair.sign_in(pair.second, "eve"))
    assert sorted(answer.status for answer in answers) in ([202, 202], [202, 409])
    rows = [site.node.live.agent(AgentId("eve")) for site in (pair.first, pair.second)]
    assert len([row for row in rows if row is not None]) == 1


async def forged_tickets_are_refused(pair: Pair) -> None:
    for forged in ("", "x", "AAAA", "A" * 5_000):
        answer = await pair.ask(pair.second, "POST", "/agents/bob/pause", {"code": "tea"}, cadencia_forwarded=forged)
        assert (answer.status, answer.body["error"]) == (403, "forbidden")
    row = pair.second.node.live.agent(AgentId("bob"))
    assert row is not None
    assert row.state == "idle"


async def the_doctor_finds_both(pair: Pair) -> None:
    async def well() -> bool:
        # On a busy machine an address may not be reached in time.
        found = await cluster_findings(pair.first.settings)
        said = [(finding.ok, finding.says) for finding in found]
        return said == [(True, "n1, n2: each is reached from here, their clocks agree")]

    await until(well, "both are found, and nothing is wrong with them")


async def whoever_dies_is_told_of(pair: Pair) -> None:
    # Its API alone, as of a machine that has just been lost: the others still count on it.
    await pair.meet()
    pair.second.node._api.stop()
    await pair.second.node._api_task
    answer = await pair.ask(pair.first, "POST", "/agents/bob/pause", {"code": "tea"})
    assert (answer.status, answer.body["error"]) == (503, "unavailable")
    assert answer.body["details"] == {"node": "n2", "carried_out": "no"}
    assert int(answer.headers["retry-after"]) > 0

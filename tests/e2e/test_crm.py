"""The CRM and the dialer as one: pushes, dispositions, segments and events, by the client, against a whole node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dialer.client import AsyncClient, AsyncRedisPush, Client, RedisPush, Refused, Verdicts
from dialer.client.wire import get, send
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, phone, until
from tests.schemas import published

pytestmark = pytest.mark.slow

POP = "https://crm.example/contacts/{id}?debt={debt}"


@asynccontextmanager
async def crm_of(site: Floor) -> AsyncIterator[tuple[AsyncClient, str]]:
    _, key = await Keys(site.node.database).create("crm", "crm", now=site.now)
    async with AsyncClient(site.node.api_url, key) as client:
        yield client, key


async def code_of(client: AsyncClient, call: str) -> list[dict[str, Any]]:
    answer = await client.request(get(f"/calls/{call}/dispositions"))
    found: list[dict[str, Any]] = answer["items"]
    return found


def check_schemas(site: Floor) -> None:
    """Everything that was told keeps to its published schema."""
    for result in site.seen:
        assert [error.message for error in published(result["type"]).iter_errors(result)] == [], result


async def test_dispositions_by_every_way_and_what_follows(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    fates = {number: person(talk_s=60.0) for number in range(4)}
    async with floor(tmp_path, own_valkey, fates=fates) as site, crm_of(site) as (client, _):
        codes = [
            {"code": "SOLD", "category": "sale", "is_sale": True, "is_contact": True, "needs_amount": True},
            {"code": "STOP", "category": "do_not_call", "do_not_call": True},
            {"code": "LATER", "category": "callback", "callback": True},
            {"code": "AWAY", "category": "not_there", "retry": {"delay_s": 3_600}},
        ]
        await site.begin(
            agents=4, campaign={"screen_pop": POP, "dispositions": codes, "max_attempts": 5, "wrapup_limit_s": None}
        )
        await client.push(CAMPAIGN, [{"id": f"crm-{n}", "phones": [phone(n)]} for n in range(4)])
        talks = {r["contact"]: r for r in [await site.wait("call.connected", n) for n in range(1, 5)]}
        calls = [talks[f"crm-{n}"]["call"] for n in range(4)]

        # what a campaign does not take is refused, by REST and by the stream, with what it would take
        for wrong, error in (
            ({"code": "SALE"}, "unknown_code"),
            ({"code": "SOLD"}, "invalid_amount"),
            ({"code": "SOLD", "amount": "-1"}, "invalid_amount"),
            ({"code": "SOLD", "amount": "1e9"}, "invalid_amount"),
            ({"code": "LATER"}, "missing_callback"),
        ):
            with pytest.raises(Refused) as refused:
                await client.request(send("POST", "/dispositions", {"call": calls[0], **wrong}))
            assert (refused.value.status, refused.value.error) == (422, error)
            await site.write("dispositions", {"id": f"bad-{error}", "call": calls[0], **wrong})
            told = await site.wait("message.rejected", ref=f"bad-{error}")
            assert f": {error}: " in told["reason"]
        assert (await client.request(get(f"/campaigns/{CAMPAIGN}/dispositions")))["codes"][0]["code"] == "SOLD"

        # the stream, the route of the agent, and a change later by somebody else
        await site.write("dispositions", {"id": "d-1", "call": calls[0], "code": "sold", "amount": 129.9})
        sold = await site.wait("call.disposed", ref="d-1")
        assert (sold["code"], sold["amount"], sold["currency"], sold["is_sale"], sold["by"]) == (
            "SOLD", "129.9", "EUR", True, "crm",
        )  # fmt: skip
        agent = talks["crm-1"]["agent"]
        await client.request(send("POST", f"/agents/{agent}/dispose", {"code": "STOP", "id": "d-2"}))
        await site.wait("call.disposed", ref="d-2", agent=agent)
        await client.request(send("POST", f"/agents/{agent}/hangup"))
        live = site.node.control.live()
        await until(lambda: live.agent(agent).state in {"idle", "talking"}, "the wrap-up's end by the code")  # type: ignore[union-attr]  # has signed in

        async def scopes() -> list[str]:
            listed = await client.request(send("POST", "/dnc/check", {"phone": phone(1)}))
            return [entry["scope"] for entry in listed["entries"]]

        await until(scopes, "the entry on record")
        assert await scopes() == ["*"]
        bulk = await client.dispose(
            [
                {"call": calls[1], "code": "SOLD", "amount": "1", "id": "d-3"},
                {"call": calls[1], "code": "AWAY", "id": "d-4"},
                {"call": calls[2], "code": "LATER", "callback_at": "2099-01-01T00:00:00Z", "id": "d-5"},
                {"call": "no-such-call", "code": "AWAY"},
                {"call": calls[3], "code": "AWAY", "id": "d-6"},
            ]
        )
        assert [(item.line, item.reason) for item in bulk.rejected] == [(3, "invalid_time"), (4, "not_found")]
        assert bulk.accepted == 3
        for ref in ("d-3", "d-4", "d-6"):
            await site.wait("call.disposed", ref=ref)

        async def changed() -> bool:
            return len(await code_of(client, calls[1])) == 3

        await until(changed, "three codes on record")
        history = await code_of(client, calls[1])
        assert [(each["code"], each["changed_from"]) for each in history] == [
            ("AWAY", "SOLD"), ("SOLD", "STOP"), ("STOP", None),
        ]  # fmt: skip
        assert all(each["by"] for each in history)
        assert await scopes() == ["*"], "no code takes it off"
        again = await site.wait("callback.accepted", ref=f"retry-{calls[3]}")
        assert again["contact"] == "crm-3"
        await site.read()
        check_schemas(site)


async def test_a_segment_becomes_a_campaign_by_one_message(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site, crm_of(site) as (client, key):
        await site.begin(agents=1)
        push = AsyncRedisPush(own_valkey.url)
        segment = {
            "id": "seg-1",
            "campaign": "loyalty",
            "template": CAMPAIGN,
            "settings": {"max_attempts": 2},
            "contacts": [{"id": "crm-1", "phones": [phone(1)]}, {"id": "crm-2", "phones": ["12"]}],
        }
        await push.write("segments", [segment])
        told = await site.wait("segment.accepted", ref="seg-1")
        assert (told["created"], told["started"], told["accepted"], told["rejected"]) == (True, True, 1, 1)
        assert (await site.wait("contact.rejected", ref="seg-1"))["contact"] == "crm-2"
        made = await client.request(get("/campaigns/loyalty"))
        of = made["settings"]
        assert (made["state"], of["max_attempts"], of["method"], of["segment"]) == (
            "running",
            2,
            "progressive",
            "seg-1",
        )

        # again, by REST: nothing is done twice, and what somebody has paused stays paused
        await client.order("loyalty", "pause")
        again = await client.segment(segment)
        assert (again["created"], again["started"], again["accepted"]) == (False, False, 1)
        assert (await client.request(get("/campaigns/loyalty")))["state"] == "paused"

        for wrong, error in (
            ({"id": "seg-2", "campaign": CAMPAIGN}, "exists"),
            ({"id": "seg-2", "campaign": "x", "template": "none"}, "unknown_template"),
            ({"id": "seg-2", "campaign": "x", "settings": {"max_abandonment": 0.5}}, "invalid"),
            ({"id": "seg-2", "campaign": "x", "settings": {"id": "y"}}, "wrong_value"),
            ({"id": "seg 2", "campaign": None}, "wrong_value"),
            ({"id": "seg-2", "campaign": "x", "contacts": [{}] * 1_001}, "too_large"),
            ({"id": "seg-2", "campaign": "x", "contacts": 1}, "wrong_type"),
        ):
            with pytest.raises(Refused) as refused:
                await client.segment(segment | wrong)
            assert (refused.value.status, refused.value.error) == (422, error), wrong
        await push.write("segments", [segment | {"id": "seg-9", "campaign": "y", "template": "none"}])
        assert "unknown_template" in (await site.wait("message.rejected", ref="seg-9"))["reason"]
        await push.close()
        await site.read()
        check_schemas(site)

        # the same by the client without a loop
        def blocking() -> tuple[Verdicts, int, list[str]]:
            by_stream = RedisPush(own_valkey.url)
            with Client(site.node.api_url, key) as dialer:
                removed = dialer.remove([{"campaign": "*", "contact": "crm-1"}, {"campaign": "*"}])
                written = by_stream.push("loyalty", [{"id": f"k{n}", "phones": [phone(n)]} for n in range(1_001)], "p")
                by_stream.close()
                return removed, written, [campaign["id"] for campaign in dialer.pages("/campaigns", limit=1)]

        removed, written, campaigns = await asyncio.to_thread(blocking)
        assert ([item.accepted for item in removed.items], removed.rejected[0].reason) == ([True, False], "invalid")
        assert (written, campaigns) == (2, ["loyalty", CAMPAIGN])
        await site.wait("removal.applied", contact="crm-1")


async def test_events_resume_where_a_client_left_off(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    fates = {number: person(talk_s=0.2) for number in range(6)}
    async with floor(tmp_path, own_valkey, fates=fates) as site, crm_of(site) as (client, _):
        await site.begin(agents=2, campaign={"screen_pop": POP})
        events = client.events(types="agent.screen_pop", campaign=CAMPAIGN)
        first = asyncio.ensure_future(anext(events))
        await until(lambda: len(site.node.results), "a listener")
        await site.push(range(3), fields={"debt": 12.5})
        seen = [await asyncio.wait_for(first, 60)]
        for _ in range(2):
            seen.append(await asyncio.wait_for(anext(events), 60))  # noqa: PERF401 - one after another
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert {event.data["url"] for event in seen} == {POP.format(id=f"crm-{n}", debt="12.5") for n in range(3)}
        assert all(event.data["agent"] for event in seen)

        # nobody listens while these are called
        await site.push(range(3, 6), fields={"debt": 1})
        await site.wait("call.ended", 6)
        entries: Any = await site.client.xrange("cadencia:results", min=f"({seen[-1].id}")
        wanted = [
            entry.decode()
            for entry, fields in entries
            if json.loads(fields[b"data"])["type"].startswith(("call.", "agent."))
        ]
        got = []
        async for event in client.events(types="call.*,agent.*", after=seen[-1].id):
            assert event.name == "result"
            got.append(event.id)
            if len(got) == len(wanted):
                break
        assert got == wanted, "each once, in their order, and none is missing"

        # one agent's alone; and all that is kept
        agent = seen[0].data["agent"]
        async for event in client.events(agent=agent, after="0-0"):
            assert event.data["agent"] == agent
            break
        with pytest.raises(Refused, match="Last-Event-ID"):
            await anext(client.events(after="yesterday"))

        # what is not kept any more is told
        await site.client.xtrim("cadencia:results", minid=wanted[0], approximate=False)
        async for event in client.events(after="1-1"):
            assert (event.name, event.data["oldest"]) == ("missed", wanted[0])
            break

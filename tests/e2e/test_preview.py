"""Preview dialing through the API of a whole node: shown, decided, called; and told to the CRM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dialer.compliance.evidence import EvidenceKind
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, floor, person, phone, until

pytestmark = pytest.mark.slow


async def test_an_agent_decides_about_each_call_over_the_api(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey, fates={n: person(talk_s=0.2) for n in range(1, 5)}) as site:
        keys = {
            role: (await Keys(site.node.database).create(role, name, now=site.now))[1]
            for role, name in (("agent", "agent01"), ("crm", "crm"), ("metrics", "prometheus"))
        }

        async def ask(path: str, role: str = "agent", **body: object) -> tuple[int, dict[str, Any]]:
            url, headers = f"{site.node.api_url}/api/v1{path}", {"Authorization": f"Bearer {keys[role]}"}
            verb = session.post(url, json=body, headers=headers) if body else session.get(url, headers=headers)
            async with verb as answer:
                return answer.status, await answer.json()

        async def offer() -> Any:
            return (await ask("/agents/agent01/preview"))[1]["offer"]

        async def shown(contact: str) -> bool:
            found = await offer()
            return found is not None and found["contact"] == contact

        async with aiohttp.ClientSession() as session:
            await site.begin(
                agents=1,
                campaign={
                    "method": "preview",
                    "screen_pop": "https://crm.example/{id}?debt={debt}",
                    "preview_skip_s": 3_600,
                },
            )
            assert await offer() is None
            for number, priority in ((1, 3), (2, 2), (3, 1)):
                await site.push([number], priority=priority, name="Ana", fields={"debt": 10 * number})
            told = await site.wait("preview.offered", contact="crm-1")
            assert (told["agent"], told["url"]) == ("agent01", "https://crm.example/crm-1?debt=10")
            assert await shown("crm-1")
            seen = await offer()
            assert (seen["name"], seen["fields"], seen["phone"]) == ("Ana", {"debt": 10}, phone(1))
            assert not await site.results("call.started")

            # Nobody else's business, and no nonsense.
            assert (await ask("/agents/agent02/preview"))[0] == 403
            assert (await ask("/agents/agent02/preview", answer="call", contact="crm-1"))[0] == 403
            assert (await ask("/agents/agent01/preview", role="metrics"))[0] == 403
            for wrong in (
                {"answer": "perhaps", "contact": "crm-1"},
                {"answer": "call"},
                {"answer": "skip", "contact": "crm-1", "reason": "x" * 201},
                {"answer": "skip", "contact": "crm-1", "reason": "a\u0007b"},
                {"answer": "call", "contact": "\u0000"},
            ):
                assert (await ask("/agents/agent01/preview", **wrong))[0] in {400, 422}, wrong
            status, refused = await ask("/agents/agent01/preview", answer="call", contact="crm-3")
            assert (status, refused["details"]["reason"]) == (409, "no_such_offer")
            assert await shown("crm-1")

            status, done = await ask("/agents/agent01/preview", answer="skip", contact="crm-1", reason="on holiday")
            assert (status, done["call"]) == (200, None)
            closed = await site.wait("preview.closed", contact="crm-1")
            assert (closed["outcome"], closed["reason"]) == ("skipped", "on holiday")

            await site.wait("preview.offered", contact="crm-2")
            await site.write("removals", {"id": "r1", "campaign": CAMPAIGN, "contact": "crm-2"})
            status, refused = await ask("/agents/agent01/preview", "crm", answer="call", contact="crm-2")
            assert (status, refused["details"]["reason"]) == (409, "removed")
            assert "CRM has removed" in refused["message"]

            await site.wait("preview.offered", contact="crm-3")
            status, done = await ask("/agents/agent01/preview", answer="call", contact="crm-3")
            assert status == 200
            connected = await site.wait("call.connected", contact="crm-3")
            assert (connected["call"], connected["agent"]) == (done["call"], "agent01")
            await site.wait("call.ended", contact="crm-3")
            await until(lambda: not site.node.dispatcher.engine.floor.calls, "the end")
            assert [result["contact"] for result in await site.results("call.started")] == ["crm-3"]
            metrics = site.node.metrics.render().decode()
            assert f'cadencia_preview_offers_total{{campaign="{CAMPAIGN}",outcome="refused"}} 1.0' in metrics
        await site.settle()
        [attempt] = await site.attempts()
        assert (attempt.contact, attempt.attempt_number, attempt.method) == ("crm-3", 1, "preview")
        wanted = EvidenceFilter(kind=EvidenceKind.ATTEMPT)
        [link] = [link async for link in EvidenceStore(site.node.database).find(wanted)]
        decision = json.loads(link.facts)["decision"]
        assert (decision["kind"], decision["by"]) == ("consented", "agent:agent01")

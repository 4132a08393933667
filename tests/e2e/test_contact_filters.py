"""A campaign's filter on a whole node: tried out, set and taken away while it dials."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from dialer.queues.embedded import EmbeddedServer
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, floor, person, phone, until
from tests.e2e.programs import CADENCIA

STATES = ("CA", "NY", None)
PEOPLE = 6


async def test_only_whom_the_filter_lets_through_is_called(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    fates = {n: person(ring_s=0.02, talk_s=0.05) for n in range(PEOPLE)}
    async with floor(tmp_path, own_valkey, fates=fates) as site, aiohttp.ClientSession() as session:
        key = (await Keys(site.node.database).create("manager", "boss", now=site.now))[1]
        api, headers = f"{site.node.api_url}/api/v1", {"Authorization": f"Bearer {key}"}

        async def asked(method: str, path: str, **body: object) -> tuple[int, dict[str, Any]]:
            async with session.request(method, api + path, json=body or None, headers=headers) as answer:
                return answer.status, await answer.json()

        def called(*states: str | None) -> set[str]:
            return {phone(n)[1:] for n in range(PEOPLE) if STATES[n % 3] in states}

        async def reached(*states: str | None) -> None:
            expected = called(*states)
            await until(lambda: {record.number for record in site.exchange.dialed} >= expected, f"calls to {states}")
            await until(lambda: not site.node.dispatcher.engine.floor.calls, "the end of all calls")
            assert {record.number for record in site.exchange.dialed} == expected

            async def recorded() -> bool:
                return len(await site.attempts()) == len(expected)

            await until(recorded, "all of them on record")

        await site.begin(agents=3, campaign={"filter": 'state = "CA"', "max_attempts": 5})
        for n in range(PEOPLE):
            state = STATES[n % 3]
            await site.push([n], fields={} if state is None else {"state": state, "debt": str(n)})
        await reached("CA")

        async def seen() -> bool:
            return (await site.node.queues.depth(CAMPAIGN)).aside == 4

        await until(seen, "all others left out")
        _, why = await asked("GET", f"/campaigns/{CAMPAIGN}/contacts/crm-1/why")
        assert why["says"] == 'the campaign\'s filter leaves it out: state = "CA"'

        status, found = await asked("POST", f"/campaigns/{CAMPAIGN}/filter-check", filter='state = "NY" and debt > 3')
        assert status == 200
        assert found == {
            "filter": 'state = "NY" and debt > 3',
            "contacts": 4,
            "passing": 1,
            "left_out": 3,
            "without": {"debt": 2, "state": 2},
            "aside": 4,
        }
        status, refused = await asked("POST", f"/campaigns/{CAMPAIGN}/filter-check", filter="state = NY")
        assert (status, refused["message"][:21]) == (422, "filter: character 9, ")
        assert (await asked("PATCH", f"/campaigns/{CAMPAIGN}", filter="state ="))[0] == 422

        command = ("campaign", "filter", CAMPAIGN, 'state = "NY"', "--set", "--json", "--api-url", site.node.api_url)
        running = await asyncio.create_subprocess_exec(
            *(*CADENCIA, *command, "--api-key", key), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told = (await running.communicate())[0].decode()
        assert running.returncode == 0, told
        assert (json.loads(told)["passing"], json.loads(told)["set"]) == (2, True)
        await reached("CA", "NY")

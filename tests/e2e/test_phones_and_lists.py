"""Numbers with hours of their own, and a list with a filter and priority of its own, on a whole node."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import msgspec

from dialer.compliance.windows import DAYS
from dialer.core.contact import Contact
from dialer.core.ids import ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.contacts import Contacts
from dialer.storage.keys import Keys
from dialer.storage.lists import Lists
from tests.e2e.floor import CAMPAIGN, floor, person, phone, until
from tests.e2e.programs import CADENCIA


async def test_each_number_keeps_its_hours_and_each_list_its_filter(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    fates = {n: person(ring_s=0.02, talk_s=0.05) for n in range(6)}
    async with floor(tmp_path, own_valkey, fates=fates) as site, aiohttp.ClientSession() as session:
        database = site.node.database
        key = (await Keys(database).create("manager", "boss", now=site.now))[1]
        api, headers = f"{site.node.api_url}/api/v1", {"Authorization": f"Bearer {key}"}

        async def asked(method: str, path: str, **body: object) -> tuple[int, dict[str, Any]]:
            async with session.request(method, api + path, json=body or None, headers=headers) as answer:
                return answer.status, await answer.json()

        def dialed() -> set[str]:
            return {record.number for record in site.exchange.dialed}

        await site.begin(agents=2, campaign={"max_attempts": 5})
        # Whatever zone they are in: not today, and not tomorrow.
        day = datetime.fromtimestamp(site.now, ZoneInfo("Europe/Paris")) + timedelta(days=3)
        closed = [f"{DAYS[day.weekday()]} 10:00-11:00"]
        office = {"number": phone(0), "type": "work", "hours": closed}
        contacts = [
            {"id": "two", "phones": [office, {"number": phone(1), "hours": ["00:00-24:00"], "max_attempts": 2}]},
            {"id": "one", "phones": [{**office, "number": phone(2)}]},
            {"id": "bad", "phones": [phone(3), {"number": phone(2), "hours": ["22:00-06:00"]}]},
        ]
        await site.write("contacts", {"id": "push-1", "campaign": CAMPAIGN, "contacts": contacts})
        await until(lambda: dialed() == {phone(1)[1:], phone(3)[1:]}, "the numbers that are open")
        told = await site.wait("contact.accepted", contact="bad")
        assert told["reason"].startswith("phone 2 hours: '22:00-06:00' goes over midnight")
        _, why = await asked("GET", f"/campaigns/{CAMPAIGN}/contacts/one/why")
        [number] = why["phones"]
        assert (number["permitted"], number["type"], number["hours"]) == (False, "work", closed)
        assert why["says"].partition("own hours of the number: ")[2].startswith(closed[0])
        assert why["next_at"] == number["next_at"] > datetime.now(ZoneInfo("UTC")).isoformat()

        await Lists(database).start("may", CAMPAIGN, name="May", source="test", now=site.now)
        assert (await asked("PATCH", "/lists/may", filter='state = "CA"', priority=7))[0] == 200
        listed = Contact(campaign=CAMPAIGN, id=ContactId("listed"), phones=(phone(4),), list="may")
        listed = msgspec.structs.replace(listed, fields={"state": "NY"})
        await Contacts(database).upsert([listed], site.now)
        await site.node.queues.offer([listed])
        assert await site.node.queues.list_priorities(CAMPAIGN) == {"may": 7}

        async def aside() -> bool:
            return (await site.node.queues.depth(CAMPAIGN)).aside == 1

        await until(aside, "it is left out")
        _, why = await asked("GET", f"/campaigns/{CAMPAIGN}/contacts/listed/why")
        assert why["says"] == 'the list\'s filter leaves it out: state = "CA"'
        for wrong in ({"filter": "state ="}, {"priority": 5_000}, {"priority": "high"}, {"colour": "red"}):
            assert (await asked("PATCH", "/lists/may", **wrong))[0] in {400, 422}, wrong
        assert (await asked("PATCH", "/lists/june", priority=1))[0] == 404
        assert (await asked("GET", "/lists/may"))[1]["filter"] == 'state = "CA"'

        command = ("list", "set", "may", "--filter", "", "--json", "--api-url", site.node.api_url, "--api-key", key)
        running = await asyncio.create_subprocess_exec(
            *CADENCIA, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said = (await running.communicate())[0].decode()
        assert running.returncode == 0, said
        assert (json.loads(said)["filter"], json.loads(said)["priority"]) == ("", 7)
        await until(lambda: phone(4)[1:] in dialed(), "it is called")
        assert phone(0)[1:] not in dialed()
        assert phone(2)[1:] not in dialed()

"""Users, the system pages and the audit log of a node that runs, to its last moment."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp

from dialer.api.key_ports import Role
from dialer.core.audit_note import AuditQuery
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.clock import Clock
from dialer.storage.audit_log import AuditLog
from dialer.storage.database import Database
from tests.accounts import GOOD, desk
from tests.e2e.floor import floor


async def test_a_manager_looks_after_the_installation(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey) as site:
        url = site.node.api_url
        await desk(site.node.database, Clock()).create("marta", Role.MANAGER, "", GOOD)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept-Language": "en"}) as http:

            async def page(path: str) -> str:
                async with http.get(f"{url}/console/{path}") as answer:
                    assert answer.status == 200, await answer.text()
                    return await answer.text()

            async def post(path: str, **form: str) -> str:
                async with http.post(f"{url}/console/{path}", data={"csrf": csrf} | form) as answer:
                    assert answer.status == 200, await answer.text()
                    return await answer.text()

            csrf = ""
            await post("login", name="marta", password=GOOD)
            found = re.search(r'name="csrf" content="(\w+)"', overview := await page("system"))
            assert found is not None
            csrf = found[1]
            for text in (site.node.settings.node, "Events for the engine", "Workers: lists", "channels", "connected"):
                assert text in overview
            assert "database" in await page("system/doctor")
            assert "There is nothing in this state" in await page("system/deliveries")
            made = re.search(r">(cad_[\w-]+)<", await post("system/keys", role="supervisor", name="eyes"))
            assert made is not None
            assert "session.begun" in await page("system/audit")
            # Written in the node's last moments, with nobody waiting for it.
            async with http.post(
                f"{url}/api/v1/campaigns/nowhere/pause", headers={"Authorization": f"Bearer {made[1]}"}
            ) as answer:
                assert answer.status == 404
    database = Database(site.node.settings.database.url)
    try:
        rows = [row.note for row in await AuditLog(database).page(AuditQuery(), None, 10)]
    finally:
        await database.close()
    assert [(note.action, note.outcome) for note in rows] == [
        ("POST /api/v1/campaigns/{campaign}/pause", "not_found"),
        ("key.created", "ok"),
        ("session.begun", "ok"),
    ]
    assert rows[0].who.startswith("key:")
    assert (rows[0].role, rows[2].who) == ("supervisor", "user:marta")
    assert made[1] not in str(rows)

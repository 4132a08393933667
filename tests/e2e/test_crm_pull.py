"""A CRM that is only asked: its calls are dialed, and every result is written to it once, by turns of real jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from dialer.intake import jobs
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Crm, CrmAccess, CrmPull, Outbound
from tests.crm_rig import MAPPINGS
from tests.crm_servers import TwoFunctions, serving
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, phone, until

CALLS = 20


async def work(site: Floor, done: asyncio.Event) -> None:
    """What a worker does: the jobs of its queue, one after another, each away from the loop."""
    with Redis.from_url(site.server.url, protocol=2) as client:
        queue = Queue(jobs.CRM, connection=client, serializer=JSONSerializer)

        def one() -> bool:
            waiting = queue.jobs
            for job in waiting:
                queue.remove(job)
                job.perform()
                job.delete()
            return bool(waiting)

        while not done.is_set():
            if not await asyncio.to_thread(one):
                await asyncio.sleep(0.05)


async def test_pending_calls_are_dialed_and_their_results_written_once(
    tmp_path: Path, own_valkey: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = TwoFunctions()
    crm.calls = [{"id": f"c-{n}", "phone": phone(n), "status": "pending", "priority": n} for n in range(CALLS)]
    async with serving(crm):
        pull = CrmPull(
            name="ours",
            campaign=CAMPAIGN,
            mapping="rest.toml",
            url=crm.url,
            access=CrmAccess(kind="header", token="key"),
            every_s=5.0,
            withdrawn_after=1,
        )
        more = {"crm": Crm(mappings=str(MAPPINGS), pull=(pull,)), "outbound": Outbound(internal=("127.0.0.1",))}
        settings = tmp_path / "cadencia.toml"
        settings.write_text(
            f'[database]\nurl = "sqlite:///{tmp_path}/cadencia.db"\n[redis]\nurl = "{own_valkey.url}"\n'
            f'[outbound]\ninternal = ["127.0.0.1"]\n[crm]\nmappings = "{MAPPINGS}"\n[[crm.pull]]\nname = "ours"\n'
            f'campaign = "{CAMPAIGN}"\nmapping = "rest.toml"\nurl = "{crm.url}"\nevery_s = 5\nwithdrawn_after = 1\n'
            'access = {kind = "header"}\n'
        )
        monkeypatch.setenv("CADENCIA_CONFIG", str(settings))
        monkeypatch.setenv("CADENCIA_CRM__PULL__0__ACCESS__TOKEN", "key")
        done = asyncio.Event()
        fates = {n: person(talk_s=0.2) for n in range(CALLS + 1)}
        async with floor(tmp_path, own_valkey, fates=fates, more=more) as site:
            await site.begin(agents=4)
            await site.push([CALLS])  # of another CRM: no business of this one
            working = asyncio.ensure_future(work(site, done))
            await until(lambda: working.done() or len(crm.updates) == CALLS, "an update for every call")
            await site.settle()
            done.set()
            await working
        assert sorted(update["id"] for update in crm.updates.values()) == sorted(f"c-{n}" for n in range(CALLS))
        assert {update["status"] for update in crm.updates.values()} == {"talked"}
        assert set(crm.heard.values()) == {1}

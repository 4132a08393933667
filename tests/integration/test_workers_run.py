"""A real worker process on a real Redis over its unix socket: lists are imported, webhooks delivered, and it stops."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from redis import Redis
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId, NodeName
from dialer.crm.webhooks import WebhookFeed
from dialer.intake import jobs
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.streams import StreamReader
from dialer.runtime.worker_figures import look
from dialer.settings import Webhook
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.list_checks import CheckState, ListChecks
from dialer.storage.lists import Lists, ListState
from dialer.storage.schema import migrate
from dialer.storage.webhooks import Webhooks
from tests.collector import collector
from tests.patience import PATIENCE_S
from tests.queue_worlds import Pages

WINTER = CampaignId("winter")


class Place:
    """Redis with an open gate, a database, and the settings of workers for both."""

    def __init__(self, folder: Path, server: EmbeddedServer) -> None:
        self.folder = folder
        self.url = server.url
        self.database = Database(f"sqlite:///{folder}/record.db")
        self.queues = RedisQueues.from_url(server.url, node=NodeName("n1"), strict_gate=False)

    def environment(self, webhook: str = "", tracing: str = "") -> dict[str, str]:
        lines = [f'[database]\nurl = "sqlite:///{self.folder}/record.db"\n[redis]\nurl = "{self.url}"']
        if webhook:
            lines.append(f'[outbound]\ninternal = ["127.0.0.0/8"]\n[[webhooks]]\nurl = "{webhook}"')
        if tracing:
            lines.append(f'[tracing]\nendpoint = "{tracing}"\nshare = 1.0')
        path = self.folder / "cadencia.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return os.environ | {"CADENCIA_CONFIG": str(path), "CADENCIA_LOG__LEVEL": "debug"}

    async def work(self, code: str, webhook: str = "", tracing: str = "") -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", code),
            env=self.environment(webhook, tracing),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


@pytest.fixture
async def place(tmp_path: Path, own_valkey: EmbeddedServer) -> AsyncIterator[Place]:
    place = Place(tmp_path, own_valkey)
    await migrate(place.database)
    assert not await place.queues.prepare()
    await place.queues.rebuild(Pages())
    yield place
    await place.queues.close()
    await place.database.close()


async def finished(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return said.decode()


BURST = "from workers.app import run; run(burst=True)"


async def test_a_list_is_imported_by_a_worker(place: Place) -> None:
    path = place.folder / "upload.csv"
    rows = [f"crm-{i},{'nobody' if i == 7 else f'+346{i:08}'}" for i in range(3_000)]
    path.write_text("\n".join(["id,phone", *rows]), encoding="utf-8")
    outbox = jobs.JobOutbox(place.url)
    job = jobs.import_list(list_id="l-1", campaign="winter", path=str(path), name="March", delete=True)
    assert await outbox.send(job)
    assert not await outbox.send(job), "the same job is not enqueued twice"
    outbox.close()

    said = await finished(await place.work(BURST))
    known = await Lists(place.database).get("l-1")
    assert known is not None, said
    assert (known.state, known.name) == (ListState.LOADED, "March"), said
    assert (known.counts.accepted, known.counts.rejected) == (2_999, 1)
    assert (await place.queues.depth(WINTER)).ready == 2_999
    assert not path.exists()
    with Redis.from_url(place.url, protocol=2) as client:
        done = RqJob.fetch(job.id, connection=client, serializer=JSONSerializer)
        assert done.meta["progress"]["bytes_total"] > 0
        # What RQ keeps is JSON: reading it can run nobody's code.
        raw = client.hget(f"rq:job:{job.id}", "data")
        assert isinstance(raw, bytes)
        assert json.loads(zlib.decompress(raw))[0] == jobs.IMPORT_LIST


async def test_a_list_is_looked_through_when_it_has_been_imported(place: Place) -> None:
    await Campaigns(place.database).create(Campaign(id=WINTER, purpose="marketing"), now=1.0)
    path = place.folder / "upload.csv"
    path.write_text("id,phone,phone2\na,600000001,\nb,600000001,600000002\nc,600000001,\n", encoding="utf-8")
    outbox = jobs.JobOutbox(place.url)
    await outbox.send(jobs.import_list(list_id="l-1", campaign="winter", path=str(path), name="", delete=False))
    with collector() as there:
        there.status = 400
        said = await finished(await place.work(BURST, tracing=there.url))
    found = await ListChecks(place.database).get("l-1")
    assert found is not None, said
    assert found.state is CheckState.DONE, said
    # Two contacts and the list: traces that nobody takes hold nothing up, and are counted where nodes look.
    with Redis.from_url(place.url, protocol=2) as client:
        assert look(client).spans == {"failed": 3}, said
    assert (found.counts.contacts, found.counts.numbers, found.counts.jurisdictions) == (2, 3, {"ES": 3}), said
    assert found.counts.warnings["duplicate_in_list"] == 2

    # Its job is forgotten when it is done, and can be asked for again.
    assert await outbox.send(jobs.check_list("l-1"))
    outbox.close()
    said = await finished(await place.work(BURST))
    again = await ListChecks(place.database).get("l-1")
    assert again is not None, said
    assert again.started_at > found.started_at
    assert again.counts == found.counts


async def test_a_file_that_is_no_list_is_not_tried_again(place: Place) -> None:
    path = place.folder / "upload.csv"
    path.write_text("id,city\n1,Madrid\n", encoding="utf-8")
    outbox = jobs.JobOutbox(place.url)
    await outbox.send(jobs.import_list(list_id="l-1", campaign="winter", path=str(path), name="", delete=False))
    outbox.close()
    said = await finished(await place.work(BURST))
    known = await Lists(place.database).get("l-1")
    assert known is not None, said
    assert known.state is ListState.FAILED
    assert "no column of telephone numbers" in known.error.says
    with Redis.from_url(place.url, protocol=2) as client:
        job = RqJob.fetch("import-l-1", connection=client, serializer=JSONSerializer)
        assert job.get_status() == "finished"
        assert path.exists()


async def test_results_reach_a_webhook_through_stream_record_and_worker(place: Place) -> None:
    got: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        got.append((await request.json())["contact"])
        return web.Response()

    application = web.Application()
    application.router.add_post("/", receive)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    client, outbox, keys = connect(place.url), jobs.JobOutbox(place.url), Keys()
    try:
        feed = WebhookFeed(
            [Webhook(url=url)],
            Webhooks(place.database),
            lambda: outbox.put(jobs.deliver_webhooks(1_000.0)),
            lambda: 1_000.0,
        )
        reader = StreamReader(
            client, keys, stream="results", group="webhooks", consumer="n1", now=lambda: 1_000.0, trim=False
        )
        await put(client, [{"type": "contact.accepted", "contact": f"crm-{i}"} for i in range(3)], keys["results"])
        assert await reader.step(feed.handle_results, timeout_s=1.0) == 3
        sending = asyncio.ensure_future(outbox.run())
        assert await outbox.flush(PATIENCE_S)
        sending.cancel()
        said = await finished(await place.work(BURST, url))
        assert sorted(got) == ["crm-0", "crm-1", "crm-2"], said
    finally:
        outbox.close()
        await client.aclose()
        await runner.cleanup()


async def put(client: object, entries: Sequence[dict[str, str]], key: str) -> None:
    for entry in entries:
        await client.xadd(key, {"data": json.dumps(entry)})  # type: ignore[attr-defined]  # a client of redis-py


async def told(process: asyncio.subprocess.Process, words: bytes) -> bytes:
    """The next line that the worker writes with these words in it."""
    assert process.stdout is not None
    while words not in (line := await process.stdout.readline()):
        assert line, "the worker ended before it wrote that"
    return line


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0


async def test_a_worker_stops_when_it_is_asked_to(place: Place) -> None:
    process = await place.work("from workers.app import main; main()")
    async with asyncio.timeout(PATIENCE_S):
        await told(process, b"istening on")
        await stop(process)


async def test_a_job_for_later_runs_though_the_scheduler_has_died(place: Place) -> None:
    process = await place.work("import workers.app as app; app.LOOK_EVERY_S = 1; app.main()")
    async with asyncio.timeout(PATIENCE_S):
        begun = re.search(rb"started with PID (\d+)", await told(process, b"Scheduler for"))
        assert begun is not None
        os.kill(int(begun[1]), signal.SIGKILL)
        with Redis.from_url(place.url, protocol=2) as client:
            jobs.wake_at(client, time.time())
        await told(process, b"Job OK")
        await stop(process)

"""A soak of the pull model: a CRM that fails a tenth of the time is asked for its calls, and told every result.

The CRM is a small HTTP server of this script; Redis, database, intake and turns are real. Delays between tries pass in
an instant (the clock is the script's own), so what is measured is work, not waiting. What must hold is checked: every
call is taken once, every result has exactly one effect in the CRM, none is missing. `--fail 0` measures speed alone,
against a bare client that asks the same server for the same pages, and posts as many updates, as many at a time.

    python -m benchmarks.crm_pull [--calls 5000] [--fail 0.1] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId, NodeName
from dialer.crm.mapping import load_mapping, mapping_path
from dialer.crm.update_feed import UpdateFeed
from dialer.intake.phones import PhoneReader
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import AsyncRecords
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.streams import Message
from dialer.settings import Crm, CrmAccess, CrmPull, Outbound, Redis, Settings
from dialer.settings import Database as DatabaseSettings
from dialer.storage.campaigns import Campaigns
from dialer.storage.crm_sources import CrmSources
from dialer.storage.crm_updates import CrmUpdates
from dialer.storage.database import Database
from dialer.storage.schema import migrate
from workers.jobs.crm import exchange_of

CAMPAIGN = CampaignId("winter")
PAGE = 500
#: As many updates as the dialer writes at a time.
AT_ONCE = 4


class FailingCrm:
    """Two functions, each of which fails now and then, in several ways."""

    def __init__(self, calls: int, fail: float) -> None:
        self._calls = [
            {"id": f"c-{n}", "phone": f"+346{n:08d}", "status": "pending", "priority": n % 10} for n in range(calls)
        ]
        self._fail = fail
        self._random = random.Random(1)
        self.requests = 0
        self.failed = 0
        #: Updates by their key: how often each was carried out, and how often it was heard.
        self.effects: dict[str, str] = {}
        self.heard: Counter[str] = Counter()

    async def _trouble(self, request: web.Request) -> web.StreamResponse | None:
        self.requests += 1
        if self._random.random() >= self._fail:
            return None
        self.failed += 1
        match self._random.randrange(4):
            case 0:
                return web.Response(status=500)
            case 1:
                return web.Response(status=429, headers={"Retry-After": "30"})
            case 2:
                return web.Response(text="<html>sign in</html>")
            case _:
                # Done, or not done: who asked hears nothing.
                if request.transport is not None:
                    request.transport.close()
                return web.Response()

    async def pending(self, request: web.Request) -> web.StreamResponse:
        """Get the pending calls."""
        if (trouble := await self._trouble(request)) is not None:
            return trouble
        start = int(request.query.get("after") or 0)
        more = str(start + PAGE) if start + PAGE < len(self._calls) else None
        return web.json_response({"calls": self._calls[start : start + PAGE], "next": more})

    async def update(self, request: web.Request) -> web.StreamResponse:
        """Update this call: by its key, once."""
        key = request.headers["Idempotency-Key"]
        self.heard[key] += 1
        trouble = await self._trouble(request)
        # Half of the failures come after the update was carried out.
        if trouble is None or self._random.random() < 0.5:
            self.effects.setdefault(key, request.match_info["id"])
        return trouble if trouble is not None else web.json_response({"ok": True})


async def _no_record() -> AsyncRecords:
    return
    yield


async def served(crm: FailingCrm) -> tuple[web.AppRunner, str]:
    """The CRM on a port of its own, and its URL."""
    application = web.Application()
    application.router.add_get("/pending-calls", crm.pending)
    application.router.add_post("/calls/{id}", crm.update)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def bare(calls: int) -> dict[str, Any]:
    """The same requests with nothing behind them: what the server and a client can do at most."""
    runner, url = await served(FailingCrm(calls, 0.0))
    try:
        async with aiohttp.ClientSession(url) as session:
            began = time.perf_counter()
            after: str | None = ""
            seen = 0
            while after is not None:
                async with session.get("/pending-calls", params={"after": after}) as answer:
                    page = json.loads(await answer.read())
                seen += len(page["calls"])
                after = page["next"]
            pulled_s = time.perf_counter() - began
            numbers = iter(range(calls))

            async def post() -> None:
                for number in numbers:
                    body = {"key": f"k-{number}", "status": "done", "agent": "agent01", "seconds": 60}
                    headers = {"Idempotency-Key": f"k-{number}"}
                    async with session.post(f"/calls/c-{number}", json=body, headers=headers) as answer:
                        await answer.read()

            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(post())
            written_s = time.perf_counter() - began
    finally:
        await runner.cleanup()
    return {"bare_pulled_per_s": round(seen / pulled_s), "bare_written_per_s": round(calls / written_s)}


async def soak(calls: int, fail: float, folder: Path) -> dict[str, Any]:
    """Run it; what was measured."""
    crm = FailingCrm(calls, fail)
    runner, url = await served(crm)
    server = EmbeddedServer(folder / "redis")
    server.start()
    now = 1_800_000_000.0
    pull = CrmPull(
        name="crm",
        campaign=CAMPAIGN,
        mapping="rest.toml",
        url=url,
        access=CrmAccess(kind="bearer", token="x"),
        enough=10**9,
    )
    settings = Settings(
        database=DatabaseSettings(url=f"sqlite:///{folder}/record.db"),
        redis=Redis(url=server.url),
        outbound=Outbound(internal=("127.0.0.1",)),
        crm=Crm(pull=(pull,)),
    )
    database, client = Database(settings.database.url), connect(server.url)
    queues = RedisQueues.from_url(server.url, node=NodeName("bench"), strict_gate=False)
    phones, turns = PhoneReader("ES"), 0
    try:
        await migrate(database)
        await queues.prepare()
        await queues.rebuild(_no_record())
        await Campaigns(database).create(Campaign(id=CAMPAIGN), now)

        async def turn() -> dict[str, int]:
            nonlocal now, turns
            turns += 1
            exchange = exchange_of(settings, pull, f"t{turns}", database, client, queues, phones, lambda: now)
            told = await exchange.turn()
            (source,) = await CrmSources(database).all()
            now = max(now + 1.0, source.next_at if source.failures else now)
            return told

        began = time.perf_counter()
        while (await queues.depth(CAMPAIGN)).ready < calls:
            await turn()
        pulled_s = time.perf_counter() - began
        mapping = load_mapping(mapping_path(settings.crm, pull.mapping))
        feed = UpdateFeed([(pull, mapping)], CrmSources(database), CrmUpdates(database), lambda _: None, lambda: now)
        began = time.perf_counter()
        for start in range(0, calls, 100):
            messages = [_ended(n, int(now * 1_000)) for n in range(start, min(calls, start + 100))]
            await feed.handle_results(messages)
            await feed.handle_results(messages[::-1])  # the stream tells at least once, and not in order
        fed_s = time.perf_counter() - began
        began = time.perf_counter()
        while (await CrmUpdates(database).backlog()).get("crm") is not None:
            if not (await turn()).get("update_delivered"):
                now += 60.0
        written_s = time.perf_counter() - began
    finally:
        await queues.close()
        await client.aclose()
        await database.close()
        server.stop()
        await runner.cleanup()
    effects = Counter(crm.effects.values())
    return {
        "calls": calls,
        "fail": fail,
        "requests": crm.requests,
        "failed": crm.failed,
        "turns": turns,
        "pulled_per_s": round(calls / pulled_s),
        "fed_per_s": round(calls / fed_s),
        "written_per_s": round(calls / written_s),
        "heard_more_than_once": sum(times > 1 for times in crm.heard.values()),
        "missing": calls - len(effects),
        "twice": sum(times > 1 for times in effects.values()),
    }


def _ended(number: int, at_ms: int) -> Message:
    result = {
        "type": "call.ended",
        "at": "2027-01-15T08:00:00.000000Z",
        "campaign": CAMPAIGN,
        "contact": f"c-{number}",
        "call": f"n-1-{number}",
        "outcome": "connected",
        "attempt": 1,
        "talk_s": 60.0,
    }
    return Message(id=f"{at_ms}-{number}", data=json.dumps(result).encode())


def main() -> None:
    """Run the soak and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--fail", type=float, default=0.1)
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cadencia-soak-") as folder:
        figures = asyncio.run(soak(given.calls, given.fail, Path(folder)))
    if not given.fail:
        figures |= asyncio.run(bare(given.calls))
        for what in ("pulled", "written"):
            figures[f"{what}_to_bare"] = round(figures[f"{what}_per_s"] / figures[f"bare_{what}_per_s"], 3)
    for name, value in figures.items():
        print(f"{name:24} {value:>12,}")
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if figures["missing"] or figures["twice"]:
        raise SystemExit("results are missing, or had an effect twice")


if __name__ == "__main__":
    main()

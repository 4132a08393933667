"""What watching costs: 500 agents and 200 calls a second on the wallboard, 20 viewers, one of them a real browser.

    python -m benchmarks.wallboard [--agents 500] [--rate 200] [--viewers 20] [--page wallboard] [--json FILE]

The server is a process of its own: the API with the console on real HTTP, over a live view that is fed with the notices
of so many calls. Its CPU is measured with and without viewers, in turns, in one run: the difference is what they cost.
The age of what is on the screen is that of the oldest call that had been started but was not counted there yet, at the
moment before each update; started calls are counted by the server, the screen by the browser, both on one clock.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
from playwright.async_api import CDPSession, Page, async_playwright

from dialer.api.app import create_app
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.console import routes
from dialer.console.site import Console
from dialer.core.agent import AgentState
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.notices import (
    AgentChanged,
    CallConnected,
    CallEnded,
    CallRang,
    CallStarted,
    CallWasAnswered,
    GateAnswered,
    PaceDecided,
)
from dialer.core.outcome import Outcome
from dialer.runtime.clock import Clock
from dialer.settings import Settings
from dialer.testing import FakeNode
from pacing.decision import Decision

ROOT: Final = Path(__file__).resolve().parents[1]
CAMPAIGN: Final = CampaignId("bench")
KEY: Final = "boss"
_SERVER: Final = ServerName("pbx")
WANTED: Final = {"cores": 0.1, "age_s": 1.0, "page_kB": 150.0}
PAGES: Final = {"wallboard": "", "campaign": f"campaigns/{CAMPAIGN}", "agents": "agents"}
_RING_S: Final = 12.0
_ANSWERED: Final = 0.3
_WRAPUP_S: Final = 1.0
#: Of the agents' time that is taken up.
_BUSY: Final = 0.85
_WHY: Final = (
    "100 more calls: the chance that the last leaves somebody without an agent is 1.1 %, limit 1.6 %, budget left 212"
)
_WATCH: Final = """() => {
  window.seen = [];
  const number = () => Number(document.querySelector("#campaign-bench .figures dd").textContent.replace(/[.,]/g, ""));
  let last = number();
  new MutationObserver(() => {
    const now = number();
    if (now === last) return;
    window.seen.push([Date.now() / 1000, last = now]);
  }).observe(document.getElementById("content"), { subtree: true, childList: true, characterData: true });
}"""


# ---- the server


class Traffic:
    """Calls that begin at a fixed rate and go the way of calls, told to the live view as notices."""

    def __init__(self, node: FakeNode, agents: int, rate: float) -> None:
        self._live = node.control.live()
        self._rate = rate
        self._rng = np.random.default_rng(1)
        self._talk_s = _BUSY * agents / (rate * _ANSWERED) - _WRAPUP_S
        self._due: list[tuple[float, int, Any]] = []
        self._idle = deque(AgentId(f"agent{number:03d}") for number in range(agents))
        self._since: dict[AgentId, float] = {}
        self._told = 0
        #: When each call was started.
        self.started: list[float] = []

    def begin(self, now: float) -> None:
        """Everybody is there."""
        for agent in self._idle:
            self._agent(agent, AgentState.CONNECTING, AgentState.SIGNED_OUT, now)
            self._agent(agent, AgentState.IDLE, AgentState.CONNECTING, now)

    async def run(self, clock: Clock) -> None:
        """Until cancelled."""
        begun = clock.now()
        next_tick = begun
        while True:
            now = clock.now()
            while self._due and self._due[0][0] <= now:
                _, _, work = heapq.heappop(self._due)
                work(now)
            while len(self.started) < (now - begun) * self._rate:
                self._start(now)
            if now >= next_tick:
                next_tick = now + 0.5
                self._decide(now)
            await asyncio.sleep(0.02)

    def _at(self, at: float, work: Any) -> None:
        self._told += 1
        heapq.heappush(self._due, (at, self._told, work))

    def _decide(self, now: float) -> None:
        decision = Decision(
            dial=100,
            limit="threshold",
            explanation=_WHY,
            expected_abandonment=0.011,
            threshold=0.016,
            budget_left=212.0,
        )
        self._live.apply(PaceDecided(at=now, campaign=CAMPAIGN, decision=decision, method="predictive"))
        refused = (("hours", 3), ("removed", 1))
        self._live.apply(
            GateAnswered(
                at=now, campaign=CAMPAIGN, requested=100, granted=96, refused=refused, ready=50_000, later=9_000
            )
        )

    def _start(self, now: float) -> None:
        number = len(self.started)
        self.started.append(now)
        call, contact, phone = CallId(f"c{number}"), ContactId(f"p{number}"), Phone(f"+34{600_000_000 + number}")
        self._live.apply(
            CallStarted(
                at=now,
                call=call,
                campaign=CAMPAIGN,
                contact=contact,
                phone=phone,
                server=_SERVER,
                trunk=None,
                attempt_number=1,
            )
        )
        ring = float(self._rng.uniform(2.0, _RING_S))
        self._at(now + 0.5, lambda at: self._live.apply(CallRang(at=at, call=call, campaign=CAMPAIGN)))
        if self._rng.random() < _ANSWERED:
            self._at(now + ring, lambda at: self._answered(call, contact, phone, now, at))
        else:
            self._at(now + _RING_S, lambda at: self._ended(call, contact, phone, now, at, Outcome.NO_ANSWER))

    def _answered(self, call: CallId, contact: ContactId, phone: Phone, began: float, now: float) -> None:
        self._live.apply(
            CallWasAnswered(at=now, call=call, campaign=CAMPAIGN, contact=contact, phone=phone, ring_s=now - began)
        )
        if not self._idle:
            self._ended(call, contact, phone, began, now, Outcome.ABANDONED)
            return
        agent = self._idle.popleft()
        self._agent(agent, AgentState.TALKING, AgentState.IDLE, now)
        self._live.apply(
            CallConnected(
                at=now,
                call=call,
                campaign=CAMPAIGN,
                contact=contact,
                phone=phone,
                agent=agent,
                wait_s=0.0,
                screen_pop="",
            )
        )
        talk_s = float(self._rng.gamma(2.0, self._talk_s / 2))

        def over(at: float) -> None:
            self._ended(call, contact, phone, began, at, Outcome.CONNECTED)
            self._agent(agent, AgentState.WRAPUP, AgentState.TALKING, at)
            self._at(at + _WRAPUP_S, ready)

        def ready(at: float) -> None:
            self._agent(agent, AgentState.IDLE, AgentState.WRAPUP, at)
            self._idle.append(agent)

        self._at(now + talk_s, over)

    def _ended(
        self, call: CallId, contact: ContactId, phone: Phone, began: float, now: float, outcome: Outcome
    ) -> None:
        attempt = Attempt(
            call=call, campaign=CAMPAIGN, contact=contact, phone=phone, attempt_number=1, outcome=outcome, reason="",
            started_at=began, ended_at=now,
        )  # fmt: skip
        self._live.apply(CallEnded(at=now, attempt=attempt, retry_at=None))

    def _agent(self, agent: AgentId, state: AgentState, previous: AgentState, now: float) -> None:
        spent = now - self._since.get(agent, now)
        self._since[agent] = now
        self._live.apply(
            AgentChanged(
                at=now,
                agent=agent,
                state=state,
                previous=previous,
                previous_s=spent,
                campaigns=(CAMPAIGN,),
                server=_SERVER,
            )
        )


async def serve(arguments: argparse.Namespace) -> None:
    """Print the address; go on until the input ends; then print when each call was started."""
    node, clock = FakeNode(Path(tempfile.gettempdir())), Clock()
    ports = replace(node.ports, clock=clock)
    node.keys.issue(KEY, Role.MANAGER)
    campaign = Campaign(id=CAMPAIGN)
    running = CampaignState.RUNNING
    node.campaigns.rows[CAMPAIGN] = StoredCampaign(campaign=campaign, state=running, updated_at=clock.now())
    node.control.live().configure(campaign, running)
    traffic = Traffic(node, arguments.agents, arguments.rate)
    traffic.begin(clock.now())
    console = Console(ports, b"s" * 32)
    server = ApiServer(create_app(ports, Settings(), [routes.router(console)]), "127.0.0.1", 0)
    print(server.bind(), flush=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        others = [tasks.create_task(traffic.run(clock)), tasks.create_task(console.run())]
        await asyncio.to_thread(sys.stdin.read)
        for other in others:
            other.cancel()
        server.stop()
    print(json.dumps(traffic.started))


# ---- those who watch


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def signed_in(url: str) -> aiohttp.ClientSession:
    """A visitor without a screen."""
    http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), auto_decompress=False)
    async with http.post(f"{url}/console/login", data={"key": KEY}, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
    return http


@asynccontextmanager
async def viewers(url: str, page: str, count: int) -> AsyncIterator[list[int]]:
    """So many who read the live part of a page; how many bytes each has read so far."""
    read = [0] * count
    stream = f"{url}/console/stream/{page}" + (f"?campaign={CAMPAIGN}" if page == "campaign" else "")

    async def watch(place: int) -> None:
        async with (
            await signed_in(url) as http,
            http.get(stream, headers={"accept-encoding": "gzip"}, timeout=aiohttp.ClientTimeout()) as answer,
        ):
            assert answer.status == 200, await answer.text()
            async for chunk in answer.content.iter_any():
                read[place] += len(chunk)

    async with asyncio.TaskGroup() as tasks:
        watching = [tasks.create_task(watch(place)) for place in range(count)]
        yield read
        for each in watching:
            each.cancel()


class Screen:
    """The browser among the viewers, and what came over its wire."""

    def __init__(self, page: Page, wire: CDPSession, url: str) -> None:
        self._page = page
        self._wire = wire
        self._url = url
        self.bytes = 0

    async def open(self, path: str) -> float:
        """Show a page; kilobytes that came over the wire for it, nothing of it being in the cache."""
        await self._wire.send("Network.enable")
        await self._wire.send("Network.clearBrowserCache")
        self._wire.on("Network.loadingFinished", lambda data: self._count(data["encodedDataLength"]))
        await self._page.goto(f"{self._url}/console/{path}")
        await asyncio.sleep(1.0)  # the last words of what was loaded
        return self.bytes / 1_000

    async def watch(self) -> None:
        await self._page.evaluate(_WATCH)

    async def seen(self) -> list[tuple[float, int]]:
        """When the screen counted how many started calls."""
        return [(at, count) for at, count in await self._page.evaluate("() => window.seen")]

    def _count(self, bytes: int) -> None:
        self.bytes += bytes


@asynccontextmanager
async def screen(url: str) -> AsyncIterator[Screen]:
    """A real browser that has signed in."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(locale="en-GB", viewport={"width": 1_280, "height": 900})
        await page.goto(f"{url}/console/login")
        await page.locator("#key").fill(KEY)
        await page.locator("#key").press("Enter")
        await page.wait_for_selector("nav")
        yield Screen(page, await page.context.new_cdp_session(page), url)
        await browser.close()


def ages(seen: list[tuple[float, int]], started: list[float]) -> list[float]:
    """How old the oldest call was that was not on the screen yet, just before each update of it."""
    return [at - started[before] for (_, before), (at, _) in itertools.pairwise(seen) if before < len(started)]


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Watch in turns with looking away."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.wallboard", "--serve"),
        *("--agents", str(arguments.agents), "--rate", str(arguments.rate)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
        cwd=ROOT,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    url = (await server.stdout.readline()).decode().strip()
    await asyncio.sleep(arguments.warm_up)

    async def cores(seconds: float) -> float:
        before, begun = cpu_s(server.pid), time.monotonic()
        await asyncio.sleep(seconds)
        return (cpu_s(server.pid) - before) / (time.monotonic() - begun)

    alone: list[float] = []
    watched: list[float] = []
    seen: list[list[tuple[float, int]]] = []
    a_second_kb = page_kb = 0.0
    for _ in range(arguments.turns):
        alone.append(await cores(arguments.seconds))
        async with AsyncExitStack() as stack:
            shown = await stack.enter_async_context(screen(url))
            page_kb = await shown.open(PAGES[arguments.page])
            read = await stack.enter_async_context(viewers(url, arguments.page, arguments.viewers - 1))
            if arguments.page == "wallboard":
                await shown.watch()
            await asyncio.sleep(1.0)
            before = sum(read)
            watched.append(await cores(arguments.seconds))
            a_second_kb = (sum(read) - before) / 1_000 / arguments.seconds / max(1, len(read))
            if arguments.page == "wallboard":
                seen.append(await shown.seen())
    server.stdin.close()
    started = json.loads(await server.stdout.readline())
    await server.wait()
    found = [age for each in seen for age in ages(each, started)]
    return {
        "calls_per_s": round((len(started) - 1) / (started[-1] - started[0]), 1),
        "cores_alone": statistics.mean(alone),
        "cores_watched": statistics.mean(watched),
        "cores": statistics.mean(watched) - statistics.mean(alone),
        "updates": len(found),
        "age_p50_s": statistics.median(found) if found else None,
        "age_s": max(found) if found else None,
        "page_kB": page_kb,
        "stream_kB_per_s": a_second_kb,
    }


def main() -> None:
    """Measure, print one table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second")
    parser.add_argument("--viewers", type=int, default=20, help="the browser among them")
    parser.add_argument("--page", choices=sorted(PAGES), default="wallboard")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each half of a turn")
    parser.add_argument("--warm-up", type=float, default=15.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments))
        return
    found = asyncio.run(measure(arguments))
    print(f"{'':28}{'measured':>10}{'wanted':>10}")
    for name, value in found.items():
        wanted = WANTED.get(name)
        shown = "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
        print(f"{name:28}{shown:>10}{'' if wanted is None else f'{wanted:g}':>10}")
    if arguments.json:
        report = {
            "benchmark": "wallboard",
            "machine": platform.machine(),
            "python": sys.version.split()[0],
            "agents": arguments.agents,
            "viewers": arguments.viewers,
            "page": arguments.page,
            "results": found,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The way of a simulation: asked for on a page, done by a worker, answered to those who may know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from dialer.api.what_if_ports import WhatIfAnswer, WhatIfFloor, WhatIfFound, WhatIfPoint
from dialer.campaigns import parse_campaign
from dialer.core.agent import AgentState
from dialer.core.agent_spell import AgentSpell
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.errors import InputError
from dialer.intake import jobs
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.what_if import MOST_WAITING, WhatIfDesk
from dialer.storage import schema
from dialer.storage.agent_time import AgentTimes
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.testing import FakeNode
from tests.integration.test_console import csrf_of, serving
from workers.app import connect
from workers.jobs.what_if import what_if

WINTER = parse_campaign({"id": "winter"})
POINT = WhatIfPoint(
    agents=6, limit=0.03, occupancy=0.8, occupancy_half_width=0.01, abandonment=0.02, talks_an_hour=90.0, wait_s=4.0
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "redis") as running:
        yield running


async def test_a_question_is_asked_once_and_answered_of_its_campaign_alone(server: EmbeddedServer) -> None:
    woken: list[None] = []
    desk = WhatIfDesk(server.url, lambda: woken.append(None), lambda: 1_000.0)
    id = await desk.ask(WINTER, 6, 8, 0.03)
    assert await desk.ask(WINTER, 6, 8, 0.03) == id
    assert await desk.ask(WINTER, 6, 9, 0.03) != id
    assert len(woken) == 3
    waits = await desk.answer(WINTER, id)
    assert waits == WhatIfAnswer(state="waiting")
    assert await desk.answer(parse_campaign({"id": "autumn"}), id) is None
    for odd in ("", "what-if-0", "rq:job:x", id + "0", "what-if-" + "0" * 32):
        assert await desk.answer(WINTER, odd) is None
    desk.close()


async def test_no_more_wait_than_workers_can_do(server: EmbeddedServer) -> None:
    desk = WhatIfDesk(server.url, lambda: None, lambda: 1_000.0)
    ids = [await desk.ask(WINTER, 6, 8 + n, 0.03) for n in range(MOST_WAITING)]
    with pytest.raises(InputError, match="too many"):
        await desk.ask(WINTER, 6, 99, 0.03)
    assert await desk.ask(WINTER, 6, 8, 0.03) == ids[0], "one that waits already may be asked for again"
    desk.close()


def test_a_worker_says_that_there_are_too_few_calls(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'cadencia.db'}"
    monkeypatch.setenv("CADENCIA_REDIS__URL", server.url)
    monkeypatch.setenv("CADENCIA_DATABASE__URL", url)
    monkeypatch.setattr("os.nice", lambda more: more)  # of the job's own process, which is the test's here
    desk = WhatIfDesk(server.url, lambda: None, lambda: 1_000.0)

    async def ask() -> str:
        database = Database(url)
        await schema.migrate(database)
        await Campaigns(database).create(WINTER, 1.0)
        await database.close()
        return await desk.ask(WINTER, 6, 8, 0.03)

    id = asyncio.run(ask())
    with connect(server.url) as client:
        queue = Queue(jobs.SWEEPS, connection=client, serializer=JSONSerializer)
        SimpleWorker([queue], connection=client, serializer=JSONSerializer).work(burst=True, logging_level="ERROR")
    answer = asyncio.run(desk.answer(WINTER, id))
    assert answer == WhatIfAnswer(state="failed", found=WhatIfFound(error="few_calls"))
    assert "there is no campaign" in what_if("nobody", 6, 8, 0.03, 1_000.0)
    desk.close()


async def test_the_mean_wrapup_counts_calls_and_not_their_quarters_of_an_hour(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'cadencia.db'}")
    await schema.migrate(database)
    times = AgentTimes(database)
    assert await times.mean_wrapup_s(CampaignId("winter"), 0.0) is None

    def spell(at: float, seconds: int, call: str, state: AgentState = AgentState.WRAPUP) -> AgentSpell:
        return AgentSpell(
            agent=AgentId("eva"),
            campaign=CampaignId("winter"),
            state=state,
            began_at=at,
            ended_at=at + seconds,
            ms=1_000 * seconds,
            call=CallId(call),
        )

    await times.append(
        [spell(890, 10, "c1"), spell(900, 20, "c1"), spell(990, 10, "c2"), spell(2_000, 99, "c3", AgentState.TALKING)]
    )
    assert await times.mean_wrapup_s(CampaignId("winter"), 0.0) == 20.0
    assert await times.mean_wrapup_s(CampaignId("winter"), 950.0) == 10.0
    await database.close()


# ---- the page


class Twin:
    """Answers what it was told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Campaign, int, int, float]] = []
        self.found: WhatIfAnswer | None = WhatIfAnswer(state="running", done=2, total=6)
        self.busy = False

    async def ask(self, campaign: Campaign, agents: int, other_agents: int, other_limit: float) -> str:
        if self.busy:
            raise InputError("too many")
        self.asked.append((campaign, agents, other_agents, other_limit))
        return "what-if-1"

    async def answer(self, campaign: Campaign, id: str) -> WhatIfAnswer | None:
        return self.found if id == "what-if-1" else None


@pytest.fixture
def twin() -> Twin:
    return Twin()


async def test_the_page_asks_waits_and_tells_it_in_words(twin: Twin, tmp_path: Path) -> None:
    def prepare(node: FakeNode) -> None:
        node.ports = replace(node.ports, what_if=twin)

    path = "/console/campaigns/winter/what-if"
    async with serving(tmp_path, prepare) as visitor:
        await visitor.add_campaign("winter")
        await visitor.sign_in("eyes")
        token = csrf_of(await visitor.page(path))

        async def ask(agents: str, other: str, limit: str, csrf: str = token) -> tuple[int, str, str]:
            data = {"csrf": csrf, "agents": agents, "other_agents": other, "other_limit": limit}
            async with visitor.http.post(visitor.url + path, data=data, allow_redirects=False) as answer:
                return answer.status, await answer.text(), answer.headers.get("location", "")

        for wrong in (("0", "8", "3"), ("6", "9999", "3"), ("6", "x", "3"), ("6", "8", "5"), ("6", "8", "nothing")):
            status, page, _ = await ask(*wrong)
            assert status == 422, wrong
            assert 'aria-invalid="true"' in page
        assert (await ask("6", "8", "3", "0" * 64))[0] == 403
        twin.busy = True
        assert (await ask("6", "8", "3"))[0] == 422
        twin.busy = False
        status, _, location = await ask("6", "8", "3")
        assert status == 303
        assert [(agents, other, limit) for _, agents, other, limit in twin.asked] == [(6, 8, 0.03)]
        page = await visitor.page(location)
        assert 'hx-trigger="every 1s"' in page
        assert 'max="6" value="2"' in page

        points = (POINT, msgspec.structs.replace(POINT, agents=8, talks_an_hour=121.5, occupancy=0.82))
        floor = WhatIfFloor(calls=500, answer_rate=0.3, talk_s=60.0, wrapup_s=10.0, wrapup_assumed=True)
        twin.found = WhatIfAnswer(state="done", found=WhatIfFound(floor=floor, points=points, hours=1.0))
        page = await visitor.page(location)
        assert "8 agents with a limit of 3.0 % instead of 6 with 3.0 %: +31.5 talks an hour (now 90.0)." in page
        assert "Occupancy goes from 80.0 % to 82.0 %" in page
        assert "every 1s" not in page
        assert "data-frontier" in page
        part = await visitor.page(f"{path}/what-if-1?agents=6&other_agents=8&other_limit=3", headers=_SPANISH)
        assert "8 agentes con un límite de 3,0 %" in part
        twin.found = WhatIfAnswer(state="failed", found=WhatIfFound(error="few_calls"))
        assert "too few calls" in await visitor.page(location)
        twin.found = None
        assert "not kept any more" in await visitor.page(location)


async def test_without_workers_there_is_no_such_page(tmp_path: Path) -> None:
    async with serving(tmp_path) as visitor:
        await visitor.add_campaign("winter")
        await visitor.sign_in()
        await visitor.page("/console/campaigns/winter/what-if", 404)
        assert "what-if" not in await visitor.page("/console/campaigns/winter")


_SPANISH = {"Accept-Language": "es"}

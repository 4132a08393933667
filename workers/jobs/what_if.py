"""What would be if a campaign had other agents. The dotted names of this package stand in Redis: they never change."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Final

import msgspec
from redis.exceptions import RedisError
from rq import get_current_job

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.errors import InputError
from dialer.settings import Settings
from dialer.storage.agent_time import AgentTimes
from dialer.storage.attempts import AttemptFilter, Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.opening import open_database
from dialer.twin.cells import run_cell
from dialer.twin.what_if import Found, Point, Question, cells, learn, point_of
from workers.settings import load_settings

#: Calls that are learned from: the latest, of the last two weeks.
_CALLS: Final = 4_000
_LOOK_BACK_S: Final = 14 * 86_400.0
#: Whatever is live goes first.
_NICE: Final = 10


def what_if(campaign: str, agents: int, other_agents: int, other_limit: float, now: float) -> str:
    """Simulate a campaign as it is, and with other agents under another limit.

    How far it is stands in the job's meta under ``done`` and ``total``.

    Args:
        campaign: its id.
        agents: how many it has.
        other_agents: how many it might have.
        other_limit: share of live answers that might be abandoned.
        now: unix seconds.

    Returns:
        `dialer.twin.what_if.Found` as JSON.

    Raises:
        StorageError: the database is out of reach.
    """
    os.nice(_NICE)
    question = Question(agents=agents, other_agents=other_agents, other_limit=other_limit)
    read = asyncio.run(_read(load_settings(), CampaignId(campaign), now))
    if read is None:
        return _json(Found(error=f"there is no campaign {campaign!r}"))
    settings, attempts, wrapup_s = read
    learned = learn(attempts, wrapup_s, settings)
    if learned is None:
        return _json(Found(error="few_calls"))
    floor, raw = learned
    try:
        hours, work = cells(raw, floor, question, settings)
        points: list[Point] = []
        for cell in work:
            _tell(len(points), len(work))
            points.append(point_of(run_cell(cell), cell, hours))
    except InputError as error:
        return _json(Found(floor=floor, error=str(error)))
    return _json(Found(floor=floor, points=tuple(points), hours=hours))


async def _read(
    settings: Settings, campaign: CampaignId, now: float
) -> tuple[Campaign, Sequence[Attempt], float | None] | None:
    database = open_database(settings)
    try:
        stored = await Campaigns(database).get(campaign)
        if stored is None:
            return None
        since = now - _LOOK_BACK_S
        page = await Attempts(database).page(AttemptFilter(campaign=campaign, since=since), limit=_CALLS)
        return stored.campaign, page.items, await AgentTimes(database).mean_wrapup_s(campaign, since)
    finally:
        await database.close()


def _json(found: Found) -> str:
    return msgspec.json.encode(found).decode()


def _tell(done: int, total: int) -> None:
    job = get_current_job()
    if job is not None:
        job.meta |= {"done": done, "total": total}
        # How far it is need not be told for it to go on.
        with contextlib.suppress(RedisError, OSError):
            job.save_meta()  # type: ignore[no-untyped-call]  # of rq

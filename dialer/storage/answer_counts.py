"""What became of answered calls, campaign by campaign, with what agents said of the calls taken for machines."""

from __future__ import annotations

from typing import Final

from sqlalchemy import and_, case, func, select

from dialer.compliance.machine_error import AnswerCounts, says_machine
from dialer.core.attempt import LEGAL_LIMIT_S
from dialer.core.ids import CampaignId
from dialer.core.outcome import LIVE, Outcome
from dialer.storage.database import Database
from dialer.storage.tables import attempts, dispositions

_C: Final = attempts.c
_LIVE: Final = sorted(outcome.value for outcome in LIVE)
#: As `dialer.core.attempt.is_late`, in SQL.
LATE: Final = _C.connected_at - _C.answered_at > func.coalesce(_C.connect_within_s, LEGAL_LIMIT_S)


async def answer_counts(database: Database, since: float, until: float) -> dict[CampaignId, AnswerCounts]:
    """Calls that ended at `since` or later and before `until` (unix seconds), of each campaign that had answered ones.

    A sampled call of which its agent said that it was a machine is no live answer. One that nobody has judged is.
    """
    window = and_(_C.ended_at >= since, _C.ended_at < until)
    totals = (
        select(
            _C.campaign,
            func.sum(case((_C.outcome.in_(_LIVE), 1), else_=0)).label("live"),
            func.sum(
                case((_C.outcome == Outcome.ABANDONED.value, 1), (and_(_C.outcome.in_(_LIVE), LATE), 1), else_=0)
            ).label("lost"),
            func.sum(case((_C.outcome == Outcome.MACHINE.value, 1), else_=0)).label("machines"),
        )
        .where(window, _C.answered_at.is_not(None))
        .group_by(_C.campaign)
    )
    codes = (
        select(_C.campaign, _C.call, _C.answered_at, _C.connected_at, LATE.label("late"), dispositions.c.code)
        .join(dispositions, dispositions.c.call == _C.call)
        .where(window, _C.machine_sampled, _C.connected_at.is_not(None))
        .order_by(dispositions.c.at, dispositions.c.id)
    )
    async with database.read() as connection:
        rows = (await connection.execute(totals)).all()
        said = (await connection.execute(codes)).all()
    found = {
        CampaignId(row.campaign): AnswerCounts(
            live_answers=int(row.live), abandoned=int(row.lost), hung_up_as_machine=int(row.machines)
        )
        for row in rows
    }
    # The latest code of a call counts.
    for row in {row.call: row for row in said}.values():
        machine = says_machine(row.code)
        found[CampaignId(row.campaign)] += AnswerCounts(
            live_answers=-int(machine),
            abandoned=-int(machine and bool(row.late)),
            judged=1,
            judged_people=int(not machine),
        )
    return found

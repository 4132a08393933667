"""The calls behind a figure of abandonment: people who answered and found nobody in time, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import and_, or_, select, tuple_

from dialer.compliance.machine_error import says_machine
from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId
from dialer.core.outcome import LIVE, Outcome
from dialer.storage.answer_counts import LATE
from dialer.storage.attempts import attempt_of
from dialer.storage.database import Database
from dialer.storage.tables import attempts, dispositions

_C: Final = attempts.c
_LIVE: Final = sorted(outcome.value for outcome in LIVE)


async def lost_people(
    database: Database,
    campaign: CampaignId,
    since: float,
    until: float,
    *,
    before: tuple[float, CallId] | None = None,
    limit: int = 100,
) -> Sequence[Attempt]:
    """Calls that `dialer.storage.answer_counts` counts as abandoned, the latest to end first.

    Args:
        database: the record.
        campaign: whose.
        since: unix seconds of the end of a call.
        until: the same, not included.
        before: (end, call) of the last one of the page before.
        limit: at most so many.

    Raises:
        StorageError: out of reach.
    """
    conditions = [
        _C.campaign == campaign,
        _C.ended_at >= since,
        _C.ended_at < until,
        _C.answered_at.is_not(None),
        or_(_C.outcome == Outcome.ABANDONED.value, and_(_C.outcome.in_(_LIVE), LATE)),
    ]
    if before is not None:
        conditions.append(tuple_(_C.ended_at, _C.call) < before)
    statement = select(attempts).where(*conditions).order_by(_C.ended_at.desc(), _C.call.desc())
    found: list[Attempt] = []
    async with database.read() as connection:
        # A sampled call of which its agent said that it was a machine is no live answer: such rows are passed over.
        offset = 0
        while len(found) < limit:
            rows = (await connection.execute(statement.offset(offset).limit(limit))).all()
            offset += len(rows)
            sampled = [row.call for row in rows if row.machine_sampled and row.connected_at is not None]
            codes: dict[str, str] = {}
            if sampled:
                said = (
                    select(dispositions.c.call, dispositions.c.code)
                    .where(dispositions.c.call.in_(sampled))
                    .order_by(dispositions.c.at, dispositions.c.id)
                )
                codes = {row.call: row.code for row in (await connection.execute(said)).all()}
            found += [attempt_of(row) for row in rows if row.call not in codes or not says_machine(codes[row.call])]
            if len(rows) < limit:
                break
    return found[:limit]

"""The calls behind the figures of abandonment, one by one: who was met too late or not at all, and who answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, tuple_

from dialer.compliance.machine_error import Counted, says_machine
from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId
from dialer.core.outcome import LIVE, Outcome
from dialer.storage.answer_counts import LATE
from dialer.storage.attempts import attempt_of
from dialer.storage.database import Database
from dialer.storage.tables import attempts, dispositions

_C: Final = attempts.c
_LIVE: Final = sorted(outcome.value for outcome in LIVE)


#: As `answer_counts` counts them, but for what agents have said of sampled calls.
_WHICH: Final[Mapping[Counted, ColumnElement[bool]]] = {
    Counted.ABANDONED: or_(_C.outcome == Outcome.ABANDONED.value, and_(_C.outcome.in_(_LIVE), LATE)),
    Counted.LIVE_ANSWERS: _C.outcome.in_(_LIVE),
    Counted.HUNG_UP_AS_MACHINE: _C.outcome == Outcome.MACHINE.value,
    Counted.JUDGED: and_(_C.machine_sampled, _C.connected_at.is_not(None)),
}


async def counted_calls(
    database: Database,
    campaign: CampaignId,
    figure: Counted,
    since: float,
    until: float,
    *,
    before: tuple[float, CallId] | None = None,
    limit: int = 100,
) -> Sequence[Attempt]:
    """Calls that `dialer.storage.answer_counts` counts in a figure, the latest to end first.

    Args:
        database: the record.
        campaign: whose.
        figure: which of its counts.
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
        _WHICH[figure],
    ]
    if before is not None:
        conditions.append(tuple_(_C.ended_at, _C.call) < before)
    statement = select(attempts).where(*conditions).order_by(_C.ended_at.desc(), _C.call.desc())
    found: list[Attempt] = []
    async with database.read() as connection:
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
            found += [attempt_of(row) for row in rows if _counts(figure, codes.get(row.call))]
            if len(rows) < limit:
                break
    return found[:limit]


def _counts(figure: Counted, code: str | None) -> bool:
    """Whether a call still counts once its agent has said what it was; None: they have not, or were not asked."""
    match figure:
        case Counted.ABANDONED | Counted.LIVE_ANSWERS:
            # A sampled call of which its agent said that it was a machine is no live answer.
            return code is None or not says_machine(code)
        case Counted.JUDGED:
            return code is not None
        case Counted.HUNG_UP_AS_MACHINE:
            return True

"""The calls of a day, from a CSV file or from the database, as rows to be replayed."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from dialer.core.attempt import Attempt
from dialer.core.ids import CampaignId
from dialer.errors import InputError
from dialer.storage.agent_time import AgentTimes
from dialer.storage.attempts import AttemptFilter, Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.pacing_journal import PacingJournal
from pacing.replaying import ENDINGS, LIVE, SILENT, CallRow

COLUMNS: Final = ("start", "answer", "end", "outcome", "agent")
_OPTIONAL: Final = ("wrapup", "connect")
#: A day of five thousand agents at their busiest.
_MOST_ROWS: Final = 5_000_000
_LARGEST_BYTES: Final = 1024 * 1024 * 1024
_PAGE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A day on record.

    Attributes:
        rows: Its calls, in no order.
        name: Of the day, for people.
        method, max_abandonment, connect_within_s, ratio: What was in force; None where the record does not say.
        limits: What held calls back, by share of the rows of the pacing journal; empty where there is none.
    """

    rows: tuple[CallRow, ...]
    name: str
    method: str | None = None
    max_abandonment: float | None = None
    connect_within_s: float | None = None
    ratio: float | None = None
    limits: Mapping[str, float]


def read_csv(path: Path, zone: tzinfo) -> Record:
    """The calls in a CSV file with the columns start, answer, end, outcome and agent; wrapup and connect where known.

    Moments are RFC 3339 texts (without an offset: in `zone`) or unix seconds; wrapup is in seconds.

    Raises:
        InputError: it cannot be read; the text names the line and what to correct.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{path} is larger than 1 GiB: a replay is of one day")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            missing = [name for name in COLUMNS if name not in names]
            if missing:
                raise InputError(
                    f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: the first line "
                    f"must name {', '.join(COLUMNS)} (and, where known, {', '.join(_OPTIONAL)})"
                )
            reader.fieldnames = names
            rows = tuple(_rows(reader, path, zone))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except csv.Error as error:
        raise InputError(f"{path}: {error}") from error
    return Record(rows=rows, name=path.name, limits={})


def _rows(reader: csv.DictReader[str], path: Path, zone: tzinfo) -> Iterator[CallRow]:
    for count, row in enumerate(reader):
        where = f"line {reader.line_num}"
        if count >= _MOST_ROWS:
            raise InputError(f"{path} has more than {_MOST_ROWS:,} rows: a replay is of one day")
        outcome = (row["outcome"] or "").strip().lower()
        if outcome not in LIVE and outcome not in ENDINGS and outcome not in SILENT:
            words = ", ".join(sorted({*LIVE, *ENDINGS, *SILENT}))
            raise InputError(f"{path}, {where}: outcome {outcome!r} is not known; it may be {words}")
        moments = {name: _moment(row.get(name), f"{path}, {where}: {name}", zone) for name in _MOMENTS}
        start, end = moments["start"], moments["end"]
        if start is None or end is None:
            raise InputError(f"{path}, {where}: start and end must be given")
        yield CallRow(
            start_s=start,
            answer_s=moments["answer"],
            end_s=end,
            outcome=outcome,
            agent=(row["agent"] or "").strip()[:200],
            connect_s=moments["connect"],
            wrapup_s=_seconds(row.get("wrapup"), f"{path}, {where}: wrapup"),
            line=where,
        )


_MOMENTS: Final = ("start", "answer", "end", "connect")


def _moment(text: str | None, where: str, zone: tzinfo) -> float | None:
    text = (text or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise InputError(
                f"{where} must be a moment such as 2026-11-21T09:30:00+01:00, or unix seconds, not {text[:40]!r}"
            ) from error
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()
    if not math.isfinite(value) or not 0.0 <= value <= 1e11:
        raise InputError(f"{where} must be unix seconds, not {text[:40]!r}")
    return value


def _seconds(text: str | None, where: str) -> float | None:
    text = (text or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"{where} must be a number of seconds, not {text[:40]!r}") from error
    if not 0.0 <= value <= 21_600.0:
        raise InputError(f"{where} must be from 0 to 21,600 seconds, not {text[:40]!r}")
    return value


async def read_database(url: str, campaign: str, day: date, zone: tzinfo) -> Record:
    """A campaign's attempts that ended on a day, and what its pacer noted of it.

    Raises:
        InputError: there is no such campaign, or no attempts of it on that day.
        StorageError: the database is out of reach.
    """
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    since, until = begin.timestamp(), (begin + timedelta(days=1)).timestamp()
    database = Database(url)
    try:
        stored = await Campaigns(database).get(CampaignId(campaign))
        if stored is None:
            raise InputError(f"there is no campaign {campaign!r} in the database: `cadencia campaign list` names them")
        attempts = await _attempts(database, CampaignId(campaign), since, until)
        if not attempts:
            raise InputError(f"campaign {campaign!r} has no calls that ended on {day}: choose another --day")
        limits = await _limits(database, CampaignId(campaign), since, until)
        earliest = min(attempt.started_at for attempt in attempts)
        wrapups = await AgentTimes(database).wrapups_s(CampaignId(campaign), earliest, until)
    finally:
        await database.close()
    methods = Counter(attempt.method for attempt in attempts if attempt.method)
    settings = stored.campaign
    return Record(
        rows=tuple(_row(attempt, wrapups.get(attempt.call)) for attempt in attempts),
        name=f"{campaign}, {day}",
        method=methods.most_common(1)[0][0] if methods else settings.method,
        max_abandonment=settings.max_abandonment,
        connect_within_s=settings.connect_within_s,
        ratio=settings.ratio,
        limits=limits,
    )


async def _attempts(database: Database, campaign: CampaignId, since: float, until: float) -> Sequence[Attempt]:
    found: list[Attempt] = []
    repository = Attempts(database)
    wanted = AttemptFilter(campaign=campaign, since=since, until=until)
    cursor = None
    while True:
        page = await repository.page(wanted, cursor=cursor, limit=_PAGE)
        found += page.items
        if len(found) > _MOST_ROWS:
            raise InputError(f"the day has more than {_MOST_ROWS:,} calls: that cannot be replayed at once")
        cursor = page.next
        if cursor is None:
            return found


async def _limits(database: Database, campaign: CampaignId, since: float, until: float) -> dict[str, float]:
    """What held calls back, as shares of the journal's rows."""
    counts: Counter[str] = Counter()
    cursor = None
    while True:
        page = await PacingJournal(database).between(campaign, since, until, cursor=cursor, limit=_PAGE)
        counts.update(entry.limit for entry in page.items)
        cursor = page.next
        if cursor is None:
            break
    total = counts.total()
    return {limit: count / total for limit, count in counts.most_common()}


def _row(attempt: Attempt, wrapup_s: float | None) -> CallRow:
    # With machine detection a person waits for an agent from its verdict on; pacing counts from there too.
    answer = attempt.waiting_at if attempt.waiting_at is not None else attempt.answered_at
    return CallRow(
        start_s=attempt.started_at,
        answer_s=answer,
        end_s=attempt.ended_at,
        outcome=attempt.outcome.value,
        agent=attempt.agent or "",
        connect_s=attempt.connected_at,
        wrapup_s=wrapup_s,
        line=f"call {attempt.call}",
    )


def clock_s(at: float, zone: tzinfo) -> float:
    """Seconds after midnight, in a zone, of a unix second."""
    moment = datetime.fromtimestamp(at, UTC).astimezone(zone)
    return moment.hour * 3_600.0 + moment.minute * 60.0 + moment.second

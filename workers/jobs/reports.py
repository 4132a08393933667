"""Reports that are made regularly and sent. The dotted names of this package stand in Redis: they never change."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Final

import structlog

from dialer.crm.mail import Attachment, compose, send
from dialer.errors import InputError
from dialer.queues.results import rfc3339
from dialer.reporting.report import FORMS, Report
from dialer.reporting.schedule import Schedule, read_schedules
from dialer.runtime.clock import Clock
from dialer.runtime.reports import Reports
from dialer.settings import Settings
from dialer.storage.opening import open_database
from dialer.storage.webhooks import Delivery, Webhooks
from workers.settings import load_settings

_log = structlog.get_logger(__name__)

#: Rows of a report that is posted: some megabytes.
_MAX_POSTED_ROWS: Final = 2_000
#: Type of the webhook's message.
_TYPE: Final = "report.made"


def make_report(schedule: str, due_at: float) -> dict[str, object]:
    """Make the report of a schedule that was due at `due_at` (unix seconds), and send it.

    A report that cannot be made is a result (``error``), not a failure: trying again would not help.

    Raises:
        StorageError: the database is out of reach; RQ tries again.
        MailError: the mail server is; likewise.
        ConfigError: the schedules of the settings are wrong.
    """
    settings = load_settings()
    wanted = next((one for one in read_schedules(settings) if one.name == schedule), None)
    if wanted is None:
        return {"error": f"there is no schedule {schedule!r} in the settings any more"}
    try:
        report = asyncio.run(_make(settings, wanted, due_at))
    except InputError as error:
        _log.error("report cannot be made", schedule=schedule, error=str(error))
        return {"error": str(error)}
    if wanted.mail:
        # In this thread: a worker's job does nothing else meanwhile.
        _mail(settings, wanted, report, due_at)
    _log.info("report sent", schedule=schedule, rows=len(report.rows), addresses=len(wanted.mail))
    return {"rows": len(report.rows), "mailed": len(wanted.mail), "posted": bool(wanted.webhook)}


async def _make(settings: Settings, schedule: Schedule, due_at: float) -> Report:
    database = open_database(settings)
    try:
        clock = Clock()
        report = await Reports(database, settings, clock.now).make(schedule.order(due_at))
        if schedule.webhook:
            if len(report.rows) > _MAX_POSTED_ROWS:
                raise InputError(
                    f"by: {len(report.rows)} rows are too many to post, at most {_MAX_POSTED_ROWS}; mail it instead"
                )
            await Webhooks(database).add([_delivery(schedule, report, due_at, clock.now())], clock.now())
        return report
    finally:
        await database.close()


def _delivery(schedule: Schedule, report: Report, due_at: float, now: float) -> Delivery:
    message = {"type": _TYPE, "at": rfc3339(due_at), "report": schedule.name, **report.as_json()}
    address = hashlib.sha256(schedule.webhook.encode()).hexdigest()[:12]
    return Delivery(
        # The same however often the job is run.
        id=f"report-{schedule.name}-{int(due_at)}.{address}",
        url=schedule.webhook,
        type=_TYPE,
        payload=json.dumps(message, ensure_ascii=False),
        next_at=now,
    )


def _mail(settings: Settings, schedule: Schedule, report: Report, due_at: float) -> None:
    name = f"{schedule.name}-{rfc3339(due_at)[:10]}.{schedule.form}"
    if schedule.form == "json":
        media_type, content = "application/json", json.dumps(report.as_json(), ensure_ascii=False, indent=1).encode()
    else:
        media_type, write = FORMS[schedule.form]
        content = write(report)
    domain = settings.mail.sender.rpartition("@")[2].strip(">") or "cadencia"
    message = compose(
        settings.mail,
        schedule.mail,
        subject=f"Cadencia: {schedule.name}, {rfc3339(report.order.since)[:10]}",
        text=_summary(report),
        attachment=Attachment(name=name, media_type=media_type, content=content),
        message_id=f"<report-{schedule.name}-{int(due_at)}@{domain}>",
    )
    send(settings.mail, message)


def _summary(report: Report) -> str:
    total = report.as_json()["total"]
    lines = [f"Calls that ended from {rfc3339(report.order.since)} to {rfc3339(report.order.until)}.", ""]
    wanted = ("attempts", "live_answers", "contacts", "sales", "amount", "abandonment", "occupancy", "cost_per_sale")
    lines += [f"{name.replace('_', ' ')}: {'unknown' if total[name] is None else total[name]}" for name in wanted]
    return "\n".join([*lines, "", "The rows are attached.", ""])

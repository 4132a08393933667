"""Regular reports: which are due, of what time, once however often somebody looks; and settings that make no sense."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.errors import ConfigError, QueueError
from dialer.intake.jobs import Job
from dialer.reporting.local_time import offsets
from dialer.reporting.schedule import read_schedules
from dialer.runtime.report_clock import ReportClock
from dialer.settings import Mail, Reports, ReportSchedule, Settings, Webhook

HOOK = "https://crm.example/hook"
MADRID = ZoneInfo("Europe/Madrid")


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "name": "daily",
        "cron": "0 7 * * 1-5",
        "by": "agent,day",
        "timezone": "Europe/Madrid",
        "mail": ("ana@example.com",),
    }
    return Settings(
        reports=Reports(schedules=(ReportSchedule(**{**values, **changes}),)),
        mail=Mail(host="127.0.0.1", sender="cadencia@example.com"),
        webhooks=(Webhook(url=HOOK),),
    )


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp()


def shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, MADRID).isoformat(timespec="minutes")


def test_a_report_is_of_the_whole_days_before() -> None:
    (schedule,) = read_schedules(settings(days=2))
    # On a Monday after the night that lacks an hour; the last time it was due is today at seven.
    due_at = schedule.last_before(at("2026-03-30T07:00"))
    assert shown(due_at) == "2026-03-30T07:00+02:00"
    order = schedule.order(due_at)
    assert (shown(order.since), shown(order.until)) == ("2026-03-28T00:00+01:00", "2026-03-30T00:00+02:00")
    assert [each.value for each in order.by] == ["agent", "day"]
    # Not on a weekend.
    assert shown(schedule.last_before(at("2026-03-29T23:00"))) == "2026-03-27T07:00+01:00"
    assert shown(schedule.last_before(at("2026-03-30T06:59"))) == "2026-03-27T07:00+01:00"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cron": "every day"}, "cron 'every day' is none"),
        ({"cron": "* * * * * *"}, "is none"),
        ({"cron": "0 25 * * *"}, "is none"),
        ({"by": "colour"}, "by: 'colour'"),
        ({"timezone": "Moon/Base"}, "timezone: 'Moon/Base'"),
        ({"mail": ()}, "goes nowhere"),
        ({"mail": ("ana",)}, "'ana' is no address"),
        ({"mail": ("ana@example.com\nBcc: x@y",)}, "is no address"),
        ({"webhook": "https://elsewhere.example"}, "not the url of one of the"),
        ({"campaigns": ("a b",)}, "'a b' cannot be a campaign"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_schedules(settings(**changes))
    assert str(refused.value).startswith("reports.schedules 'daily': ")
    assert says in str(refused.value)


def test_mail_needs_a_server_and_names_are_unique() -> None:
    with pytest.raises(ConfigError, match="must have host and sender"):
        read_schedules(Settings(reports=settings().reports))
    twice = Reports(schedules=settings().reports.schedules * 2)
    with pytest.raises(ConfigError, match="same name"):
        read_schedules(Settings(reports=twice))


class Outbox:
    """Takes jobs, unless it is full."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.full = False

    def put(self, job: Job) -> None:
        if self.full:
            raise QueueError("too many jobs wait")
        self.jobs.append(job)


class Time:
    """A clock that is set."""

    def __init__(self, text: str) -> None:
        self.now_at = at(text)

    def now(self) -> float:
        return self.now_at


def test_what_is_due_is_handed_over_once_and_again_where_it_could_not_be() -> None:
    outbox, time = Outbox(), Time("2026-03-30T06:59")
    woken: list[int] = []
    clock = ReportClock(read_schedules(settings()), outbox, lambda: woken.append(1), time.now)
    # Friday's was long ago: whoever was down then does not send it on Monday.
    assert clock.look() == 0
    time.now_at += 61
    outbox.full = True
    assert clock.look() == 0
    outbox.full = False
    assert clock.look() == 1
    assert clock.look() == 0
    time.now_at += 86_400
    assert clock.look() == 1
    first, second = outbox.jobs
    assert first.arguments == {"schedule": "daily", "due_at": at("2026-03-30T07:00")}
    assert first.id != second.id
    assert len(woken) == 2
    # Another node, or this one after a restart, hands over the same job: RQ keeps one.
    again = Outbox()
    ReportClock(read_schedules(settings()), again, lambda: None, time.now).look()
    assert again.jobs[0].id == second.id


zones = st.sampled_from(["Europe/Madrid", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"])


@given(zones, st.floats(1.5e9, 1.9e9), st.floats(1, 400 * 86_400), st.floats(0, 1))
def test_offsets_of_a_period_are_those_of_every_moment_in_it(
    name: str, since: float, length_s: float, part: float
) -> None:
    zone, until = ZoneInfo(name), since + length_s
    found = offsets(zone, since, until)
    assert found[0][0] == since
    moment = since + part * length_s * 0.999_999
    expected = datetime.fromtimestamp(moment, zone).utcoffset()
    assert expected is not None
    held = [seconds for begins, seconds in found if begins <= moment]
    assert held[-1] == expected.total_seconds()
    assert all(begins < until for begins, _ in found)

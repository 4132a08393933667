"""Jobs by name: each resolves, carries only JSON, and its queue is one that workers look at."""

from __future__ import annotations

import importlib
import inspect
import json

import pytest
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from dialer.errors import ConfigError, QueueError
from dialer.intake import jobs
from dialer.intake.importer import ImportProgress
from dialer.runtime.clock import Clock
from dialer.settings import Redis, Settings
from dialer.storage.lists import ListCounts
from workers import app
from workers.jobs import imports
from workers.settings import load_settings

EXAMPLES = [
    jobs.import_list(list_id="l-1", campaign="winter", path="/tmp/x.csv", name="x", delete=True),
    jobs.deliver_webhooks(now=1_000.0),
    jobs.make_report("daily", 1_000.0),
]


@pytest.mark.parametrize("name", jobs.FUNCTIONS)
def test_every_name_is_a_function_of_the_workers(name: str) -> None:
    module, _, function = name.rpartition(".")
    assert module.startswith("workers.jobs.")
    assert inspect.isfunction(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("job", EXAMPLES, ids=lambda job: job.id)
def test_a_job_fits_its_function_and_is_json(job: jobs.Job) -> None:
    module, _, function = job.function.rpartition(".")
    inspect.signature(getattr(importlib.import_module(module), function)).bind(**job.arguments)
    assert json.loads(json.dumps(dict(job.arguments))) == job.arguments
    assert job.function in jobs.FUNCTIONS
    assert job.queue in jobs.QUEUES


def test_wake_ups_within_some_seconds_are_one_job() -> None:
    assert jobs.deliver_webhooks(1_000.0).id == jobs.deliver_webhooks(1_009.9).id
    assert jobs.deliver_webhooks(1_000.0).id != jobs.deliver_webhooks(1_010.0).id


async def test_an_outbox_that_is_full_refuses() -> None:
    outbox = jobs.JobOutbox("redis://127.0.0.1:1/0", capacity=2)
    outbox.put(EXAMPLES[0])
    outbox.put(EXAMPLES[1])
    with pytest.raises(QueueError, match="too many jobs"):
        outbox.put(EXAMPLES[0])
    outbox.close()


async def test_a_job_that_must_be_there_now_says_when_redis_is_not() -> None:
    outbox = jobs.JobOutbox("redis://127.0.0.1:1/0")
    with pytest.raises(QueueError, match="out of reach"):
        await outbox.send(EXAMPLES[0])
    outbox.close()


def test_a_worker_needs_a_redis_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CADENCIA_CONFIG", raising=False)
    monkeypatch.delenv("CADENCIA_REDIS__URL", raising=False)
    with pytest.raises(ConfigError, match=r"set redis\.url"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("http://localhost", ConfigError, "must begin with redis://"),
        ("redis://localhost:notaport/0", ConfigError, "cannot be understood"),
        ("redis://127.0.0.1:1/0", QueueError, "start it, or correct redis.url"),
    ],
)
def test_a_worker_says_what_is_wrong_with_its_redis(url: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        app.run(Settings(redis=Redis(url=url)))


def test_an_import_goes_on_where_its_progress_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = redis.Redis(host="127.0.0.1", port=1)
    job = Job("import-l-1", connection=nowhere, serializer=JSONSerializer)
    monkeypatch.setattr(imports, "get_current_job", lambda: job)
    tell = imports._telling(Clock())
    counts = ListCounts(read=3, accepted=3, rejected=0, reasons={})
    tell(ImportProgress(counts=counts, offered=2))
    assert job.meta["progress"] == imports.as_json(ImportProgress(counts=counts, offered=2))
    nowhere.close()

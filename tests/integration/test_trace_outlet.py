"""Whatever the collector does, spans are taken at once, memory is bounded, and what is lost is counted."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from dialer.core.ids import CallId
from dialer.errors import ConfigError
from dialer.runtime.tracing import NodeTracing
from dialer.runtime.tracing_checks import tracing_findings
from dialer.settings import Settings, Tracing, load
from dialer.storage.database import Database
from dialer.storage.shared_keys import SharedKeys
from dialer.tracing.addresses import traces_url
from dialer.tracing.otlp import OtlpSender
from dialer.tracing.outlet import Outlet
from dialer.tracing.places import Place
from dialer.tracing.site import TracingSite
from dialer.tracing.spans import Span
from tests.collector import Collector, collector
from tests.patience import PATIENCE_S


def span(number: int) -> Span:
    return Span(
        name="step",
        place=Place(7, number + 1),
        parent=Place(7, 1) if number else None,
        started_at=1_700_000_000.0,
        ended_at=1_700_000_000.25,
        attributes={"text": "ñ", "count": number, "ratio": 0.5, "yes": True, "words": ("a", "b")},
        links=(Place(8, 9),),
        request=number == 1,
        error="abandoned" if number == 2 else "",
    )


class Counted:
    """What became of spans."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self._lock = threading.Condition()

    def __call__(self, outcome: str, spans: int) -> None:
        with self._lock:
            self.of[outcome] += spans
            self._lock.notify_all()

    def wait(self, outcome: str, at_least: int) -> None:
        with self._lock:
            assert self._lock.wait_for(lambda: self.of[outcome] >= at_least, PATIENCE_S), self.of


def outlet(url: str, counted: Counted, *, limit: int = 1_000, timeout_s: float = 0.2) -> Outlet:
    return Outlet(OtlpSender(Tracing(endpoint=url, timeout_s=timeout_s), "n1"), counted, limit=limit, linger_s=0.01)


def test_what_is_put_arrives() -> None:
    counted = Counted()
    with collector() as there:
        tracing = Tracing(endpoint=there.url, headers={"authorization": "Bearer open sesame"}, service="dialer 1")
        out = Outlet(OtlpSender(tracing, "n1"), counted, linger_s=0.01)
        for number in range(1_500):  # more than one request's
            out.put(span(number))
        out.close(PATIENCE_S)
        assert counted.of == {"exported": 1_500}
        assert len(out) == 0
        assert set(there.paths) == {"/v1/traces"}
        assert {headers["authorization"] for headers in there.headers} == {"Bearer open sesame"}
        found = there.spans
        assert [each.place.span for each in found] == list(range(1, 1_501))
        first, second, third = found[:3]
        assert (first.parent, second.parent, second.place.trace) == (0, 1, 7)
        assert (second.kind, first.kind) == (3, 1)
        assert (third.failed, third.error, first.failed) == (True, "abandoned", False)
        assert (first.started_ns, first.ended_ns) == (1_700_000_000_000_000_000, 1_700_000_000_250_000_000)
        assert first.attributes == {"text": "ñ", "count": 0, "ratio": 0.5, "yes": True, "words": ("a", "b")}
        assert first.links == (Place(8, 9),)
        assert first.resource["service.name"] == "dialer 1"
        assert first.resource["service.instance.id"] == "n1"
        out.put(span(1))
        assert counted.of["overflow"] == 1, "what comes after the end is lost, and counted"


@pytest.mark.parametrize("how", ["hangs", "answers 500", "refuses the key", "is not there"])
def test_a_collector_that_is_unwell_holds_nobody_up(how: str) -> None:
    counted = Counted()
    with collector() as there:
        _make(there, how)
        url = "http://127.0.0.1:1" if how == "is not there" else there.url
        out = outlet(url, counted, limit=50)
        for number in range(5_000):
            out.put(span(number))  # waits for nobody, or there would be room for all
        assert len(out) <= 50
        counted.wait("failed", 1)
        out.close(PATIENCE_S)
        assert counted.of.total() == 5_000, "each is counted once"
        assert counted.of["exported"] == 0
        assert counted.of["overflow"] >= 5_000 - 50 - 512
        assert there.spans == []


def _make(there: Collector, how: str) -> None:
    if how == "hangs":
        there.answers.clear()
    elif how == "answers 500":
        there.status = 500
    else:
        there.status = 401


def test_a_collector_that_comes_back_gets_what_comes_then() -> None:
    counted = Counted()
    with collector() as there:
        there.status = 500
        out = outlet(there.url, counted)
        out.put(span(0))
        counted.wait("failed", 1)
        there.status = 200
        out.put(span(1))
        counted.wait("exported", 1)
        out.close(PATIENCE_S)
        assert [each.place.span for each in there.spans] == [2]


def test_as_many_are_sent_as_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty batches do not take twenty times the moment in which one gathers."""
    all_came, gathered = threading.Event(), list[float]()

    class Noting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            gathered.extend([timeout] if timeout else [])
            return super().wait(timeout)

    class Taking:
        def send(self, spans: Sequence[Span]) -> bool:
            return all_came.wait(PATIENCE_S) and bool(spans)

        def close(self) -> None: ...

    counted = Counted()
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Event", Noting)
        out = Outlet(Taking(), counted, linger_s=0.01)
    for number in range(20 * 512):
        out.put(span(number))
    all_came.set()
    counted.wait("exported", 20 * 512)
    # The first at most, which others came after, and the last, which is not full.
    assert len(gathered) <= 2
    out.close(PATIENCE_S)


def test_the_end_does_not_wait_for_a_collector_that_hangs() -> None:
    counted = Counted()
    with collector() as there:
        there.answers.clear()
        out = outlet(there.url, counted, timeout_s=30.0)
        out.put(span(0))
        before = time.monotonic()
        out.close(0.2)
        assert time.monotonic() - before < 10.0


def test_an_error_of_our_own_ends_nothing() -> None:
    class Broken:
        def __init__(self) -> None:
            self.tries = 0

        def send(self, spans: Sequence[Span]) -> bool:
            self.tries += 1
            if self.tries == 1:
                raise RuntimeError("a bug")
            return True

        def close(self) -> None: ...

    counted = Counted()
    out = Outlet(Broken(), counted, linger_s=0.01)
    out.put(span(0))
    counted.wait("failed", 1)
    out.put(span(1))
    counted.wait("exported", 1)
    out.close(PATIENCE_S)
    assert counted.of == {"failed": 1, "exported": 1}


def test_where_traces_are_posted_to() -> None:
    assert traces_url("http://c:4318") == traces_url("http://c:4318/") == "http://c:4318/v1/traces"
    assert traces_url("https://c/otlp/v1/traces") == "https://c/otlp/v1/traces"


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


async def test_without_a_collector_in_the_settings_there_is_nothing(database: Database) -> None:
    counted = Counted()
    site = await TracingSite.open(Settings(), database, counted, 0.0)
    off = NodeTracing(site, lambda: 0.0)

    async def app(_scope: object, _receive: object, _send: object) -> None: ...

    assert (site, off.projections, off.arrivals) == (None, (), None)
    assert off.around(app) is app
    assert await SharedKeys(database).find("traces") is None, "not even a key"
    await off.close()


async def test_missing_packages_are_told_before_anything_starts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "dialer.tracing.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    settings = Settings(tracing=Tracing(endpoint="http://127.0.0.1:1"))
    with pytest.raises(ConfigError, match=r"pip install 'cadencia\[tracing\]'"):
        await TracingSite.open(settings, database, Counted(), 0.0)


async def test_whoever_opens_it_finds_the_same_places(database: Database) -> None:
    settings = Settings(tracing=Tracing(endpoint="http://127.0.0.1:1"))
    found = []
    for _ in range(2):
        site = await TracingSite.open(settings, database, Counted(), 0.0)
        assert site is not None
        found.append(site.places.call(CallId("n1-boot-1")))
        await site.close()
    assert found[0] == found[1]


# ---- settings


def test_headers_come_from_files_and_the_environment(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("Bearer abc\n", encoding="ascii")
    file = tmp_path / "cadencia.toml"
    file.write_text(
        f'[tracing]\nendpoint = "http://c:4318"\nshare = 0.05\nheaders.Authorization = "file:{secret}"\n', "utf-8"
    )
    found = load(file, {"CADENCIA_TRACING__HEADERS__X_KEY": "from here"}).tracing
    assert found.headers == {"Authorization": "Bearer abc", "x_key": "from here"}
    assert found.share == 0.05
    assert load(None, {}).tracing.endpoint == "", "off unless asked for"


@pytest.mark.parametrize(
    "wrong",
    [
        'endpoint = "collector:4318"',
        'endpoint = "ftp://collector"',
        'endpoint = "http://user:secret@collector"',
        'endpoint = "http://collector/?key=1"',
        "share = 1.5",
        "share = -0.1",
        'headers.key = "a\\r\\nHost: elsewhere"',
        'headers."a b" = "c"',
        "timeout_s = 0",
        'service = ""',
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "cadencia.toml"
    file.write_text(f"[tracing]\n{wrong}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="tracing"):
        load(file, {})


# ---- doctor


async def test_the_doctor_asks_the_collector() -> None:
    assert await tracing_findings(Settings()) == [], "off"
    with collector() as there:
        settings = Settings(tracing=Tracing(endpoint=there.url, headers={"Key": "sesame"}, share=0.25))
        [found] = await tracing_findings(settings)
        assert found.ok, found.says
        assert "25 %" in found.says
        assert there.headers[-1]["key"] == "sesame"
        assert there.spans == [], "an empty request is a whole one"
        for status, word in ((401, "headers"), (403, "headers"), (404, "path"), (500, "500")):
            there.status = status
            [found] = await tracing_findings(settings)
            assert not found.ok
            assert word in found.says + found.mend
            assert "sesame" not in found.says + found.mend
        there.answers.clear()
        [found] = await tracing_findings(
            Settings(tracing=Tracing(endpoint=there.url, headers={"Key": "sesame"}, timeout_s=0.1))
        )
        assert not found.ok
        assert "0.1 s" in found.says
    [found] = await tracing_findings(Settings(tracing=Tracing(endpoint="http://127.0.0.1:1")))
    assert not found.ok

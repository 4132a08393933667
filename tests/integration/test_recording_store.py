"""Finished recordings on their way into a folder and into an S3-compatible store, and out of it: nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import struct
import wave
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import S3Store

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, RecordingMode
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, RecordingId, ServerName
from dialer.core.kept_recording import Keeping, RecordingFilter, StoredRecording
from dialer.core.outcome import Outcome
from dialer.core.recording import recording_id
from dialer.errors import ConfigError, InputError, StoreError
from dialer.projections.metrics import Metrics
from dialer.recordings.mover import MISSING_AFTER_S, UNFINISHED_FOR_S
from dialer.recordings.player import play
from dialer.recordings.store import NotInStore, ObjectRecordings, open_store
from dialer.recordings.wav import read_sound
from dialer.runtime.recording_checks import recording_findings
from dialer.runtime.recording_figures import RecordingCounts
from dialer.settings import Asterisk, Settings
from dialer.settings import Recordings as RecordingSettings
from dialer.simulation.tape import Tape
from dialer.storage import tables
from dialer.storage.attempts import Attempts
from dialer.storage.audit import Audit
from dialer.storage.database import Database
from dialer.storage.recordings import Recordings
from dialer.testing import ManualClock
from tests.recordings import mover
from workers.jobs import recordings as jobs

CALL = CallId("n1-boot-1")
ID = recording_id(CALL, 1)
BUCKET = "sound"
KEY = b"k" * 32


class S3:
    """An S3-compatible server in threads of this process; nothing of it is simulated but the cloud."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def settings(self, prefix: str, port: int | None = None) -> RecordingSettings:
        return RecordingSettings(
            store=f"s3://{BUCKET}/{prefix}",
            s3_endpoint=f"http://127.0.0.1:{port or self.port}",
            s3_access_key="test",
            s3_secret_key="sesame",
        )

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    try:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10.0)
        connection.request("PUT", f"/{BUCKET}")
        assert connection.getresponse().status == 200
        connection.close()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectRecordings:
    """Each kind of store, empty."""
    if request.param == "folder":
        return open_store(RecordingSettings(), tmp_path)
    server: S3 = request.getfixturevalue("s3")
    return open_store(server.settings(tmp_path.name), tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def record(database: Database, clock: ManualClock) -> Recordings:
    """One recording that has ended and waits to be moved."""
    found = Recordings(database)
    await found.note(row(clock), clock.now())
    return found


def row(clock: ManualClock, **changes: object) -> StoredRecording:
    made = StoredRecording(
        id=ID,
        call=CALL,
        campaign=CampaignId("winter"),
        contact=ContactId("crm-1"),
        agent=AgentId("ana"),
        server=ServerName("pbx"),
        node="n1",
        by="ana",
        state=Keeping.ENDED,
        started_at=clock.now() - 3.0,
        ended_at=clock.now(),
        pauses=[[1.0, 2.0]],
        next_at=clock.now(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names of fields come from the tests


def tape(folder: Path, recording: str = ID, length_s: float = 3.0) -> Path:
    made = Tape(path=folder / "cadencia" / f"{recording}.wav", since=0.0)
    made.mute(1.0, muted=True)
    made.mute(2.0, muted=False)
    made.end(length_s)
    return made.path


async def sound_of(store: ObjectRecordings, recording: StoredRecording, begin: int = 0, end: int = 1 << 40) -> bytes:
    return b"".join([part async for part in play(store, recording, [KEY], begin, end)])


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
async def test_a_recording_comes_into_the_store_and_is_played_from_anywhere(
    database: Database,
    record: Recordings,
    store: ObjectRecordings,
    clock: ManualClock,
    tmp_path: Path,
    key: bytes | None,
) -> None:
    source = tape(tmp_path / "monitor", length_s=12.0)
    plain = source.read_bytes()
    work = mover(database, store, tmp_path / "monitor", clock.now, key=key, retention_s=100.0)
    assert (await work.move_due(budget_s=5.0, lease_s=60.0)).stored == 1
    assert not source.exists()
    found = await record.get(ID)
    assert found is not None
    assert (found.state, found.bytes, found.duration_s) == (Keeping.STORED, len(plain), 12.0)
    assert found.sha256 == hashlib.sha256(plain).hexdigest()
    assert found.encrypted is (key is not None)
    assert found.retain_until == clock.now() + 100.0
    assert await sound_of(store, found) == plain
    for begin, end in ((0, 1), (43, 45), (65_535, 65_537), (70_000, 190_000), (len(plain) - 1, len(plain))):
        assert await sound_of(store, found, begin, end) == plain[begin:end]
    assert found.place is not None
    kept = await store.read(found.place, 0, await store.size(found.place))
    assert (kept == plain) is (key is None)
    # again: nothing to do
    assert (await work.move_due(budget_s=5.0, lease_s=60.0)).stored == 0


async def test_out_of_time_it_is_deleted_and_that_is_in_the_audit(
    database: Database, record: Recordings, store: ObjectRecordings, clock: ManualClock, tmp_path: Path
) -> None:
    tape(tmp_path / "monitor")
    work = mover(database, store, tmp_path / "monitor", clock.now, retention_s=100.0)
    await work.move_due(budget_s=5.0, lease_s=60.0)
    stored = await record.get(ID)
    assert stored is not None
    assert stored.place is not None
    clock.advance(99.0)
    assert await work.expire() == 0
    clock.advance(1.0)
    assert await work.expire() == 1
    assert await work.expire() == 0
    with pytest.raises(NotInStore):
        await store.size(stored.place)
    gone = await record.get(ID)
    assert gone is not None
    assert (gone.state, gone.deleted_at, gone.place) == (Keeping.DELETED, clock.now(), None)
    (entry,) = (await Audit(database).page()).items
    assert (entry.who, entry.what, entry.details["recording"]) == ("retention", "recording.deleted", ID)


async def test_who_was_erased_meanwhile_is_not_kept(
    database: Database, record: Recordings, clock: ManualClock, tmp_path: Path
) -> None:
    tape(tmp_path / "monitor")
    async with database.write() as connection:
        await connection.execute(tables.recordings.update().values(contact="", retain_until=clock.now()))
    store = open_store(RecordingSettings(), tmp_path)
    work = mover(database, store, tmp_path / "monitor", clock.now)
    assert (await work.move_due(budget_s=5.0, lease_s=60.0)).stored == 1
    assert await work.expire() == 1


async def test_a_store_that_is_down_loses_nothing(
    database: Database, record: Recordings, s3: S3, clock: ManualClock, tmp_path: Path
) -> None:
    source = tape(tmp_path / "monitor")
    nobody = open_store(s3.settings(tmp_path.name, port=9), tmp_path)
    work = mover(database, nobody, tmp_path / "monitor", clock.now)
    for wait_s in (10.0, 20.0, 40.0):
        moved = await work.move_due(budget_s=1.0, lease_s=60.0)
        assert (moved.stored, moved.put_off, moved.next_at) == (0, 1, clock.now() + wait_s)
        clock.advance(wait_s)
    assert source.exists()
    found = await record.get(ID)
    assert found is not None
    assert (found.state, found.attempts) == (Keeping.ENDED, 3)
    assert "out of reach" in found.problem
    back = open_store(s3.settings(tmp_path.name), tmp_path)
    assert (
        await mover(database, back, tmp_path / "monitor", clock.now).move_due(budget_s=5.0, lease_s=60.0)
    ).stored == 1
    with pytest.raises(StoreError):
        await nobody.read(str(found.place), 0, 1)


async def test_a_mover_that_dies_half_way_is_followed_by_another(
    database: Database, record: Recordings, clock: ManualClock, tmp_path: Path
) -> None:
    store = open_store(RecordingSettings(), tmp_path)
    source = tape(tmp_path / "monitor")
    plain = source.read_bytes()
    # it has claimed, and has put part of it or all of it into the store
    assert [one.id for one in await record.claim(clock.now(), 5, 60.0)] == [ID]
    work = mover(database, store, tmp_path / "monitor", clock.now)
    assert (await work.move_due(budget_s=5.0, lease_s=60.0)).stored == 0, "somebody is at it"
    clock.advance(61.0)
    assert (await work.move_due(budget_s=5.0, lease_s=60.0)).stored == 1
    # it has said so on record, and died before it could delete the file
    tape(tmp_path / "monitor")
    assert await work.tidy() == 1
    assert not source.exists()
    found = await record.get(ID)
    assert found is not None
    assert await sound_of(store, found) == plain


async def test_what_is_not_there_and_what_is_not_ready(
    database: Database, record: Recordings, clock: ManualClock, tmp_path: Path
) -> None:
    store = open_store(RecordingSettings(), tmp_path)
    work = mover(database, store, tmp_path / "monitor", clock.now)
    assert (await work.move_due(budget_s=1.0, lease_s=60.0)).put_off == 1
    found = await record.get(ID)
    assert found is not None
    assert "is not there" in found.problem, "a folder that is not mounted"
    clock.advance(2 * MISSING_AFTER_S)
    assert (await work.move_due(budget_s=1.0, lease_s=60.0)).put_off == 1
    # the folder is there, and the file is not, for an hour
    (tmp_path / "monitor").mkdir()
    clock.advance(MISSING_AFTER_S)
    assert (await work.move_due(budget_s=1.0, lease_s=60.0)).missing == 1
    found = await record.get(ID)
    assert found is not None
    assert found.state is Keeping.MISSING
    # of a server whose folder nobody has named
    elsewhere = row(clock, id=recording_id(CALL, 2), server=ServerName("far"))
    await record.note(elsewhere, clock.now())
    assert (await work.move_due(budget_s=1.0, lease_s=60.0)).put_off == 1
    # Asterisk is at it
    third = recording_id(CALL, 3)
    await record.note(row(clock, id=third), clock.now())
    path = tape(tmp_path / "monitor", third)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + struct.pack("<I", 0) + whole[44:])
    assert (await work.move_due(budget_s=1.0, lease_s=60.0)).put_off == 1
    # … and was killed: what there is is kept, with a header that is right
    clock.advance(UNFINISHED_FOR_S + 60.0)
    assert (await work.move_due(budget_s=1.0, lease_s=60.0)).stored == 1
    found = await record.get(third)
    assert found is not None
    assert await sound_of(store, found) == whole
    assert found.problem == "Asterisk did not finish this file"


async def test_a_file_without_a_record_is_found(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    store = open_store(RecordingSettings(), tmp_path)
    attempt = Attempt(
        call=CALL,
        campaign=CampaignId("winter"),
        contact=ContactId("crm-1"),
        phone=Phone("+34600111222"),
        attempt_number=1,
        outcome=Outcome.CONNECTED,
        reason="",
        started_at=clock.now() - 60.0,
        ended_at=clock.now(),
        connected_at=clock.now() - 30.0,
        agent=AgentId("ana"),
    )
    await Attempts(database).record([(attempt, None)])
    known, unknown = tape(tmp_path / "monitor"), tape(tmp_path / "monitor", recording_id(CallId("n1-x-9"), 1))
    stranger = tmp_path / "monitor" / "cadencia" / "somebody-elses.wav"
    stranger.write_bytes(known.read_bytes())
    for path in (known, unknown, stranger):
        os.utime(path, (clock.now(), clock.now()))
    work = mover(database, store, tmp_path / "monitor", clock.now)
    assert await work.tidy() == 0, "it may be on its way"
    clock.advance(3_601.0)
    assert await work.tidy() == 1
    assert (await work.move_due(budget_s=5.0, lease_s=60.0)).stored == 1
    found = await Recordings(database).get(ID)
    assert found is not None
    assert (found.contact, found.agent, found.duration_s) == ("crm-1", "ana", 3.0)
    assert (known.exists(), unknown.exists(), stranger.exists()) == (False, True, True)


async def test_what_waits_and_what_became_of_it_is_counted_once(
    database: Database, record: Recordings, clock: ManualClock, tmp_path: Path
) -> None:
    metrics = Metrics("n1")
    counts = RecordingCounts(database, metrics, clock.now)

    async def figures(after_s: float) -> dict[str, float]:
        clock.advance(after_s)
        await counts.look()
        found = [line.rsplit(" ", 1) for line in metrics.render().decode().splitlines() if "_recordings_" in line]
        return {name.removeprefix("cadencia_recordings_"): float(value) for name, value in found if name[0] != "#"}

    nothing: dict[str, float] = {'settled_total{outcome="stored"}': 0.0, 'settled_total{outcome="missing"}': 0.0}
    ended_at = (await record.claim(clock.now(), 5, 0.0))[0].ended_at or 0.0
    found = await figures(40.0)
    nothing |= {'total{outcome="started"}': 0.0, 'total{outcome="failed"}': 0.0, "queue_depth": 0.0}
    assert found == nothing | {
        "stored_bytes_total": 0.0,
        "waiting": 1.0,
        "put_off": 0.0,
        "wait_seconds": clock.now() - ended_at,
    }
    # One whose file is not there, and one that comes into the store.
    await record.note(row(clock, id=recording_id(CALL, 2)), clock.now())
    tape(tmp_path / "monitor")
    store = open_store(RecordingSettings(), tmp_path)
    work = mover(database, store, tmp_path / "monitor", clock.now)
    moved = await work.move_due(budget_s=5.0, lease_s=60.0)
    assert (moved.stored, moved.put_off) == (1, 1)
    found = await figures(0.0)
    assert (found["waiting"], found["put_off"], found['settled_total{outcome="stored"}']) == (1.0, 1.0, 0.0)
    found = await figures(40.0)
    assert found['settled_total{outcome="stored"}'] == 1.0
    stored = await record.get(ID)
    assert stored is not None
    assert found["stored_bytes_total"] == stored.bytes
    clock.advance(MISSING_AFTER_S)
    assert (await work.move_due(budget_s=5.0, lease_s=60.0)).missing == 1
    found = await figures(40.0)
    assert (found["waiting"], found["wait_seconds"], found['settled_total{outcome="missing"}']) == (0.0, 0.0, 1.0)
    assert await figures(40.0) == found, "each is counted once"


async def test_the_record_keeps_to_the_order_of_things(
    database: Database, record: Recordings, clock: ManualClock
) -> None:
    # late news of what is over changes nothing
    await record.note(row(clock, state=Keeping.PAUSED, next_at=None), clock.now())
    found = await record.get(ID)
    assert found is not None
    assert found.state is Keeping.ENDED
    assert await record.end([ID], clock.now(), clock.now()) == 0
    for number in range(2, 8):
        await record.note(row(clock, id=recording_id(CALL, number), state=Keeping.RECORDING), clock.now())
    assert len(await record.under_way("n1")) == 6
    assert await record.under_way("n2") == []
    wanted = RecordingFilter(call=CALL, contact=ContactId("crm-1"), campaign=CampaignId("winter"), agent=AgentId("ana"))
    seen: list[RecordingId] = []
    before: tuple[float, str] | None = None
    while page := await record.page(wanted, before=before, limit=3):
        seen += [one.id for one in page]
        before = (page[-1].started_at, page[-1].id)
    assert sorted(seen) == sorted(recording_id(CALL, number) for number in range(1, 8))
    assert len(await record.page(RecordingFilter(state=Keeping.ENDED), before=None, limit=9)) == 1


def test_the_job_reads_the_settings_of_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "cadencia.toml"
    config.write_text(
        f"""
data_dir = "{tmp_path}"
[database]
url = "sqlite:///{tmp_path / "c.db"}"
[redis]
url = "redis://127.0.0.1:1/0"
[recordings]
retention_days = 1
[[asterisk]]
name = "pbx"
recordings = "{tmp_path / "monitor"}"
""",
        encoding="utf-8",
    )
    monkeypatch.setenv("CADENCIA_CONFIG", str(config))

    async def prepare() -> None:
        from dialer.storage import schema

        database = Database(f"sqlite:///{tmp_path / 'c.db'}")
        await schema.migrate(database)
        await Recordings(database).note(row(ManualClock(1_000.0)), 1_000.0)
        await database.close()

    asyncio.run(prepare())
    tape(tmp_path / "monitor")
    assert jobs.move_due() == {"stored": 1, "put_off": 0, "missing": 0, "next_at": None}
    assert len(list((tmp_path / "recordings").rglob("*.wav"))) == 1
    assert jobs.expire() == {"deleted": 1, "tidied": 0}
    assert list((tmp_path / "recordings").rglob("*.wav")) == []


@pytest.mark.parametrize("where", ["http://x/y", "s3://", "s3://bucket/x?y=1", "gs://bucket"])
def test_a_store_that_is_none_is_said_so(tmp_path: Path, where: str) -> None:
    with pytest.raises(ConfigError, match=r"recordings\.store must be"):
        open_store(RecordingSettings(store=where), tmp_path)


async def test_keys_cannot_leave_the_folder(tmp_path: Path) -> None:
    store = open_store(RecordingSettings(), tmp_path)
    for key in ("../outside", "/etc/passwd", "a/../../outside", "2026/01/01/../x.wav", "2026/01/01/x.wav\n"):
        with pytest.raises(StoreError):
            await store.put(key, [b"x"])
        with pytest.raises(StoreError):
            await store.read(key, 0, 1)
    assert not (tmp_path / "outside").exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), cut=st.integers(0, 300))
def test_any_file_is_a_wav_or_is_said_not_to_be(tmp_path: Path, data: bytes, cut: int) -> None:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(100))
    whole = path.read_bytes()
    for content in (data, whole[:cut] + data, b"RIFF" + data[:4].ljust(4, b"x") + b"WAVE" + data):
        path.write_bytes(content)
        try:
            sound = read_sound(path)
        except InputError:
            continue
        assert sum(map(len, sound.parts())) == sound.total_bytes
        assert sound.duration_s >= 0.0


async def test_the_bucket_holds_what_it_should(s3: S3, tmp_path: Path) -> None:
    settings = s3.settings(tmp_path.name)
    await open_store(settings, tmp_path).put("2026/01/01/a-r1.wav", [b"x" * 100, b"y"])
    bucket = S3Store(
        BUCKET,
        config={
            "endpoint": settings.s3_endpoint,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "sesame",
        },
        client_options={"allow_http": True},
    )
    assert bytes(obstore.get(bucket, f"{tmp_path.name}/2026/01/01/a-r1.wav").bytes()) == b"x" * 100 + b"y"


# ---- what the doctor says

BASE64_KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
TALKS = [Campaign(id=CampaignId("winter"), recording=RecordingMode.ALWAYS)]


def site(folder: Path, recordings: RecordingSettings, monitor: Path | None) -> Settings:
    server = Asterisk(name="pbx", secret="x", recordings="" if monitor is None else str(monitor))
    return Settings(data_dir=str(folder), asterisk=(server,), recordings=recordings)


async def told(settings: Settings, campaigns: list[Campaign] | None = None, *, sealed: bool = False) -> dict[str, str]:
    """What is wrong, by part."""
    wanted = TALKS if campaigns is None else campaigns
    return {one.part: one.says for one in await recording_findings(settings, wanted, sealed=sealed) if not one.ok}


async def test_the_doctor_says_nothing_where_nothing_is_recorded(tmp_path: Path) -> None:
    silent = [Campaign(id=CampaignId("winter"))]
    assert await recording_findings(site(tmp_path, RecordingSettings(), None), silent, sealed=False) == []


async def test_the_doctor_finds_folders_that_are_not_there(tmp_path: Path) -> None:
    assert "nobody knows where" in (await told(site(tmp_path, RecordingSettings(), None)))["recordings pbx"]
    wrong = site(tmp_path, RecordingSettings(), tmp_path / "monitor")
    assert (await told(wrong))["recordings pbx"] == f"{tmp_path / 'monitor'} is not there"
    (tmp_path / "monitor" / "cadencia").mkdir(parents=True)
    assert await told(wrong) == {}
    assert not (tmp_path / "recordings").exists(), "a look changes nothing"
    (tmp_path / "file").touch()
    in_the_way = site(tmp_path, RecordingSettings(store=str(tmp_path / "file" / "sounds")), tmp_path / "monitor")
    assert "cannot be written" in (await told(in_the_way))["recordings store"]


async def test_the_doctor_finds_folders_that_are_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # who may do everything: let it be told what its owner would be
        monkeypatch.setattr(os, "access", lambda path, wanted: (Path(path).stat().st_mode >> 6) & wanted == wanted)
    ours = tmp_path / "monitor" / "cadencia"
    ours.mkdir(parents=True)
    settings = site(tmp_path, RecordingSettings(), tmp_path / "monitor")
    for mode, says in ((0o500, "deleted"), (0o300, "read")):
        ours.chmod(mode)
        assert says in (await told(settings))["recordings pbx"]
    ours.chmod(0o700)


async def test_the_doctor_finds_a_full_disk_and_missing_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "monitor").mkdir()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=usage.total // 50))
    settings = site(tmp_path, RecordingSettings(), tmp_path / "monitor")
    found = await told(settings, sealed=True)
    assert "2% of all" in found["recordings pbx"]
    assert "2% of all" in found["recordings store"]
    assert "there is no key" in found["recordings key"]
    monkeypatch.undo()
    for keys, problem in (
        (RecordingSettings(encryption_key="short"), True),
        (RecordingSettings(former_keys=(BASE64_KEY, "short")), True),
        (RecordingSettings(former_keys=(BASE64_KEY,)), False),
        (RecordingSettings(encryption_key=BASE64_KEY), False),
    ):
        found = await told(site(tmp_path, keys, tmp_path / "monitor"), sealed=True)
        assert ("recordings key" in found) is problem, keys
        assert "short" not in "".join(found.values()), "a key is a secret, whatever it looks like"


async def test_the_doctor_asks_the_bucket(s3: S3, tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    assert await told(site(tmp_path, s3.settings("any"), tmp_path / "monitor")) == {}
    away = await told(site(tmp_path, s3.settings("any", port=9), tmp_path / "monitor"))
    assert "out of reach" in away["recordings store"]
    assert "sesame" not in str(away)

"""Calls are recorded: from the order of an agent to the sound that a browser plays, with what may go wrong between."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dialer.core.ids import CallId, ContactId, RecordingId, ServerName
from dialer.core.kept_recording import Keeping, StoredRecording
from dialer.core.recording import recording_id
from dialer.queues.embedded import EmbeddedServer
from dialer.recordings.store import open_store
from dialer.runtime.clock import Clock
from dialer.settings import Recordings as RecordingSettings
from dialer.simulation.dialplan import ANNOUNCEMENT_S
from dialer.simulation.world import World
from dialer.storage.audit import Audit
from dialer.storage.database import Database
from dialer.storage.keys import Keys
from dialer.storage.recordings import Recordings
from dialer.storage.schema import migrate
from tests.e2e.floor import CAMPAIGN, QUICK, Floor, database_url, floor, person, phone, until
from tests.e2e.programs import wait_for
from tests.e2e.sites import ExchangeThread, Site, settings_file
from tests.recordings import AUDIBLE, length_s, loudness, mover, silences

#: 32 bytes in base64.
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
KEY_BYTES = b"0123456789abcdef0123456789abcdef"
PBX = ServerName("pbx")


class Http:
    """The API of a node, with a key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str | None) -> None:
        self.session = session
        self.url = url
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    async def get(self, path: str, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        async with self.session.get(self.url + path, headers={**self.headers, **headers}) as answer:
            if answer.content_type == "application/json":
                return answer.status, await answer.json(), answer.headers
            return answer.status, await answer.read(), answer.headers

    async def order(self, call: str, order: str, **more: object) -> tuple[int, Any]:
        body = {"order": order, **more}
        path = f"{self.url}/api/v1/calls/{call}/recording"
        async with self.session.post(path, json=body, headers=self.headers) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def keyed(site: Floor, role: str = "manager", name: str = "boss") -> AsyncIterator[Http]:
    _, secret = await Keys(site.node.database).create(role, name, now=site.now)
    async with aiohttp.ClientSession() as session:
        yield Http(session, site.node.api_url, secret)


async def talking(site: Floor, number: int = 1, **campaign: object) -> str:
    """A call that is with agent01."""
    await site.begin(agents=1, campaign={"recording": "on_demand", **campaign})
    await site.push([number])
    return str((await site.wait("call.connected"))["call"])


async def left_open(folder: Path) -> StoredRecording:
    """What an earlier process of this node, and another node, began and nobody heard the end of."""
    now = Clock().now()
    left = StoredRecording(
        id=recording_id(CallId("n1-before-7"), 1),
        call=CallId("n1-before-7"),
        campaign=CAMPAIGN,
        contact=ContactId("crm-7"),
        agent=None,
        server=PBX,
        node="n1",
        by="campaign",
        state=Keeping.PAUSED,
        started_at=now - 60.0,
    )
    database = Database(database_url(folder))
    await migrate(database)
    recordings = Recordings(database)
    await recordings.note(left, now)
    await recordings.note(replace(left, id=recording_id(left.call, 2), node="n2"), now)
    await database.close()
    return left


async def ended(site: Floor, recording: str) -> None:
    async def is_ended() -> bool:
        found = await Recordings(site.node.database).get(RecordingId(recording))
        return found is not None and found.state is Keeping.ENDED

    await until(is_ended, f"{recording} is over on record")


async def moved(site: Floor, recording: str, *, key: bytes | None = None) -> None:
    """Do the worker's work."""
    await ended(site, recording)
    store = open_store(site.settings.recordings, Path(site.settings.data_dir))
    work = mover(site.node.database, store, site.folder / "monitor", site.node.clock.now, key=key)

    async def done() -> bool:
        return (await work.move_due(budget_s=5.0, lease_s=60.0)).stored > 0

    await until(done, "it is in the store")


async def test_an_agent_records_pauses_and_a_supervisor_plays(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    settings = RecordingSettings(encryption_key=KEY, link_s=60.0)
    left = await left_open(tmp_path)
    async with floor(tmp_path, own_valkey, fates={1: person(talk_s=60.0)}, recordings=settings) as site:
        call = await talking(site)
        async with keyed(site, "agent", "agent01") as agent, keyed(site, "agent", "agent02") as other:
            assert (await other.order(call, "start"))[0] == 403
            assert (await agent.order(call, "pause"))[0] == 409
            status, answer = await agent.order(call, "start")
            assert (status, answer) == (200, {"state": "on", "recording": f"{call}-r1"})
            await asyncio.sleep(0.4)  # sound
            assert (await agent.order(call, "pause"))[1]["state"] == "paused"
            paused_at = site.now
            assert (await agent.order(call, "pause"))[1]["state"] == "paused"
            status, refused = await agent.order(call, "start")
            assert (status, refused["error"]) == (409, "not_possible")
            await asyncio.sleep(0.4)  # the card's number
            paused_s = site.now - paused_at
            assert (await agent.order(call, "resume"))[1]["state"] == "on"
            await asyncio.sleep(0.3)
            assert (await agent.order(call, "stop"))[1]["state"] == "off"
            assert (await agent.order(call, "stop"))[0] == 409
            # a second piece, which ends with the call
            assert (await agent.order(call, "start"))[1]["recording"] == f"{call}-r2"
            assert (await agent.order("n1-nobody-1", "start"))[0] == 404
            assert (await agent.order(call, "erase"))[0] == 422
        site.exchange.hang_up_customer(call)
        first = await site.wait("call.recorded", recording=f"{call}-r1")
        second = await site.wait("call.recorded", 1, recording=f"{call}-r2")
        assert first["agent"] == second["agent"] == "agent01"
        assert first["by"] == "agent01"
        kinds = [result["type"] for result in await site.read() if result.get("call") == call]
        assert kinds[-1] == "call.ended", "a recording is told before the end of its call"
        source = tmp_path / "monitor" / "cadencia" / f"{call}-r1.wav"
        plain = source.read_bytes()
        # Orders take their time on a busy machine.
        assert length_s(source) == pytest.approx(first["duration_s"], abs=1.0)
        await moved(site, f"{call}-r1", key=KEY_BYTES)
        await until(lambda: not source.exists(), "its file has left Asterisk's folder")
        (kept,) = (tmp_path / "data").rglob(f"{call}-r1.wav.sealed")
        assert plain[100:200] not in kept.read_bytes()

        async with keyed(site, "supervisor", "watch") as boss, keyed(site, "metrics", "prom") as metrics:
            assert (await metrics.get(f"/api/v1/calls/{call}/recording"))[0] == 403
            status, listed, _ = await boss.get("/api/v1/recordings?campaign=winter&state=stored")
            first = listed["items"][-1]
            assert (status, first["id"], first["url"]) == (200, f"{call}-r1", None)
            assert first["sha256"] == hashlib.sha256(plain).hexdigest()
            (pause,) = first["pauses"]
            assert pause[1] - pause[0] > 0.3
            _, found, _ = await boss.get(f"/api/v1/calls/{call}/recording")
            one = next(item for item in found["items"] if item["id"] == f"{call}-r1")
            anybody = Http(boss.session, boss.url, None)
            status, sound, headers = await anybody.get(one["url"])
            assert (status, sound) == (200, plain)
            assert headers["content-type"] == "audio/wav"
            status, part, headers = await anybody.get(one["url"], Range="bytes=44-143")
            assert (status, part) == (206, plain[44:144])
            assert headers["content-range"] == f"bytes 44-143/{len(plain)}"
            assert (await anybody.get(one["url"], Range=f"bytes={len(plain)}-"))[0] == 416
            assert (await anybody.get(one["url"].replace("holder=", "holder=x")))[0] == 403
            assert (await anybody.get(one["url"].replace("-r1/", "-r2/")))[0] == 403
            assert (await anybody.get(f"/api/v1/recordings/{call}-r1/audio"))[0] == 401
        played = tmp_path / "played.wav"
        played.write_bytes(sound)
        ((begin_s, end_s),) = silences(played)
        assert end_s - begin_s >= paused_s - 0.001, "nothing of what was said meanwhile"
        assert loudness(played, 0.0, begin_s) > AUDIBLE
        assert loudness(played, end_s, length_s(played)) > AUDIBLE
        entries = (await Audit(site.node.database).page()).items
        who = {entry.who for entry in entries if entry.what == "recording.played"}
        assert len([entry for entry in entries if entry.what == "recording.played"]) == 2
        assert who == {entry.who for entry in entries if entry.what == "recording.linked"}
        await ended(site, left.id)
        theirs = await Recordings(site.node.database).get(recording_id(left.call, 2))
        assert theirs is not None
        assert theirs.state is Keeping.PAUSED, "another node's"


async def test_always_but_only_with_consent(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    fates = {1: person(talk_s=0.4), 2: person(talk_s=30.0)}
    async with floor(tmp_path, own_valkey, fates=fates) as site:
        await site.begin(agents=1, campaign={"recording": "always", "recording_consent": "required"})
        await site.push([1], consent={"recording": True})
        agreed = await site.wait("call.recorded")
        assert (agreed["by"], agreed["contact"]) == ("campaign", "crm-1")
        await site.push([2], consent={"recording": "yes"})
        call = (await site.wait("call.connected", 2))["call"]
        async with keyed(site, "agent", "agent01") as agent:
            _, found, _ = await agent.get(f"/api/v1/calls/{call}/recording")
            assert found == {"state": "off", "items": []}
            status, refused = await agent.order(call, "start")
            assert (status, "agreed" in refused["message"]) == (409, True)
            # they were asked, and said yes; and then thought better of it
            assert (await agent.order(call, "start", consent=True))[1]["state"] == "on"
            assert (await agent.order(call, "stop"))[1]["state"] == "off"
        # the agent lays down the phone: the call ends, and with it what there is
        assert site.exchange.hang_up_phone("agent01")
        await site.wait("call.ended", 2)
        assert len(await site.results("call.recorded")) == 2


async def test_nothing_is_recorded_before_both_have_been_told(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with floor(tmp_path, own_valkey, fates={1: person(talk_s=60.0)}) as site:
        await site.begin(agents=1, campaign={"recording": "always", "recording_announcement": "recorded"})
        await site.push([1])
        connected = await site.wait("call.connected")
        call = connected["call"]
        async with keyed(site, "agent", "agent01") as agent:

            async def state() -> str:
                return str((await agent.get(f"/api/v1/calls/{call}/recording"))[1]["state"])

            joined_at = datetime.fromisoformat(connected["at"]).timestamp()
            # They are together, and hear it, unless the machine has stood still for as long.
            assert await state() == "starting" or site.now - joined_at >= ANNOUNCEMENT_S
            assert not await asyncio.to_thread(lambda: list(tmp_path.rglob("*.wav")))

            async def on() -> bool:
                return await state() == "on"

            await until(on, "it has begun")
            assert (await agent.order(call, "stop"))[1]["state"] == "off"
            # Whoever orders it is told when they have heard it, and not before.
            asked_at = site.now
            assert (await agent.order(call, "start"))[1] == {"state": "on", "recording": f"{call}-r2"}
            assert site.now - asked_at >= ANNOUNCEMENT_S
        site.exchange.hang_up_customer(call)
        first = await site.wait("call.recorded", recording=f"{call}-r1")
        await site.wait("call.recorded", recording=f"{call}-r2")
        began = datetime.fromisoformat(first["started_at"]) - datetime.fromisoformat(connected["at"])
        assert began.total_seconds() >= ANNOUNCEMENT_S * 0.9


def test_a_killed_node_loses_no_recording(tmp_path: Path) -> None:
    world = World(QUICK, seed=1, scripted={phone(1).removeprefix("+"): person(talk_s=120.0)})
    with ExchangeThread(world, recordings=tmp_path / "monitor") as exchange:
        config = settings_file(tmp_path, ami_port=exchange.exchange.port)
        folder = f'name = "pbx"\nrecordings = "{tmp_path / "monitor"}"\n'
        config.write_text(config.read_text(encoding="utf-8").replace('name = "pbx"\n', folder), encoding="utf-8")
        site = Site(tmp_path, config)
        try:
            first = site.start()
            site.api.post("/campaigns", {"id": "winter", "method": "progressive", "recording": "always"})
            agent = {"phone": "agent01", "campaigns": ["winter"]}
            site.api.post("/agents/agent01/sign-in", agent)
            site.api.post("/campaigns/winter/start")
            client = site.client()
            client.write("contacts", {"campaign": "winter", "contacts": [{"id": "crm-1", "phones": [phone(1)]}]})
            call = client.wait("call.connected")["call"]
            client.close()
            wait_for(lambda: site.sql("SELECT 1 FROM recordings WHERE state = 'recording'"), "it is on record")
            first.signal(signal.SIGKILL)
            first.ended()
            first.gone()
            site.start()
            site.api.post("/agents/agent01/sign-in", agent)
            path = f"/calls/{call}/recording"
            wait_for(lambda: site.api.get(path)["state"] == "on", "Asterisk goes on, and so does the node")
            wait_for(lambda: site.api.get("/agents/agent01")["state"] == "talking", "and the talk")
            assert site.api.post(path, {"order": "pause"}) == {"state": "paused", "recording": f"{call}-r1"}
            time.sleep(0.2)  # the card's number
            assert exchange.ask(lambda ex: ex.hang_up_customer(call))
            # the worker beside the node moves it
            wait_for(lambda: site.sql("SELECT 1 FROM recordings WHERE state = 'stored'"), "it is in the store")
            sound = tmp_path / "sound.wav"
            site.cadencia("recording", "fetch", f"{call}-r1", "--to", str(sound)).ok()
            (found,) = site.api.get("/recordings", campaign="winter")["items"]
        finally:
            site.clear_away()
    assert length_s(sound) == pytest.approx(found["duration_s"], abs=0.001)
    ((_, end_s),) = found["pauses"]
    assert end_s == pytest.approx(length_s(sound), abs=1.0)
    ((begin_s, silent_until_s),) = silences(sound)
    assert silent_until_s == pytest.approx(length_s(sound), abs=0.001), "nothing after the pause"
    assert loudness(sound, 0.0, begin_s) > AUDIBLE

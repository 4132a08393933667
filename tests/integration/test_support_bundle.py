"""`cadencia support-bundle`: secrets, numbers and names are planted everywhere, and none of them is in the archive."""

from __future__ import annotations

import asyncio
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from dialer.cli.application import app
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.logs import kept_log
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from tests.record_values import contact

SECRET = "hunter2secretQx"
NUMBER, BARE = "+34600111222", "34600111222"
PERSON, MAIL, NOTE = "Rosario Quiroga", "rosario.quiroga@example.com", "owes 300 since Easter at Zapiola 5"
KEY = "cad_QmFzZTY0S2V5Rm9yQVRlc3RPbmx5"
PLANTED = (SECRET, NUMBER, BARE, "600111", "Rosario", "Quiroga", MAIL, "Zapiola", "Easter", KEY)

SETTINGS = """
node = "n1"
data_dir = "{folder}"
[database]
url = "sqlite:///{folder}/{secret}.db"
[redis]
url = "{redis}"
[recordings]
link_key = "{secret}{secret}{secret}"
s3_secret_key = "{secret}"
[[asterisk]]
name = "pbx1"
port = 1
username = "rosario"
secret = "{secret}"
[[asterisk.trunks]]
name = "carrier"
dial = "PJSIP/{secret}{{number}}@carrier"
[[webhooks]]
url = "https://{person}:{secret}@crm.example/hooks/{secret}?token={secret}"
secret = "{secret}"
previous_secrets = ["{secret}old"]
[mail]
password = "{secret}"
sender = "{mail}"
[templates.summer]
name = "{person}"
[[reports.schedules]]
name = "daily"
cron = "0 7 * * *"
mail = ["{mail}"]
"""

TRACE = f"""Traceback (most recent call last):
  File "/home/rosario/site-packages/dialer/runtime/outbox.py", line 77, in run
    await call("{NUMBER}", "{PERSON}")
dialer.errors.QueueError: {PERSON} at {NUMBER} with {SECRET}"""
LOG: list[dict[str, Any]] = [
    {"event": "call ended", "level": "info", "timestamp": "2030-01-01T00:00:00Z", "call": "n1-ab-7", "talk_s": 7.5},
    {"event": "queue write failed, kept and tried again", "error": f"for {PERSON} ({NUMBER}): connection refused"},
    {"event": "unexpected error in the API", "exception": TRACE, "path": f"/api/v1/contacts/{PERSON}"},
    {"event": f"{PERSON} called {BARE}", "logger": "a.library", "rows": [{"name": PERSON, "phone": NUMBER}]},
    {"event": "stream", "agent": "rosario", "notes": NOTE, "who": MAIL, "key": KEY, PERSON: 5, "code": PERSON},
    {"event": "wrong", "campaign": SECRET, "channel": f"PJSIP/{BARE}@carrier"},
]


class NodeDouble(BaseHTTPRequestHandler):
    """What a node would answer, had somebody planted things in it."""

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        problem = f"cannot write for {PERSON} ({NUMBER}) with {SECRET}: connection refused"
        checks = [{"name": "redis", "ok": False, "problem": problem}]
        ready = json.dumps({"ready": False, "checks": checks})
        metrics = (
            f'cadencia_gate_open 1\ncadencia_calls_ended_total{{campaign="winter",reason="{SECRET} {NUMBER}"}} 3\n'
        )
        body = (ready if self.path == "/readyz" else metrics).encode()
        self.send_response(503 if self.path == "/readyz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def node() -> Iterator[str]:
    """A node double; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), NodeDouble)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_settings(folder: Path, redis: str) -> Path:
    path = folder / "cadencia.toml"
    path.write_text(
        SETTINGS.format(folder=folder, secret=SECRET, redis=redis, person="Rosario", mail=MAIL), encoding="utf-8"
    )
    return path


async def fill(folder: Path) -> None:
    """A campaign and a person on record."""
    from dialer.storage.schema import migrate

    database = Database(f"sqlite:///{folder}/{SECRET}.db")
    try:
        await migrate(database)
        await Campaigns(database).create(Campaign(id=CampaignId("winter"), name=PERSON), 1.0)
        person = contact(1, id=ContactId(PERSON), phones=(Phone(NUMBER),), name=PERSON, fields={"note": NOTE})
        await Contacts(database).upsert([person], 1.0)
    finally:
        await database.close()


def bundle(config: Path, target: Path) -> Result:
    return CliRunner().invoke(app, ["support-bundle", "--config", str(config), "--output", str(target), "--json"])


def unpacked(target: Path) -> dict[str, str]:
    """Name below the folder, and text."""
    with tarfile.open(target) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode("utf-8")
        return found


@pytest.fixture
def site(tmp_path: Path, valkey_server: EmbeddedServer) -> Path:
    """An installation full of what must not leave it."""
    asyncio.run(fill(tmp_path))
    client = Redis.from_url(valkey_server.url)
    client.flushall()
    client.xadd("cadencia:contacts", {"data": json.dumps({"name": PERSON, "phones": [NUMBER]})})
    client.xgroup_create("cadencia:contacts", "intake", id="0")
    client.zadd("cadencia:ready:winter", {PERSON: 1.0, NUMBER: 2.0})
    client.close()
    log = kept_log(tmp_path, "n1")
    log.parent.mkdir()
    lines = [json.dumps(line) for line in LOG]
    log.write_text("\n".join([*lines, f'{{"half a line of {PERSON}', PERSON]), encoding="utf-8")
    return write_settings(tmp_path, valkey_server.tcp_url)


def test_nothing_that_was_planted_is_in_it(site: Path, tmp_path: Path) -> None:
    target = tmp_path / "bundle.tar.gz"
    with node() as url:
        (tmp_path / "node.json").write_text(json.dumps({"api_url": url, "api_key": KEY}), encoding="utf-8")
        result = bundle(site, target)
    assert result.exit_code == 0, result.output
    assert target.stat().st_mode & 0o077 == 0
    files = unpacked(target)
    for name, text in files.items():
        for planted in PLANTED:
            assert planted.lower() not in text.lower(), (name, planted)
    assert not any(planted in name for planted in PLANTED for name in files)

    # What is worth having is there all the same.
    read = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    assert read["about.json"]["packages"]["redis"]
    assert read["settings.json"]["asterisk"][0]["name"] == "pbx1"
    assert read["settings.json"]["webhooks"][0]["url"] == "https://crm.example/…"
    assert read["schema.json"]["current"] == read["schema.json"]["needed"]
    assert read["schema.json"]["rows"]["contacts"] == 1
    assert read["queues.json"]["streams"]["contacts"]["entries"] == 1
    assert read["queues.json"]["hoppers"] == {"winter": {"ready": 2, "later": 0, "reserved": 0}}
    assert read["queues.json"]["workers"]["workers"] == 0
    assert read["ready.json"]["checks"][0]["problem"].endswith("connection refused")
    assert "asterisk pbx1" in {found["part"] for found in read["doctor.json"]}
    assert "cadencia_gate_open 1" in files["metrics.txt"]
    log = [json.loads(line) for line in files["logs/n1.jsonl"].splitlines()]
    assert log[0] == LOG[0]
    assert log[1]["event"] == LOG[1]["event"]
    assert "connection refused" in log[1]["error"]
    assert log[2]["exception"] == ["outbox.py:77:run", "dialer.errors.QueueError"]
    assert len(log) == len(LOG)


def test_with_everything_away_it_says_so(tmp_path: Path) -> None:
    config = write_settings(tmp_path, "redis://127.0.0.1:1")
    (tmp_path / "node.json").write_text(json.dumps({"api_url": "http://127.0.0.1:1", "api_key": KEY}), encoding="utf-8")
    target = tmp_path / "bundle.tar.gz"
    result = bundle(config, target)
    assert result.exit_code == 0, result.output
    files = unpacked(target)
    assert "does not exist" in json.loads(files["schema.json"])["problem"]
    for name in ("queues.json", "ready.json", "metrics.txt"):
        assert json.loads(files[name])["problem"], name
    assert not any(found["ok"] for found in json.loads(files["doctor.json"]) if found["part"] == "redis")
    for text in files.values():
        assert all(planted not in text for planted in PLANTED)


def test_an_archive_is_never_written_over(tmp_path: Path) -> None:
    config = write_settings(tmp_path, "redis://127.0.0.1:1")
    target = tmp_path / "bundle.tar.gz"
    target.write_bytes(b"mine")
    result = bundle(config, target)
    assert result.exit_code != 0
    assert "is there already" in str(result.exception)
    assert target.read_bytes() == b"mine"

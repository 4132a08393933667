"""`cadencia crm` and `cadencia deliveries`, and their routes, against a CRM and a record that are real."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.cli.application import app
from dialer.core.saying import Saying
from dialer.projections.live import LiveView
from dialer.projections.metrics import Metrics
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.crm import CrmExchanges
from dialer.runtime.deliveries import StoredDeliveries
from dialer.settings import Settings
from dialer.storage.crm_sources import CrmSources
from dialer.storage.crm_updates import CrmUpdates
from dialer.storage.webhooks import Delivery, Webhooks
from dialer.testing import FakeNode
from tests.crm_rig import KEY, MAPPINGS, START, CrmRig, crm_rig, ended
from tests.crm_servers import TwoFunctions, answers, serving

CALLS: list[dict[str, Any]] = [
    {
        "id": "c-1",
        "phone": "+34 600 111 222",
        "status": "pending",
        "name": "Ana",
        "product": "ask 600 111 333",
        "amount": 12,
    },
    {"id": "c-2", "phone": "17", "status": "pending"},
    {"id": "c-3", "phone": "+34600111444", "status": "done"},
    {"id": "c-4", "phone": "+34600111555", "status": "pending", "amount": "much"},
]


@pytest.fixture
async def crm() -> AsyncIterator[TwoFunctions]:
    server = TwoFunctions()
    server.calls = list(CALLS)
    async with serving(server):
        yield server


def cadencia(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, [*words], env=environment)


def settings_file(folder: Path, url: str) -> Path:
    path = folder / "cadencia.toml"
    path.write_text(
        f'[outbound]\ninternal = ["127.0.0.1"]\n[crm]\nmappings = "{MAPPINGS}"\n[[crm.pull]]\nname = "ours"\n'
        f'campaign = "winter"\nmapping = "rest.toml"\nurl = "{url}"\naccess = {{kind = "header"}}\n'
    )
    return path


async def test_a_mapping_is_tried_on_the_crm_and_changes_nothing(crm: TwoFunctions, tmp_path: Path) -> None:
    config = settings_file(tmp_path, crm.url)
    words = ("crm", "test", "ours", "--config", str(config))
    told = await asyncio.to_thread(lambda: cadencia(*words, "--json", CADENCIA_CRM__PULL__0__ACCESS__TOKEN="key"))
    assert told.exit_code == 0, told.output
    shown = json.loads(told.stdout)
    first, second, third = shown["calls"]
    assert (first["phones"], first["fields"]) == (["+34…22"], {"product": "ask 600…33", "amount": 12})
    assert second["rejected"].startswith("phone_not_a_number")
    assert third == {"record": "c-3", "withdrawn": True}
    (problem,) = shown["problems"]
    assert "fields.amount must be a number" in problem
    ended_update, disposed_update = shown["updates"]
    assert (ended_update["method"], ended_update["target"]) == ("POST", "/calls/c-1")
    assert json.loads(ended_update["body"])["status"] == "talked"
    assert json.loads(disposed_update["body"])["amount"] == "129.90"
    assert not crm.asked("POST")
    assert len(crm.asked("GET")) == 1
    assert "600111" not in told.stdout.replace(" ", "").replace("+34600111222", "")

    told = await asyncio.to_thread(lambda: cadencia(*words, CADENCIA_CRM__PULL__0__ACCESS__TOKEN="wrong"))
    assert told.exit_code == 1
    assert isinstance(told.exception, Exception)
    assert "does not know us" in str(told.exception)


def test_a_mapping_is_tried_on_a_saved_answer(tmp_path: Path) -> None:
    page = tmp_path / "page.json"
    page.write_text(json.dumps({"calls": CALLS, "next": "4"}))
    told = cadencia("crm", "test", str(MAPPINGS / "rest.toml"), "--sample", str(page))
    assert told.exit_code == 0, told.output
    assert "REST: two functions" in told.stdout
    assert "would be written of call.ended" in told.stdout
    assert cadencia("crm", "test", "nobody").exit_code == 1


@pytest.fixture
async def rig(
    crm: TwoFunctions, sqlite_url: str, valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> AsyncIterator[CrmRig]:
    async with crm_rig(crm, "rest.toml", KEY, sqlite_url, valkey_server.url, valkey) as made:
        yield made


@pytest.fixture
async def url(rig: CrmRig, tmp_path: Path) -> AsyncIterator[str]:
    node = FakeNode(tmp_path)
    node.keys.issue("manager", Role.MANAGER)
    node.keys.issue("agent", Role.AGENT)
    ports = replace(node.ports, deliveries=StoredDeliveries(rig.database, lambda: rig.now))
    server = ApiServer(create_app(ports, Settings()), "127.0.0.1", 0)
    at = server.bind()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        await server.wait_started()
        yield at
        server.stop()
        await running


async def test_what_was_given_up_is_listed_and_told_again(crm: TwoFunctions, rig: CrmRig, url: str) -> None:
    async def ask(*words: str, key: str = "manager") -> Any:
        arguments = (*words, "--api-url", url, "--api-key", key, "--json")
        told = await asyncio.to_thread(lambda: cadencia(*arguments))
        assert told.exit_code == 0, (told.output, told.exception)
        return json.loads(told.stdout)

    await rig.turn()
    await rig.tell(ended("c-1"))
    crm.faults = [answers(400)]
    await rig.turn()
    await Webhooks(rig.database).add(
        [Delivery(id="d-1", url="https://crm.example/secret-token", type="t", payload="{}", next_at=0.0)], START
    )
    await Webhooks(rig.database).failed("d-1", Saying("the receiver answered 500"), now=START, retry_at=None)

    (update,) = await ask("deliveries", "list", "crm")
    assert (update["to"], update["contact"], update["last_error"]) == ("crm", "c-1", "the CRM answered 400")
    (webhook,) = await ask("deliveries", "list", "webhooks")
    assert (webhook["to"], webhook["state"]) == ("https://crm.example", "failed")
    (state,) = await ask("crm", "status")
    assert (state["name"], state["updates_failed"], state["failures"]) == ("crm", 1, 0)
    assert state["counts"]["accepted"] == 1

    assert await ask("deliveries", "replay", "crm", update["id"]) == {"replayed": 1}
    assert await ask("deliveries", "replay", "webhooks", "--all") == {"replayed": 1}
    assert (await rig.turn())["update_delivered"] == 1
    assert await ask("deliveries", "list", "crm", "--state", "delivered") != []
    neither = ("deliveries", "replay", "crm", "--api-url", url, "--api-key", "manager")
    assert (await asyncio.to_thread(lambda: cadencia(*neither))).exit_code == 2
    wrong = ("deliveries", "list", "crm", "--state", "lost", "--api-url", url, "--api-key", "manager")
    told = await asyncio.to_thread(lambda: cadencia(*wrong))
    assert "one of waiting, delivered" in str(told.exception)
    denied = ("crm", "status", "--api-url", url, "--api-key", "agent")
    assert (await asyncio.to_thread(lambda: cadencia(*denied))).exit_code == 1


async def test_the_metrics_tell_how_the_exchange_fares(crm: TwoFunctions, rig: CrmRig) -> None:
    metrics = Metrics("n1")
    exchanges = CrmExchanges(rig.settings, rig.database, lambda job: None, metrics, lambda: rig.now)

    async def tell() -> str:
        exchanges.tell(await CrmSources(rig.database).all(), await CrmUpdates(rig.database).backlog())
        metrics.refresh(LiveView().snapshot(rig.now))
        return metrics.render().decode()

    await rig.turn()
    before = await tell()
    assert 'cadencia_crm_contacts_total{campaign="winter"' not in before, "what came before this node is not its count"
    crm.calls.append({"id": "c-9", "phone": "+34600111999", "status": "pending"})
    await rig.turn(after_s=60)
    await rig.tell(ended("c-1"), ended("c-9", "n-1-2"))
    crm.faults = [None, answers(400)]
    rig.now += 7
    text = await tell()
    assert 'cadencia_crm_contacts_total{campaign="winter",outcome="accepted"} 1.0' in text
    assert 'cadencia_crm_updates_waiting{campaign="winter"} 2.0' in text
    assert 'cadencia_crm_update_lag_seconds{campaign="winter"} 7.0' in text
    assert 'cadencia_crm_pull_lag_seconds{campaign="winter"} 7.0' in text
    await rig.turn()
    text = await tell()
    assert 'cadencia_crm_updates_total{campaign="winter",outcome="delivered"} 1.0' in text
    assert 'cadencia_crm_updates_total{campaign="winter",outcome="given_up"} 1.0' in text

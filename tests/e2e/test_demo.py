"""`cadencia demo` as somebody meets it first: it runs, others can join in, and nothing is left of it."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.programs import OutsideClient, Program
from tests.patience import PATIENCE_S

FAR_AWAY = "2099-01-01T00:00:00Z"


def start(folder: Path, directory: Path, *, minutes: str) -> Program:
    options = ("--agents", "6", "--contacts", "300", "--profile", "fast", "--method", "progressive")
    return Program(folder, "demo", "--minutes", minutes, *options, "--json", "--dir", str(directory))


def details(program: Program, directory: Path) -> dict[str, Any]:
    """`demo.json`, once it is there."""
    path = directory / "demo.json"
    program.wait_for(path.exists, "demo.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def ask(url: str, key: str | None, body: bytes | None = None, kind: str = "application/json") -> Any:
    headers = {"Content-Type": kind} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())


class Joined:
    """A demo that runs, and a client from outside."""

    def __init__(self, program: Program, directory: Path) -> None:
        self.program = program
        self.directory = directory
        self.details = details(program, directory)
        self.client = OutsideClient(self.details["redis_url"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    folder = tmp_path_factory.mktemp("demo")
    program = start(folder, folder / "state", minutes="5")
    try:
        joined = Joined(program, folder / "state")
        # Each test may be the first one to run: the campaign must be at work.
        joined.client.wait("call.started")
        yield joined
        joined.client.close()
    finally:
        program.clear_away()


def test_demo_json_is_for_its_owner_only_and_names_everything(demo: Joined) -> None:
    named = {"redis_url", "api_url", "api_key", "metrics_url", "campaign", "console_url", "console_key", "agent_key"}
    assert named <= set(demo.details)
    assert (demo.directory / "demo.json").stat().st_mode & 0o077 == 0
    assert demo.details["redis_url"].startswith("redis://")


def test_a_contact_pushed_from_outside_is_accepted_and_called(demo: Joined) -> None:
    contact = {"id": "guest-1", "phones": ["+34699000001"], "name": "Guest", "priority": 1_000}
    demo.client.write("contacts", {"campaign": demo.details["campaign"], "contacts": [contact]})
    accepted = demo.client.wait("contact.accepted", contact="guest-1")
    started = demo.client.wait("call.started", contact="guest-1")
    assert accepted["campaign"] == started["campaign"] == demo.details["campaign"]
    assert started["phone"] == "+34699000001"
    assert started["at"] > accepted["at"]


def test_a_removal_from_outside_is_applied_and_the_contact_never_called(demo: Joined) -> None:
    campaign = demo.details["campaign"]
    contact = {"id": "guest-2", "phones": ["+34699000002"], "not_before": FAR_AWAY}
    demo.client.write("contacts", {"campaign": campaign, "contacts": [contact]})
    demo.client.wait("contact.accepted", contact="guest-2")
    demo.client.write("removals", {"id": "paid-1", "campaign": campaign, "contact": "guest-2", "reason": "paid"})
    applied = demo.client.wait("removal.applied", contact="guest-2", ref="paid-1")
    assert applied["campaign"] == campaign
    # once removed, not even its own list can bring it back
    demo.client.write("contacts", {"campaign": campaign, "contacts": [{**contact, "not_before": None}]})
    demo.client.wait("contact.rejected", contact="guest-2")
    assert demo.client.results("call.started", contact="guest-2") == []


def test_do_not_call_from_outside_is_applied_before_the_next_dial(demo: Joined) -> None:
    campaign, phone = demo.details["campaign"], "+34699000003"
    demo.client.write("dnc", {"id": "dnc-1", "op": "add", "phone": phone, "scope": "*", "reason": "asked"})
    demo.client.wait("dnc.applied", phone=phone, ref="dnc-1")
    contact = {"id": "guest-3", "phones": [phone], "priority": 1_000}
    demo.client.write("contacts", {"campaign": campaign, "contacts": [contact]})
    demo.client.wait("contact.rejected", contact="guest-3")
    assert demo.client.results("call.started", phone=phone) == []
    demo.client.write("dnc", {"id": "dnc-2", "op": "remove", "phone": phone, "scope": "*"})
    demo.client.wait("dnc.removed", phone=phone, ref="dnc-2")


def test_the_api_takes_the_crm_key_and_no_other(demo: Joined) -> None:
    url, key = f"{demo.details['api_url']}/api/v1", demo.details["api_key"]
    campaigns = ask(f"{url}/campaigns", key)["items"]
    assert [campaign["id"] for campaign in campaigns] == [demo.details["campaign"]]
    assert campaigns[0]["state"] == "running"
    line = json.dumps({"id": "guest-4", "phones": ["+34699000004"], "not_before": FAR_AWAY}).encode()
    offered = ask(
        f"{url}/campaigns/{demo.details['campaign']}/contacts", key, line + b"\nno json\n", "application/x-ndjson"
    )
    assert (offered["accepted"], offered["rejected"]) == (1, 1)
    for wrong in (None, "not-the-key"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(f"{url}/campaigns", wrong)
        with refused.value:
            assert refused.value.code == 401
            problem = json.loads(refused.value.read())
        assert problem["error"]
        assert problem["message"]


def test_metrics_can_be_read_by_prometheus(demo: Joined) -> None:
    with urllib.request.urlopen(demo.details["metrics_url"], timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert sum(sample.value for sample in families["cadencia_calls_started"].samples if "_total" in sample.name) > 0
    assert {"cadencia_agents", "cadencia_calls_in_flight"} <= set(families)
    assert "+34" not in text


def test_a_second_demo_in_the_same_folder_says_so(demo: Joined, tmp_path: Path) -> None:
    second = start(tmp_path, demo.directory, minutes="0.1")
    try:
        assert second.ended() == 1
        complaints = " ".join(second.complaints.split())
        assert "another" in complaints
        assert str(demo.directory) in complaints.replace(" ", "")
        assert "Traceback" not in complaints
        assert demo.program.running()
        assert (demo.directory / "demo.json").exists()
    finally:
        second.clear_away()


def test_it_ends_by_itself_with_one_json_object(tmp_path: Path) -> None:
    # Long enough for somebody to answer, whoever is called first.
    program = start(tmp_path, tmp_path / "state", minutes="0.5")
    try:
        client = OutsideClient(details(program, tmp_path / "state")["redis_url"])
        client.wait("call.connected")
        client.close()
        assert program.ended() == 0, program.complaints
        result = program.result()
        program.gone()
    finally:
        program.clear_away()
    wanted = {
        "dialed": int,
        "answered": int,
        "connected": int,
        "abandoned": int,
        "occupancy": float,
        "abandonment": float,
        "contacts_per_agent_hour": float,
    }
    assert {key: type(result[key]) for key in wanted} == wanted
    assert result["dialed"] >= result["answered"] >= result["connected"] > 0
    assert 0.0 <= result["occupancy"] <= 1.0


def test_killed_in_the_middle_it_leaves_nothing_and_starts_again_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    first = start(tmp_path, directory, minutes="5")
    second: Program | None = None
    try:
        found = details(first, directory)
        client = OutsideClient(found["redis_url"])
        client.wait("call.started")
        client.close()
        first.signal(signal.SIGKILL)
        first.ended()
        first.gone()
        second = start(tmp_path, directory, minutes="5")
        second.wait_for(
            lambda: (directory / "demo.json").exists() and details(second, directory) != found, "a demo.json of its own"
        )
        client = OutsideClient(details(second, directory)["redis_url"])
        client.wait("call.started")
        client.close()
        # Somebody plays with it: a campaign of their own is none of the demo's figures.
        manager = json.loads((directory / "node.json").read_text(encoding="utf-8"))
        ask(f"{manager['api_url']}/api/v1/campaigns", manager["api_key"], b'{"id": "mine"}')
        family = second.family()
        assert any("valkey-server" in command or "redis-server" in command for command in family.values()), family
        assert second.end(signal.SIGINT) in {0, 130}
        second.gone()
        assert not (directory / "demo.json").exists()
        assert "Traceback" not in second.complaints
        assert second.result()["dialed"] > 0
    finally:
        first.clear_away()
        if second is not None:
            second.clear_away()

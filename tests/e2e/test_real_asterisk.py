"""The main job on a real Asterisk: lists through a PJSIP trunk to nailed-up agents, compared with the carrier's log."""

from __future__ import annotations

import signal
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# neither the benchmarks nor the lab are part of the installed packages
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import real_list
from dialer.simulation import OPEN_RULES
from scripts.lab import ledger, plan
from scripts.lab.ledger import CarrierCall, Did
from scripts.lab.plan import Kind, Persona
from tests.e2e.programs import wait_for
from tests.e2e.sites import Site
from tests.lab import AsteriskLab

pytestmark = [pytest.mark.asterisk, pytest.mark.slow]

AGENTS = 6


class LabSite(Site):
    """`cadencia serve` at the lab's Asterisk."""

    def __init__(self, folder: Path, lab: AsteriskLab, *, campaign: str) -> None:
        config = folder / "cadencia.toml"
        config.write_text(
            f"""
# of its own: a node hangs up what it does not know among the channels with its name
node = "e2e-{uuid.uuid4().hex[:8]}"
data_dir = "{folder / "var"}"
[database]
url = "sqlite:///{folder / "cadencia.db"}"
[compliance]
rules = "{OPEN_RULES}"
[api]
port = 0
[[asterisk]]
name = "pbx"
port = {lab.layout.ami_port}
secret = "file:{lab.layout.secret_file}"
recordings = "{lab.layout.run / "dialer" / "spool" / "monitor"}"
[[asterisk.trunks]]
name = "carrier"
dial = "PJSIP/{{number}}@carrier"
""",
            encoding="utf-8",
        )
        super().__init__(folder, config)
        self.lab = lab
        self._campaign = campaign

    def prepare(self, callees: list[plan.Callee], *, agents: int = AGENTS) -> None:
        """A campaign with a list that is being called; the contacts are crm-<position>."""
        (self.folder / "campaign.toml").write_text(
            'method = "progressive"\nring_timeout_s = 15.0\nwrapup_limit_s = 0.2\nmax_attempts = 1\n' + self._campaign
        )
        self.cadencia("campaign", "create", "winter", "--file", str(self.folder / "campaign.toml")).ok()
        real_list.write_list(self.folder / "list.csv", callees)
        self.cadencia("list", "load", "winter", str(self.folder / "list.csv")).ok()
        self.sign_in(agents)
        self.cadencia("campaign", "start", "winter").ok()

    def sign_in(self, agents: int = AGENTS) -> None:
        for number in range(1, agents + 1):
            name = f"agent{number:02d}"
            self.api.post(f"/agents/{name}/sign-in", {"phone": name, "campaigns": ["winter"]})

    def calls(self, count: int, timeout_s: float = 60.0) -> dict[str, dict[str, Any]]:
        """The ended calls by number, when there are so many."""

        def ask() -> list[dict[str, Any]] | None:
            items: list[dict[str, Any]] = self.api.get("/calls", campaign="winter", limit=500)["items"]
            return items if len(items) >= count else None

        return {call["phone"]: call for call in wait_for(ask, f"{count} calls on record", timeout_s)}

    def carrier(self, callees: list[plan.Callee]) -> dict[str, list[CarrierCall]]:
        """What the carrier did with each of these."""
        numbers = {callee.number for callee in callees}
        found: dict[str, list[CarrierCall]] = {number: [] for number in numbers}
        for call in ledger.read(self.lab.layout):
            if call.number in numbers:
                found[call.number].append(call)
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_doctor_finds_nothing_wrong(folder: Path, asterisk_lab: AsteriskLab) -> None:
    site = LabSite(folder, asterisk_lab, campaign="")
    site.cadencia("db", "upgrade").ok()
    found = site.cadencia("doctor", "--json").ok().json()
    assert [finding for finding in found if not finding["ok"]] == []
    assert any("dialplan" in finding["says"] for finding in found)


def test_a_list_ends_as_the_carrier_saw_it(asterisk_lab: AsteriskLab, serials: Iterator[int]) -> None:
    report = real_list.run(contacts=40, agents=12, layout=asterisk_lab.layout, first_serial=next(serials))
    assert (report.wrong, report.undialed, report.repeated) == ([], [], [])
    assert sum(report.table.values()) == 40
    assert report.waits_s, "nobody was connected"
    # All but those for whom the machine stood still.
    assert sorted(report.waits_s)[len(report.waits_s) * 3 // 4] <= 2.0


def test_machine_detection_leaves_nobody_waiting(
    folder: Path, asterisk_lab: AsteriskLab, serials: Iterator[int]
) -> None:
    callees = [
        plan.callee(plan.number(Kind.AUDIO, next(serials), persona=persona, talk_s=5.0))
        for _ in range(6)
        for persona in (Persona.HELLO, Persona.MACHINE)
    ]
    site = LabSite(folder, asterisk_lab, campaign="[machine_detection]\n")
    try:
        program = site.start()
        site.prepare(callees)
        calls = site.calls(len(callees))
        assert program.end(signal.SIGTERM) == 0, program.complaints
    finally:
        site.clear_away()
    by_kind: dict[bool, list[dict[str, Any]]] = {
        machine: [calls[callee.e164] for callee in callees if callee.machine is machine] for machine in (False, True)
    }
    # people: with an agent in time, whatever the verdict
    assert Counter(call["outcome"] for call in by_kind[False]) == {"connected": 6}
    # machines: found out for the most part; a guess may be wrong, and then an agent tells
    outcomes = Counter(call["outcome"] for call in by_kind[True])
    assert set(outcomes) <= {"machine", "connected"}
    assert outcomes["machine"] >= 3, by_kind[True]
    waits_s = sorted(call["wait_s"] for call in calls.values() if call["outcome"] == "connected")
    assert waits_s[len(waits_s) * 3 // 4] <= 2.0, waits_s
    for call in calls.values():
        if call["machine_verdict"] is not None:
            assert call["machine_verdict"] in {"human", "machine", "unsure"}
            assert 0.0 < call["machine_verdict_s"] < 5.0, call
        if call["outcome"] == "machine":
            assert call["machine_verdict"] == "machine"
    verdicts = [call["machine_verdict"] for call in calls.values() if call["machine_verdict"] is not None]
    assert len(verdicts) >= 8, "verdicts are recorded"


def test_a_removal_hangs_up_a_phone_that_rings(folder: Path, asterisk_lab: AsteriskLab, serials: Iterator[int]) -> None:
    ringing = plan.callee(plan.number(Kind.ANSWER, next(serials), ring_s=10.0, talk_s=3.0))
    listed = plan.callee(plan.number(Kind.RINGS_ON, next(serials)))
    site = LabSite(folder, asterisk_lab, campaign="")
    try:
        program = site.start()
        site.prepare([ringing, listed], agents=2)
        client = site.client()
        wait_for(lambda: site.live()["calls"].get("ringing", 0) == 2, "both phones ring")
        client.write("removals", {"id": "paid-1", "campaign": "winter", "contact": "crm-0", "reason": "paid"})
        client.write("dnc", {"id": "dnc-1", "op": "add", "phone": listed.e164, "scope": "*"})
        cancelled = client.wait("removal.cancelled", ref="paid-1")
        client.wait("dnc.applied", ref="dnc-1")
        for contact in ("crm-0", "crm-1"):
            assert client.wait("call.ended", contact=contact)["outcome"] == "cancelled"
        assert cancelled["contact"] == "crm-0"
        seen = wait_for(
            lambda: (
                (found := site.carrier([ringing, listed]))
                and all(calls and calls[0].ended_at is not None for calls in found.values())
                and found
            ),
            "the carrier's word on both",
        )
        for calls in seen.values():
            assert [call.did for call in calls] == [Did.CANCELLED]
            assert calls[0].answered_at is None
        client.close()
        assert program.end(signal.SIGTERM) == 0, program.complaints
    finally:
        site.clear_away()


def test_talks_outlive_a_killed_node(folder: Path, asterisk_lab: AsteriskLab, serials: Iterator[int]) -> None:
    talks = [plan.callee(plan.number(Kind.ANSWER, next(serials), ring_s=0.5, talk_s=15.0)) for _ in range(3)]
    rings = [plan.callee(plan.number(Kind.RINGS_ON, next(serials))) for _ in range(2)]
    site = LabSite(folder, asterisk_lab, campaign="")
    try:
        first = site.start()
        site.prepare([*talks, *rings], agents=5)
        client = site.client()
        for position in range(3):
            client.wait("call.connected", contact=f"crm-{position}")
        for position in range(3, 5):
            client.wait("call.started", contact=f"crm-{position}")
        client.read()
        client.close()
        first.signal(signal.SIGKILL)
        first.ended()
        first.gone()
        second = site.start()
        site.sign_in(5)
        calls = site.calls(5)
        # the talks were not touched: the callees ended them, at their time
        for callee in talks:
            (seen,) = site.carrier([callee])[callee.number]
            assert seen.did is Did.CALLEE_HUNG_UP, seen
            assert seen.answered_at is not None
            assert seen.ended_at is not None
            assert seen.ended_at - seen.answered_at > 14.0
            assert calls[callee.e164]["outcome"] == "connected"
            assert calls[callee.e164]["agent"] is not None
        # what rang was hung up: nobody could have taken it
        for callee in rings:
            (seen,) = site.carrier([callee])[callee.number]
            assert seen.did is Did.CANCELLED
            assert calls[callee.e164]["outcome"] in {"lost", "cancelled"}
        client = site.client()
        started = Counter(result["call"] for result in client.results("call.started"))
        ended = Counter(result["call"] for result in client.results("call.ended"))
        client.close()
        assert set(started) == set(ended)
        assert set(ended.values()) == {1}
        assert second.end(signal.SIGTERM) == 0, second.complaints
    finally:
        site.clear_away()

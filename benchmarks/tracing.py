"""What traces cost a node: CPU per call, with none, with a tenth of the contacts and with all of them traced, in turns.

    python -m benchmarks.tracing [--calls 4000] [--rounds 5] [--json FILE]

The same notices go to the projections that every node has (live view and metrics) and to traces beside them. Counted
is CPU time, not the clock: of the thread that does the calls, and of the thread that sends spans to a collector, which
is a process of its own. Without `tracing.endpoint` there is no projection more, so that row is the node as it was.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.attempt import Attempt
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.notices import (
    AgentChanged,
    AnyNotice,
    CallConnected,
    CallEnded,
    CallRang,
    CallStarted,
    CallWasAnswered,
    GateAnswered,
    PaceDecided,
)
from dialer.core.outcome import Outcome
from dialer.projections.live import LiveView
from dialer.projections.metrics import Metrics
from dialer.runtime.dispatcher import Projection
from dialer.settings import Tracing
from dialer.tracing.calls import CallTraces
from dialer.tracing.otlp import OtlpSender
from dialer.tracing.outlet import Outlet
from dialer.tracing.places import Places
from dialer.tracing.spans import Span
from pacing.decision import Decision

SHARES: Final = (None, 0.0, 0.1, 1.0)
_CAMPAIGN: Final = CampaignId("bench")
_SERVER: Final = ServerName("pbx")
#: Of calls that are answered by a person, who gets an agent.
_TALK_EVERY: Final = 3
_AGENTS: Final = 100
_VERDICT: Final = (
    '{"at":1.0,"book":"2026-05","asked":["ES-hours","ES-robinson"],"jurisdictions":["ES"],"zones":["Europe/Madrid"]}'
)
_COLLECTOR: Final = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def notices(calls: int) -> Iterator[AnyNotice]:
    """What a node tells of so many calls, each over before the next begins."""
    for number in range(calls):
        at = 1_800_000_000.0 + number / 50
        call, contact = CallId(f"n1-boot-{number}"), ContactId(f"crm-{number}")
        phone, agent = Phone(f"+346{number:08d}"), AgentId(f"agent{number % _AGENTS:03d}")
        decision = Decision(dial=1, limit="threshold", explanation="", threshold=0.02, in_flight=40)
        yield PaceDecided(at=at, campaign=_CAMPAIGN, decision=decision, method="predictive")
        yield GateAnswered(at=at + 0.002, campaign=_CAMPAIGN, requested=1, granted=1, refused=(), ready=900, later=100)
        yield CallStarted(
            at=at + 0.003,
            call=call,
            campaign=_CAMPAIGN,
            contact=contact,
            phone=phone,
            server=_SERVER,
            trunk=TrunkName("carrier"),
            attempt_number=1,
        )
        yield CallRang(at=at + 1.0, call=call, campaign=_CAMPAIGN)
        talks = number % _TALK_EVERY == 0
        if talks:
            yield CallWasAnswered(at=at + 9.0, call=call, campaign=_CAMPAIGN, contact=contact, phone=phone, ring_s=8.0)
            yield _agent(agent, AgentState.RESERVED, AgentState.IDLE, at + 9.0, call)
            yield _agent(agent, AgentState.TALKING, AgentState.RESERVED, at + 9.1, call)
            yield CallConnected(
                at=at + 9.1,
                call=call,
                campaign=_CAMPAIGN,
                contact=contact,
                phone=phone,
                agent=agent,
                wait_s=0.1,
                screen_pop="",
            )
        yield CallEnded(at=at + 60.0, attempt=_attempt(call, contact, phone, agent, at, talks=talks), retry_at=None)
        if talks:
            yield _agent(agent, AgentState.WRAPUP, AgentState.TALKING, at + 60.0, call)
            yield _agent(agent, AgentState.IDLE, AgentState.WRAPUP, at + 70.0, None)


def _agent(agent: AgentId, state: AgentState, previous: AgentState, at: float, call: CallId | None) -> AgentChanged:
    return AgentChanged(
        at=at, agent=agent, state=state, previous=previous, previous_s=0.1, campaigns=(_CAMPAIGN,), call=call
    )


def _attempt(call: CallId, contact: ContactId, phone: Phone, agent: AgentId, at: float, *, talks: bool) -> Attempt:
    return Attempt(
        call=call,
        campaign=_CAMPAIGN,
        contact=contact,
        phone=phone,
        attempt_number=1,
        outcome=Outcome.CONNECTED if talks else Outcome.NO_ANSWER,
        reason="",
        started_at=at + 0.003,
        ended_at=at + 60.0,
        server=_SERVER,
        trunk=TrunkName("carrier"),
        ringing_at=at + 1.0,
        answered_at=at + 9.0 if talks else None,
        waiting_at=at + 9.0 if talks else None,
        connected_at=at + 9.1 if talks else None,
        agent=agent if talks else None,
        method="predictive",
        verdict=_VERDICT,
    )


def one_round(made: Sequence[AnyNotice], share: float | None, endpoint: str) -> tuple[float, float, int]:
    """Seconds of CPU of the thread that does the calls and of all the others, and spans that were sent."""
    projections: list[Projection] = [LiveView(), Metrics("n1")]
    sent: Counter[str] = Counter()
    out: Outlet | None = None

    def count(outcome: str, spans: int) -> None:
        sent[outcome] += spans

    put: Callable[[Span], None]
    if share is not None:
        out = Outlet(OtlpSender(Tracing(endpoint=endpoint), "n1"), count, limit=1_000_000, linger_s=0.05)
        put = out.put
        projections.append(CallTraces(Places(bytes(32), share), put))
    process, thread = time.process_time(), time.thread_time()
    for notice in made:
        for projection in projections:
            projection.apply(notice)
    own = time.thread_time() - thread
    if out is not None:
        out.close(60.0)
    others = time.process_time() - process - (time.thread_time() - thread)
    assert set(sent) <= {"exported"}, sent
    return own, max(0.0, others), sent["exported"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    made = list(notices(options.calls))
    sink = subprocess.Popen([sys.executable, "-c", _COLLECTOR], stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        endpoint = f"http://127.0.0.1:{int(sink.stdout.readline())}"
        found: dict[float | None, list[tuple[float, float, int]]] = {share: [] for share in SHARES}
        for share in SHARES:
            one_round(made[:1_000], share, endpoint)  # what is done once
        for _ in range(options.rounds):
            for share in SHARES:
                found[share].append(one_round(made, share, endpoint))
    finally:
        sink.kill()
        sink.wait()
    rows = []
    print(f"{'traced':>8}  {'calls, µs each':>15}  {'sending, µs each':>17}  {'spans a call':>12}")
    for share, rounds in found.items():
        own, others = (1e6 * statistics.median(one[i] for one in rounds) / options.calls for i in (0, 1))
        spans = rounds[0][2] / options.calls
        name = "off" if share is None else f"{share:.0%}"
        print(f"{name:>8}  {own:>15.1f}  {others:>17.1f}  {spans:>12.1f}")
        rows.append({"share": share, "calls_us": own, "sending_us": others, "spans_per_call": spans})
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        options.json.write_text(json.dumps({"calls": options.calls, **machine, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

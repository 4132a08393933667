"""What must hold whatever has happened, from the carrier's own log, the databases, the streams and the CRM.

Each check answers with what it found wrong, in words; nothing is the good answer. They are pure: `collect` reads
everything once, after the calls have come to their end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import text

from benchmarks.chaos.rig import CAMPAIGN, Site
from benchmarks.chaos.telephony import Dialed
from dialer.compliance.evidence import Verification
from dialer.crm.webhooks import delivery_id, former_id
from dialer.queues.result_keys import result_key
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceStore

#: By which the clocks of two processes may differ: each is anchored once, when its process begins.
STAMPS_AGREE_S: Final = 0.002
#: The carrier has read what was handed over so long ago, however busy the machine is.
READ_WITHIN_S: Final = 1.0
#: In-flight counts agree with the carrier again so long after a fault.
HEALED_WITHIN_S: Final = 10.0
#: So long somebody who answered waits for an agent before the message is played to them.
CONNECT_WITHIN_S: Final = 2.0
#: States of agents whose phone is in its room.
_AT_HAND: Final = frozenset({"idle", "reserved", "talking", "wrapup", "paused"})
_SHOWN: Final = 5
#: What may be worded otherwise where it is told from the record.
_FROM_THE_RECORD: Final = frozenset({"call.connected", "call.abandoned"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a scenario takes away by its nature."""

    #: Redis lost its memory: what nobody had read is gone with it, such as the CRM's last removals, and some of what
    #: had been read. Results are told again, those of a call that nobody remembers as the record has them.
    memory_lost: bool = False
    #: Clocks of nodes were moved: the carrier's own has to do instead of their stamps.
    clocks_differ: bool = False
    #: A node stays dead: its agents' phones stay in their rooms until they hang up or sign in elsewhere.
    phones_stay: bool = False
    healed_within_s: float = HEALED_WITHIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was found at the end."""

    pushed: frozenset[int]
    withdrawn: Mapping[int, float]
    #: Of these, whose removal or do-not-call entry is on record.
    removed: frozenset[int]
    #: Numbers (digits) of those who were withdrawn -> their place in the list.
    places: Mapping[str, int]
    #: Codes that the CRM has sent, by the ids of their messages, and those of them that are on record.
    codes: frozenset[str]
    codes_recorded: frozenset[str]
    dialed: tuple[Dialed, ...]
    contacts: Mapping[str, Mapping[str, Any]]
    attempts: tuple[Mapping[str, Any], ...]
    #: Calls of which the chain of evidence has a record, and whether it is whole.
    proved: frozenset[str]
    chain: Verification
    set_aside: int
    #: Entries of the stream of results: key of the delivery -> (result, digest of its bytes).
    results: Mapping[str, tuple[Mapping[str, Any], bytes]]
    taken: Mapping[str, bytes]
    #: Calls whose end the CRM has.
    ends_taken: frozenset[str]
    delivers: bool
    crm_failures: int
    #: Contacts that still wait, and those that are done, as Redis has it.
    waiting: frozenset[str]
    finished: frozenset[str]
    #: What is left in flight: of the carrier, of Redis, of the engines.
    channels: frozenset[str]
    live: frozenset[str]
    engines: int
    #: Agents' phones that are in a call, each as often as it is, and agents who have theirs at hand as engines have it.
    phones: tuple[str, ...]
    agents: frozenset[str]
    #: Longest disagreement about what is in flight after a fault was over, and about whom.
    worst_s: float
    worst_call: str


def collect(site: Site, worst_s: float, worst_call: str) -> Evidence:
    """Read everything; the calls have come to their end."""
    rows = asyncio.run(_rows(site.database_url))
    client = site.client
    entries: Any = client.xrange("cadencia:results")
    results: dict[str, tuple[Mapping[str, Any], bytes]] = {}
    for entry, fields in entries:
        data = fields[b"data"]
        found = json.loads(data), hashlib.sha256(data).digest()
        key, former = delivery_id(result_key(data), site.crm.url), former_id(entry.decode(), site.crm.url)
        if former in site.crm.taken and key not in site.crm.taken:
            key = former  # as an earlier release noted it
        # Told again as it was it is the same; as something else it must not have the key of another, but for those of
        # which the record does not have every word.
        if results.setdefault(key, found) != found and found[0]["type"] not in _FROM_THE_RECORD:
            results[f"{key} at {entry.decode()}"] = found
    removed = {row["name"] for row in rows["removed"]}
    numbers = {n: site.carrier.number(n) for n in site.asked.withdrawn}
    running = [node for node in site.nodes if node.pid is not None]
    waiting: set[bytes] = set()
    for name in ("ready", "later", "reserved"):
        waiting.update(client.zrange(f"cadencia:{name}:{CAMPAIGN}", 0, -1))
    return Evidence(
        pushed=frozenset(site.asked.pushed),
        withdrawn=dict(site.asked.withdrawn),
        removed=frozenset(n for n in site.asked.withdrawn if {f"c{n}", f"+{numbers[n]}"} & removed),
        places={digits: n for n, digits in numbers.items()},
        codes=frozenset(site.asked.codes),
        codes_recorded=frozenset(row["ref"] for row in rows["codes"]),
        dialed=tuple(with_calls(site.carrier.dialed(), rows["attempts"])),
        contacts={row["id"]: row for row in rows["contacts"]},
        attempts=tuple(rows["attempts"]),
        proved=frozenset(row["reference"] for row in rows["evidence"]),
        chain=rows["chain"],
        set_aside=len(rows["set_aside"]),
        results=results,
        taken=dict(site.crm.taken),
        ends_taken=frozenset(
            row["call"]
            for row in rows["attempts"]
            if delivery_id(f"call.ended/{row['call']}", site.crm.url) in site.crm.taken
        ),
        delivers=site.plan.delivers,
        crm_failures=site.crm.failures.total(),
        waiting=frozenset(contact.decode() for contact in waiting),
        finished=frozenset(contact.decode() for contact in client.smembers(f"cadencia:finished:{CAMPAIGN}")),
        channels=frozenset(site.in_flight()),
        live=frozenset(key.decode() for key in client.hkeys("cadencia:live")),
        engines=sum(sum(node.api.get("/live")["calls"].values()) for node in running),
        phones=tuple(sorted(site.carrier.phones_up())),
        agents=frozenset(
            row["id"] for node in running for row in node.api.get("/agents")["items"] if row["state"] in _AT_HAND
        ),
        worst_s=worst_s,
        worst_call=worst_call,
    )


def with_calls(dialed: Iterable[Dialed], attempts: Iterable[Mapping[str, Any]]) -> list[Dialed]:
    """What a carrier saw that knows numbers only, with the calls of ours that they were.

    Each is the latest attempt at the number that had been handed over by then, and that no earlier call was; one
    without an attempt has a call that nobody knows.
    """
    by_number: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(attempts, key=lambda row: row["started_at"]):
        by_number.setdefault(row["phone"].removeprefix("+"), []).append(row)
    named = []
    for one in sorted(dialed, key=lambda one: one.at):
        if not one.call:
            open_ones = by_number.get(one.number, [])
            before = [row for row in open_ones if row["started_at"] <= one.at + STAMPS_AGREE_S]
            if before:
                open_ones.remove(before[-1])
            one = replace(one, call=before[-1]["call"] if before else f"{one.number} at {one.at:.3f}")  # noqa: PLW2901
        named.append(one)
    return named


async def _rows(url: str) -> dict[str, Any]:
    database = Database(url)
    queries = {
        "contacts": "SELECT id, state, attempts, next_at FROM contacts",
        "attempts": "SELECT call, contact, phone, attempt_number, outcome, started_at, answered_at, connected_at, "
        "ended_at FROM attempts",
        "evidence": "SELECT reference FROM evidence WHERE kind = 'attempt'",
        "codes": "SELECT ref FROM dispositions WHERE ref IS NOT NULL",
        "set_aside": "SELECT stream FROM set_aside",
        "removed": "SELECT subject AS name FROM removals UNION SELECT phone FROM do_not_call",
    }
    try:
        found: dict[str, Any] = {}
        async with database.read() as connection:
            for name, query in queries.items():
                found[name] = [dict(row) for row in (await connection.execute(text(query))).mappings()]
        found["chain"] = await EvidenceStore(database).verify()
    finally:
        await database.close()
    return found


# ---- the checks


def _shown(found: Any) -> str:
    some = sorted(map(str, found))
    return ", ".join(some[:_SHOWN]) + (f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else "")


def no_contact_lost(seen: Evidence, _: Allowed) -> list[str]:
    """Everybody who was pushed is on record, and was called, withdrawn, or still waits."""
    wrong = []
    if unknown := {f"c{n}" for n in seen.pushed} - set(seen.contacts):
        wrong.append(f"not on record: {_shown(unknown)}")
    called = {row["contact"] for row in seen.attempts}
    left = {f"c{n}" for n in seen.pushed - set(seen.withdrawn)} - called - seen.waiting
    if left:
        wrong.append(f"neither called nor waiting: {_shown(left)}")
    return wrong


def none_dialed_twice(seen: Evidence, _: Allowed) -> list[str]:
    """No number was dialed more often than it has attempts, no attempt stands for two calls, no call came twice."""
    wrong = []
    if twice := [call for call, times in Counter(one.call for one in seen.dialed).items() if times > 1]:
        wrong.append(f"one call dialed twice: {_shown(twice)}")
    attempts = Counter((row["contact"], row["attempt_number"]) for row in seen.attempts if row["attempt_number"])
    if doubled := [key for key, times in attempts.items() if times > 1]:
        wrong.append(f"two calls are one attempt: {_shown(doubled)}")
    made = Counter(row["phone"].removeprefix("+") for row in seen.attempts)
    rung = Counter(one.number for one in seen.dialed)
    if more := [number for number, times in rung.items() if times > made[number]]:
        wrong.append(f"dialed more often than on record: {_shown(more)}")
    return wrong


def none_dialed_after_removal(seen: Evidence, allowed: Allowed) -> list[str]:
    """Nobody's originate was handed over after the write of their removal had been answered."""
    handed_over = {row["call"]: row["started_at"] for row in seen.attempts}
    late = []
    for one in seen.dialed:
        n = seen.places.get(one.number)
        if n is None or (allowed.memory_lost and n not in seen.removed):
            continue
        # The node's own stamp is the moment of the hand-over; the carrier's is later, by all that lies between.
        at = one.at - READ_WITHIN_S if allowed.clocks_differ else handed_over.get(one.call, one.at)
        if at > seen.withdrawn[n] + STAMPS_AGREE_S:
            late.append(one.number)
    return [f"dialed after their removal: {_shown(late)}"] if late else []


def the_carrier_knows_them(seen: Evidence, _: Allowed) -> list[str]:
    """Whoever answered on record was called by the carrier: else its log, on which other checks stand, is not whole."""
    known = {one.call for one in seen.dialed}
    unknown = {row["call"] for row in seen.attempts if row["answered_at"] is not None} - known
    return [f"answered, and the carrier knows of no such call: {_shown(unknown)}"] if unknown else []


def every_attempt_has_its_outcome(seen: Evidence, allowed: Allowed) -> list[str]:
    """What the carrier was asked for is on record with an outcome and its evidence, and told with one end."""
    wrong = []
    recorded = {row["call"] for row in seen.attempts if row["outcome"]}
    if missing := {one.call for one in seen.dialed} - recorded:
        wrong.append(f"dialed, and not on record: {_shown(missing)}")
    if unproved := recorded - seen.proved:
        wrong.append(f"without evidence: {_shown(unproved)}")
    if seen.chain.problem:
        wrong.append(f"the chain of evidence is broken: {seen.chain.problem}")
    if seen.set_aside:
        wrong.append(f"{seen.set_aside} entries of streams could not be recorded")
    ends = Counter(result["call"] for result, _ in seen.results.values() if result["type"] == "call.ended")
    if twice := [call for call, times in ends.items() if times > 1]:
        wrong.append(f"an end told twice: {_shown(twice)}")
    if allowed.memory_lost:
        untold = recorded - set(ends) - seen.ends_taken if seen.delivers else set()
        return [*wrong, f"on record, and its end not told: {_shown(untold)}"] if untold else wrong
    if untold := recorded - set(ends):
        wrong.append(f"on record, and its end not told: {_shown(untold)}")
    started = {result["call"] for result, _ in seen.results.values() if result["type"] == "call.started"}
    if endless := started - set(ends):
        wrong.append(f"started, and no end told: {_shown(endless)}")
    return wrong


def every_code_taken(seen: Evidence, allowed: Allowed) -> list[str]:
    """What the CRM has closed a talk with is on record and among the results; none was refused."""
    told: dict[str, set[str]] = {}
    for result, _ in seen.results.values():
        if (ref := result.get("ref")) in seen.codes:
            told.setdefault(str(ref), set()).add(result["type"])
    wrong = []
    if refused := [ref for ref, kinds in told.items() if kinds != {"call.disposed"}]:
        wrong.append(f"codes that were refused: {_shown(refused)}")
    if allowed.memory_lost:
        return wrong
    if untold := seen.codes - set(told):
        wrong.append(f"codes that nobody has answered: {_shown(untold)}")
    if missing := seen.codes - seen.codes_recorded:
        wrong.append(f"codes that are not on record: {_shown(missing)}")
    return wrong


def every_result_delivered(seen: Evidence, allowed: Allowed) -> list[str]:
    """The CRM has every result by its key, as it was told, and nothing else."""
    if not seen.delivers:
        return []
    wrong = []
    if missing := set(seen.results) - set(seen.taken):
        kinds = Counter(seen.results[key][0]["type"] for key in missing)
        wrong.append(f"{len(missing)} results never arrived: {dict(kinds)}")
    changed = [
        key
        for key, (result, digest) in seen.results.items()
        if seen.taken.get(key, digest) != digest and not (allowed.memory_lost and result["type"] in _FROM_THE_RECORD)
    ]
    if changed:
        wrong.append(f"{len(changed)} results arrived changed")
    if not allowed.memory_lost and (unknown := set(seen.taken) - set(seen.results)):
        wrong.append(f"{len(unknown)} results arrived that nobody told")
    return wrong


def in_flight_is_the_truth(seen: Evidence, allowed: Allowed) -> list[str]:
    """At the end nothing is in flight in any book; after a fault they agreed within seconds."""
    wrong = []
    if seen.channels or seen.live or seen.engines:
        wrong.append(
            f"left in flight: carrier {len(seen.channels)}, Redis {len(seen.live)} ({_shown(seen.live)}), "
            f"engines {seen.engines}"
        )
    strange = Counter(seen.phones) - Counter(seen.agents)
    if strange and not allowed.phones_stay:
        wrong.append(f"phones in calls of which no engine knows: {_shown(strange.elements())}")
    if missing := seen.agents - set(seen.phones):
        wrong.append(f"agents without their phones: {_shown(missing)}")
    if seen.worst_s > allowed.healed_within_s:
        wrong.append(f"not agreed about {seen.worst_call} for {seen.worst_s:.1f} s after the fault")
    return wrong


def abandonment_is_explained(seen: Evidence, _: Allowed) -> list[str]:
    """Whoever was abandoned had answered, and no agent had come within the limit."""
    early = [
        row["call"]
        for row in seen.attempts
        if row["outcome"] == "abandoned"
        and (
            row["answered_at"] is None
            or row["connected_at"] is not None
            or row["ended_at"] - row["answered_at"] < CONNECT_WITHIN_S - STAMPS_AGREE_S
        )
    ]
    return [f"abandoned before the limit: {_shown(early)}"] if early else []


CHECKS: Final[Mapping[str, Callable[[Evidence, Allowed], list[str]]]] = {
    "no contact lost": no_contact_lost,
    "none dialed twice": none_dialed_twice,
    "none dialed after its removal": none_dialed_after_removal,
    "the carrier's log whole": the_carrier_knows_them,
    "every attempt with an outcome": every_attempt_has_its_outcome,
    "every code taken": every_code_taken,
    "every result delivered": every_result_delivered,
    "in flight back to the truth": in_flight_is_the_truth,
    "abandonment explained": abandonment_is_explained,
}


def judge(seen: Evidence, allowed: Allowed) -> dict[str, list[str]]:
    """Every check by its name, with what it found wrong."""
    return {name: check(seen, allowed) for name, check in CHECKS.items()}

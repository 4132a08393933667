"""The law through a whole node: who may not be called now waits for the right moment, and it is on record why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from dialer.api.explanation_ports import Explanation
from dialer.compliance.evidence import EvidenceKind
from dialer.core.contact import Contact
from dialer.core.ids import ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.erasing import NodeErasures
from dialer.runtime.explanation import Explanations
from dialer.settings import Compliance
from dialer.simulation.world import Fate, Reaction
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from dialer.storage.tables import metadata
from tests.e2e.floor import CAMPAIGN, QUICK, Floor, floor, phone, until

pytestmark = pytest.mark.slow

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CONSENT = {
    "id": "consent-7",
    "purposes": ["marketing"],
    "given_at": "2020-03-01T16:00:00+01:00",
    "source": "web form",
    "text": "Yes, call me",
}


def rules(folder: Path, *, open_days: tuple[str, ...] = DAYS, more: str = "") -> Path:
    """A folder of jurisdictions: a policy that is open on some days, and Spain with rules of its own."""
    made = folder / "rules"
    made.mkdir()
    week = "\n".join(f"{day} = {['00:00-24:00'] if day in open_days else []}" for day in DAYS).replace("'", '"')
    (made / "POLICY.toml").write_text(
        f"""
country = "POLICY"
name = "the test policy"
reviewed = 2026-11-22
[[hours]]
id = "TEST-hours"
from = 2000-01-01
purposes = ["marketing", "debt", "survey", "service"]
source = "test"
mark = "policy"
[hours.week]
{week}
"""
    )
    (made / "ES.toml").write_text(
        f'country = "ES"\nname = "Spain"\nreviewed = 2026-11-22\nzones = ["Europe/Madrid"]\n{more}'
    )
    return made


async def evidence(site: Floor, kind: EvidenceKind, count: int) -> list[dict[str, Any]]:
    """So many records of a kind, waited for, and the whole chain intact."""
    store = EvidenceStore(site.node.database)
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        links = [link async for link in store.find(EvidenceFilter(kind=kind))]
        found[:] = [json.loads(link.facts) | json.loads(link.personal or "{}") for link in links]
        return len(found) >= count

    await until(there, f"{count} records of a {kind}")
    verified = await store.verify()
    assert verified.problem == ""
    return found


async def test_on_a_day_without_calls_everybody_waits_for_the_next(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    today = datetime.now(UTC)
    # The clock of the rules may be in tomorrow already: neither day is open, the one after both is.
    free = DAYS[(today + timedelta(days=3)).weekday()]
    async with floor(tmp_path, own_valkey, rules=rules(tmp_path, open_days=(free,))) as site:
        await site.begin(agents=5)
        await site.push(range(30))

        async def put_off() -> bool:
            return (await site.node.queues.depth(CAMPAIGN)).later == 30

        await until(put_off, "all thirty put off")
        refused = await evidence(site, EvidenceKind.REFUSAL, 30)
        assert {one["phone"] for one in refused} == {phone(n) for n in range(30)}
        assert {one["reason"] for one in refused} == {"hours"}
        retry = {datetime.fromisoformat(one["verdict"]["rules"]["retry_at"]) for one in refused}
        assert {DAYS[moment.astimezone(UTC).weekday()] for moment in retry} <= {free, DAYS[DAYS.index(free) - 1]}
        assert site.exchange.dialed == []
        await site.settle()


async def test_only_who_has_agreed_is_called_and_the_consent_is_named(
    tmp_path: Path, own_valkey: EmbeddedServer
) -> None:
    opt_in = """
[[consent]]
id = "TEST-consent"
from = 2000-01-01
purposes = ["marketing"]
mode = "opt_in"
source = "test"
mark = "V"
"""
    async with floor(tmp_path, own_valkey, rules=rules(tmp_path, more=opt_in)) as site:
        await site.begin(agents=5)
        await site.push([1, 2], consent=CONSENT)
        await site.push([3, 4])
        made = await evidence(site, EvidenceKind.ATTEMPT, 2)
        assert {one["phone"] for one in made} == {phone(1), phone(2)}
        assert {one["verdict"]["consent"] for one in made} == {"consent-7"}
        assert all("TEST-consent@2000-01-01" in one["verdict"]["asked"] for one in made)
        refused = await evidence(site, EvidenceKind.REFUSAL, 2)
        assert {(one["phone"], one["reason"]) for one in refused} == {(phone(3), "consent"), (phone(4), "consent")}
        # Consent comes in: the contact is called, without waiting for its next turn.
        await site.push([3], consent=CONSENT, not_before=datetime.now(UTC).isoformat())
        made = await evidence(site, EvidenceKind.ATTEMPT, 3)
        assert {one["phone"] for one in made} == {phone(1), phone(2), phone(3)}
        assert {record.number for record in site.exchange.dialed} == {phone(n)[1:] for n in (1, 2, 3)}
        await site.settle()


async def test_a_cap_holds_over_campaign_settings_that_would_call_at_once(
    tmp_path: Path, own_valkey: EmbeddedServer
) -> None:
    cap = """
[[cap]]
id = "TEST-cap"
from = 2000-01-01
purposes = ["marketing"]
max = 2
window = "PT24H"
key = ["number"]
source = "test"
mark = "V"
"""
    retries = {outcome: {"delay_s": 0.0, "max_attempts": 9} for outcome in ("busy", "no_answer", "machine", "hung_up")}
    busy = Fate(reaction=Reaction.BUSY, post_dial_s=0.005, ring_s=0.05, talk_s=0.0, patience_s=1.0)
    async with floor(
        tmp_path, own_valkey, profile=QUICK, fates=dict.fromkeys(range(4), busy), rules=rules(tmp_path, more=cap)
    ) as site:
        await site.begin(agents=4, campaign={"max_attempts": 9, "retries": retries})
        await site.push(range(4))
        refused = await evidence(site, EvidenceKind.REFUSAL, 4)
        assert {one["reason"] for one in refused} == {"attempt_cap"}
        rung = [record.number for record in site.exchange.dialed]
        assert sorted(rung) == sorted(2 * [phone(n)[1:] for n in range(4)])
        await site.settle()


async def test_whoever_asks_why_is_told_what_stands_in_the_way(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    today = datetime.now(UTC)
    free = DAYS[(today + timedelta(days=3)).weekday()]
    async with floor(tmp_path, own_valkey, rules=rules(tmp_path, open_days=(free,))) as site:
        await site.begin(agents=1)
        await site.push([1, 2, 3])
        await site.push([4], not_before="2099-01-01T00:00:00Z")
        await site.wait("contact.accepted", 4)
        await site.write("removals", {"id": "r-1", "campaign": CAMPAIGN, "contact": "crm-2"})
        await site.write("dnc", {"id": "d-1", "op": "add", "phone": phone(3), "scope": "*"})
        await site.wait("removal.applied")
        await site.wait("dnc.applied")
        campaign = site.node.dispatcher.engine.floor.campaigns[CAMPAIGN]
        explanations = Explanations(
            site.node.database, site.node.screening, site.node.dispatcher.engine, site.node.clock.now
        )

        async def why(number: int) -> Explanation | None:
            return await explanations.explain(campaign.campaign, campaign.state, ContactId(f"crm-{number}"))

        async def on_record() -> bool:
            removed, listed = await why(2), await why(3)
            return removed is not None and listed is not None and (removed.status, listed.next_at) == ("removed", None)

        await until(on_record, "removal and do-not-call entry in SQL")
        waiting, listed, later = await why(1), await why(3), await why(4)
        assert waiting is not None
        assert listed is not None
        assert later is not None
        assert "no marketing calls by the house policy" in waiting.says
        assert waiting.next_at is not None
        assert waiting.next_at > site.now
        assert (listed.says, listed.phones[0].do_not_call) == ("all of its numbers are on a do-not-call list", ("*",))
        assert later.says == "waits for its next attempt at 2099-01-01T00:00:00.000000Z"
        assert await why(99) is None
        await site.settle()


async def test_who_was_erased_is_in_no_table_and_never_called_again(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    law = Compliance(rules=str(rules(tmp_path)), suppression_key="k" * 32)
    async with floor(tmp_path, own_valkey, more={"compliance": law}) as site:
        await site.begin(agents=3)
        await site.push([1, 2])
        await evidence(site, EvidenceKind.ATTEMPT, 2)
        node = site.node
        erasures = NodeErasures(node.database, node.queues, node.suppressed, "k" * 32, node.clock.now)
        erased = await erasures.erase([phone(1)], who="Eva", all_numbers=False)
        assert (erased.numbers, erased.rows["contacts"], erased.rows["attempts"]) == (1, 1, 1)
        await site.push([1, 2, 3])
        told = await site.wait("contact.rejected", contact="crm-1")
        assert told["reason"].startswith("phone_erased")
        await evidence(site, EvidenceKind.ATTEMPT, 3)
        # As if it had come in before anybody knew: what is in the hopper all the same is refused by the last look.
        await node.queues.offer([Contact(campaign=CAMPAIGN, id=ContactId("late"), phones=(phone(1),))])
        [refused] = await evidence(site, EvidenceKind.REFUSAL, 1)
        assert (refused["reason"], refused.get("phone")) == ("erased", None)
        rung = [record.number for record in site.exchange.dialed]
        assert rung.count(phone(1)[1:]) == 1, "before it was erased"
        async with node.database.read() as connection:
            for table in metadata.sorted_tables:
                assert phone(1)[1:] not in repr((await connection.execute(select(table))).all()), table.name

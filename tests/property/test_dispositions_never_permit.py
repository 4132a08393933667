"""No sequence of dispositions, whatever their campaign makes of them, ever takes a number off a do-not-call list."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.campaigns import parse_campaign
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.disposition import DispositionCategory
from dialer.core.events import CallbackWish, CallDisposed
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import InputError
from dialer.queues.removals import parse_do_not_call
from dialer.runtime.disposing import DispositionDesk
from dialer.runtime.record_keeper import RecordKeeper
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns, StoredCampaign
from dialer.storage.database import Database
from dialer.testing import FakePurges
from tests.runtime_floor import RuntimeFloor

NOW = 1_800_000_000.0
CALL = CallId("n1-beef0001-0000000001")
PHONE = Phone("+34600111222")
NAMES = ("stop", "sale", "later", "away")

CODES = st.lists(
    st.fixed_dictionaries(
        {
            "code": st.sampled_from(NAMES),
            "category": st.sampled_from([category.value for category in DispositionCategory]),
            "is_sale": st.booleans(),
        },
        optional={
            "do_not_call": st.booleans(),
            "callback": st.booleans(),
            "retry": st.just({"delay_s": 60.0, "max_attempts": 9}),
        },
    ),
    max_size=4,
    unique_by=lambda code: str(code["code"]),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["*", "campaign"]),
        CODES,
        st.sampled_from([*NAMES, "DO_NOT_CALL", "SALE", "CALLBACK", "nonsense"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


class Known:
    """One call of a campaign whose settings change between dispositions."""

    def __init__(self) -> None:
        self.campaign = Campaign(id=CampaignId("winter"))

    async def get(self, id: str) -> Any:
        if id == CALL:
            return Attempt(
                call=CALL, campaign=CampaignId("winter"), contact=ContactId("crm-1"), phone=PHONE, attempt_number=1,
                outcome=Outcome.CONNECTED, reason="", started_at=NOW - 60, ended_at=NOW, agent=AgentId("anna"),
            )  # fmt: skip
        return StoredCampaign(campaign=self.campaign, state=CampaignState.RUNNING, updated_at=NOW)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One that nobody writes to."""
    return Database(f"sqlite:///{tmp_path_factory.mktemp('record') / 'cadencia.db'}")


@given(steps=STEPS)
@settings(max_examples=60)
def test_an_entry_stays_whatever_follows(
    database: Database, steps: list[tuple[str, list[dict[str, Any]], str, bool]]
) -> None:
    async def run() -> None:
        known, streams, floor = Known(), FakePurges(), RuntimeFloor()
        desk = DispositionDesk(
            dispatcher=floor.dispatcher,
            keeper=RecordKeeper(database),
            attempts=cast("Attempts", known),
            campaigns=cast("Campaigns", known),
            streams=streams,
            outbox=floor.outbox,
            now=lambda: NOW,
        )
        listed: set[str] = set()
        for scope, codes, code, appointed in steps:
            try:
                known.campaign = parse_campaign({"id": "winter", "opt_out_scope": scope, "dispositions": codes})
                wish = CallbackWish(at=NOW + 60) if appointed else None
                await desk.dispose(CallDisposed(at=NOW, call=CALL, code=code, callback=wish))
            except InputError:
                continue
            meant = next(c for c in known.campaign.dispositions if c.code.casefold() == code.casefold())
            if meant.do_not_call:
                listed.add("*" if scope == "*" else "winter")
        entries = [parse_do_not_call(json.dumps(message).encode()) for message in streams.do_not_calls]
        assert all(entry.add and entry.expires_at is None and entry.phone == PHONE for entry in entries)
        assert {entry.scope for entry in entries} == listed
        assert {entry.scope for entry in await streams.listed(PHONE)} == listed
        assert streams.removals == []
        floor.dispatcher.close()

    asyncio.run(run())

"""What a tenant is handed: nothing that is everybody's slips through, and pages are whole however much is others'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from dialer.api.ports import ApiPorts
from dialer.api.tenant_live import TenantHistory, TenantLive
from dialer.api.tenant_ports import narrowed
from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CampaignId
from dialer.core.notices import AgentChanged
from dialer.core.tenants import concerns
from dialer.projections.live import LiveView

#: What is everybody's, and tells nobody's.
SHARED: Final = {"clock", "keys", "idempotency", "health", "metrics", "snippet"}


def test_every_port_is_narrowed_or_left_out() -> None:
    whole: Any = ApiPorts(**{field.name: SimpleNamespace(live=None) for field in fields(ApiPorts)})  # type: ignore[arg-type]
    found = narrowed(whole, "acme")
    assert found.tenant == "acme"
    for name in {field.name for field in fields(ApiPorts)} - SHARED - {"tenant"}:
        port = getattr(found, name)
        assert port is None or type(port).__name__.startswith("Tenant"), name
    for name in SHARED:
        assert getattr(found, name) is getattr(whole, name)


class Told:
    """Results as they are kept: every one with its place."""

    def __init__(self, whose: Sequence[str]) -> None:
        self._results = [(f"{place}-0", {"campaign": f"{tenant}--winter"}) for place, tenant in enumerate(whose, 1)]

    async def between(self, after: str, until: str, count: int) -> Sequence[tuple[str, Mapping[str, object]]]:
        def place(id: str) -> int:
            return int(id.partition("-")[0])

        return [each for each in self._results if place(after) < place(each[0]) <= place(until)][:count]

    async def oldest(self) -> str | None:
        return self._results[0][0] if self._results else None


@given(st.lists(st.sampled_from(["acme", "beta"]), max_size=30), st.integers(1, 7))
async def test_a_page_is_short_only_where_there_is_no_more(whose: list[str], count: int) -> None:
    kept = TenantHistory(Told(whose), "acme")
    seen: list[str] = []
    after = "0-0"
    while True:
        page = await kept.between(after, "99-0", count)
        seen += [id for id, _ in page]
        if len(page) < count:
            break
        after = page[-1][0]
    assert seen == [f"{place}-0" for place, tenant in enumerate(whose, 1) if tenant == "acme"]


def test_a_result_of_nobody_is_for_nobody() -> None:
    for result in ({}, {"campaign": "*"}, {"campaign": "winter"}, {"campaign": 7}, {"agent": "beta--eva"}):
        assert not concerns("acme", result)
    assert not concerns("acme", {"campaign": "beta--winter", "agent": "acme--eva"})
    assert concerns("acme", {"campaign": "acme--*"})
    assert concerns("acme", {"agent": "acme--eva"})


def test_an_agent_who_is_lent_to_others_shows_nothing_of_them() -> None:
    view = LiveView()
    for agent in ("acme--eva", "beta--bob", "otto"):
        view.apply(
            AgentChanged(
                at=1.0,
                agent=AgentId(agent),
                state=AgentState.IDLE,
                previous=AgentState.CONNECTING,
                previous_s=0.0,
                campaigns=(CampaignId("acme--winter"), CampaignId("beta--winter")),
            )
        )
    live = TenantLive(view, "acme")
    assert [(row.id, row.campaigns) for row in live.agents(2.0)] == [("acme--eva", ("acme--winter",))]
    assert live.snapshot(2.0).agents == live.agents(2.0)
    assert live.agent(AgentId("beta--bob")) is None
    assert live.snapshot(2.0).servers == ()

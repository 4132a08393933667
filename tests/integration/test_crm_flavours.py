"""The mappings that are shipped, against servers that behave as the documentation of their CRMs says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import CrmAccess
from dialer.storage.crm_updates import UpdateState
from tests.crm_rig import KEY, CrmRig, crm_rig, disposed, ended, oauth
from tests.crm_servers import Dataverse, Salesforce, Server, TwoFunctions, answers, serving


class Floor:
    """Starts servers, and a rig for each."""

    def __init__(self, stack: AsyncExitStack, *places: Any) -> None:
        self._stack = stack
        self._places = places

    async def with_crm(self, server: Server, mapping: str, access: CrmAccess | None = None, **pull: Any) -> CrmRig:
        await self._stack.enter_async_context(serving(server))
        rig = crm_rig(server, mapping, access or oauth(server), *self._places, **pull)
        return await self._stack.enter_async_context(rig)


@pytest.fixture
async def floor(sqlite_url: str, valkey_server: EmbeddedServer, valkey: AsyncRedis) -> AsyncIterator[Floor]:
    async with AsyncExitStack() as stack:
        yield Floor(stack, sqlite_url, valkey_server.url, valkey)


def guid(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


async def test_dynamics_pages_of_open_calls_and_a_completed_activity(floor: Floor) -> None:
    crm = Dataverse()
    rig = await floor.with_crm(crm, "dynamics.toml")
    for n in range(501):
        crm.put(guid(n), f"+346001{n:05d}", prioritycode=n % 3, scheduledstart="2027-01-01T10:00:00Z")
    assert await rig.turn() == {"accepted": 501, "pages": 2}
    assert crm.tokens == 1
    stored = await rig.contact(guid(2))
    assert stored is not None
    assert (stored.contact.priority, stored.contact.not_before_at) == (10, 1_798_797_600.0)

    await rig.tell(ended(guid(1), outcome="no_answer", talk_s=None), ended(guid(2), "n-1-2"))
    await rig.finish(guid(1))
    assert (await rig.turn())["update_delivered"] == 2
    assert (crm.calls[guid(1)]["statecode"], crm.calls[guid(1)]["statuscode"]) == (1, 2)
    assert crm.calls[guid(2)] | {"statecode": 0, "actualdurationminutes": 2} == crm.calls[guid(2)]
    assert crm.tokens == 2  # a turn, a token, for both of its updates
    (sent, _) = crm.asked("PATCH")
    assert sent[1]["if-match"] in {'W/"2"', 'W/"3"'}
    # The agent's code closes it: with whatever version it has by now.
    await rig.tell(disposed(guid(2), "n-1-2"))
    await rig.finish(guid(2))
    assert (await rig.turn())["update_delivered"] == 1
    assert crm.calls[guid(2)]["description"] == "SALE: pays by card"
    assert crm.asked("PATCH")[-1][1]["if-match"] == "*"
    # What was completed is no longer listed, and is nothing that was withdrawn.
    assert (await rig.turn(after_s=60))["unchanged"] == 499
    assert not await rig.removals()


async def test_a_token_that_is_refused_to_many_requests_at_once_is_renewed_once(floor: Floor) -> None:
    crm = Dataverse()
    rig = await floor.with_crm(crm, "dynamics.toml")
    for n in range(4):
        crm.put(guid(n), f"+3460011100{n}")
    await rig.turn()
    all_there = asyncio.Barrier(4)

    async def refused_together(_: web.Request) -> web.Response:
        await all_there.wait()
        return crm.unknown()

    crm.faults = [refused_together] * 4
    await rig.tell(*(ended(guid(n), f"n-1-{n}") for n in range(4)))
    assert (await rig.turn())["update_delivered"] == 4
    assert crm.tokens == 3
    assert len(crm.asked("PATCH")) == 8


async def test_dynamics_a_newer_version_does_not_stop_ours_and_a_closed_call_does(floor: Floor) -> None:
    crm = Dataverse()
    rig = await floor.with_crm(crm, "dynamics.toml")
    for n in range(3):
        crm.put(guid(n), f"+3460011100{n}")
    await rig.turn()
    crm.put(guid(0), "+34600111000", subject="changed by somebody")
    crm.put(guid(1), "+34600111001", statecode=2, statuscode=3)
    crm.delete(guid(2))
    await rig.tell(*(ended(guid(n), f"n-1-{n}", final=False) for n in range(3)))
    told = await rig.turn()
    assert (told["update_delivered"], told["update_withdrawn"]) == (1, 2)
    assert crm.calls[guid(0)]["description"].startswith("connected")
    assert crm.calls[guid(0)]["subject"] == "changed by somebody"
    assert crm.calls[guid(1)]["statecode"] == 2
    assert {each["contact"] for each in await rig.removals()} == {guid(1), guid(2)}


async def test_dynamics_by_change_tracking(floor: Floor) -> None:
    crm = Dataverse()
    rig = await floor.with_crm(crm, "dynamics-changes.toml")
    for n in range(4):
        crm.put(guid(n), f"+3460011100{n}")
    crm.put(guid(9), "+34600111009", statecode=1)  # was closed before anybody asked
    assert await rig.turn() == {"accepted": 4, "pages": 1}
    crm.put(guid(1), "+34600111001", statecode=2)
    crm.delete(guid(2))
    crm.put(guid(3), "+34600111033")
    crm.put(guid(5), "+34600111005")
    told = await rig.turn(after_s=60)
    assert (told["accepted"], told["withdrawn"]) == (2, 2)
    assert "deltatoken" in crm.asked("GET")[-1][0]
    assert await rig.turn(after_s=60) == {"pages": 1}
    # The token is too old: everything is asked for anew, and what is missing by then has been withdrawn.
    del crm.calls[guid(5)]
    crm.faults = [answers(410, "{}")]
    assert await rig.turn(after_s=60) == {"failed": 1}
    told = await rig.turn(after_s=60)
    assert (told["unchanged"], told["withdrawn"]) == (2, 1)
    assert {each["contact"] for each in await rig.removals()} == {guid(1), guid(2), guid(5)}


async def test_salesforce_tasks_by_pages_with_a_token_that_runs_out(floor: Floor) -> None:
    crm = Salesforce(token_lifetime_s=None)
    crm.page_size = 2
    rig = await floor.with_crm(crm, "salesforce-tasks.toml")
    for n in range(5):
        who = {"Name": f"Ana {n}", "Phone": None, "MobilePhone": f"+3460011100{n}", "attributes": {"type": "Contact"}}
        crm.put("Task", f"00T{n}", Priority="High", Subject="Call", Who=who, TaskSubtype="Call")
    expired = answers(401, '[{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}]')
    crm.faults = [None, expired]
    assert await rig.turn() == {"accepted": 5, "pages": 3}
    assert crm.tokens == 2
    stored = await rig.contact("00T3")
    assert stored is not None
    assert (stored.contact.name, stored.contact.priority) == ("Ana 3", 10)
    await rig.tell(
        ended("00T0"), disposed("00T0"), ended("00T1", "n-1-2", final=False, outcome="busy"), ended("00T2", "n-1-3")
    )
    del crm.records["Task"]["00T2"]
    await rig.finish("00T0")
    told = await rig.turn()
    assert (told["update_delivered"], told["update_withdrawn"]) == (3, 1)
    task = crm.records["Task"]["00T0"]
    wanted = {"CallDurationInSeconds": 61, "CallDisposition": "SALE", "CallObject": "n-1-1", "Status": "Completed"}
    assert task | wanted == task
    assert crm.records["Task"]["00T1"]["Status"] == "In Progress"
    assert [each["contact"] for each in await rig.removals()] == ["00T2"]
    assert (await rig.turn(after_s=60))["unchanged"] == 3


async def test_salesforce_leads_by_what_has_changed(floor: Floor) -> None:
    crm = Salesforce()
    rig = await floor.with_crm(crm, "salesforce-leads.toml")
    for n in range(3):
        crm.put("Lead", f"00Q{n}", Name=f"Lead {n}", Phone=f"+3460011100{n}", MobilePhone=None, Rating="Hot")
    assert (await rig.turn())["accepted"] == 3
    crm.put("Lead", "00Q1", IsConverted=True)
    crm.put("Lead", "00Q3", Name="Lead 3", Phone="+34600111003")
    told = await rig.turn(after_s=60)
    # The last one of the time before comes once more, as the question is "since", not "after".
    assert (told["accepted"], told["withdrawn"], told["unchanged"]) == (1, 1, 1)
    assert "2026-03-01T10:00:03.000+0000" in crm.asked("GET")[-1][0]
    await rig.tell(ended("00Q0", outcome="no_answer", final=False), ended("00Q2", "n-1-2"))
    told = await rig.turn()
    assert (told["update_skipped"], told["update_delivered"]) == (1, 1)
    assert crm.records["Lead"]["00Q2"]["Status"] == "Working - Contacted"
    assert len(await rig.updates(UpdateState.SKIPPED)) == 1


async def test_soap(floor: Floor) -> None:
    crm = TwoFunctions()
    rig = await floor.with_crm(crm, "soap.toml", KEY)
    crm.calls = [{"id": f"s-{n}", "phone": f"+3460011100{n}", "amount": "12.5"} for n in range(3)]
    assert await rig.turn() == {"accepted": 3, "pages": 3}
    crm.calls = crm.calls[:1]  # a list of one looks like none in XML
    assert (await rig.turn(after_s=60))["unchanged"] == 1
    await rig.tell(disposed("s-0", notes='<b>"quoted"</b> & more\x0b'))
    assert (await rig.turn())["update_delivered"] == 1
    ((_, headers, body),) = [sent for sent in crm.asked("POST") if "UpdateCall" in sent[1]["soapaction"]]
    assert headers["content-type"] == "text/xml; charset=utf-8"
    assert "<comments>&lt;b&gt;&quot;quoted&quot;&lt;/b&gt; &amp; more</comments>" in body
    crm.calls = []
    assert (await rig.turn(after_s=60))["withdrawn"] == 1


@pytest.mark.parametrize(
    ("access", "header"),
    [
        (CrmAccess(kind="basic", username="app", password="pä:ss"), "Basic YXBwOnDDpDpzcw=="),
        (CrmAccess(kind="bearer", token="abc"), "Bearer abc"),
    ],
    ids=["basic", "bearer"],
)
async def test_access_by_header(floor: Floor, access: CrmAccess, header: str) -> None:
    crm = TwoFunctions()
    rig = await floor.with_crm(crm, "rest.toml", access)
    crm.faults = [answers(200, json.dumps({"calls": []}))]
    await rig.turn()
    ((_, headers, _),) = crm.asked("GET")
    assert headers["authorization"] == header

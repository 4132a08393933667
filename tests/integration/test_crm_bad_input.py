"""A CRM that fails in every way: a clear error on record, nothing lost, nothing concluded, and the rest goes on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dialer.crm.mapping import load_mapping
from dialer.crm.reading import read_row
from dialer.crm.updates import told
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Outbound
from dialer.storage.crm_updates import UpdateState
from tests.crm_rig import KEY, MAPPINGS, CrmRig, crm_rig, ended, oauth
from tests.crm_servers import Fault, TwoFunctions, answers, half, never, serving, soap_answer


@pytest.fixture
async def crm() -> AsyncIterator[TwoFunctions]:
    server = TwoFunctions()
    async with serving(server):
        yield server


@pytest.fixture
def places(sqlite_url: str, valkey_server: EmbeddedServer, valkey: AsyncRedis) -> tuple[Any, ...]:
    return sqlite_url, valkey_server.url, valkey


@pytest.fixture
async def rig(crm: TwoFunctions, places: tuple[Any, ...]) -> AsyncIterator[CrmRig]:
    async with crm_rig(crm, "rest.toml", KEY, *places) as made:
        yield made


def call(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"c-{number}", "phone": f"+346001{number:05d}", "status": "pending"} | values


PAGE = "<html><body>Please sign in, +34600111222</body></html>"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (never, "no answer within 0.5 s"),
        (answers(500, PAGE), "the CRM answered 500"),
        (answers(401), "does not know us"),
        (answers(302, location="http://169.254.169.254/"), "asked elsewhere"),
        (answers(200, PAGE), "HTML or XML came instead of JSON"),
        (half, "broke off in the middle"),
        (answers(200, '{"calls": [{"id": "1",'), "is not JSON"),
        (answers(200, '{"items": [], "next": null}'), "'calls' finds no list; the answer has the keys items"),
        (answers(200, '{"calls": [{"call_id": 1, "tel": "x"}]}'), "no row has contact.record = 'id'"),
        (answers(200, "[" * 100_000), "nested too deeply"),
        (answers(200, "x" * (17 * 1024 * 1024)), "longer than 16,384 KiB"),
        (answers(200, '{"calls": [], "next": "a"}'), "the same pages again and again"),
    ],
    ids=["slow", "500", "401", "redirect", "html", "half", "cut", "schema", "keys", "deep", "huge", "circle"],
)
async def test_a_failure_is_on_record_concludes_nothing_and_passes(
    crm: TwoFunctions, rig: CrmRig, fault: Fault, says: str
) -> None:
    crm.calls = [call(n) for n in range(3)]
    await rig.turn()
    crm.faults = [fault, fault]
    usual = rig.pull
    if fault is never:
        rig.pull = replace(usual, timeout_s=0.5)
    assert (await rig.turn(after_s=30))["failed"] == 1
    rig.pull = usual
    source = await rig.source()
    assert says in source.last_error.says
    assert "600" not in source.last_error.says.replace("600 s", "")
    assert (source.failures, source.next_at - rig.now) == (1, 5.0)
    crm.faults.clear()
    crm.calls.append(call(7))
    assert await rig.turn(after_s=1) == {"waiting": 1}
    done = await rig.turn(after_s=5)
    assert (done["accepted"], done["unchanged"]) == (1, 3)
    assert not await rig.removals()
    assert (await rig.source()).failures == 0


async def test_retry_after_is_kept_to_and_delays_grow(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.always = answers(429, "", retry_after="120")
    await rig.turn()
    assert (await rig.source()).next_at == rig.now + 120
    assert await rig.turn(after_s=119) == {"waiting": 1}
    crm.always = answers(503, "", retry_after="Fri, 15 Jan 2027 09:00:00 GMT")
    await rig.turn(after_s=1)
    assert (await rig.source()).next_at == 1_800_003_600.0
    crm.always = answers(500)
    delays = []
    for _ in range(4):
        rig.now = (await rig.source()).next_at
        await rig.turn()
        delays.append((await rig.source()).next_at - rig.now)
    assert delays == [60.0, 300.0, 900.0, 900.0]


async def test_updates_wait_out_an_outage_and_none_is_lost(crm: TwoFunctions, rig: CrmRig) -> None:
    crm.calls = [call(n) for n in range(20)]
    await rig.turn()
    await rig.tell(*(ended(f"c-{n}", f"n-1-{n}") for n in range(20)))
    crm.always = answers(500)
    done = await rig.turn()
    # After some failures in a row the CRM is left alone.
    assert done["failed"] == 1
    assert len(crm.asked("POST")) < 12
    crm.always = answers(429, "", retry_after="60")
    await rig.turn(after_s=20)
    crm.always = None
    assert await rig.turn(after_s=30) == {"waiting": 1}
    delivered = 0
    for _ in range(3):
        delivered += (await rig.turn(after_s=60)).get("update_delivered", 0)
    assert delivered == 20
    assert sorted(crm.heard.values()) == [1] * 20


async def test_pages_that_go_round_in_a_ring_end(crm: TwoFunctions, rig: CrmRig) -> None:
    async def ring(request: Any) -> Any:
        place = int(request.query.get("after") or 0)
        body = {"calls": [call(place % 3)], "next": str(place + 1)}  # ever new tokens, the same calls
        return await answers(200, json.dumps(body))(request)

    crm.always = ring
    done = await rig.turn()
    assert (done["failed"], len(crm.asked("GET"))) == (1, 6)
    assert "the same pages again and again" in (await rig.source()).last_error.says
    assert await rig.waiting() == 3
    crm.always, crm.calls = None, [call(0), call(1)]
    await rig.turn(after_s=5)
    assert await rig.waiting() == 3
    assert (await rig.source()).failures == 0


async def test_a_link_to_another_server_gets_no_key(crm: TwoFunctions, places: tuple[Any, ...], tmp_path: Path) -> None:
    text = (MAPPINGS / "rest.toml").read_text(encoding="utf-8")
    path = tmp_path / "links.toml"
    path.write_text(text.replace('kind = "token"', 'kind = "link"').replace("after={token}&", ""), encoding="utf-8")
    other = TwoFunctions()
    async with serving(other), crm_rig(crm, str(path), KEY, *places) as rig:
        for link in (
            f"{other.url}/pending-calls",
            "//169.254.169.254/x",
            "http://user@169.254.169.254/",
            "@169.254.169.254/",
            "/a\r\nHost: evil",
        ):
            crm.faults = [answers(200, json.dumps({"calls": [call(1)], "next": link}))] * 2
            await rig.turn(after_s=1_000)
            error = (await rig.source()).last_error.says
            assert "another server" in error or "characters that no URL has" in error or "answered 404" in error, link
        assert not other.seen


async def test_a_crm_at_an_internal_address_is_refused_unless_it_is_allowed(
    crm: TwoFunctions, places: tuple[Any, ...]
) -> None:
    crm.calls = [call(1)]
    async with crm_rig(crm, "rest.toml", KEY, *places) as rig:
        for host in ("127.0.0.1", "localhost"):
            rig.pull = replace(rig.pull, url=re.sub(r"//[^:]+:", f"//{host}:", crm.url))
            rig.settings = replace(rig.settings, outbound=Outbound())
            assert await rig.turn(after_s=60) == {"failed": 1}
            assert "internal address" in (await rig.source()).last_error.says
        assert not crm.seen
        rig.settings = replace(rig.settings, outbound=Outbound(internal=("127.0.0.1",)))
        assert (await rig.turn(after_s=60))["accepted"] == 1


async def test_a_wrong_secret_is_told_without_it(crm: TwoFunctions, places: tuple[Any, ...]) -> None:
    access = oauth(crm)
    crm.client_secret = "another"
    async with crm_rig(crm, "rest.toml", access, *places) as rig:
        assert await rig.turn() == {"failed": 1}
        error = (await rig.source()).last_error.says
        assert error == "the server of tokens answered 401 (invalid_client): check crm.pull.access"


async def test_no_campaign(crm: TwoFunctions, places: tuple[Any, ...]) -> None:
    async with crm_rig(crm, "rest.toml", KEY, *places, campaign="summer") as rig:
        assert await rig.turn() == {"failed": 1}
        assert "cadencia campaign create summer" in (await rig.source()).last_error.says


BOMB = (
    '<!DOCTYPE lolz [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    + "]>"
)


async def test_soap_that_is_made_to_do_harm(crm: TwoFunctions, places: tuple[Any, ...]) -> None:
    async with crm_rig(crm, "soap.toml", KEY, *places) as rig:

        def soap(body: str, before: str = "") -> Fault:
            async def fault(_: Any) -> Any:
                return soap_answer(body, before=before)

            return fault

        row = "<calls><call><id>1</id><phone>{}</phone></call></calls>"
        rows = f"<GetPendingCallsResponse>{row}</GetPendingCallsResponse>"
        external = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        for fault, says in (
            (soap(rows.format("&m;"), BOMB), "document type or entities"),
            (soap(rows.format("&f;"), external), "document type or entities"),
            (soap("<GetPendingCallsResponse>" + "<a>" * 60 + "</a>" * 60 + "</GetPendingCallsResponse>"), "nested"),
            (soap("<Other/>"), "schema has changed"),
            (answers(200, "<html><body>sign in</body></html>"), "no SOAP envelope"),
            (answers(200, "{}"), "is not XML"),
            (
                soap(
                    '<s:Fault xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><faultcode>s:Server</faultcode>'
                    "<faultstring>out of order</faultstring></s:Fault>"
                ),
                "SOAP fault: s:Server out of order",
            ),
        ):
            crm.faults = [fault]
            began = time.process_time()
            assert await rig.turn(after_s=1_000) == {"failed": 1}
            assert says in (await rig.source()).last_error.says
            assert time.process_time() - began < 5.0


async def test_a_fault_at_an_update_is_tried_again(crm: TwoFunctions, places: tuple[Any, ...]) -> None:
    async with crm_rig(crm, "soap.toml", KEY, *places) as rig:
        crm.calls = [{"id": "s-1", "phone": "+34600111222"}]
        await rig.turn()
        await rig.tell(ended("s-1"))

        async def no(_: Any) -> Any:
            return soap_answer('<UpdateCallResponse xmlns="urn:calls"><result>no</result></UpdateCallResponse>')

        crm.faults = [no]
        assert (await rig.turn())["update_put_off"] == 1
        (waiting,) = await rig.updates(UpdateState.WAITING)
        assert "does not say that it was done" in waiting.last_error.says
        assert (await rig.turn(after_s=6))["update_delivered"] == 1


async def test_a_fact_that_the_mapping_has_no_word_for_is_given_up_at_once(
    crm: TwoFunctions, places: tuple[Any, ...], tmp_path: Path
) -> None:
    text = (MAPPINGS / "rest.toml").read_text(encoding="utf-8")
    path = tmp_path / "words.toml"
    path.write_text(text.replace('"*" = "other"\n', ""), encoding="utf-8")
    async with crm_rig(crm, str(path), KEY, *places) as rig:
        crm.calls = [call(1)]
        await rig.turn()
        await rig.tell(ended("c-1", outcome="congestion"))
        assert (await rig.turn())["update_given_up"] == 1
        (failed,) = await rig.updates(UpdateState.FAILED)
        assert "tables.status of the mapping has no 'congestion'" in failed.last_error.says


def test_what_is_no_result_and_no_row_is_nobodys() -> None:
    assert told(b"no json") is None
    assert told(b'{"type": "call.ended", "campaign": "w"}') is None
    # Nobody was dialed: a CRM that counts attempts has none to count.
    ended = '{"type": "call.ended", "campaign": "w", "contact": "c1", "call": "n-1", "attempt": %d}'
    assert [told((ended % attempt).encode()) is None for attempt in (0, 1)] == [True, False]
    mapping = load_mapping(MAPPINGS / "rest.toml")
    rows: list[Any] = [None, 17, [], {"id": ".."}, {"id": True}, {"id": "x\n"}]
    for row in rows:
        assert isinstance(read_row(mapping, row), tuple), row

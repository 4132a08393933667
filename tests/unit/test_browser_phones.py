"""Passwords of browsers' phones: made for one agent, for minutes, at the server where they work, and taken back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.ami.actions import encode_action
from dialer.ami.messages import Message
from dialer.api.phone_ports import PhoneAccess
from dialer.console.answers import POLICY
from dialer.console.desk_phone import policy
from dialer.core.agent import AgentState
from dialer.core.floor import Floor, Server
from dialer.core.ids import AgentId, CampaignId, NodeName, ServerName
from dialer.core.roster import Agent
from dialer.errors import ConfigError, LocalProtocolError
from dialer.runtime.browser_phones import NodePhones, ice_servers
from dialer.settings import Asterisk, Desk, Settings, Webrtc, load
from dialer.switch import mapping
from dialer.switch.phone_keys import PhoneKeys, is_phone_key
from dialer.testing import ManualClock

ANA, LEO = AgentId("ana"), AgentId("leo")
URL = "wss://pbx.example:8089/ws"


class Keeper:
    """Writes down what it is told, unless it has a problem."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, str, str]] = []
        self.problem = ""

    async def set_phone_key(self, server: ServerName, phone: str, key: str, realm: str) -> str:
        await asyncio.sleep(0)
        if not self.problem:
            self.written.append((server, phone, key, realm))
        return self.problem

    @property
    def holds(self) -> dict[tuple[str, str], str]:
        """The password of each phone at each server."""
        return {(server, phone): key for server, phone, key, _ in self.written}


class Rig:
    """Three servers: two with phones for browsers, of which the second bears twice as much, and one without."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.keeper = Keeper()
        servers = (
            Asterisk(name="one", webrtc=Webrtc(url=URL, key_minutes=10.0)),
            Asterisk(name="two", webrtc=Webrtc(url=URL, phone="{agent}-b", key_minutes=10.0), weight=2.0),
            Asterisk(name="plain"),
        )
        bears = [Server(name=ServerName(server.name), weight=server.weight) for server in servers]
        self.floor = Floor(node=NodeName("n1"), servers=bears, trunks=[])
        for name in ("one", "two", "plain"):
            self.floor.servers[ServerName(name)].connected = True
        self.phones = NodePhones(servers, self.keeper, self.floor, self.clock.now, dict)

    def works(self, agent: str, server: str) -> None:
        campaigns = (CampaignId("winter"),)
        self.floor.roster.add(
            Agent(id=AgentId(agent), phone="x", server=ServerName(server), campaigns=campaigns, state=AgentState.IDLE)
        )

    async def access(self, agent: AgentId = ANA, *, anew: bool = False, campaigns: Sequence[str] = ()) -> PhoneAccess:
        wished = [CampaignId(name) for name in campaigns]
        found = await self.phones.access(agent, anew=anew, campaigns=wished)
        assert isinstance(found, PhoneAccess), found
        return found


async def test_a_page_is_given_what_asterisk_was_told() -> None:
    rig = Rig()
    access = await rig.access()
    assert (access.phone, access.realm, access.url) == ("ana-b", "cadencia", URL)
    assert access.expires_at == rig.clock.now() + 600.0
    assert rig.keeper.written == [("two", "ana-b", access.password, "cadencia")]
    assert len(access.password) >= 32
    assert (await rig.access(LEO)).password != access.password


async def test_two_tabs_have_one_password_until_half_of_its_time_is_over() -> None:
    rig = Rig()
    first = await rig.access()
    rig.clock.advance(299.0)
    assert await rig.access() == first
    rig.clock.advance(2.0)
    second = await rig.access()
    assert second.password != first.password
    assert rig.keeper.holds["two", "ana-b"] == second.password


async def test_another_one_can_be_asked_for_but_not_at_once() -> None:
    rig = Rig()
    first = await rig.access()
    rig.clock.advance(4.0)
    assert await rig.access(anew=True) == first
    rig.clock.advance(2.0)
    assert (await rig.access(anew=True)).password != first.password


async def test_pages_that_ask_at_once_get_the_same() -> None:
    rig = Rig()
    found = await asyncio.gather(*(rig.access() for _ in range(5)))
    assert len({access.password for access in found}) == 1
    assert len(rig.keeper.written) == 1


async def test_the_phone_is_where_the_agent_works_else_where_most_room_is() -> None:
    rig = Rig()
    rig.works("ana", "one")
    assert (await rig.access()).server == "one"
    assert (await rig.access(LEO)).server == "two"  # nobody there yet, and twice the weight
    for agent in ("p", "q", "r", "s"):
        rig.works(agent, "two")
    assert (await rig.access(AgentId("max"))).server == "one"
    rig.floor.servers[ServerName("one")].connected = False
    assert (await rig.access(AgentId("eva"))).server == "two"
    rig.works("zoe", "plain")  # with a telephone, at a server without browsers
    assert (await rig.access(AgentId("zoe"))).server == "two"


async def test_the_phone_is_where_those_are_who_work_for_the_same() -> None:
    rig = Rig()
    for agent, server in (("p", "one"), ("q", "plain"), ("r", "plain")):
        rig.works(agent, server)
    assert (await rig.access(LEO, campaigns=["winter", "spring"])).server == "one"
    assert (await rig.access(AgentId("max"), campaigns=["spring", "winter"])).server == "two"
    assert (await rig.access(AgentId("eva"), campaigns=["\x00", "x" * 9_999])).server == "two"


async def test_without_a_server_there_is_no_password() -> None:
    rig = Rig()
    for name in ("one", "two"):
        rig.floor.servers[ServerName(name)].connected = False
    assert "connected" in str(await rig.phones.access(ANA, anew=False, campaigns=()))
    assert rig.keeper.written == []


async def test_what_asterisk_did_not_write_down_is_given_to_nobody() -> None:
    rig = Rig()
    rig.keeper.problem = "the server did not confirm it"
    assert await rig.phones.access(ANA, anew=False, campaigns=()) == rig.keeper.problem
    rig.keeper.problem = ""
    assert (await rig.access()).password == rig.keeper.holds["two", "ana-b"]


@pytest.mark.parametrize("agent", ["", "a b", "../x", "a,b", "h", "ana\n", "x" * 65])
async def test_ids_that_cannot_be_endpoints_have_no_phone(agent: str) -> None:
    rig = Rig()
    assert not rig.phones.offered(AgentId(agent))
    assert rig.phones.phone(AgentId(agent), ServerName("one")) == ""
    assert isinstance(await rig.phones.access(AgentId(agent), anew=False, campaigns=()), str)
    assert rig.keeper.written == []


def test_which_phone_somebody_has() -> None:
    rig = Rig()
    assert rig.phones.offered(ANA)
    assert rig.phones.phone(ANA, ServerName("one")) == "web-ana"
    assert rig.phones.phone(ANA, ServerName("two")) == "ana-b"
    assert rig.phones.phone(ANA, ServerName("plain")) == rig.phones.phone(ANA, ServerName("none")) == ""
    without = NodePhones((Asterisk(name="plain"),), rig.keeper, rig.floor, rig.clock.now, dict)
    assert not without.offered(ANA)


async def test_all_passwords_are_taken_back_in_the_end() -> None:
    rig = Rig()
    given = [await rig.access(), await rig.access(LEO)]
    await rig.phones.close()
    assert not {access.password for access in given} & set(rig.keeper.holds.values())
    assert len(rig.keeper.holds) == 2


async def test_a_password_whose_time_is_over_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.runtime.browser_phones._LOOK_EVERY_S", 0.0)
    rig = Rig()
    first, rig_written = await rig.access(), 1
    running = asyncio.ensure_future(rig.phones.run())
    try:
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(rig.keeper.written) == rig_written
        rig.clock.advance(600.0)
        rig.keeper.problem = "the server is not connected"
        for _ in range(20):
            await asyncio.sleep(0)
        assert rig.keeper.holds["two", "ana-b"] == first.password
        rig.keeper.problem = ""
        for _ in range(20):
            await asyncio.sleep(0)
        assert rig.keeper.holds["two", "ana-b"] != first.password
        assert len(rig.keeper.written) == 2
    finally:
        running.cancel()


# ---- STUN and TURN


def test_stun_is_told_as_it_is_and_turn_with_a_name_that_expires() -> None:
    assert ice_servers(Webrtc(), "web-ana", 1_800_000_600.5) == ()
    settings = Webrtc(stun=("stun:stun.example:3478",), turn=("turns:turn.example:5349",), turn_secret="north")
    stun, turn = ice_servers(settings, "web-ana", 1_800_000_600.5)
    assert (stun.urls, stun.username, stun.credential) == (("stun:stun.example:3478",), "", "")
    assert turn.username == "1800000600:web-ana"
    expected = hmac.new(b"north", b"1800000600:web-ana", hashlib.sha1).digest()
    assert base64.b64decode(turn.credential) == expected


# ---- settings


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ('url = "ws://pbx.example/ws"', "wss://"),
        ('url = "https://pbx.example/ws"', "wss://"),
        ('url = "wss://pbx.example"', "wss://"),
        ('url = "wss://pbx.example/ws; script-src *"', "wss://"),
        ('url = "wss://pbx.example/ws?key=1"', "wss://"),
        ('url = "wss://user@pbx.example/ws"', "wss://"),
        ('url = "wss://pbx.example/ws\\n"', "wss://"),
        ('phone = "web"', "phone"),
        ('phone = "{agent}/x"', "phone"),
        ('realm = "a b"', "realm"),
        ('realm = ""', "realm"),
        ('stun = ["stun.example"]', "stun"),
        ('turn = ["turn:turn.example"]', "turn_secret"),
        ("relay_only = true", "relay_only needs webrtc.turn"),
        ("key_minutes = 0", "key_minutes"),
        ("password = 1", "password"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, line: str, about: str) -> None:
    path = tmp_path / "cadencia.toml"
    path.write_text(f'[[asterisk]]\nname = "pbx"\n[asterisk.webrtc]\n{line}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=about):
        load(path, {})


def test_the_page_may_reach_these_servers_and_no_others() -> None:
    webrtc = [Webrtc(url=url) for url in (URL, "wss://b.example/ws", "wss://b.example/other", "")]
    servers = tuple(Asterisk(name=f"a{number}", webrtc=one) for number, one in enumerate(webrtc))
    parts = policy(Settings(asterisk=servers, desk=Desk(frames=("https://crm.example",)))).split("; ")
    assert "connect-src 'self' wss://pbx.example:8089 wss://b.example" in parts
    assert "frame-src https://crm.example" in parts
    assert policy(Settings()) == policy(Settings(asterisk=(Asterisk(name="plain"),))) == POLICY


# ---- what Asterisk is told

TOKENS = st.text("ABCZabcz0189_-", min_size=20, max_size=64)


@given(phone=st.from_regex(r"[A-Za-z0-9_-]{1,70}", fullmatch=True), key=TOKENS)
async def test_a_password_goes_out_whole_and_is_confirmed_once(phone: str, key: str) -> None:
    keys = PhoneKeys("r1")
    asked, action, waiting = keys.ask(phone, key, "cadencia")
    sent = encode_action(action, asked).decode()
    assert "Channel: Local/s@cadencia-phone-key/n\r\n" in sent
    assert f"Variable: CADENCIA_PHONE_KEY={key}\r\n" in sent
    assert key not in repr(action)
    assert is_phone_key(asked)
    assert mapping.call_of(asked) is None
    keys.handle(Message((("Event", "UserEvent"), ("UserEvent", "CadenciaPhoneKey"), ("Asked", "another"))))
    keys.handle(Message((("Event", "OriginateResponse"), ("ActionID", asked), ("Response", "Failure"))))
    assert not waiting.done()
    confirmed = Message((("Event", "UserEvent"), ("UserEvent", "CadenciaPhoneKey"), ("Asked", asked)))
    keys.handle(confirmed)
    keys.handle(confirmed)
    assert await waiting == ""
    assert len(keys) == 0


@given(
    given_=st.tuples(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80)).filter(
        lambda texts: not all(text.isascii() and text.replace("-", "").replace("_", "").isalnum() for text in texts)
    )
)
async def test_what_the_dialplan_would_not_write_down_is_not_sent(given_: tuple[str, str, str]) -> None:
    keys = PhoneKeys("r1")
    try:
        _, action, _ = keys.ask(*given_)
    except LocalProtocolError:
        assert len(keys) == 0
    else:
        assert "." in given_[2]  # the realm alone may have one
        assert dict(action.variables)["CADENCIA_PHONE_REALM"] == given_[2]


async def test_a_refusal_ends_the_waiting() -> None:
    keys = PhoneKeys("r1")
    asked, _, waiting = keys.ask("web-ana", "k" * 24, "cadencia")
    keys.refused(asked, "Extension does not exist.")
    assert await waiting == "Extension does not exist."
    keys.forget(asked)
    assert len(keys) == 0

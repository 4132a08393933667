"""What the doctor finds about phones in browsers: real TLS, real certificates, a real TURN server."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from dialer.runtime.finding import Finding
from dialer.runtime.phone_checks import phone_findings
from dialer.settings import Asterisk, Webrtc
from tests.certificates import Authority, Certificate
from tests.e2e.sites import free_port
from tests.turn import turn_server


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one that this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


@asynccontextmanager
async def door(certificate: Certificate | None, *, speaks: str = "sip") -> AsyncIterator[int]:
    """A WebSocket at /ws, as Asterisk has it; its port."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(speaks,))
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
    app = web.Application()
    app.router.add_get("/ws", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def look(url: str, turn: tuple[str, ...] = (), turn_secret: str = "") -> list[Finding]:
    webrtc = Webrtc(url=url, turn=turn, turn_secret=turn_secret)
    return await phone_findings(Asterisk(name="pbx", webrtc=webrtc), time.time())


@pytest.mark.parametrize(
    ("names", "days", "ok", "code"),
    [
        (("localhost",), 90.0, True, "phone_door_well"),
        (("localhost",), 13.5, False, "phone_certificate_ends"),
        (("localhost",), 0.4, False, "phone_certificate_ends"),
        (("localhost",), -1.0, False, "phone_certificate_bad"),
        (("elsewhere.example",), 90.0, False, "phone_certificate_bad"),
    ],
    ids=["well", "two weeks", "today", "over", "another's"],
)
async def test_certificates(authority: Authority, names: tuple[str, ...], days: float, ok: bool, code: str) -> None:
    async with door(authority.vouch(*names, days=days)) as port:
        (found,) = await look(f"wss://localhost:{port}/ws")
    assert (found.part, found.ok, found.said.code) == ("webrtc pbx", ok, code)
    assert bool(found.mend) != ok
    if code == "phone_certificate_ends":
        assert found.said.arguments["days"] == int(days)


async def test_a_certificate_that_nobody_vouches_for(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "Stranger").vouch("localhost")
    async with door(stranger) as port:
        (found,) = await look(f"wss://localhost:{port}/ws")
    assert not found.ok
    assert "self-signed certificate in certificate chain" in found.says
    assert authority.file.name not in found.says


async def test_doors_that_are_none(authority: Authority) -> None:
    async with door(None, speaks="mqtt") as port:
        (other,) = await look(f"ws://localhost:{port}/ws")
        (nothing,) = await look(f"ws://localhost:{port}/elsewhere")
        (clear,) = await look(f"wss://localhost:{port}/ws")
    (shut,) = await look(f"wss://localhost:{free_port()}/ws")
    codes = [found.said.code for found in (other, nothing, clear, shut)]
    assert codes == ["phone_door_no_sip", "phone_door_no_socket", "phone_door_shut", "phone_door_shut"]
    assert all(not found.ok and found.mend for found in (other, nothing, clear, shut))


async def test_in_clear_on_this_machine_and_nothing_without_phones() -> None:
    async with door(None) as port:
        (found,) = await look(f"ws://localhost:{port}/ws")
    assert (found.ok, found.said.code) == (True, "phone_door_clear")
    assert await look("") == []


@pytest.mark.asterisk
async def test_relays(authority: Authority, tmp_path: Path) -> None:
    async with door(None) as port, turn_server(tmp_path / "turn", authority.vouch("localhost")) as turn:
        url = f"ws://localhost:{port}/ws"
        ways = (
            f"turn:localhost:{turn.port}?transport=udp",
            f"turn:localhost:{turn.port}?transport=tcp",
            f"turns:localhost:{turn.tls_port}?transport=tcp",
        )
        # its certificate is for a name
        misnamed = f"turns:127.0.0.1:{turn.tls_port}"
        away = f"turn:localhost:{free_port()}?transport=tcp"
        _, *found = await look(url, turn=(*ways, misnamed, away), turn_secret=turn.secret)
        assert [one.said.code for one in found] == [*["relay_well"] * 3, "phone_certificate_bad", "relay_away"]
        assert [one.ok for one in found] == [True, True, True, False, False]
        _, *found = await look(url, turn=ways, turn_secret="another")
        assert [one.said.code for one in found] == ["relay_refuses_password"] * 3
        assert all(not one.ok and "turn_secret" in one.mend for one in found)
        assert not [one for one in found if "another" in one.says or turn.secret in one.says]


async def test_a_relay_that_says_nothing_and_one_that_is_none(authority: Authority) -> None:
    async def web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(web_server, "127.0.0.1", 0)
    async with server, door(None) as port:
        elsewhere = server.sockets[0].getsockname()[1]
        turn = (f"turn:127.0.0.1:{elsewhere}?transport=tcp", f"turn:127.0.0.1:{free_port()}?transport=udp")
        _, *found = await look(f"ws://localhost:{port}/ws", turn=turn, turn_secret="hush")
    assert [one.said.code for one in found] == ["relay_away"] * 2
    assert "no message of STUN" in found[0].says

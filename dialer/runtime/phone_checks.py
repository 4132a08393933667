"""What `cadencia doctor` finds about phones in browsers: the door that they come through, and their relays."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

import aiohttp

from dialer.core.saying import Saying, say
from dialer.errors import RemoteProtocolError
from dialer.runtime.browser_phones import ice_servers
from dialer.runtime.finding import Finding
from dialer.runtime.turn_probe import HEADER_BYTES, TurnProbe, TurnVerdict, length_of
from dialer.settings import Asterisk

#: Whoever renews certificates by a clock does so with a third of their time left; with less than this it has failed.
LEAST_DAYS: Final = 14.0
_DAY_S: Final = 86_400.0
_REACH_S: Final = 3.0
#: Between two tries over UDP, where what is lost is sent by nobody again.
_AGAIN_S: Final = 0.5
#: So long the name holds that the servers are asked with.
_NAME_S: Final = 60.0
_MEND_DOOR: Final = say(
    "look at http.conf of that Asterisk, the name and port in webrtc.url, and the firewall (docs/webrtc.md)",
    code="mend_phone_door",
)
_MEND_CERTIFICATE: Final = say(
    "give http.conf the certificate for the name in webrtc.url, with those above it; where it is of an authority of "
    "your own, name that in SSL_CERT_FILE for this command, and in every browser",
    code="mend_phone_certificate",
)
_MEND_RELAY: Final = say(
    "look at the name and port in webrtc.turn, whether the TURN server runs, and the firewall", code="mend_relay_away"
)


async def phone_findings(server: Asterisk, now: float) -> list[Finding]:
    """How a browser would fare at one server; nothing where it has no phones for browsers.

    Args:
        server: of the settings.
        now: unix seconds.
    """
    settings = server.webrtc
    if not settings.url:
        return []
    found = await _door(f"webrtc {server.name}", settings.url, now)
    if settings.turn:
        given = ice_servers(settings, "doctor", now + _NAME_S)[-1]
        looks = (_relay(url, given.username, given.credential) for url in settings.turn)
        found += await asyncio.gather(*looks)
    return found


# ---- the door


async def _door(part: str, url: str, now: float) -> list[Finding]:
    """Whether SIP over WebSocket answers there, and how long its certificate still holds."""
    timeout, closing = aiohttp.ClientTimeout(total=_REACH_S), aiohttp.ClientWSTimeout(ws_close=0.5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(url, protocols=("sip",), timeout=closing, ssl=ssl.create_default_context()) as socket,
        ):
            secured = socket.get_extra_info("ssl_object")
            certificate = None if secured is None else secured.getpeercert()
            speaks = socket.protocol == "sip"
    except aiohttp.ClientConnectorCertificateError as error:
        return [_untrusted(part, url, error.certificate_error)]
    except aiohttp.WSServerHandshakeError as error:
        said = say(
            f"no WebSocket at {url}: status {error.status}", code="phone_door_no_socket", url=url, status=error.status
        )
        return [Finding(part=part, ok=False, said=said, fix=_MEND_DOOR)]
    except (aiohttp.ClientError, OSError) as error:
        problem = "no answer" if isinstance(error, TimeoutError) else str(error)
        said = say(f"{url} is not reached: {problem}", code="phone_door_shut", url=url, problem=problem)
        return [Finding(part=part, ok=False, said=said, fix=_MEND_DOOR)]
    if not speaks:
        said = say(f"what answers at {url} does not speak SIP", code="phone_door_no_sip", url=url)
        return [Finding(part=part, ok=False, said=said, fix=_MEND_DOOR)]
    if certificate is None:
        return [Finding(part=part, ok=True, said=say(f"{url} answers, in clear", code="phone_door_clear", url=url))]
    return [_lasting(part, url, ssl.cert_time_to_seconds(str(certificate["notAfter"])), now)]


def _untrusted(part: str, url: str, error: Exception) -> Finding:
    problem = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
    said = say(
        f"browsers will not take the certificate at {url}: {problem}",
        code="phone_certificate_bad",
        url=url,
        problem=problem,
    )
    return Finding(part=part, ok=False, said=said, fix=_MEND_CERTIFICATE)


def _lasting(part: str, url: str, ends_at: float, now: float) -> Finding:
    days = math.floor((ends_at - now) / _DAY_S)
    if ends_at - now >= LEAST_DAYS * _DAY_S:
        said = say(
            f"{url} answers, its certificate holds for {days} more days", code="phone_door_well", url=url, days=days
        )
        return Finding(part=part, ok=True, said=said)
    said = say(f"the certificate at {url} ends in {days} days", code="phone_certificate_ends", url=url, days=days)
    fix = say(
        "renew it, and reload Asterisk's HTTP server (module reload http): browsers' phones are shut out when it ends",
        code="mend_phone_certificate_ends",
    )
    return Finding(part=part, ok=False, said=said, fix=fix)


# ---- relays


async def _relay(url: str, username: str, password: str) -> Finding:
    """Whether a TURN server takes a password made from our secret."""
    part, where = "turn", _where(url)
    if where.secure and where.udp:
        said = say(f"{url} was not looked at: it speaks DTLS", code="relay_unseen", url=url)
        return Finding(part=part, ok=True, said=said)
    probe = TurnProbe(username, password, lambda: secrets.token_bytes(12))
    try:
        async with asyncio.timeout(_REACH_S):
            await (_over_udp(where, probe) if where.udp else _over_tcp(where, probe))
    except ssl.SSLCertVerificationError as error:
        said = say(
            f"browsers will not take the certificate at {url}: {error.verify_message}",
            code="phone_certificate_bad",
            url=url,
            problem=error.verify_message,
        )
        fix = say("give the TURN server a certificate for its name in webrtc.turn", code="mend_relay_certificate")
        return Finding(part=part, ok=False, said=said, fix=fix)
    except (OSError, EOFError, RemoteProtocolError) as error:
        problem = "no answer" if isinstance(error, TimeoutError) else str(error) or "it hung up"
        said = say(f"{url} is not reached: {problem}", code="relay_away", url=url, problem=problem)
        return Finding(part=part, ok=False, said=said, fix=_MEND_RELAY)
    said, fix = _judged(url, probe)
    return Finding(part=part, ok=not fix, said=said, fix=fix)


def _judged(url: str, probe: TurnProbe) -> tuple[Saying, Saying]:
    if probe.verdict is TurnVerdict.SERVES:
        return say(f"{url} gives relay addresses", code="relay_well", url=url), Saying()
    if probe.verdict is TurnVerdict.REFUSES_PASSWORD:
        return (
            say(f"{url} refuses the passwords that are made for it", code="relay_refuses_password", url=url),
            say(
                "give it the secret of webrtc.turn_secret (coturn: use-auth-secret, static-auth-secret), and set both "
                "clocks by NTP",
                code="mend_relay_refuses_password",
            ),
        )
    return (
        say(f"{url} gives no relay address: error {probe.code}", code="relay_refuses", url=url, status=probe.code),
        say("look at the TURN server's own log", code="mend_relay_refuses"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """A ``turn:`` address (RFC 7065)."""

    host: str
    port: int
    secure: bool
    udp: bool


def _where(url: str) -> _Where:
    # Such an address has no //, and is else like any.
    scheme, _, rest = url.partition(":")
    split = urlsplit(f"//{rest}")
    secure = scheme == "turns"
    transport = parse_qs(split.query).get("transport", ["tcp" if secure else "udp"])[0]
    return _Where(
        host=split.hostname or "",
        port=split.port or (5349 if secure else 3478),
        secure=secure,
        udp=transport == "udp",
    )


async def _over_tcp(where: _Where, probe: TurnProbe) -> None:
    context = ssl.create_default_context() if where.secure else None
    reader, writer = await asyncio.open_connection(where.host, where.port, ssl=context)

    async def next_message() -> bytes:
        header = await reader.readexactly(HEADER_BYTES)
        return header + await reader.readexactly(length_of(header))

    try:
        await _converse(probe, writer.write, next_message)
    finally:
        # Without waiting for the other side's goodbye.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _over_udp(where: _Where, probe: TurnProbe) -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes | Exception] = asyncio.Queue(16)
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(arrived), remote_addr=(where.host, where.port)
    )

    async def next_message() -> bytes:
        while True:
            try:
                came = await asyncio.wait_for(arrived.get(), _AGAIN_S)
            except TimeoutError:
                transport.sendto(probe.again())
                continue
            if isinstance(came, Exception):
                raise came
            return came

    try:
        await _converse(probe, transport.sendto, next_message)
    finally:
        transport.close()


async def _converse(probe: TurnProbe, send: Callable[[bytes], None], hear: Callable[[], Awaitable[bytes]]) -> None:
    send(probe.begin())
    while probe.verdict is None:
        more = probe.receive(await hear())
        if more:
            send(more)
    if goodbye := probe.end():
        send(goodbye)


class _Datagrams(asyncio.DatagramProtocol):
    """Puts what comes into a queue; what does not fit is lost, as anywhere on its way."""

    def __init__(self, arrived: asyncio.Queue[bytes | Exception]) -> None:
        self._arrived = arrived

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._keep(data)

    def error_received(self, exc: Exception) -> None:
        self._keep(exc)

    def _keep(self, came: bytes | Exception) -> None:
        if not self._arrived.full():
            self._arrived.put_nowait(came)

"""HTTPS of the API, on a real socket with a certificate of our own making."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.cli.client import Api
from dialer.errors import ConfigError, DialerError
from dialer.settings import Settings
from dialer.testing import FakeNode


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """A certificate that nobody vouches for but itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(paths[0]), str(paths[1])


@asynccontextmanager
async def serving(folder: Path, certificate_file: str, key_file: str) -> AsyncIterator[str]:
    node = FakeNode(folder)
    node.keys.issue("boss", Role.MANAGER)
    server = ApiServer(create_app(node.ports, Settings()), "127.0.0.1", 0, certificate_file, key_file)
    url = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.wait_started()
        try:
            yield url
        finally:
            server.stop()


async def test_a_command_trusts_the_nodes_own_certificate_and_no_other(tmp_path: Path) -> None:
    ours, key = certificate(tmp_path, "dialer.example")
    other, _ = certificate(tmp_path, "other.example")
    async with serving(tmp_path, ours, key) as url:
        assert url.startswith("https://127.0.0.1:")
        # as node.json leads a command there: by the certificate itself, whatever name it carries
        found = await asyncio.to_thread(Api(url, "boss", certificate_file=ours).get, "/campaigns")
        assert found["items"] == []
        for strange in (Api(url, "boss", certificate_file=other), Api(url, "boss")):
            with pytest.raises(DialerError, match=r"not to be trusted .* SSL_CERT_FILE"):
                await asyncio.to_thread(strange.get, "/campaigns")


async def test_nothing_is_said_without_encryption(tmp_path: Path) -> None:
    async with serving(tmp_path, *certificate(tmp_path, "localhost")) as url:
        plain = url.replace("https:", "http:")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{plain}/healthz")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=old)) as session,
            session.get(f"{url}/healthz") as answer,
        ):
            assert answer.status == 200


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (("one.pem", "two.key"), "not a certificate and its key"),
        (("one.pem", ""), "both tls_certificate_file and tls_key_file"),
        (("", "one.key"), "both tls_certificate_file and tls_key_file"),
        (("one.pem", "none.key"), "cannot be read: No such file"),
        (("junk.pem", "one.key"), "not a certificate and its key"),
    ],
    ids=["of another", "no key", "no certificate", "no file", "junk"],
)
def test_what_is_no_certificate_with_its_key_stops_the_start(tmp_path: Path, files: tuple[str, str], says: str) -> None:
    certificate(tmp_path, "one")
    certificate(tmp_path, "two")
    (tmp_path / "junk.pem").write_text("not PEM")
    given = [str(tmp_path / name) if name else "" for name in files]
    app = create_app(FakeNode(tmp_path).ports, Settings())
    with pytest.raises(ConfigError, match=says):
        ApiServer(app, "127.0.0.1", 0, *given)

"""The command's way to a running node: its HTTP API.

Where it is and the key come from `--api-url` and `--api-key`, from ``CADENCIA_API_URL`` and ``CADENCIA_API_KEY``, or
from the file ``node.json`` that a node on this machine writes into its data folder, readable for its own user only.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

import typer

from dialer.errors import ConfigError, DialerError

if TYPE_CHECKING:
    import aiohttp

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="CADENCIA_CONFIG", help="Settings file (TOML).", dir_okay=False)
]
ApiUrlOption = Annotated[str | None, typer.Option("--api-url", envvar="CADENCIA_API_URL", help="URL of a node's API.")]
ApiKeyOption = Annotated[
    str | None, typer.Option("--api-key", envvar="CADENCIA_API_KEY", help="Bearer key.", show_envvar=True)
]


def with_api(function: Callable[..., None]) -> Callable[..., None]:
    """A command that talks to a node: its first parameter becomes the options by which the node is found."""
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    found = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in (("config", ConfigOption), ("api_url", ApiUrlOption), ("api_key", ApiKeyOption))
    ]
    parameters = [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        api = Api.connect(*(given.pop(option.name) for option in found))
        function(api, **given)

    command.__signature__ = inspect.Signature(parameters + found)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {p.name: p.annotation for p in parameters + found}
    return command


class ApiError(DialerError):
    """The node answered with an error."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message or error)
        self.status = status
        self.error = error


class Api:
    """Blocking calls of the API; each opens a connection of its own, which is what a command needs."""

    def __init__(self, url: str, key: str, timeout_s: float = 60.0, certificate_file: str = "") -> None:
        """`certificate_file`: the one certificate that the node may have, whatever name it carries; empty: any that
        an authority of this machine's (or of ``SSL_CERT_FILE``) vouches for, in the name of the URL's host."""
        self.url = url.rstrip("/")
        self._key = key
        self._timeout_s = timeout_s
        self._certificate_file = certificate_file

    @classmethod
    def connect(cls, config: Path | None, api_url: str | None, api_key: str | None) -> Self:
        """Find a node.

        Raises:
            ConfigError: none is known; the text says how to name one.
        """
        if api_url and api_key:
            return cls(api_url, api_key)
        from dialer.settings import load  # noqa: PLC0415

        path = Path(load(config, secrets=False).data_dir) / "node.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            certificate = "" if api_url else found.get("certificate_file", "")
            return cls(api_url or found["api_url"], api_key or found["api_key"], certificate_file=certificate)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"no running node found ({path} is missing or unreadable): start `cadencia serve` with the same "
                "--config, or name one with --api-url and --api-key"
            ) from error

    def get(self, path: str, **query: object) -> Any:
        """GET below /api/v1."""
        return asyncio.run(self._request("GET", path, query=query))

    def get_text(self, path: str) -> str:
        """GET below /api/v1, as text."""
        return str(asyncio.run(self._request("GET", path, text=True)))

    def get_bytes(self, path: str) -> bytes:
        """GET below /api/v1, as it is."""
        return bytes(asyncio.run(self._request("GET", path, raw=True)))

    def post(self, path: str, body: object = None, **query: object) -> Any:
        """POST JSON below /api/v1."""
        return asyncio.run(self._request("POST", path, body=body, query=query))

    def patch(self, path: str, body: object) -> Any:
        """PATCH JSON below /api/v1."""
        return asyncio.run(self._request("PATCH", path, body=body))

    def upload(self, path: str, file: Path, content_type: str, **query: object) -> Any:
        """POST a file as it is, streamed."""
        return asyncio.run(self._request("POST", path, file=file, content_type=content_type, query=query))

    def connector(self) -> aiohttp.TCPConnector:
        """For a session with this node: it trusts the certificate that the node has, and no other."""
        import aiohttp  # noqa: PLC0415

        return aiohttp.TCPConnector(ssl=_trusting(self._certificate_file))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        file: Path | None = None,
        content_type: str = "application/json",
        query: Mapping[str, object] | None = None,
        text: bool = False,
        raw: bool = False,
    ) -> Any:
        import aiohttp  # noqa: PLC0415

        headers = {"Authorization": f"Bearer {self._key}"}
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}
        timeout = aiohttp.ClientTimeout(total=None if file else self._timeout_s, sock_connect=10)
        try:
            async with aiohttp.ClientSession(timeout=timeout, headers=headers, connector=self.connector()) as session:
                data: Any = None
                if file is not None:
                    headers_in = {"Content-Type": content_type}
                    with file.open("rb") as stream:
                        async with session.request(
                            method, f"{self.url}/api/v1{path}", data=stream, params=params, headers=headers_in
                        ) as response:
                            return await _answer(response, text=text)
                if body is not None:
                    data = json.dumps(body).encode()
                async with session.request(
                    method,
                    f"{self.url}/api/v1{path}",
                    data=data,
                    params=params,
                    headers={"Content-Type": content_type} if data is not None else {},
                ) as response:
                    if raw and response.status < 400:
                        return await response.read()
                    return await _answer(response, text=text)
        except TimeoutError as error:
            raise DialerError(f"the node at {self.url} did not answer within {self._timeout_s:.0f} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise DialerError(
                f"the certificate of {self.url} is not to be trusted ({error.certificate_error}): name the host as the "
                "certificate does, or its authority by SSL_CERT_FILE"
            ) from error
        except aiohttp.ClientConnectionError as error:
            raise DialerError(f"no answer from {self.url}: is `cadencia serve` running there?") from error
        except aiohttp.ClientError as error:
            raise DialerError(
                f"what answers at {self.url} is no Cadencia node: correct --api-url, such as http://127.0.0.1:8080"
            ) from error


def _trusting(certificate_file: str) -> ssl.SSLContext | bool:
    if not certificate_file:
        return True
    try:
        context = ssl.create_default_context(cafile=certificate_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the node's certificate {certificate_file} cannot be read: {error}") from error
    context.check_hostname = False
    # It is trusted for itself, not for who signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def _answer(response: Any, *, text: bool) -> Any:
    raw = await response.text()
    if response.status >= 400:
        try:
            problem = json.loads(raw)
            raise ApiError(response.status, str(problem.get("error", "")), str(problem.get("message", "")))
        except (ValueError, AttributeError):
            raise ApiError(response.status, "http", f"HTTP {response.status} from {response.url.path}") from None
    if text:
        return raw
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        raise DialerError(f"what answers at {response.url.origin()} is no Cadencia node: correct --api-url") from None

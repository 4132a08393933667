"""Bodies of requests: read within limits, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from dialer.api.errors import ApiError

#: One JSON document; lists of contacts come as NDJSON or CSV.
MAX_JSON_BYTES: Final = 1024 * 1024
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
#: Key in a handler's `opt`: the content types that it takes. Without it a body must be JSON.
ACCEPTS: Final = "accepts"
#: Key in a handler's `opt`: it reads the body itself, by `chunks`, which has a limit of its own.
STREAMED: Final = "streamed"
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


async def check_body(request: Request[Any, Any, Any]) -> None:
    """Before each handler: the content type must be one that it takes, and JSON must be JSON.

    Raises:
        ApiError: 415, or 400 with the place where it stops being JSON.
    """
    if request.method not in _WITH_BODY or request.route_handler.opt.get("no_body"):
        return
    accepted = request.route_handler.opt.get(ACCEPTS, (JSON,))
    given = content_type(request)
    if given not in accepted:
        raise ApiError(
            415,
            f"the body must be {' or '.join(accepted)}; the Content-Type header says {given or 'nothing'}",
            details={"accepted": list(accepted)},
        )
    if given == JSON and not request.route_handler.opt.get(STREAMED):
        check_json(await request.body())


def content_type(request: Request[Any, Any, Any]) -> str:
    """The media type of the body, in small letters and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_json(body: bytes) -> None:
    """Make sure that `body` is one JSON document in UTF-8, not nested beyond reason.

    Raises:
        ApiError: 400.
    """
    if not body.strip():
        raise ApiError(400, "the body is empty; a JSON object is needed", error="not_json")
    try:
        body.decode("utf-8")
        msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8 text (byte {error.start})", error="not_utf8") from error
    except RecursionError as error:
        raise ApiError(400, "the body is nested too deeply", error="not_json") from error
    except msgspec.DecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error}", error="not_json") from error


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was longer than allowed; its content was let go as it came."""

    size: int


async def chunks(request: Request[Any, Any, Any], max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises:
        ApiError: 413 when it is, or is announced to be, longer than `max_bytes`.
    """
    too_large = ApiError(413, f"the body may have at most {max_bytes} bytes; send it in parts")
    try:
        announced = int(request.headers.get("content-length", "0"))
    except ValueError:
        announced = 0
    if announced > max_bytes:
        raise too_large
    read = 0
    try:
        async for chunk in request.stream():
            read += len(chunk)
            if read > max_bytes:
                raise too_large
            yield chunk
    except HTTPException as error:
        if error.status_code == 413:
            raise too_large from error
        raise


async def lines(source: AsyncIterator[bytes], max_line_bytes: int) -> AsyncIterator[bytes | TooLong]:
    """Lines of a body, without their ends; never holds more than one line and one chunk."""
    held = bytearray()
    lost = 0
    async for chunk in source:
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            held += chunk[begin:end]
            begin = end + 1
            yield TooLong(lost + len(held)) if lost or len(held) > max_line_bytes else bytes(held)
            held.clear()
            lost = 0
        held += chunk[begin:]
        if len(held) > max_line_bytes:
            lost += len(held)
            held.clear()
    if lost or held:
        yield TooLong(lost + len(held)) if lost or len(held) > max_line_bytes else bytes(held)

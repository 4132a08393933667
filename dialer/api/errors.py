"""Errors as they go out: always ``{"error": slug, "message": for people, "details": {…}}``, whatever went wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct, field

from dialer.campaigns import in_words
from dialer.core.saying import plain
from dialer.errors import DialerError, InputError, RetryableError, ShardAway

_log = structlog.get_logger(__name__)

#: The word for a status, for machines.
SLUGS: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
    507: "storage_full",
}
_WHAT: Final[Mapping[int, str]] = {
    400: "The body is not what it says it is, such as JSON that is not JSON.",
    401: "No key, or one that is not valid.",
    403: "The key's role may not do this.",
    404: "There is no such thing.",
    409: "Not possible in the present state, or an idempotency key was used for something else.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    422: "A field is missing, unknown or out of range; `details.fields` names each.",
    429: "Too many requests with this key, or wrong keys from this address; wait for `Retry-After` seconds.",
    500: "An error of ours; `details.path` and the log tell where.",
    503: "A part that is needed is out of reach; the same request may be sent again.",
    507: "There is no room for the upload.",
}


class ErrorBody(Struct, kw_only=True):
    """What went wrong."""

    #: For machines; a word that does not change.
    error: str
    #: For people; says what to do.
    message: str
    details: dict[str, Any] = field(default_factory=dict)


class ApiError(DialerError):
    """A request that cannot be carried out."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error: str | None = None,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        code: str = "",
        **arguments: object,
    ) -> None:
        """`code` with `arguments`: the message for whoever has a catalogue; as JSON values they go into the details."""
        super().__init__(message)
        self.status = status
        self.error = error or SLUGS[status]
        self.code = code
        self.arguments = arguments
        self.details = (details or {}) | ({"code": code, "arguments": plain(arguments)} if code else {})
        self.headers = headers or {}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The errors of a route for its OpenAPI description."""
    return {
        status: ResponseSpec(ErrorBody, description=_WHAT[status], generate_examples=False)
        for status in sorted(statuses)
    }


#: What every route with a key can answer.
KEYED: Final = (400, 401, 403, 429, 500)
#: What every route with a JSON body can answer besides.
BODY: Final = (400, 409, 413, 415, 422, 503)


def on_api_error(request: Request[Any, Any, Any], error: ApiError) -> Response[ErrorBody]:
    """An error that the API raised itself."""
    return _response(error.status, error.error, str(error), error.details, error.headers)


def on_input_error(request: Request[Any, Any, Any], error: InputError) -> Response[ErrorBody]:
    """Something in the request cannot be used; the text begins with the field where there is one."""
    name, separator, problem = str(error).partition(": ")
    fields = [{"field": name, "message": problem}] if separator and re.fullmatch(r"[\w.\[\]]+", name) else []
    details: dict[str, Any] = {"fields": fields}
    if error.code:
        details |= {"code": error.code, "arguments": plain(error.arguments)}
    if error.allowed:
        details["allowed"] = list(error.allowed)
    return _response(422, error.word, str(error), details)


def on_retryable(request: Request[Any, Any, Any], error: RetryableError) -> Response[ErrorBody]:
    """A part is out of reach."""
    _log.warning("request failed", path=request.scope["path"], problem=type(error).__name__)
    message = f"{error}; send the request again" if error.retryable else str(error)
    details: dict[str, Any] = {"retryable": error.retryable}
    if isinstance(error, ShardAway):
        details["carried_out"] = error.carried_out
    return _response(503, "unavailable", message, details, {"retry-after": "1"})


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorBody]:
    """An error that the web framework found."""
    status = error.status_code
    extra = error.extra if isinstance(error.extra, list) else []
    if status == 400 and extra:
        # "data" is the framework's word for the body as a whole.
        fields = [
            {
                "field": "" if item.get("key") == "data" else item.get("key", ""),
                "message": in_words(str(item.get("message", ""))),
            }
            for item in extra
        ]
        message = "; ".join(
            f"{item['field']}: {item['message']}" if item["field"] else item["message"] for item in fields
        )
        return _response(422, "invalid", message, {"fields": fields})
    path, method = request.scope["path"], request.scope["method"]
    messages = {
        404: f"there is nothing at {path!r}; /api/openapi.json lists what there is",
        405: f"{method} is not possible at {path!r}; /api/openapi.json lists what is",
        413: "the body is too large",
    }
    if status not in SLUGS:
        status = 400 if 400 <= status < 500 else 500
    return _response(status, SLUGS[status], messages.get(status, error.detail or _WHAT[status]))


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    """A bug: the client learns nothing but that, the log has the rest."""
    path = request.scope["path"]
    _log.error("unexpected error in the API", path=path, exc_info=error)
    message = "an error of the dialer's own; its log has the details"
    return _response(500, "internal", message, {"path": path})


def _response(
    status: int,
    error: str,
    message: str,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[ErrorBody]:
    return Response(
        ErrorBody(error=error, message=message, details=details or {}),
        status_code=status,
        headers=headers or {},
        media_type="application/json",
    )


HANDLERS: Final[dict[int | type[Exception], Any]] = {
    ApiError: on_api_error,
    InputError: on_input_error,
    RetryableError: on_retryable,
    HTTPException: on_http_error,
    Exception: on_unexpected,
}

"""A collector of traces: takes OTLP over HTTP as the real ones do, and is as unwell as a test wants it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dialer.tracing.places import Place
from tests.patience import PATIENCE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A span as it came in."""

    name: str
    place: Place
    #: 0: it is a root.
    parent: int
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    links: tuple[Place, ...]
    resource: Mapping[str, Any]
    #: OTLP's number: 1 internal, 3 client.
    kind: int
    error: str
    failed: bool


class Collector:
    """What it was sent, and how it answers."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        #: Requests wait for it.
        self.answers = threading.Event()
        self.answers.set()
        #: Bodies as they came, without their compression.
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    @property
    def spans(self) -> list[Received]:
        """All spans so far, in the order of their coming."""
        return [span for body in list(self.bodies) for span in _read(body)]


@contextmanager
def collector() -> Iterator[Collector]:
    """One that runs."""
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.paths.append(self.path)
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            made.answers.wait(PATIENCE_S)
            if made.status == 200:
                made.bodies.append(body)
            try:
                self.send_response(made.status)
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                pass  # who asked has given up

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield made
    finally:
        made.answers.set()
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()


def _read(body: bytes) -> Iterator[Received]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {each.key: _value(each.value) for each in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Received(
                    name=span.name,
                    place=Place(int.from_bytes(span.trace_id), int.from_bytes(span.span_id)),
                    parent=int.from_bytes(span.parent_span_id),
                    started_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    attributes={each.key: _value(each.value) for each in span.attributes},
                    links=tuple(Place(int.from_bytes(a.trace_id), int.from_bytes(a.span_id)) for a in span.links),
                    resource=resource,
                    kind=span.kind,
                    error=span.status.message,
                    failed=span.status.code == 2,
                )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return getattr(value, kind)

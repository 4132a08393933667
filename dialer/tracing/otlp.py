"""Spans on their way to a collector: OpenTelemetry's own types and its OTLP exporter, loaded where they are needed.

They come with the extra ``tracing``; nothing else in the tree imports them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from dialer.errors import ConfigError
from dialer.settings import Tracing
from dialer.tracing.addresses import traces_url
from dialer.tracing.places import Place
from dialer.tracing.spans import Span

try:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
except ImportError as error:
    raise ConfigError(
        "tracing.endpoint is set, and the packages for it are missing: pip install 'cadencia[tracing]', or leave it out"
    ) from error


class OtlpSender:
    """Sends spans as OTLP over HTTP (`dialer.tracing.outlet.Sender`).

    Args:
        settings: of the collector.
        node: whose spans these are.
    """

    def __init__(self, settings: Tracing, node: str) -> None:
        # It logs every batch that is lost; the outlet says so once, and counts.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._resource: Final = Resource(
            {
                "service.name": settings.service,
                "service.version": version("cadencia"),
                "service.instance.id": node,
            }
        )
        self._scope: Final = InstrumentationScope("cadencia", version("cadencia"))
        self._exporter: Final = OTLPSpanExporter(
            endpoint=traces_url(settings.endpoint),
            headers=settings.headers,
            certificate_file=settings.ca_file or None,
            timeout=settings.timeout_s,
            compression=Compression.Gzip,
        )

    def send(self, spans: Sequence[Span]) -> bool:
        """Send spans; whether the collector took them."""
        made = [self._made(span) for span in spans]
        return self._exporter.export(made) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Send no more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # of OpenTelemetry

    def _made(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.place),
            parent=None if span.parent is None else _context(span.parent),
            resource=self._resource,
            attributes=span.attributes,
            links=[Link(_context(place, is_remote=True)) for place in span.links],
            kind=SpanKind.CLIENT if span.request else SpanKind.INTERNAL,
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=_ns(span.started_at),
            end_time=_ns(span.ended_at),
        )


def _context(place: Place, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(place.trace, place.span, is_remote, TraceFlags(TraceFlags.SAMPLED))


def _ns(at: float) -> int:
    # A float of today's seconds has no more than microseconds to give.
    return round(at * 1e6) * 1_000

"""Spans by OpenTelemetry's SDK; imported only where traces are asked for.

An event's span has an id that follows from the event's key, so that a claim, in another process and minutes later, is
linked to it without anything being stored for that.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

from connector import __version__

_EventKey = tuple[int, str]
_TIMEOUT_S = 3  # an end within ten seconds is not kept waiting by a collector that hangs
_KINDS = {"webhook": SpanKind.SERVER, "claim": SpanKind.CONSUMER, "hubspot.call": SpanKind.CLIENT}
_given: ContextVar[tuple[int, int] | None] = ContextVar("given", default=None)


class _Ids(RandomIdGenerator):
    """Ids by chance, but for spans whose ids follow from something."""

    def generate_trace_id(self) -> int:
        """Give the id of a new trace."""
        given = _given.get()
        return given[0] if given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """Give the id of a new span."""
        given = _given.get()
        return given[1] if given else super().generate_span_id()


class _Told:
    """A span of OpenTelemetry's, as the rest of the product knows it."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, **attributes: str | int | None) -> None:
        """Say more of it."""
        self._span.set_attributes(_named({name: v for name, v in attributes.items() if v is not None}))


class OpenTelemetryTracer:
    """Takes spans and hands them to an exporter in batches, beside the work."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self.provider = TracerProvider(resource=resource, id_generator=_Ids())
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("stagekeeper", __version__)

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int], events: Iterable[_EventKey]) -> Iterator[_Told]:
        """Trace a block; of an error only its type is told, for its text may name somebody."""
        links = [Link(_context_of(event)) for event in events]
        kind = _KINDS.get(name, SpanKind.INTERNAL)
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=_named(attributes), links=links, record_exception=False,
            set_status_on_exception=False,
        ) as span:  # fmt: skip
            try:
                yield _Told(span)
            except BaseException as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise

    def point(self, events: Iterable[_EventKey]) -> None:
        """Leave a span for each event, linked to what is being traced."""
        links = [Link(trace.get_current_span().get_span_context())]
        for portal, key in events:
            held = _given.set(ids_of((portal, key)))
            try:
                attributes = _named({"portal": portal, "key": key})
                self._tracer.start_span("event", context=Context(), links=links, attributes=attributes).end()
            finally:
                _given.reset(held)

    def past(self, name: str, seconds: float, attributes: Mapping[str, str | int]) -> None:
        """Trace what has just ended."""
        ended = time.time_ns()
        kind = _KINDS.get(name, SpanKind.INTERNAL)
        began = ended - round(max(seconds, 0) * 1e9)
        self._tracer.start_span(name, kind=kind, start_time=began, attributes=_named(attributes)).end(ended)


def open_tracer(part: str, environ: Mapping[str, str]) -> OpenTelemetryTracer:
    """Open the way to where the environment says; raises ValueError when it asks for what there is not."""
    own = {"service.version": __version__, "stagekeeper.part": part}
    if not environ.get("OTEL_SERVICE_NAME") and "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        own["service.name"] = "stagekeeper"
    return OpenTelemetryTracer(_exporter(environ), Resource.create(own))


def _exporter(environ: Mapping[str, str]) -> SpanExporter:
    wanted = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if wanted == "console":
        return ConsoleSpanExporter()
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if wanted != "otlp" or (protocol or "http/protobuf") != "http/protobuf":
        raise ValueError(f"traces by {wanted!r} over {protocol or 'the default'!r}; expected otlp over http/protobuf")
    limits = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    return OTLPSpanExporter(timeout=None if any(map(environ.get, limits)) else _TIMEOUT_S)


def ids_of(event: _EventKey) -> tuple[int, int]:
    """Give the ids of the trace and of the span of an event; neither is ever zero."""
    digest = hashlib.blake2b(f"{event[0]}:{event[1]}".encode(), digest_size=24).digest()
    return int.from_bytes(digest[:16], "big") | 1, int.from_bytes(digest[16:], "big") | 1


def _context_of(event: _EventKey) -> SpanContext:
    trace_id, span_id = ids_of(event)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _named(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"stagekeeper.{name}": value for name, value in attributes.items()}

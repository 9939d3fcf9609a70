"""Traces, as an extra: a webhook, its events, the claim that looks at them, its calls to HubSpot and its writes.

They are switched on by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT` above all) and cost nothing where
none is set: no library is imported. Where they are asked for and the library is absent, the log says so once, and the
work goes on. No span holds personal data. https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import structlog

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_log = structlog.get_logger()

EventKey = tuple[int, str]
"""The portal and the key of an event: what a claim's span is linked to."""


class Span(Protocol):
    """A stretch of work that is being traced."""

    def tell(self, **attributes: str | int | None) -> None:
        """Say more of it."""


class Tracer(Protocol):
    """Takes spans; there is one in a process that traces."""

    def span(
        self, name: str, attributes: Mapping[str, str | int], events: Iterable[EventKey]
    ) -> contextlib.AbstractContextManager[Span]:
        """Trace what happens in a block, linked to the events that led to it."""

    def point(self, events: Iterable[EventKey]) -> None:
        """Leave a span for each event, which is found again by the event's key alone."""

    def past(self, name: str, seconds: float, attributes: Mapping[str, str | int]) -> None:
        """Trace what has just ended."""


class _Nothing(contextlib.AbstractContextManager["_Nothing"]):
    """Stands for a span where nothing is traced."""

    def tell(self, **attributes: str | int | None) -> None:
        """Say nothing."""

    def __exit__(self, *_error: object) -> None:
        """Let every error pass."""


_NOTHING = _Nothing()
_tracer: Tracer | None = None


def start_tracing(part: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Trace from here on in this process if the environment asks for it; tell whether it is done."""
    if not is_asked_for(environ):
        return False
    try:
        from connector.spans import open_tracer  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        cure = 'pip install "stagekeeper[trace]", or unset OTEL_EXPORTER_OTLP_ENDPOINT'
        _log.warning("tracing.unavailable", part=part, found=f"not installed: {error.name}", cure=cure)
        return False
    try:
        trace_by(open_tracer(part, environ))
    except ValueError as error:
        cure = "set OTEL_TRACES_EXPORTER to otlp, console or none, and OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf"
        _log.warning("tracing.unavailable", part=part, found=str(error), cure=cure)
        return False
    _log.info("tracing.started", part=part)
    return True


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Ask whether the environment names somewhere to send traces to."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return bool(environ.get("OTEL_TRACES_EXPORTER") or any(environ.get(name) for name in _ENDPOINTS))


def trace_by(tracer: Tracer | None) -> None:
    """Send this process's spans there; None: nowhere."""
    global _tracer  # noqa: PLW0603 - one for the process, as the log is
    _tracer = tracer


def span(
    name: str, *, events: Callable[[], Iterable[EventKey]] = tuple, **attributes: str | int
) -> contextlib.AbstractContextManager[Span]:
    """Trace what happens in a block; the events are asked for only where that is done."""
    return _NOTHING if _tracer is None else _tracer.span(name, attributes, events())


def point_to(events: Callable[[], Iterable[EventKey]]) -> None:
    """Leave a span for each event of what is being traced."""
    if _tracer is not None:
        _tracer.point(events())


def tell_past(name: str, seconds: float, **attributes: str | int) -> None:
    """Trace what has just ended and took so long."""
    if _tracer is not None:
        _tracer.past(name, seconds, attributes)

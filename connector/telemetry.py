"""What the product tells about itself: metrics with the fixed names, and logs as events without personal data.

Metrics are right when receivers and workers are separate processes: whoever starts them makes an empty folder and names
it in `PROMETHEUS_MULTIPROC_DIR` before any of them imports this module. What lies in the database is counted at the
scrape, so it is right in every process, and the same from each: over several machines counters are summed up, and of
such gauges one is taken. Labels are few: no ids of contacts, no addresses, no URLs.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from connector.errors import DatabaseUnavailable

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG_SECONDS = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3_600, 21_600)


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxState:
    """What is counted in the database at the scrape."""

    pending: int
    oldest_seconds: float
    dead_letters: int
    troubles: Mapping[int, str] = field(default_factory=dict)
    """The codes of the portals that are in trouble."""
    calls_left: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By portal and window, and below how many there are in all."""
    calls_allowed: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    reconciled_at: Mapping[int, int] = field(default_factory=dict)
    """When the last whole reconciliation of a portal began."""
    reconcile_every_ms: int | None = None
    """None: never."""


class Sorted(Protocol):
    """What became of events that were stored."""

    @property
    def duplicates(self) -> int:
        """How many had been stored before."""

    @property
    def malformed(self) -> int:
        """How many are kept although nobody understands them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """The metrics that processes count themselves, under the names that the README lists."""

    registry: CollectorRegistry
    events_received: Counter
    events_rejected: Counter
    events_duplicate: Counter
    decisions: Counter
    decision_seconds: Histogram
    writes: Counter
    hubspot_calls: Counter
    hubspot_wait_seconds: Counter
    stage_moves: Counter
    fights: Counter
    event_to_write_seconds: Histogram
    shadow_disagreements: Counter
    shadow_failures: Counter
    erasures: Counter
    reconciliations: Counter
    reconciled_contacts: Counter
    rules_reloads: Counter
    worker_seen: Gauge
    workers_died: Counter

    def count_placed(self, placed: "Sorted") -> None:
        """Count what was found among stored events when they were placed."""
        self.events_duplicate.inc(placed.duplicates)
        if placed.malformed:
            self.events_rejected.labels("malformed").inc(placed.malformed)

    def calls_made(self) -> int:
        """Count the calls to HubSpot that this process has made."""
        samples = (sample for metric in self.hubspot_calls.collect() for sample in metric.samples)
        return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))


def build_metrics() -> Metrics:
    """Make the metrics of this process, all of them at zero; once per process."""
    registry = CollectorRegistry()

    def counter(name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="stagekeeper", registry=registry)

    def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, namespace="stagekeeper", registry=registry, buckets=buckets)

    def latest(name: str, text: str) -> Gauge:
        # Of several processes the latest moment counts, also of those that have ended.
        return Gauge(name, text, namespace="stagekeeper", registry=registry, multiprocess_mode="max")

    return Metrics(
        registry=registry,
        events_received=counter("events_received", "Events in requests that HubSpot signed", "portal", "type"),
        events_rejected=counter("events_rejected", "Requests and events that were refused or left", "reason"),
        events_duplicate=counter("events_duplicate", "Events that were stored before, found when placed"),
        decisions=counter("decisions", "Decisions about a contact", "portal", "stage", "status"),
        decision_seconds=histogram("decision_seconds", "Time to judge one contact, without HubSpot's", _SECONDS),
        writes=counter("writes", "Changes written to HubSpot", "portal", "kind", "outcome"),
        hubspot_calls=counter("hubspot_calls", "Calls to HubSpot", "portal", "endpoint", "outcome"),
        hubspot_wait_seconds=counter("hubspot_wait_seconds", "Time waited for the call budget", "portal"),
        stage_moves=counter("stage_moves", "Contacts that changed their stage", "portal", "from", "to"),
        fights=counter("fights", "Automations found to set a value back each time", "portal", "property"),
        event_to_write_seconds=histogram(
            "event_to_write_seconds", "From the event's arrival to the write in HubSpot", _LONG_SECONDS
        ),
        shadow_disagreements=counter(
            "shadow_disagreements", "Decisions where shadow mode would have written, or a candidate decides otherwise"
        ),
        shadow_failures=counter("shadow_failures", "Decisions beside which a candidate could say nothing", "portal"),
        reconciliations=counter("reconciliations", "Searches for what webhooks have missed", "portal", "outcome"),
        reconciled_contacts=counter("reconciled_contacts", "Contacts that these found", "portal", "found"),
        rules_reloads=counter("rules_reloads", "Reloads of the rules, by each process that was asked to", "outcome"),
        erasures=counter("erasures", "People erased from Stagekeeper's own tables", "portal", "reason"),
        worker_seen=latest("worker_seen_timestamp_seconds", "When a worker last looked into the inbox"),
        workers_died=counter("workers_died", "Workers that fell silent without a goodbye, on PostgreSQL"),
    )


def start_at_zero(metrics: Metrics, written: Mapping[int, Collection[str]]) -> None:
    """Show what has not happened yet as 0, for portals with the properties that are written there.

    Of a counter that begins at 1 Prometheus sees no increase.
    """
    metrics.rules_reloads.labels("refused")
    for portal, properties in written.items():
        name = str(portal)
        metrics.hubspot_wait_seconds.labels(name)
        metrics.shadow_failures.labels(name)
        for kind in ("properties", "task", "deal", "unsubscribe", "erase"):
            metrics.writes.labels(name, kind, "failed")
        for found in ("changed", "unknown"):
            metrics.reconciled_contacts.labels(name, found)
        for property_ in properties:
            metrics.fights.labels(name, property_)


def start_refusals_at_zero(metrics: Metrics) -> None:
    """Show the reasons for which webhooks are refused as 0, likewise."""
    metrics.rules_reloads.labels("refused")
    for reason in ("unavailable", "signature_missing", "signature_wrong", "timestamp_off", "portal_mismatch"):
        metrics.events_rejected.labels(reason)


def render_metrics(
    metrics: Metrics, read_inbox: Callable[[], InboxState] | None = None, *, running: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Write the Prometheus text of all processes, with what the database holds now and what runs (version, rules)."""
    standing = CollectorRegistry()
    if read_inbox is not None:
        standing.register(_InboxCollector(read_inbox))
    standing.register(_RunningCollector(frozenset(running)))
    held = generate_latest(standing)  # first, because looking into the inbox may sort and count what came in
    registry = metrics.registry
    if MULTIPROCESS_FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it is typed in no release
    return generate_latest(registry) + held


class _InboxCollector(Collector):
    def __init__(self, read_inbox: Callable[[], InboxState]) -> None:
        self._read_inbox = read_inbox

    def describe(self) -> Iterable[Metric]:
        """Name nothing, so that being registered does not read the database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Count at the scrape; without a database the other metrics are still given."""
        try:
            state = self._read_inbox()
        except DatabaseUnavailable:
            return
        yield _gauge("inbox_pending", "Contacts that wait to be judged", state.pending)
        yield _gauge("inbox_oldest_seconds", "How long the oldest of them has waited", state.oldest_seconds)
        yield _gauge("dead_letters", "Contacts that were given up until somebody retries them", state.dead_letters)
        troubles = {(str(portal), code): 1.0 for portal, code in state.troubles.items()}
        yield _labelled("portal_trouble", "1 for each portal that waits, or has work waiting", "portal code", troubles)
        yield _labelled("hubspot_calls_left", "Calls left in the window", "portal window", _windows(state.calls_left))
        allowed = _windows(state.calls_allowed)
        yield _labelled("hubspot_calls_allowed", "Calls in the window, less the reserve", "portal window", allowed)
        reconciled = {(str(portal),): moment / 1_000 for portal, moment in state.reconciled_at.items()}
        text = "When the last whole search for missed webhooks began"
        yield _labelled("reconciled_timestamp_seconds", text, "portal", reconciled)
        every = (state.reconcile_every_ms or 0) / 1_000
        yield _gauge("reconcile_every_seconds", "How often these are begun; 0: never", every)


class _RunningCollector(Collector):
    """Tells what runs at the scrape, so that nothing of what ran before a change of the rules stays."""

    def __init__(self, running: Collection[tuple[str, str]]) -> None:
        self._running = running

    def collect(self) -> Iterable[Metric]:
        """Give 1 for each."""
        ones = dict.fromkeys(self._running, 1.0)
        return (_labelled("build_info", "Always 1; the labels say what runs", "version rules", ones),) if ones else ()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"stagekeeper_{name}", text, value=value)


def _labelled(name: str, text: str, labels: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"stagekeeper_{name}", text, labels=labels.split())
    for one, value in sorted(values.items()):
        family.add_metric(one, value)
    return family


def _windows(calls: Mapping[int, Mapping[str, int]]) -> Mapping[tuple[str, str], float]:
    return {(str(portal), window): number for portal, of in calls.items() for window, number in of.items()}


# Logs

LogFormat = Literal["json", "console"]
_SECRET_NAMES = re.compile(r"(?:token|secret|password|passwd|authorization|signature|api_?key|cookie)", re.IGNORECASE)
_SECRET_VALUES = re.compile(r"\bpat-[a-z0-9]{2,4}-[0-9a-f-]{8,}|(?<=[Bb]earer )\S+|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_ADDRESS = re.compile(r"[\w.+'-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+")
_PHONE = re.compile(r"\+[1-9][\d ()./-]{6,18}\d")
_DEEPEST = 6


def configure_logging(log_format: LogFormat, level: str) -> None:
    """Send every log line of this process to stderr, in one form, with secrets, addresses and phone numbers masked."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, mask, _renderer(log_format)]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    foreign = logging.StreamHandler(sys.stderr)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, _as_text],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [foreign]
    # Libraries tell their own story at info; ours is told by our own events.
    root.setLevel(max(number, logging.WARNING))


def _as_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the sentence of a library into a field; `event` is a fixed name on every line."""
    return {**event, "event": "library.spoke", "text": event["event"]}


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what must not leave the record: secrets by name and form, addresses and phone numbers."""
    return {name: "***" if _SECRET_NAMES.search(name) else _masked(value, 0) for name, value in event.items()}


def _masked(value: object, depth: int) -> object:
    if isinstance(value, str):
        if value.isdigit():  # an id, of which a line may name hundreds
            return value
        return _PHONE.sub("+***", _ADDRESS.sub("***@***", _SECRET_VALUES.sub("***", value)))
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            name: "***" if _SECRET_NAMES.search(str(name)) else _masked(inner, depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(inner, depth + 1) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else _masked(str(value), depth)


def _renderer(log_format: LogFormat) -> structlog.typing.Processor:
    if log_format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    return structlog.processors.JSONRenderer(serializer=_write_line)


def _write_line(value: object, **_options: object) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a number beyond 64 bits, or text that is no Unicode: slower, but no line is lost
        return json.dumps(value, default=str)

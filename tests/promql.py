"""The metrics that Stagekeeper tells, with their labels, and what a PromQL expression asks of them."""

import re
from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from connector.telemetry import InboxState, build_metrics, render_metrics

FOREIGN: Mapping[str, frozenset[str]] = {
    "up": frozenset({"job", "instance"}), "ALERTS": frozenset({"alertname", "alertstate", "portal"}),
}  # fmt: skip
"""What is Prometheus's own."""
_SCRAPED = frozenset({"job", "instance"})
_METRIC = re.compile(r"\b(stagekeeper_\w+|up|ALERTS)\b(?:\s*\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*[\"']")
_GROUP = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_STATE = InboxState(
    pending=1, oldest_seconds=1, dead_letters=1, troubles={1: "x"}, calls_left={1: {"day": 1}},
    calls_allowed={1: {"day": 1}}, reconciled_at={1: 1}, reconcile_every_ms=1,
)  # fmt: skip


def catalogue() -> dict[str, frozenset[str]]:
    """Give the labels of every metric that is told, by the name that Prometheus knows."""
    metrics = build_metrics()
    for name in metrics.__slots__:
        metric = getattr(metrics, name)
        if getattr(metric, "_labelnames", ()):
            metric.labels(*("x" for _ in metric._labelnames))
    text = render_metrics(metrics, lambda: _STATE, running=[("1", "x")]).decode()
    told: dict[str, frozenset[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            told[sample.name] = told.get(sample.name, frozenset()) | sample.labels.keys()
    return {name: labels for name, labels in told.items() if not name.endswith("_created")}


def asked(expression: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Give the metrics that an expression names, with the labels that it selects by."""
    for name, selector in _METRIC.findall(expression):
        yield name, frozenset(_LABEL.findall(selector))


def grouped(expression: str) -> frozenset[str]:
    """Give the labels that an expression groups by."""
    return frozenset(label.strip() for group in _GROUP.findall(expression) for label in group.split(",")) - {""}


def faults(expression: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    """List what an expression asks for that nobody tells."""
    found, labels = [], frozenset[str]()
    for name, selected in asked(expression):
        if name not in known:
            found.append(f"no metric {name}")
            continue
        labels |= known[name] | _SCRAPED
        found += [f"{name} has no label {label}" for label in sorted(selected - known[name] - _SCRAPED)]
    return [*found, *(f"nothing has the label {label}" for label in sorted(grouped(expression) - labels))]

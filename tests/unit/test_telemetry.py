"""Metrics have the fixed names, add up over processes, and logs tell neither secrets nor people."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from connector.errors import DatabaseUnavailable
from connector.telemetry import InboxState, build_metrics, configure_logging, mask, render_metrics

STATE = InboxState(
    pending=3, oldest_seconds=1.5, dead_letters=2, troubles={1: "unauthorised"}, calls_left={1: {"day": 7}},
    calls_allowed={1: {"day": 9}}, reconciled_at={1: 1_790_000_000_000}, reconcile_every_ms=900_000,
)  # fmt: skip


def test_the_names_and_labels_are_those_of_the_contract() -> None:
    metrics = build_metrics()
    metrics.events_received.labels("1", "contact.creation").inc()
    metrics.events_rejected.labels("signature_wrong").inc()
    metrics.events_duplicate.inc()
    metrics.decisions.labels("1", "lead", "none").inc()
    metrics.decision_seconds.observe(0.1)
    metrics.writes.labels("1", "task", "done").inc()
    metrics.hubspot_calls.labels("1", "contacts.read", "done").inc()
    metrics.hubspot_wait_seconds.labels("1").inc(0.5)
    metrics.stage_moves.labels("1", "contact", "lead").inc()
    metrics.event_to_write_seconds.observe(2)
    metrics.shadow_disagreements.inc()
    metrics.worker_seen.set(1_790_000_000.5)
    running = [("0.1.0", "default@abc")]
    lines = render_metrics(metrics, lambda: STATE, running=running).decode().splitlines()
    shown = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}
    expected = {
        'stagekeeper_events_received_total{portal="1",type="contact.creation"}': 1,
        'stagekeeper_events_rejected_total{reason="signature_wrong"}': 1,
        "stagekeeper_events_duplicate_total": 1,
        "stagekeeper_inbox_pending": 3,
        "stagekeeper_inbox_oldest_seconds": 1.5,
        "stagekeeper_dead_letters": 2,
        'stagekeeper_decisions_total{portal="1",stage="lead",status="none"}': 1,
        "stagekeeper_decision_seconds_count": 1,
        'stagekeeper_writes_total{kind="task",outcome="done",portal="1"}': 1,
        'stagekeeper_hubspot_calls_total{endpoint="contacts.read",outcome="done",portal="1"}': 1,
        'stagekeeper_hubspot_wait_seconds_total{portal="1"}': 0.5,
        'stagekeeper_hubspot_calls_left{portal="1",window="day"}': 7,
        'stagekeeper_stage_moves_total{from="contact",portal="1",to="lead"}': 1,
        "stagekeeper_event_to_write_seconds_count": 1,
        "stagekeeper_shadow_disagreements_total": 1,
        'stagekeeper_build_info{rules="default@abc",version="0.1.0"}': 1,
        'stagekeeper_portal_trouble{code="unauthorised",portal="1"}': 1,
        'stagekeeper_hubspot_calls_allowed{portal="1",window="day"}': 9,
        'stagekeeper_reconciled_timestamp_seconds{portal="1"}': 1_790_000_000,
        "stagekeeper_reconcile_every_seconds": 900,
        "stagekeeper_worker_seen_timestamp_seconds": 1_790_000_000.5,
    }
    assert {name: shown.get(name) for name in expected} == expected


def test_without_a_database_the_other_metrics_are_still_told() -> None:
    def gone() -> InboxState:
        raise DatabaseUnavailable

    text = render_metrics(build_metrics(), gone).decode()
    assert "stagekeeper_shadow_disagreements_total 0.0" in text
    assert "stagekeeper_inbox_pending" not in text


def test_what_several_processes_count_is_added_up(tmp_path: Path) -> None:
    count = (
        "from connector.telemetry import *; m = build_metrics(); m.events_received.labels('1', 'x').inc(2);"
        "m.worker_seen.set(int(__import__('sys').argv[1]))"
    )
    show = (
        "from connector.telemetry import *; m = build_metrics(); m.events_received.labels('1', 'x').inc();"
        "print(render_metrics(m, lambda: InboxState(pending=1, oldest_seconds=0, dead_letters=0)).decode())"
    )
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for number in ("9", "4"):
        subprocess.run([sys.executable, "-c", count, number], env=environment, check=True)
    text = subprocess.run(
        [sys.executable, "-W", "error", "-c", show], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert 'stagekeeper_events_received_total{portal="1",type="x"} 5.0' in text
    assert "stagekeeper_worker_seen_timestamp_seconds 9.0" in text
    assert "stagekeeper_inbox_pending 1.0" in text


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    captured = capsys.readouterr()
    assert captured.out == ""
    line: dict[str, object] = json.loads(captured.err.splitlines()[-1])
    return line


def test_a_log_line_is_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")
    structlog.get_logger().info("inbox.accepted", events=3, huge=2**80, odd="\ud800", path=Path("/x"), some={1: (2,)})
    line = last_line(capsys)
    assert line.pop("timestamp")
    assert line == {
        "event": "inbox.accepted", "level": "info", "events": 3, "huge": 2**80, "odd": "\ud800", "path": "/x",
        "some": {"1": [2]},
    }  # fmt: skip


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "warning")
    structlog.get_logger().info("inbox.accepted")
    assert capsys.readouterr().err == ""


def test_what_libraries_log_has_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")
    logging.getLogger("gunicorn.error").warning("worker of %s said Bearer abc", "ana@example.com")
    line = last_line(capsys)
    assert (line["event"], line["text"], line["level"], line["logger"]) == (
        "library.spoke", "worker of ***@*** said Bearer ***", "warning", "gunicorn.error",
    )  # fmt: skip


def test_a_trace_is_told_without_secrets_and_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")
    error = ValueError("no contact ana@example.com at postgresql://user:hunter2@host/name")
    structlog.get_logger().error("request.failed", exc_info=error)
    line = last_line(capsys)
    assert "ValueError: no contact ***@*** at postgresql://***@host/name" in str(line["exception"])


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console", "info")
    structlog.get_logger().info("inbox.accepted", events=3)
    err = capsys.readouterr().err
    assert "inbox.accepted" in err
    assert "events=3" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("access_token", "x", "***"), ("client_secret", None, "***"), ("Authorization", "x", "***"),
        ("text", "token pat-eu1-12345678-abcd", "token ***"), ("text", "sent Bearer abc.def", "sent Bearer ***"),
        ("text", "mail ana.b+c@mail.example.co.uk now", "mail ***@*** now"), ("portal", 4242, 4242), ("ok", True, True),
        ("deep", {"a": [{"password": "x", "mail": "a@b.de"}]}, {"a": [{"password": "***", "mail": "***@***"}]}),
        ("text", "call +49 (170) 555-0199 or ana%40example.com", "call +*** or ***@***"),
        ("text", "2026-11-22T05:08:59+00:00 id 123456789012", "2026-11-22T05:08:59+00:00 id 123456789012"),
        ("text", "2 @ 3, a@b, https://example.com/x", "2 @ 3, a@b, https://example.com/x"),
    ],
)  # fmt: skip
def test_secrets_and_addresses_are_masked_wherever_they_stand(name: str, value: object, expected: object) -> None:
    assert mask(None, "info", {name: value}) == {name: expected}


def test_what_is_nested_without_end_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    deep: list[object] = []
    deep.append(deep)
    configure_logging("json", "info")
    structlog.get_logger().info("x.happened", deep=deep)
    assert "…" in str(last_line(capsys)["deep"])

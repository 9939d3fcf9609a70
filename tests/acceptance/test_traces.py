"""Traces as a collector gets them: from the webhook over its events to the claim, its calls and its writes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from connector.spans import ids_of
from connector.store.tables import events
from tests.observed import observed
from tests.running import environment, wait_until

LEAD = {"email": "ana@example.com", "firstname": "Ana", "sk_source": "inbound"}
OFF = """
import sys
import connector.serving, connector.worker, connector.cli.worker
from connector.tracing import span, start_tracing
assert start_tracing("worker", {{}}) is False
with span("claim", events=lambda: 1 / 0, contacts=1) as one:
    one.tell(status=204)
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
ABSENT = """
import sys
sys.modules["opentelemetry"] = None
from connector.telemetry import configure_logging
from connector.tracing import span, start_tracing
configure_logging("json", "info")
assert start_tracing("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) is False
with span("claim"):
    pass
"""
STRANGE = """
from connector.telemetry import configure_logging
from connector.tracing import start_tracing
configure_logging("json", "info")
assert start_tracing("worker", {"OTEL_TRACES_EXPORTER": "zipkin"}) is False
assert start_tracing("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is False
assert start_tracing("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_SDK_DISABLED": "true"}) is False
assert start_tracing("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_TRACES_EXPORTER": "none"}) is False
"""


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """Take traces on loopback; give the address and the spans as they come."""
    spans: list[Any] = []

    class Collecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportTraceServiceRequest.FromString(body)
            spans.extend(s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collecting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False, timeout=60
    )


def of(spans: list[Any], name: str) -> list[Any]:
    return [span for span in spans if span.name == name]


def said(span: Any) -> dict[str, Any]:
    values = {one.key.removeprefix("stagekeeper."): one.value for one in span.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}


def is_told(spans: list[Any]) -> bool:
    return bool(of(spans, "claim") and of(spans, "webhook") and of(spans, "event") and of(spans, "write"))


def test_a_webhook_is_linked_over_its_events_to_the_claim_with_its_calls_and_writes(tmp_path: Path) -> None:
    with collector() as (address, spans):
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with observed(tmp_path, receivers=1, env=env) as one:
            contact = one.sandbox.create_contact(LEAD)
            assert one.post(one.fresh()).status == 204
            wait_until(lambda: is_told(list(spans)), what="the traces")
            keys = {(row.portal, row.key) for row in one.rows(events.select().where(events.c.contact == contact))}
            log = one.log()
    [webhook], points = of(spans, "webhook"), of(spans, "event")
    assert said(webhook) == {"status": 204}
    assert {(int.from_bytes(p.trace_id), int.from_bytes(p.span_id)) for p in points} == {ids_of(key) for key in keys}
    assert {point.links[0].span_id for point in points} == {webhook.span_id}

    claim = next(span for span in of(spans, "claim") if span.links)
    assert {(link.trace_id, link.span_id) for link in claim.links} == {(p.trace_id, p.span_id) for p in points}
    assert said(claim)["claim"] in {line.get("claim") for line in log if line["event"] == "contact.written"}
    mine = [span for span in spans if span.trace_id == claim.trace_id]
    [reading], [write] = of(mine, "read"), of(mine, "write")
    assert {reading.parent_span_id, write.parent_span_id} == {claim.span_id}
    calls = {said(span)["endpoint"]: span.parent_span_id for span in of(mine, "hubspot.call")}
    assert calls["POST /crm/objects/contacts/batch/read"] == reading.span_id
    assert calls["POST /crm/objects/contacts/batch/update"] == write.span_id
    everything = "".join(str(span) for span in spans)
    assert [personal for personal in ("ana@", "Ana", "pat-sandbox", "sandbox-secret") if personal in everything] == []


def test_a_collector_that_is_away_hinders_nobody(tmp_path: Path) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with observed(tmp_path, receivers=1, env=env) as one:
        one.sandbox.create_contact(LEAD)
        assert one.post(one.fresh()).status == 204
        wait_until(lambda: any(line["event"] == "contact.written" for line in one.log()), what="the write")
        [worker] = one.workers
        worker.terminate()
        assert worker.wait(10) == 0


def test_where_nobody_asks_for_traces_nothing_is_imported() -> None:
    done = run(OFF.replace("{{}}", "{}"))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_asked_for_and_not_installed_is_told_and_work_goes_on() -> None:
    done = run(ABSENT)
    assert done.returncode == 0, done.stderr
    assert '"event":"tracing.unavailable"' in done.stderr
    assert 'pip install \\"stagekeeper[trace]\\"' in done.stderr


def test_what_cannot_be_sent_that_way_is_told_and_work_goes_on() -> None:
    done = run(STRANGE)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('"event":"tracing.unavailable"') == 2
    assert "expected otlp over http/protobuf" in done.stderr

"""Each metric of the contract, told by two receiver processes and a worker, compared with what really happened."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.exposition import MetricsAddressTaken, exposed
from connector.store.tables import effects, portals, records
from connector.telemetry import build_metrics
from tests.observed import Observed, Samples, named, observed, samples_of
from tests.ports import free_port
from tests.running import answers, get, wait_until

LEAD = {"sk_source": "inbound"}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Observed]:
    with observed(tmp_path) as one:
        yield one


def leads(one: Observed, number: int, *, mark: str) -> list[str]:
    return [one.sandbox.create_contact({"email": f"{mark}{n}@example.com", **LEAD}) for n in range(number)]


def nonzero(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    return {labels: number for labels, number in named(samples, name).items() if number}


def has_judged_all(one: Observed) -> bool:
    """Ask whether nothing waits, and all that was decided has been counted."""
    samples = one.samples()
    decided = len(one.rows(sa.select(records.c.id).where(records.c.rule != "gone")))
    return named(samples, "inbox_pending") == {(): 0} and sum(named(samples, "decisions_total").values()) == decided


def test_every_metric_says_what_happened_whichever_receiver_is_asked(two: Observed) -> None:
    leads(two, 5, mark="a")
    events = two.fresh()
    for number, event in enumerate(events):
        assert two.post([event], to=number % 2).status == 204
    assert two.post(events[:3], to=1).status == 204
    strangers = [{**events[0], "portalId": 999, "eventId": 7}, {**events[0], "subscriptionType": "x" * 60}]
    assert two.post(strangers).status == 204
    assert [two.post([], to=number, signed=False).status for number in (0, 1, 1)] == [401] * 3
    wait_until(lambda: len(two.rows(sa.select(records.c.id))) >= 5 and has_judged_all(two), what="five decisions")

    two.kill_worker()
    two.start_worker()
    leads(two, 2, mark="b")
    later = two.fresh()
    assert two.post(later, to=1).status == 204
    wait_until(lambda: len(two.rows(sa.select(records.c.id))) >= 7 and has_judged_all(two), what="two more")

    fault = two.sandbox.faults.add("400", route=r"contacts/batch/read")
    [lost] = leads(two, 1, mark="c")
    last = two.fresh()
    assert two.post(last, to=0).status == 204
    wait_until(lambda: named(two.samples(), "dead_letters") == {(): 1}, what="the dead letter")
    two.sandbox.faults.remove(fault.id)

    first, second = two.samples(0), two.samples(1)
    moving = {"worker_seen_timestamp_seconds", "hubspot_calls_left"}
    assert {k: v for k, v in first.items() if k[0] not in moving} == {
        k: v for k, v in second.items() if k[0] not in moving
    }
    _compare(two, first, sent=[*events, *events[:3], *later, *last])
    assert named(first, "events_duplicate_total") == {(): 3}
    assert named(first, "dead_letters") == {(): 1}
    assert lost in two.run("events", "list", "--dead").out


def _compare(one: Observed, told: Samples, *, sent: list[dict[str, object]]) -> None:
    """Compare what was told with what was sent, with the database, and with the practice HubSpot's own log."""
    received = Counter(("4242", str(event["subscriptionType"])) for event in sent)
    received += Counter({("unknown", str(sent[0]["subscriptionType"])): 1, ("4242", "unknown"): 1})
    assert named(told, "events_received_total") == dict(received)
    refused = {("portal_unknown",): 1, ("type_unknown",): 1, ("signature_wrong",): 3}
    assert nonzero(told, "events_rejected_total") == refused

    rows = one.rows(sa.select(records).order_by(records.c.id))
    decided = Counter(("4242", row.stage or "none", row.status or "none") for row in rows)
    assert named(told, "decisions_total") == dict(decided)
    assert named(told, "decision_seconds_count") == {(): len(rows)}
    moved = Counter((row.stage_before or "none", "4242", row.stage) for row in rows if row.stage_before != row.stage)
    assert named(told, "stage_moves_total") == dict(moved)
    written = sum(bool(row.done["written"]) for row in rows)
    made = Counter(one.rows(sa.select(effects.c.kind).where(effects.c.state == "confirmed")))
    tasks = {(row[0], "done", "4242"): number for row, number in made.items()}
    assert written
    assert tasks
    assert nonzero(told, "writes_total") == {("properties", "done", "4242"): written, **tasks}
    assert named(told, "event_to_write_seconds_count") == {(): written}

    calls: Counter[tuple[str, str]] = Counter()
    for (method, route, status), number in one.sandbox.calls.counts.items():
        calls[f"{method} {route}", "done" if status < 300 else "invalid"] += number
    counted = {(endpoint, outcome): n for (endpoint, outcome, _), n in named(told, "hubspot_calls_total").items()}
    assert {k: n for k, n in counted.items() if "batch" in k[0]} == {k: n for k, n in calls.items() if "batch" in k[0]}
    assert sum(counted.values()) == calls.total()
    assert set(named(told, "hubspot_wait_seconds_total")) == {("4242",)}
    left, allowed = named(told, "hubspot_calls_left"), named(told, "hubspot_calls_allowed")
    assert allowed == {("4242", "day"): 250_000, ("4242", "ten_seconds"): 1_000}
    [(today,)] = one.rows(sa.select(portals.c.calls_today))  # also those that HubSpot's headers told of
    assert today >= calls.total()
    assert left["4242", "day"] == 250_000 - today
    assert 0 < left["4242", "ten_seconds"] <= 1_000
    assert named(told, "shadow_disagreements_total") == {(): 0}
    assert named(told, "inbox_pending") == {(): 0}
    assert named(told, "inbox_oldest_seconds") == {(): 0}
    [(rules, version)] = named(told, "build_info")
    assert rules.startswith("default@")
    assert version


def test_a_worker_on_its_own_asks_for_a_token_where_there_is_one() -> None:
    metrics = build_metrics()
    with exposed(metrics, "127.0.0.1:0", tokens=["ops", "read"], running=lambda: [("1", "default@x")]) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        given = {token: get(url, headers={"Authorization": token}).status for token in ("Bearer ops", "bearer read")}
        assert given == {"Bearer ops": 200, "bearer read": 200}
        refused = ("Bearer wrong", "Bearer ", "ops", "Basic ops", "Bearer \xe4")
        assert {one: get(url, headers={"Authorization": one}).status for one in refused} == dict.fromkeys(refused, 401)
        assert get(url).status == 401
        told = samples_of(get(url, headers={"Authorization": "Bearer ops"}).body)
        assert named(told, "build_info") == {("default@x", "1"): 1}
        with pytest.raises(MetricsAddressTaken, match="Address already in use; expected a free address"):
            exposed(metrics, f"127.0.0.1:{port}", tokens=[]).__enter__()


def test_a_worker_on_its_own_tells_what_it_counts_and_nothing_of_the_inbox(tmp_path: Path) -> None:
    port = free_port()
    with observed(tmp_path, receivers=1, worker=f', metrics: "127.0.0.1:{port}"') as one:
        own = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(own + "/metrics"), what="the worker's metrics")
        assert get(own + "/").status == 404
        one.post((leads(one, 1, mark="a"), one.fresh())[1])
        wait_until(lambda: sum(named(samples_of(get(own + "/metrics").body), "decisions_total").values()) == 1)
        assert named(samples_of(get(own + "/metrics").body), "inbox_pending") == {}

"""`stagekeeper serve` from outside: signed webhooks in, stages and tasks out, over real sockets."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from connector.moments import MINUTE, SECOND, system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.signing import sign_v1, sign_v3, signed_headers
from tests.ports import free_port
from tests.practice import prepare
from tests.running import SECRETS, Ran, Reply, answers, get, kill, running, stagekeeper, wait_until

LEAD_TASKS = ["Seek a meeting with Ana", "Send Ana the profile form"]
ENV = {"TOKEN": SECRETS[0], "SECRET": SECRETS[1], "OPS": SECRETS[2]}
CONFIG = """version: 1
database: sqlite:///served.db
server: {{bind: "127.0.0.1:{port}"{ops}}}
worker: {{settle: 200ms, lease: 3s, reconcile_every: never}}
portals:
  - id: 4242
    name: Practice
    access_token: ${{TOKEN}}
    client_secret: ${{SECRET}}
    app_id: 7001
    webhook_url: {url}
    api_url: {hubspot}
    rules: {rules}
    limits: {{calls_per_10s: 1000}}
"""


@dataclass
class Served:
    """A running `serve` with the practice HubSpot that it works on."""

    folder: Path
    port: int
    sandbox: Sandbox
    process: subprocess.Popen[bytes]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.base}/webhooks/hubspot"

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    def run(self, *arguments: object) -> Ran:
        return stagekeeper(*arguments, folder=self.folder, env=ENV)

    def post(self, body: bytes, **changed: str | None) -> Reply:
        """Send a webhook; headers may be changed or (None) left out."""
        headers = signed_headers(SECRETS[1], self.url, body, system_clock())
        names = {"v3": "X-HubSpot-Signature-v3", "stamp": "X-HubSpot-Request-Timestamp", "v1": "X-HubSpot-Signature"}
        for name, value in changed.items():
            headers.pop(names[name])
            if value is not None:
                headers[names[name]] = value
        return get(self.url, method="POST", body=body, headers=headers)

    def waits(self, contact: str) -> object:
        shown = self.run("events", "show", contact, "--format", "json")
        return json.loads(shown.out)["waiting"]


@contextmanager
def serving(folder: Path, *, ops: bool = False, arguments: tuple[str, ...] = ()) -> Iterator[Served]:
    rules = Path(__file__).parents[2] / "rules" / "default.yaml"
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhooks/hubspot"
    options = SandboxOptions(
        port=0, access_token=SECRETS[0], client_secret=SECRETS[1], webhook_url=url, shuffle=True, double_rate=0.2,
        retry_delay_ms=200,
    )  # fmt: skip
    with Sandbox(options) as sandbox:
        prepare(sandbox)
        ops_token = ', ops_token: "${OPS}"' if ops else ""
        text = CONFIG.format(port=port, ops=ops_token, url=url, hubspot=sandbox.address, rules=rules)
        (folder / "config.yaml").write_text(text)
        with running("serve", *arguments, folder=folder, log=folder / "serve.log", env=ENV) as process:
            base = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(f"{base}/readyz") or process.poll() is not None, what="being ready")
            assert process.poll() is None, (folder / "serve.log").read_text()
            yield Served(folder, port, sandbox, process)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as one:
        yield one


def stage_of(served: Served, contact: str) -> str | None:
    found: str | None = served.sandbox.contact(contact).get("lifecyclestage")
    return found


def titles(served: Served, contact: str) -> list[str]:
    return sorted(task["properties"]["hs_task_subject"] for task in served.sandbox.tasks_of(contact))


# --- the main job -----------------------------------------------------------------------------------------------------


def test_signed_webhooks_become_stages_and_tasks(served: Served) -> None:
    ana = served.sandbox.create_contact({"email": "ana@example.com", "firstname": "Ana", "sk_source": "inbound"})
    wait_until(lambda: titles(served, ana) == LEAD_TASKS, what="the tasks of a lead")
    assert stage_of(served, ana) == "lead"
    assert served.sandbox.contact(ana)["sk_reason"] == "There is a sign that they might buy."

    served.sandbox.update_contact(
        ana, {"sk_target_market": "yes", "sk_authority": "yes", "sk_need": "definite", "sk_intent": "wants_to_buy"}
    )
    wait_until(lambda: stage_of(served, ana) == "salesqualifiedlead", what="the move to prospect")
    wait_until(lambda: served.sandbox.webhooks.pending == 0, what="the delivery of everything")
    wait_until(lambda: "Follow up with Ana" in titles(served, ana), what="the prospect's follow-up")
    assert len(titles(served, ana)) == len(set(titles(served, ana)))


def test_many_contacts_at_once_are_all_decided_once(served: Served) -> None:
    ids = [
        served.sandbox.create_contact({"email": f"m{n}@example.com", "firstname": "Ana", "sk_source": "inbound"})
        for n in range(150)
    ]
    wait_until(lambda: all(len(titles(served, one)) == 2 for one in ids), what="all tasks")
    wait_until(lambda: served.sandbox.webhooks.pending == 0, what="the delivery of everything")
    assert all(titles(served, one) == LEAD_TASKS for one in ids)


def test_events_can_be_listed_shown_retried_and_dropped(served: Served) -> None:
    fault = served.sandbox.faults.add("400", route=r"contacts/batch/read")
    ana = served.sandbox.create_contact({"email": "letter@example.com", "sk_source": "inbound"})
    wait_until(lambda: (row := served.waits(ana)) and row["dead_at"], what="the dead letter")  # type: ignore[index]

    listed = json.loads(served.run("events", "list", "--dead", "--format", "json").out)["waiting"]
    assert [row["contact"] for row in listed] == [ana]
    assert "invalid (400" in listed[0]["last_error"]
    shown = json.loads(served.run("events", "show", ana, "--format", "json").out)
    assert {event["type"] for event in shown["events"]} == {"contact.creation", "contact.propertyChange"}
    assert ana in served.run("events", "list").out
    assert "contact.creation" in served.run("events", "show", ana).out

    served.sandbox.faults.remove(fault.id)
    assert served.run("events", "retry", ana).out == "1 retried\n"
    wait_until(lambda: stage_of(served, ana) == "lead", what="the retry")

    fault = served.sandbox.faults.add("400", route=r"contacts/batch/read")
    served.sandbox.update_contact(ana, {"sk_source": "event"})
    wait_until(lambda: (row := served.waits(ana)) and row["dead_at"], what="the dead letter")  # type: ignore[index]
    assert json.loads(served.run("events", "drop", "--all", "--format", "json").out) == {"version": 1, "dropped": 1}
    assert served.waits(ana) is None
    served.sandbox.faults.remove(fault.id)


# --- what the receiver answers ----------------------------------------------------------------------------------------


def test_what_is_signed_rightly_is_taken_whatever_it_says(served: Served) -> None:
    unknown = {"portalId": 999, "subscriptionType": "contact.creation", "objectId": 1, "occurredAt": 1, "eventId": 1}
    strange = {"portalId": 4242, "subscriptionType": "ticket.creation", "objectId": 1, "occurredAt": 1, "eventId": 2}
    answers_ = [served.post(orjson.dumps(body)).status for body in ([], [unknown], [strange], [{}])]
    assert answers_ == [204] * 4


def test_what_is_not_signed_as_hubspot_signs_is_refused_with_401(served: Served) -> None:
    body = b"[]"
    now = system_clock()
    late, early = str(now - 5 * MINUTE - 5 * SECOND), str(now + 5 * MINUTE + 5 * SECOND)
    refused = {
        "no signature": served.post(body, v3=None, v1=None),
        "v1 alone": served.post(body, v3=None),
        "wrong secret": served.post(body, v3=sign_v3("guess", "POST", served.url, body, now), stamp=str(now)),
        "another address": served.post(body, v3=sign_v3(SECRETS[1], "POST", "https://x.example/", body, now)),
        "another body": served.post(b"[ ]", v3=sign_v3(SECRETS[1], "POST", served.url, body, now), stamp=str(now)),
        "too late": served.post(body, v3=sign_v3(SECRETS[1], "POST", served.url, body, int(late)), stamp=late),
        "too early": served.post(body, v3=sign_v3(SECRETS[1], "POST", served.url, body, int(early)), stamp=early),
        "no time": served.post(body, stamp=None),
        "nonsense": served.post(body, v3="ÿ".encode("latin-1").decode("latin-1"), stamp="soon"),
        "v1 as v3": served.post(body, v3=sign_v1(SECRETS[1], body)),
    }
    assert {name: reply.status for name, reply in refused.items()} == dict.fromkeys(refused, 401)


def test_what_is_no_array_of_objects_is_refused_with_400(served: Served) -> None:
    bodies = (b"{}", b"nonsense", b"[1]", b"", b'"x"', b"[{}")
    assert {body: served.post(body).status for body in bodies} == dict.fromkeys(bodies, 400)


def test_what_is_too_large_is_refused_with_413(served: Served) -> None:
    assert served.post(b"[" + b" " * (2 * 1024 * 1024) + b"]").status == 413
    assert served.post(b"[" + b" " * (2 * 1024 * 1024 - 2) + b"]").status == 204


def test_only_post_is_taken(served: Served) -> None:
    assert get(served.url).status == 405


# --- what operators see -----------------------------------------------------------------------------------------------


def test_health_names_its_checks(served: Served) -> None:
    for path in ("/livez", "/readyz"):
        reply = get(served.base + path)
        assert reply.status == 200
        assert json.loads(reply.body)["status"] == "ok"
        assert all(check["ok"] for check in json.loads(reply.body)["checks"].values())


def test_metrics_and_page_answer_on_loopback_without_a_token(served: Served) -> None:
    ana = served.sandbox.create_contact({"email": "metric@example.com", "sk_source": "inbound"})
    wait_until(lambda: stage_of(served, ana) == "lead", what="the first decision")
    wait_until(lambda: "stagekeeper_decisions_total{" in get(served.base + "/metrics").body)
    text = get(served.base + "/metrics").body
    for name in (
        'stagekeeper_events_received_total{portal="4242",type="contact.creation"}',
        "stagekeeper_events_rejected_total", "stagekeeper_events_duplicate_total", "stagekeeper_inbox_pending",
        "stagekeeper_inbox_oldest_seconds", "stagekeeper_dead_letters", "stagekeeper_decisions_total{",
        "stagekeeper_decision_seconds", "stagekeeper_writes_total{", "stagekeeper_hubspot_calls_total{",
        "stagekeeper_hubspot_wait_seconds_total{", "stagekeeper_hubspot_calls_left{", "stagekeeper_stage_moves_total{",
        "stagekeeper_event_to_write_seconds_bucket", "stagekeeper_shadow_disagreements_total",
        "stagekeeper_build_info{",
    ):  # fmt: skip
        assert name in text, name

    page = get(served.base + "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "metric@example.com" not in page.body
    assert ana in page.body
    assert get(served.base + "/metrics", headers={"X-Forwarded-For": "203.0.113.7"}).status == 403
    assert get(served.base + "/", headers={"Forwarded": "for=203.0.113.7"}).status == 403


def test_metrics_and_page_ask_for_the_token_where_there_is_one(tmp_path: Path) -> None:
    with serving(tmp_path, ops=True, arguments=("--no-worker",)) as served:
        right = {"Authorization": f"Bearer {SECRETS[2]}"}
        basic = {"Authorization": "Basic " + base64.b64encode(f"me:{SECRETS[2]}".encode()).decode()}
        assert [get(served.base + path).status for path in ("/", "/metrics")] == [401, 401]
        assert [get(served.base + path, headers=right).status for path in ("/", "/metrics")] == [200, 200]
        assert get(served.base + "/", headers=basic).status == 200
        assert get(served.base + "/metrics", headers={"Authorization": "Bearer wrong"}).status == 401
        assert [get(served.base + path).status for path in ("/livez", "/readyz")] == [200, 200]


# --- starting, stopping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_well_within_ten_seconds(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as served:
        get(served.base + "/livez")
        served.process.send_signal(number)
        assert served.process.wait(10) == 0
        assert not answers(served.base + "/livez")


def test_serve_ends_within_ten_seconds_though_hubspot_hangs(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        served.sandbox.faults.add("timeout_before", seconds=60)
        served.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
        wait_until(lambda: served.sandbox.faults.struck, what="a call that hangs")
        served.process.terminate()
        assert served.process.wait(10) == 0


def test_a_part_that_is_killed_is_started_anew_and_nothing_is_lost(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        before = children(served.process.pid)
        assert len(before) == 2
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        served.sandbox.create_contact({"email": "ana@example.com", "firstname": "Ana", "sk_source": "inbound"})
        [ana] = list(served.sandbox.portal.records["0-1"].live)
        wait_until(lambda: titles(served, ana) == LEAD_TASKS, what="the work after the restart")
        assert served.process.poll() is None


def test_no_part_outlives_a_serve_that_was_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        parts = children(served.process.pid)
        kill(served.process)
        wait_until(lambda: not any(map(is_alive, parts)), seconds=15, what="the end of all parts")
        wait_until(lambda: not answers(served.base + "/livez"), what="the silence")


def test_a_port_that_is_taken_ends_serve_with_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, arguments=("--no-worker",)) as served:
        second = served.run("serve", "--no-worker")
        assert second.code == 1
        assert second.err.startswith(f"error: address-taken: 127.0.0.1:{served.port}: Address already in use")


def test_secrets_stand_in_no_output_and_no_log(served: Served) -> None:
    served.post(b"[]", v3="wrong")
    served.sandbox.revoke_token()
    try:
        served.sandbox.create_contact({"email": "secret@example.com", "sk_source": "inbound"})
        wait_until(lambda: "portal.trouble_began" in served.log, what="the alert")
    finally:
        served.sandbox.restore_token()
    everything = served.log + get(served.base + "/").body + get(served.base + "/metrics").body
    everything += "".join(path.read_bytes().decode("latin-1") for path in served.folder.glob("served.db*"))
    for secret in SECRETS:
        assert secret not in everything
    assert "@example.com" not in served.log
    assert all(line.startswith("{") for line in served.log.splitlines() if line and not line.startswith("serving"))


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(path.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""The control API of the practice HubSpot, and the sandbox as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from connector.sandbox import Sandbox, SandboxOptions
from tests.integration.sandbox_calls import Api, calling, receiving
from tests.ports import free_port

RUN = (
    "from connector.sandbox import SandboxOptions, run; import sys; "
    "run(SandboxOptions(port=int(sys.argv[1]), contacts=3))"
)


def test_people_act_over_http_and_everything_about_a_contact_is_shown() -> None:
    with calling() as (sandbox, api):
        company = api("POST", "/sandbox/companies", {"properties": {"name": "A"}}).body["id"]
        made = api("POST", "/sandbox/contacts", {"properties": {"email": "ana@example.com"}, "company": company})
        contact = made.body["id"]
        assert made.status == 201
        deal = api("POST", "/sandbox/deals", {"properties": {"dealname": "D"}, "contacts": [contact]}).body["id"]
        changed = api("PATCH", f"/sandbox/contacts/{contact}",
                      {"properties": {"phone": "1"}, "source": "FORM", "source_id": "f-1"})  # fmt: skip
        assert changed.body["properties"]["phone"] == "1"
        api("PATCH", f"/sandbox/companies/{company}", {"properties": {"city": "Oslo"}})
        api("PATCH", f"/sandbox/deals/{deal}", {"properties": {"amount": "5"}})
        task = sandbox.create_task({"hs_timestamp": "2099-01-01"}, contacts=[contact])
        shown = api("GET", f"/sandbox/contacts/{contact}").body
        assert shown == sandbox.everything_about(contact)
        assert [one["id"] for one in shown["tasks"]] == [task]
        assert [one["properties"]["amount"] for one in shown["deals"]] == ["5"]
        assert [one["properties"]["city"] for one in shown["companies"]] == ["Oslo"]
        assert shown["history"]["phone"][0]["sourceType"] == "FORM"


def test_a_persons_mistakes_are_named_too() -> None:
    with calling() as (_, api):
        refused = api("POST", "/sandbox/contacts", {"properties": {"sk_need": "definite"}})
        assert (refused.status, refused.body["errors"][0]["code"]) == (400, "PROPERTY_DOESNT_EXIST")
        assert api("PATCH", "/sandbox/contacts/5", {"properties": {}}).status == 404
        assert api("GET", "/sandbox/nothing").status == 404


def test_contacts_are_merged_deleted_restored_and_forgotten_over_http() -> None:
    with calling() as (sandbox, api):
        one, two, three = (sandbox.create_contact({}) for _ in range(3))
        merged = api("POST", "/sandbox/merge", {"winner": one, "loser": two}).body["id"]
        assert api("DELETE", f"/sandbox/contacts/{merged}").status == 204
        assert api("POST", f"/sandbox/restore/{merged}").body == {"id": merged}
        assert api("DELETE", f"/sandbox/contacts/{three}?for_good=true").status == 204
        assert api("POST", f"/sandbox/restore/{three}").status == 404
        assert [one["id"] for one in api("GET", "/sandbox/contacts").body["results"]] == [merged]


def test_the_state_counts_calls_webhooks_and_stages_and_calls_can_be_counted_anew() -> None:
    with calling(contacts=30) as (sandbox, api):
        contact = sandbox.create_contact({"lifecyclestage": "lead"})
        for _ in range(3):
            api("GET", f"/crm/objects/2026-03/contacts/{contact}")
        api("POST", "/crm/v3/objects/0-1/batch/read", {"inputs": [{"id": contact}]})
        api("GET", "/crm/v3/unknown")
        state = api("GET", "/sandbox/state").body
        assert state["calls"]["total"] == 5
        assert {(one["method"], one["route"], one["status"]): one["count"] for one in state["calls"]["routes"]} == {
            ("GET", "/crm/objects/contacts/{id}", 200): 3,
            ("POST", "/crm/objects/contacts/batch/read", 200): 1,
            ("GET", "unknown", 404): 1,
        }
        assert (state["contacts"]["total"], sum(state["contacts"]["stages"].values())) == (31, 31)
        assert state["webhooks"]["emitted"] == 3 - 1
        assert sandbox.calls.count(route="/crm/objects/contacts/{id}") == 3
        assert sandbox.calls.log[-2].inputs == 1
        assert api("POST", "/sandbox/calls/reset").status == 204
        assert api("GET", "/sandbox/calls").body == {"total": 0, "routes": []}


def test_the_target_of_webhooks_can_be_changed_and_held_back() -> None:
    with receiving() as receiver, calling(batch_window_ms=1) as (sandbox, api):
        sandbox.create_contact({})
        target = {"webhook_url": "https://hooks.example.com/w", "deliver_to": receiver.address, "paused": True}
        assert api("POST", "/sandbox/webhooks", target).body["webhook_url"] == target["webhook_url"]
        contact = sandbox.create_contact({})
        assert not sandbox.webhooks.wait_until_quiet(0.05)
        assert receiver.received == []
        api("POST", "/sandbox/webhooks", {"paused": False})
        assert sandbox.webhooks.wait_until_quiet(5)
        assert [one["objectId"] for one in receiver.events] == [int(contact)]
        assert len(api("GET", "/sandbox/events").body["events"]) == 2


def test_limits_owners_and_stages_are_made_over_http() -> None:
    with calling() as (_, api):
        value = api("POST", "/sandbox/stages", {"label": "Hot", "before": "customer"}).body["value"]
        assert value.isdigit()
        assert api("POST", "/sandbox/stages", {"label": "Hot", "before": "nowhere"}).status == 400
        assert api("POST", "/sandbox/owners", {"email": "x@acme.example"}).status == 201
        api("POST", "/sandbox/limits", {"calls_per_10s": 1})
        assert [api("GET", "/crm/v3/owners").status for _ in range(2)] == [200, 429]


def test_a_connection_serves_many_calls_and_a_client_may_ask_to_close_it() -> None:
    with calling() as (sandbox, api):
        for _ in range(3):
            api("GET", "/crm/v3/owners")
        assert len(sandbox._server.connections) == 1  # type: ignore[union-attr]
        with socket.create_connection(("127.0.0.1", sandbox._server.server_port), timeout=5) as plain:  # type: ignore[union-attr]
            plain.sendall(b"GET /sandbox/calls HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n")
            heard = b""
            while part := plain.recv(4096):
                heard += part
        assert heard.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        with socket.create_connection(("127.0.0.1", sandbox._server.server_port), timeout=5) as rude:  # type: ignore[union-attr]
            rude.sendall(b"nonsense\r\n\r\n")
            assert rude.recv(4096) == b""


def test_many_threads_write_at_the_same_time_and_nothing_is_lost() -> None:
    with calling() as (sandbox, _):
        contact = sandbox.create_contact({})

        def work(number: int) -> None:
            api = Api(sandbox)
            types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
            task = {"properties": {"hs_timestamp": "2099-01-01", "hs_task_subject": str(number)},
                    "associations": [{"to": {"id": contact}, "types": types}]}  # fmt: skip
            for _ in range(10):
                api("POST", "/crm/v3/objects/tasks/batch/create", {"inputs": [task] * 5})
            api.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(sandbox.tasks_of(contact)) == 400
        assert sandbox.contact(contact)["num_notes"] == "400"


def test_it_answers_five_hundred_calls_on_one_connection_after_the_other() -> None:
    with calling() as (sandbox, api):
        contact = sandbox.create_contact({})
        for _ in range(500):
            api("GET", f"/crm/v3/objects/contacts/{contact}")
        assert sandbox.calls.count() == 500


def test_stopping_twice_and_without_a_start_does_no_harm() -> None:
    sandbox = Sandbox(SandboxOptions(port=0))
    sandbox.stop()
    sandbox.start()
    sandbox.stop()
    sandbox.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_as_a_process_until_a_signal_ends_it_and_prints_nothing(number: int) -> None:
    port = free_port()
    child = subprocess.Popen([sys.executable, "-c", RUN, str(port)], env={**os.environ, "PYTHONWARNINGS": "error"},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        for _ in range(2000):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except ConnectionRefusedError:
                threading.Event().wait(0.01)
        child.send_signal(number)
        assert child.communicate(timeout=10) == (b"", b"")
        assert child.returncode == 0
    finally:
        child.kill()
        child.wait()

"""The log of real processes: one event is followed to its writes, every query of deploy/LOGS.md finds something."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connector.store.tables import records
from tests.logged import documented, queries
from tests.observed import Observed, named, observed
from tests.running import wait_until

LEAD = {"email": "ana@example.com", "firstname": "Ana", "phone": "+49 170 5550199", "sk_source": "inbound"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Processes to which everything has happened that the queries ask for."""
    with observed(tmp_path_factory.mktemp("log"), receivers=2, level="debug") as one:
        one.sandbox.create_contact(LEAD)
        one.sandbox.faults.add("503", route="contacts/batch/read", times=1)
        assert one.post(one.fresh(), to=1).status == 204
        wait_until(lambda: written(one), what="the write")
        one.post([], signed=False)
        fault = one.sandbox.faults.add("400", route="contacts/batch/read")
        one.sandbox.create_contact({"email": "bert@example.com", "sk_source": "inbound"})
        one.post(one.fresh())
        wait_until(lambda: named(one.samples(), "dead_letters") == {(): 1}, what="the dead letter")
        one.sandbox.faults.remove(fault.id)
        one.sandbox.revoke_token()
        one.sandbox.create_contact({"email": "cleo@example.com", "sk_source": "inbound"})
        one.post(one.fresh())
        wait_until(lambda: lines(one, "portal.trouble_began"), what="the alert")
        one.sandbox.restore_token()
        wait_until(lambda: lines(one, "portal.trouble_ended"), what="its end")
        yield one


def lines(one: Observed, event: str) -> list[dict[str, Any]]:
    return [line for line in one.log() if line["event"] == event]


def written(one: Observed) -> list[dict[str, Any]]:
    return lines(one, "contact.written")


def test_every_line_has_a_fixed_dotted_name(seen: Observed) -> None:
    assert {name for line in seen.log() if not re.fullmatch(r"[a-z_]+\.[a-z_]+", name := line["event"])} == set()


def test_one_event_is_followed_from_the_webhook_to_its_writes(seen: Observed) -> None:
    contact = written(seen)[0]["contact"]
    shown = json.loads(seen.run("events", "show", contact, "--format", "json").out)
    event = next(one for one in shown["events"] if one["body"].get("propertyName") == "sk_source")
    claim = event["look"]["claim"]

    story = [line for line in seen.log() if line.get("claim") == claim]
    assert {line["portal"] for line in story} == {4242}
    names = [line["event"] for line in story]
    assert [name for name in names if not name.startswith("hubspot.")] == [
        "claim.taken", "contact.decided", "contact.written", "claim.finished",
    ]  # fmt: skip
    assert contact in story[0]["contact_ids"]
    calls = [line["endpoint"] for line in story if line["event"] == "hubspot.called" and line["outcome"] == "done"]
    assert "POST /crm/objects/contacts/batch/read" in calls
    assert "POST /crm/objects/contacts/batch/update" in calls
    accepted = [line for line in seen.log() if line["event"] == "webhook.accepted" and contact in line["contact_ids"]]
    assert accepted[0]["timestamp"] < story[0]["timestamp"]  # those that follow tell of our own writes

    [(recorded, done)] = seen.rows(sa.select(records.c.claim, records.c.done).where(records.c.contact == contact))
    [write] = [line for line in story if line["event"] == "contact.written"]
    assert recorded == claim
    assert write["properties"] == done["written"] == list(event["look"]["written"])
    assert len(write["effects"]) == len(done["effects"]) == len(event["look"]["effects"]) > 0
    assert (write["stage_before"], write["stage"]) == (None, "lead")
    assert write["waited_ms"] >= 0
    text = seen.run("events", "show", contact).out
    assert claim in text
    assert str(event["id"]) in text
    assert shown["waiting"] is None
    assert "does not wait" in text


def test_an_event_that_was_not_looked_at_yet_says_so(seen: Observed) -> None:
    contact = lines(seen, "contact.buried")[0]["contact"]
    shown = json.loads(seen.run("events", "show", contact, "--format", "json").out)
    assert {one["look"] for one in shown["events"]} == {None}
    assert "not looked at yet" in seen.run("events", "show", contact).out


def test_every_line_has_its_fixed_name_and_nobodys_address(seen: Observed) -> None:
    own = [line for line in seen.log() if "logger" not in line]
    assert {line["event"] for line in own} <= set(documented())
    assert {frozenset({"event", "level", "timestamp"}) <= line.keys() for line in own} == {True}
    text = (seen.folder / "log").read_text(encoding="utf-8")
    for personal in ("ana@example.com", "Ana", "5550199", "pat-sandbox", "sandbox-secret"):
        assert personal not in text


def asked(seen: Observed) -> list[str]:
    """Give the queries with a contact and a claim that there are."""
    line = written(seen)[0]
    filled = (one.replace("CONTACT_ID", line["contact"]).replace("CLAIM", line["claim"]) for one in queries())
    return list(filled)


def test_every_query_of_the_page_runs_and_finds_something(seen: Observed, tmp_path: Path) -> None:
    if shutil.which("jq") is None:  # their event names are tested in any case
        return
    shutil.copy(seen.folder / "log", tmp_path / "stagekeeper.log")
    with (tmp_path / "stagekeeper.log").open("a", encoding="utf-8") as log:
        log.write("serving on http://127.0.0.1:8080 (page: /, webhooks: /webhooks/hubspot)\n")
    define, *rest = asked(seen)
    assert len(rest) >= 10
    found = {}
    for query in rest:
        script = f"set -euo pipefail\n{define}\n{query}\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
        )
        found[query] = (done.returncode, done.stderr, bool(done.stdout.strip()))
    assert found == dict.fromkeys(rest, (0, "", True))

"""`stagekeeper reconcile`, and reconciliation by itself beside a running `serve`: nobody stays missing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli import reconcile as command
from connector.cli import run
from connector.config import load_config
from connector.moments import SECOND, system_clock
from connector.reconciliation.watermarks import Watermarks
from connector.sandbox import Sandbox, SandboxOptions
from connector.store.engine import open_database
from tests.ports import free_port
from tests.practice import INBOUND, prepare, write_config
from tests.running import Ran, answers, get, running, stagekeeper, wait_until

RULES = """version: 1
pack: asked
ladder: [contact, lead]
stages:
  - {id: asked, when: {sk_source: {is: inbound}}, stage: lead, because: They asked.}
  - {id: rest, stage: contact, because: Nothing is known.}
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(port=0, search_lag_ms=0)) as one:
        prepare(one)
        yield one


@pytest.fixture
def folder(tmp_path: Path, sandbox: Sandbox) -> Path:
    (tmp_path / "pack.yaml").write_text(RULES)
    write_config(tmp_path, [sandbox], rules=tmp_path / "pack.yaml", worker="worker: {settle: 100ms}")
    return tmp_path


def reconciled(folder: Path, *arguments: str) -> dict[str, Any]:
    done = stagekeeper("reconcile", "--format", "json", *arguments, folder=folder)
    assert done.code == 0, done.err
    (portal,) = json.loads(done.out)["portals"]
    return dict(portal)


def test_the_command_says_how_many_changed_and_what_it_put_into_the_inbox(folder: Path, sandbox: Sandbox) -> None:
    people = [sandbox.create_contact({"email": f"p{number}@example.com", **INBOUND}) for number in range(250)]
    sandbox.calls.reset()
    trial = reconciled(folder, "--dry-run")
    real = reconciled(folder)
    watermark = trial.pop("watermark"), real.pop("watermark")
    assert trial == real == {
        "portal": 4242, "modified": {"contacts": 250}, "changed": 0, "unknown": 250, "gone": 0, "placed": 250,
        "calls": 4, "searches": 4,
    }  # fmt: skip
    assert watermark[0] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", watermark[1])
    assert sandbox.calls.count(route="/crm/objects/contacts/search") == sandbox.calls.total == 8
    waits = json.loads(stagekeeper("events", "list", "--format", "json", folder=folder).out)
    assert {row["contact"] for row in waits["waiting"]} <= set(people)
    paced = system_clock() + 3 * SECOND  # a hundred a second are let wait; who is not yet due may be placed again
    wait_until(lambda: system_clock() > paced, what="everybody being due")
    text = stagekeeper("reconcile", "--all", folder=folder)
    row = text.out.splitlines()[-1].split()
    assert (text.code, row) == (0, ["4242", "250", "contacts", "0", "250", "0", "0", "3", "(0", "searches)"])


def test_since_takes_a_date_and_looks_further_back(folder: Path, sandbox: Sandbox) -> None:
    sandbox.create_contact({"email": "a@example.com", **INBOUND})
    assert reconciled(folder, "--since", "2020-01-01", "--portal", "4242")["unknown"] == 1
    assert reconciled(folder, "--since", "2999-01-01")["modified"] == {"contacts": 0}


@pytest.mark.parametrize("arguments", [["--since", "soon"], ["--since", "2026-01-01", "--all"], ["--portal", "7"]])
def test_what_nobody_can_mean_exits_2(folder: Path, arguments: list[str]) -> None:
    assert stagekeeper("reconcile", *arguments, folder=folder).code == 2


def test_a_portal_that_cannot_be_read_exits_5_and_the_others_are_reconciled(tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "pack.yaml").write_text(RULES)
    with Sandbox(SandboxOptions(port=0, portal=4343, search_lag_ms=0)) as other:
        write_config(tmp_path, [sandbox, other], rules=tmp_path / "pack.yaml")
        sandbox.revoke_token()
        other.create_contact({"email": "a@example.com"})
        done = stagekeeper("reconcile", "--format", "json", folder=tmp_path)
        one, another = sorted(json.loads(done.out)["portals"], key=lambda portal: int(portal["portal"]))
    assert (done.code, one["error"], another["placed"]) == (5, "portal-trouble", 1)
    assert "access_token" in done.err


def test_a_turn_that_somebody_keeps_exits_7(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, problems = load_config(folder / "config.yaml")
    assert config is not None, problems
    engine = open_database(config.database)
    turns = Watermarks(engine, system_clock)
    turn = turns.begin(4242)
    assert turn is not None
    monkeypatch.setattr(command, "_PATIENCE_S", 1)
    assert run(["--config", str(folder / "config.yaml"), "reconcile"]) == 7
    assert "being reconciled by another process" in capsys.readouterr().err
    turns.give_up(turn)
    assert run(["--config", str(folder / "config.yaml"), "reconcile"]) == 0
    engine.dispose()


def test_by_itself_it_finds_whom_lost_webhooks_left_behind(tmp_path: Path) -> None:
    """One event in a hundred never arrives; `serve` reconciles every second, and the command works beside it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhooks/hubspot"
    (tmp_path / "pack.yaml").write_text(RULES)
    with Sandbox(SandboxOptions(port=0, search_lag_ms=100, webhook_url=url, drop_rate=0.01)) as sandbox:
        prepare(sandbox)
        worker = f"worker: {{settle: 100ms, reconcile_every: 1s}}\nserver: {{bind: '127.0.0.1:{port}'}}"
        config = write_config(tmp_path, [sandbox], rules=tmp_path / "pack.yaml", worker=worker)
        config.write_text(config.read_text().replace("https://hooks.example.com/webhooks/hubspot", url))
        people = [sandbox.create_contact({"email": f"p{number}@example.com"}) for number in range(400)]
        with running("serve", folder=tmp_path, log=tmp_path / "serve.log") as process:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz") or process.poll() is not None, what="ready")
            assert process.poll() is None, (tmp_path / "serve.log").read_text()
            for contact in people:
                sandbox.update_contact(contact, INBOUND)
            beside: Ran = stagekeeper("reconcile", folder=tmp_path)
            assert beside.code == 0, beside.err
            wait_until(lambda: all(_stage(sandbox, contact) == "lead" for contact in people), what="everybody a lead")
            wait_until(lambda: "stagekeeper_reconciliations_total" in get(f"http://127.0.0.1:{port}/metrics").body)
            assert sandbox.webhooks.counts()["dropped"] > 0
    assert '"event":"reconciliation.finished"' in (tmp_path / "serve.log").read_text()


def _stage(sandbox: Sandbox, contact: str) -> object:
    return sandbox.contact(contact).get("lifecyclestage")

"""`stagekeeper report` and `stagekeeper erase` as processes of their own: what they print, and how they leave."""

import csv
import hashlib
import io
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.hubspot.setup import set_up
from connector.moments import DAY, system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.store.tables import portals
from tests.hubspot_portals import Time, a_portal
from tests.integration.stocked import NOW, PORTAL, Stock, read_json, stock_in

ZEROS = {"events": 0, "waiting": 0, "contacts": 0, "records": 0, "effects": 0}


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    made = stock_in(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def sandbox(stock: Stock) -> Iterator[Sandbox]:
    """A practice portal with two prospects, of whom one has two deals, one of them without an amount."""
    with Sandbox(SandboxOptions(port=0)) as running:
        portal = a_portal(Time(), api_url=running.address, access_token="pat-sandbox")
        list(set_up(portal))
        portal.close()
        stock.configure(running.address)
        ana, ben = running.create_contact({"sk_accepted_step": "proposal"}), running.create_contact({})
        stock.contact(ana)
        stock.contact(ben)
        for amount in ("1234567.50", ""):
            deal = {"dealname": "D", "pipeline": "default", "dealstage": "qualifiedtobuy", "amount": amount}
            running.create_deal(deal, contacts=[ana])
        yield running


def with_a_terminal(stock: Stock, *arguments: str, types: str = "") -> tuple[int, str, str]:
    """Run the command at a terminal, typing something; give exit code, what the terminal showed, and stdout."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "connector", "--config", str(stock.config), *arguments], stdin=theirs,
        stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    if types:
        os.write(ours, types.encode())
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # how Linux says that the other side has closed its terminal
                break
    stdout, _ = process.communicate(timeout=30)
    os.close(ours)
    return process.returncode, shown.decode(errors="replace"), stdout.decode()


# --- report forecast --------------------------------------------------------------------------------------------------


def test_the_forecast_as_json_is_versioned_and_its_money_is_text(stock: Stock, sandbox: Sandbox) -> None:
    printed = read_json(stock.run("report", "forecast", "--format", "json"))

    assert printed.pop("at").endswith("Z")
    a_sum = {
        "currency": "EUR", "deals": 2, "amount": "1234567.50", "weighted": "493827.00", "without_amount": 1,
        "without_probability": 0,
    }  # fmt: skip
    nothing = {"prospects": 0, "deals": 0, "sums": []}
    line = {"prospects": 1, "deals": 2, "sums": [a_sum]}
    assert printed == {
        "version": 1, "report": "forecast", "portal": PORTAL,
        "steps": [
            {"step": "discovery_meeting", **nothing}, {"step": "proposal", **line}, {"step": "presentation", **nothing},
            {"step": "final_review", **nothing}, {"step": "close", **nothing},
            {"step": None, **nothing, "prospects": 1},
        ],
        "total": {**line, "prospects": 2},
        "prospects_not_in_hubspot": 0,
    }  # fmt: skip


def test_the_forecast_as_csv_has_a_header_and_plain_numbers(stock: Stock, sandbox: Sandbox) -> None:
    done = stock.run("report", "forecast", "--format", "csv", "--quiet")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert (done.returncode, done.stderr) == (0, "")
    assert rows == [
        ["step", "prospects", "currency", "deals", "amount", "weighted", "without_amount", "without_probability"],
        ["discovery_meeting", "0", "", "0", "0.00", "0.00", "0", "0"],
        ["proposal", "1", "EUR", "2", "1234567.50", "493827.00", "1", "0"],
        ["presentation", "0", "", "0", "0.00", "0.00", "0", "0"],
        ["final_review", "0", "", "0", "0.00", "0.00", "0", "0"],
        ["close", "0", "", "0", "0.00", "0.00", "0", "0"],
        ["(no step)", "1", "", "0", "0.00", "0.00", "0", "0"],
        ["total", "2", "EUR", "2", "1234567.50", "493827.00", "1", "0"],
    ]


def test_the_forecast_as_text_is_a_table_and_says_what_it_leaves_out(stock: Stock, sandbox: Sandbox) -> None:
    done = stock.run("report", "forecast")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[2] == ["proposal", "1", "EUR", "2", "1,234,567.50", "493,827.00", "1", "0"]
    assert lines[-1] == ["total", "2", "EUR", "2", "1,234,567.50", "493,827.00", "1", "0"]
    assert [line[:2] for line in lines[-2:-1]] == [["(no", "step)"]]
    assert done.stderr == "1 open deals have no amount, or none that can be read\n"


def test_a_forecast_leaves_with_5_when_hubspot_cannot_be_reached(stock: Stock) -> None:
    stock.contact("1")
    done = stock.run("report", "forecast", "--format", "json")
    assert (done.returncode, done.stdout) == (5, "")
    assert "error: hubspot" in done.stderr


def test_a_forecast_leaves_with_5_when_the_token_is_revoked(stock: Stock, sandbox: Sandbox) -> None:
    sandbox.revoke_token()
    done = stock.run("report", "forecast")
    assert (done.returncode, done.stdout) == (5, "")


def test_a_forecast_that_takes_longer_than_a_second_shows_its_progress_on_a_terminal(stock: Stock) -> None:
    with Sandbox(SandboxOptions(port=0, latency_ms=550)) as slow:
        stock.configure(slow.address)
        stock.contact(slow.create_contact({}))
        code, shown, stdout = with_a_terminal(stock, "report", "forecast", "--format", "csv")
        assert (code, "prospects" in shown, stdout.splitlines()[-1]) == (0, True, "total,1,,0,0.00,0.00,0,0")
        code, shown, _ = with_a_terminal(stock, "report", "forecast", "--format", "csv", "--quiet")
        assert (code, shown) == (0, "")


# --- report rates and rules -------------------------------------------------------------------------------------------


def test_rates_in_all_formats(stock: Stock) -> None:
    pasts = (("1", "lead", "no"), ("2", "prospect", "yes"), ("3", "prospect", "no"), ("4", "lead", "no"))
    for contact, stage, buys in pasts:
        stock.contact(contact, stage)
        stock.record(contact, stage, {"customer": buys})

    printed = read_json(stock.run("report", "rates", "--portal", str(PORTAL), "--format", "json"))
    text = stock.run("report", "rates").stdout.splitlines()
    as_csv = stock.run("report", "rates", "--format", "csv").stdout

    assert printed.pop("at").endswith("Z")
    assert printed == {
        "version": 1, "report": "rates", "portal": PORTAL, "closing_rate": 0.5, "known_since": None,
        "rates": [
            {"stage": "lead", "ever": 2, "buy_now": 0, "share": 0.0},
            {"stage": "prospect", "ever": 2, "buy_now": 1, "share": 0.5},
        ],
    }  # fmt: skip
    assert [line.split() for line in text] == [
        ["ever", "contacts", "buy", "now", "share"], ["lead", "2", "0", "0.0%"], ["prospect", "2", "1", "50.0%"],
        ["closing", "rate", "50.0%"],
    ]  # fmt: skip
    assert as_csv == "stage,ever,buy_now,share\nlead,2,0,0.0000\nprospect,2,1,0.5000\n"


def test_reports_say_from_when_on_they_know(stock: Stock) -> None:
    stock.put(portals, {"portal": PORTAL, "calls": [], "searches": [], "records_since": NOW - 100 * DAY})
    printed = read_json(stock.run("report", "rates", "--format", "json"))
    assert printed["known_since"] == "2026-06-13T14:13:20Z"
    assert "decisions are known since 2026-06-13T14:13:20Z" in stock.run("report", "rates").stderr


def test_rates_of_an_empty_database_are_not_zero_but_none(stock: Stock) -> None:
    printed = read_json(stock.run("report", "rates", "--format", "json"))
    assert (printed["closing_rate"], printed["rates"][0]["share"]) == (None, None)
    assert stock.run("report", "rates").stdout.endswith("closing rate –\n")
    assert stock.run("report", "rates", "--format", "csv").stdout.endswith("prospect,0,0,\n")


def test_rules_count_the_not_nows_in_all_formats(stock: Stock) -> None:
    for contact, rule in (("1", "not-now"), ("2", "not-now"), ("3", "retired"), ("4", "")):
        stock.contact(contact, rule=rule)

    done = stock.run("report", "rules", "--format", "json")
    printed = read_json(done)
    text = stock.run("report", "rules", "--quiet")
    as_csv = list(csv.DictReader(io.StringIO(stock.run("report", "rules", "--format", "csv").stdout)))

    rules = {each["rule"]: each for each in printed["rules"]}
    assert (printed["version"], printed["pack"], printed["contacts"]) == (1, "two-way", 4)
    assert (rules["not-now"]["contacts"], rules["not-now"]["share"], rules["not-now"]["stage"]) == (2, 0.5, "lead")
    assert (rules["verified"]["contacts"], rules["verified"]["share"]) == (0, 0.0)
    assert (rules["retired"]["in_pack"], rules[None]["contacts"]) == (False, 1)
    assert done.stderr == "4 of 4 contacts were decided by another version of the pack\n"
    lines = [line.split() for line in text.stdout.splitlines()]
    assert ["not-now", "lead", "2", "50.0%"] in [line[:4] for line in lines]
    assert ["retired", "1", "25.0%", "not"] in [line[:4] for line in lines]
    assert text.stderr == ""
    assert as_csv[3] == {"rule": "not-now", "stage": "lead", "contacts": "2", "share": "0.5000", "in_pack": "true"}
    assert as_csv[-2:] == [
        {"rule": "", "stage": "", "contacts": "1", "share": "0.2500", "in_pack": "false"},
        {"rule": "retired", "stage": "", "contacts": "1", "share": "0.2500", "in_pack": "false"},
    ]


def test_without_a_name_forecast_rates_and_rules_are_reported(stock: Stock, sandbox: Sandbox) -> None:
    text = stock.run("report", "--quiet")
    printed = read_json(stock.run("report", "--format", "json"))
    assert (text.returncode, text.stderr) == (0, "")
    assert [line for line in text.stdout.splitlines() if line.endswith(":")] == ["forecast:", "rates:", "rules:"]
    for name in ("forecast", "rates", "rules"):
        alone = read_json(stock.run("report", name, "--format", "json"))
        assert printed[name].items() <= alone.items()
        assert stock.run("report", name, "--quiet").stdout in text.stdout
    assert list(printed) == ["version", "report", "portal", "at", "forecast", "rates", "rules"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("report", "--format", "json", "rates"), 2),
        (("report", "--portal", "1"), 2),
        (("report", "rates", "--portal", "1"), 2),
        (("report", "rates", "--format", "xml"), 2),
        (("report", "profits"), 2),
        (("erase", "ana@example.com", "--yes"), 2),
        (("erase", "5", "--portal", "1", "--yes"), 2),
        (("erase",), 2),
        (("--config", "nowhere.yaml", "report", "rates"), 3),
        (("--config", "nowhere.yaml", "erase", "5"), 3),
    ],
)
def test_what_cannot_be_meant_leaves_with_2_and_what_cannot_be_read_with_3(
    stock: Stock, arguments: tuple[str, ...], code: int
) -> None:
    done = stock.run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert "ana@example.com" not in done.stderr


def test_rules_of_a_pack_that_is_broken_leave_with_3(stock: Stock) -> None:
    (stock.folder / "broken.yaml").write_text("version: 1\npack: broken\n", encoding="utf-8")
    text = stock.config.read_text(encoding="utf-8")
    lines = ["    rules: broken.yaml" if "rules:" in line else line for line in text.splitlines()]
    stock.config.write_text("\n".join(lines), encoding="utf-8")
    assert stock.run("report", "rules").returncode == 3


# --- erase ------------------------------------------------------------------------------------------------------------


def test_erasing_prints_the_receipt_as_json(stock: Stock) -> None:
    stock.person("501")
    printed = read_json(stock.run("erase", "501", "--portal", str(PORTAL), "--yes", "--format", "json"))
    receipt = printed["receipt"]
    assert receipt.pop("erased_at").endswith("Z")
    assert printed == {
        "version": 1,
        "receipt": {
            "id": 1, "portal": PORTAL, "digest": hashlib.sha256(b"4242:501").hexdigest(), "reason": "asked",
            "removed": {"events": 2, "waiting": 1, "contacts": 1, "records": 1, "effects": 1},
        },
    }  # fmt: skip
    again = read_json(stock.run("erase", "0501", "--yes", "--format", "json"))["receipt"]
    assert (again["id"], again["digest"], again["removed"]) == (2, receipt["digest"], ZEROS)


def test_erasing_prints_the_receipt_as_text_and_says_that_hubspot_was_not_touched(stock: Stock) -> None:
    stock.person("501")
    done = stock.run("erase", "501", "--yes")
    first, second = done.stdout.splitlines()
    assert first == "erased 2 events, 1 waiting row, 1 contact, 1 record, 1 effect"
    assert second.startswith("receipt 1 of 20")
    assert second.endswith(hashlib.sha256(b"4242:501").hexdigest())
    assert (done.returncode, done.stderr) == (0, "HubSpot was not touched\n")


def test_without_yes_and_without_a_terminal_nothing_is_erased_and_it_says_what_would_be(stock: Stock) -> None:
    stock.person("501")
    before = stock.rows()
    done = stock.run("erase", "501")
    assert (done.returncode, done.stdout) == (7, "")
    assert "2 events, 1 waiting row, 1 contact, 1 record, 1 effect would be removed" in done.stderr
    assert "--yes" in done.stderr
    assert stock.rows() == before


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 7, 1), ("\n", 7, 1)])
def test_at_a_terminal_it_asks(stock: Stock, answer: str, code: int, left: int) -> None:
    stock.person("501")
    found, shown, stdout = with_a_terminal(stock, "erase", "501", "--format", "json", types=answer)
    assert (found, len(stock.rows()["contacts"]), bool(stdout)) == (code, left, not left)
    assert "Erase?" in shown


def test_a_contact_in_a_workers_hands_is_left_alone_and_it_leaves_with_7(stock: Stock) -> None:
    stock.person("501")
    stock.waiting("502", claim="token", claimed_until=system_clock() + 600_000)
    done = stock.run("erase", "502", "--yes")
    assert (done.returncode, done.stdout) == (7, "")
    assert "error: under-way: contact 502 is in a worker's hands until 20" in done.stderr
    assert len(stock.rows()["waiting"]) == 2


def test_help_says_that_hubspot_is_not_touched(stock: Stock) -> None:
    assert "HubSpot itself is not touched" in stock.run("erase", "--help").stdout
    assert "report" in stock.run("--help").stdout

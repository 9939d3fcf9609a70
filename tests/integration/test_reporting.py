"""Reports on a real database, and the forecast over HTTP against the practice HubSpot."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from connector.config import load_config
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.setup import set_up
from connector.inbox import Inbox
from connector.moments import system_clock
from connector.reports.forecast import STEPS, Line, Sum
from connector.reports.reading import PortalForecast, forecast_of, rates_of, rules_of
from connector.reports.tally import Rate, Rates
from connector.rulebook.checking import load_pack
from connector.rulebook.pack import Pack
from connector.sandbox import Sandbox
from connector.services import open_services
from connector.telemetry import build_metrics
from connector.worker import Worker
from tests.hubspot_portals import Time, a_portal
from tests.integration.sandbox_calls import Api, calling
from tests.integration.stocked import PORTAL, RULES, Stock, stock_in

CURRENCY = {
    "name": "deal_currency_code", "label": "Currency", "type": "string", "fieldType": "text",
    "groupName": "dealinformation",
}  # fmt: skip


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    made = stock_in(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, Api]]:
    with calling() as (sandbox, api):
        yield sandbox, api


@pytest.fixture
def hubspot(pair: tuple[Sandbox, Api]) -> Iterator[HubSpotPortal]:
    sandbox, api = pair
    portal = a_portal(Time(), api_url=sandbox.address, access_token="pat-sandbox")
    list(set_up(portal))
    assert api("POST", "/crm/v3/properties/deals", CURRENCY).status == 201
    yield portal
    portal.close()


def silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""


def a_prospect(stock: Stock, sandbox: Sandbox, step: str = "", stage: str | None = "prospect") -> str:
    contact = sandbox.create_contact({"sk_accepted_step": step} if step else {})
    stock.contact(contact, stage)
    return contact


def a_deal(
    sandbox: Sandbox, *contacts: str, amount: str = "100", stage: str = "appointmentscheduled", **more: str
) -> str:
    deal = {"dealname": "D", "pipeline": "default", "dealstage": stage, "amount": amount, **more}
    return sandbox.create_deal(deal, contacts=contacts)


def sums_of(found: PortalForecast) -> dict[str | None, tuple[Sum, ...]]:
    return {line.step: line.sums for line in found.forecast.lines if line.sums}


def a_sum(currency: str, deals: int, amount: str, weighted: str, **more: int) -> Sum:
    return Sum(currency=currency, deals=deals, amount=Decimal(amount), weighted=Decimal(weighted), **more)


def test_the_forecast_sums_open_deals_of_prospects_by_the_step_that_hubspot_holds(
    stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal
) -> None:
    sandbox, _ = pair
    ana, ben = a_prospect(stock, sandbox, "proposal"), a_prospect(stock, sandbox, "close")
    cleo = a_prospect(stock, sandbox)
    a_deal(sandbox, ana, amount="100.50")
    a_deal(sandbox, ana, amount="40", stage="contractsent")
    a_deal(sandbox, ana, ben, amount="1000", stage="contractsent")
    a_deal(sandbox, ana, amount="5000", stage="closedwon")
    a_deal(sandbox, ana, amount="7000", stage="closedlost")
    a_deal(sandbox, cleo, amount="")
    a_deal(sandbox, cleo, amount="9", deal_currency_code="USD")
    a_deal(sandbox, cleo, amount="1", deal_currency_code="EUR")
    a_deal(sandbox, amount="123456")
    lead = a_prospect(stock, sandbox, "close", stage="lead")
    a_deal(sandbox, lead, amount="55555")

    found = forecast_of(stock.engine, hubspot, silent)

    assert sums_of(found) == {
        "proposal": (a_sum("EUR", 2, "140.50", "56.10"),),
        "close": (a_sum("EUR", 1, "1000.00", "900.00"),),
        None: (a_sum("EUR", 2, "1.00", "0.20", without_amount=1), a_sum("USD", 1, "9.00", "1.80")),
    }
    assert [(line.step, line.prospects) for line in found.forecast.lines] == [
        ("discovery_meeting", 0), ("proposal", 1), ("presentation", 0), ("final_review", 0), ("close", 1), (None, 1),
    ]  # fmt: skip
    assert found.forecast.total == Line(
        step=None, prospects=3,
        sums=(a_sum("EUR", 5, "1141.50", "956.30", without_amount=1), a_sum("USD", 1, "9.00", "1.80")),
    )  # fmt: skip
    assert found.absent == 0


def test_only_prospects_count_who_are_in_hubspot_and_in_this_portal(
    stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal
) -> None:
    sandbox, _ = pair
    kept, deleted, gone, elsewhere = (sandbox.create_contact({}) for _ in range(4))
    for contact in (kept, deleted, gone, elsewhere):
        a_deal(sandbox, contact, amount="10")
    stock.contact(kept)
    stock.contact(deleted)
    stock.contact(gone, gone="deleted")
    stock.contact(elsewhere, portal=99)
    for stage in ("contact", "lead", "opportunity", None):
        contact = sandbox.create_contact({})
        stock.contact(contact, stage)
        a_deal(sandbox, contact)
    sandbox.delete_contact(deleted)

    found = forecast_of(stock.engine, hubspot, silent)

    assert found.forecast.total == Line(step=None, prospects=1, sums=(a_sum("EUR", 1, "10.00", "2.00"),))
    assert found.absent == 1


def test_hundreds_of_prospects_cost_a_call_for_each_hundred(
    stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal
) -> None:
    sandbox, _ = pair
    steps = (*STEPS, "")
    for number in range(250):
        a_deal(sandbox, a_prospect(stock, sandbox, steps[number % 6]), amount="1")
    sandbox.calls.reset()
    told: list[tuple[str, int, int]] = []

    found = forecast_of(stock.engine, hubspot, lambda *progress: told.append(progress))

    assert (found.forecast.total.prospects, found.forecast.total.sums) == (250, (a_sum("EUR", 250, "250.00", "50.00"),))
    assert told == [
        ("prospects", 100, 250), ("prospects", 200, 250), ("prospects", 250, 250),
        ("deals", 100, 250), ("deals", 200, 250), ("deals", 250, 250),
    ]  # fmt: skip
    assert sandbox.calls.total == 3 + 1 + 3 + 2


def test_a_portal_without_prospects_is_not_asked(
    stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal
) -> None:
    pair[0].calls.reset()
    found = forecast_of(stock.engine, hubspot, silent)
    assert [line.step for line in found.forecast.lines] == [*STEPS, None]
    assert found.forecast.total == Line(step=None, prospects=0)
    assert pair[0].calls.total == 0


def test_a_deal_of_a_stage_that_no_pipeline_has_counts_with_its_own_probability_or_none(
    stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal
) -> None:
    sandbox, _ = pair
    deal = a_deal(sandbox, a_prospect(stock, sandbox, "close"))
    values = sandbox.portal.records["0-3"].live[deal].values
    values["dealstage"], values["hs_deal_stage_probability"] = "4711", ""

    found = forecast_of(stock.engine, hubspot, silent)

    assert found.forecast.total.sums == (a_sum("EUR", 1, "100.00", "0.00", without_probability=1),)


def test_without_the_right_to_the_accounts_details_the_home_currency_has_no_name(
    stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal
) -> None:
    sandbox, _ = pair
    a_deal(sandbox, a_prospect(stock, sandbox, "close"))
    sandbox.faults.add("403_missing_scope", route="/account-info", times=100)
    found = forecast_of(stock.engine, hubspot, silent)
    assert found.forecast.total.sums == (a_sum("", 1, "100.00", "20.00"),)


def test_a_forecast_with_holes_is_none(stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal) -> None:
    sandbox, _ = pair
    a_deal(sandbox, a_prospect(stock, sandbox, "close"))
    sandbox.faults.add("500", route="objects/deals/batch/read", times=100)
    with pytest.raises(HubSpotError, match="nothing was summed"):
        forecast_of(stock.engine, hubspot, silent)
    sandbox.faults.clear()
    sandbox.revoke_token()
    with pytest.raises(PortalTrouble):
        forecast_of(stock.engine, hubspot, silent)


def a_rate(stage: str, ever: int, buy_now: int) -> Rate:
    return Rate(stage=stage, ever=ever, buy_now=buy_now)


def test_rates_count_everybody_who_ever_was_one_by_the_last_snapshot_and_the_last_facts(stock: Stock) -> None:
    def put(contact: str, *stages: str | None, lifecycle: str | None = None, **facts: str) -> None:
        stock.contact(contact, stages[-1], snapshot={"properties": {"lifecyclestage": lifecycle} if lifecycle else {}})
        for stage in stages:
            stock.record(contact, stage, facts if stage == stages[-1] else {"customer": "yes"})

    put("1", "lead")
    put("2", "lead", "prospect", lifecycle="customer")
    put("3", "lead", "prospect", "contact", lifecycle="evangelist")
    put("4", "prospect", None, lifecycle="opportunity", customer="yes")
    put("5", "prospect", lifecycle="salesqualifiedlead", customer="no", client="yes")
    put("6", "prospect", lifecycle="lead", customer="no", client="unknown")
    put("7", "contact", lifecycle="customer")
    stock.record("8", "contact", stage_before="lead")
    stock.record("9", "prospect", {"customer": "yes"}, portal=99)

    assert rates_of(stock.engine, PORTAL, silent) == Rates(lead=a_rate("lead", 4, 2), prospect=a_rate("prospect", 5, 4))


def test_rates_follow_merges_and_keep_who_was_deleted(stock: Stock) -> None:
    stock.contact("1", gone="3", snapshot={})
    stock.record("1", "prospect", {"customer": "no"})
    stock.record("1", None, decided={"gone": "3"}, rule="gone", fingerprint="")
    stock.contact("3", "contact", snapshot={"properties": {"lifecyclestage": "customer"}})
    stock.record("3", "contact")
    stock.contact("4", gone="deleted", snapshot={})
    stock.record("4", "lead", {"customer": "yes"})
    stock.record("4", None, decided={"gone": "deleted"}, rule="gone", fingerprint="")

    assert rates_of(stock.engine, PORTAL, silent) == Rates(lead=a_rate("lead", 1, 1), prospect=a_rate("prospect", 1, 1))


def the_pack(name: str) -> Pack:
    pack, _ = load_pack(RULES / f"{name}.yaml")
    assert pack is not None
    return pack


def test_rules_count_the_present_reason_of_contacts_that_are_there(stock: Stock) -> None:
    pack = the_pack("two-way")
    for contact, rule in (("1", "not-now"), ("2", "not-now"), ("3", "engaged"), ("4", "retired-rule"), ("5", "")):
        stock.contact(contact, rule=rule, pack_hash=pack.hash if contact != "4" else "old")
    stock.contact("6", rule="not-now", gone="deleted")
    stock.contact("7", rule="not-now", portal=99)

    found = rules_of(stock.engine, PORTAL, pack)

    assert [(each.rule, each.contacts, each.share, each.in_pack) for each in found.rules] == [
        ("erasure", 0, 0.0, True), ("converted", 0, 0.0, True), ("outside-market", 0, 0.0, True),
        ("not-now", 2, 0.4, True), ("not-the-decider", 0, 0.0, True), ("verified", 0, 0.0, True),
        ("engaged", 1, 0.2, True), ("one-way", 0, 0.0, True), ("stranger", 0, 0.0, True),
        ("", 1, 0.2, False), ("retired-rule", 1, 0.2, False),
    ]  # fmt: skip
    assert (found.contacts, found.by_other_version) == (5, 1)


def test_reports_tell_of_what_a_worker_really_decided(
    stock: Stock, pair: tuple[Sandbox, Api], hubspot: HubSpotPortal
) -> None:
    sandbox, _ = pair
    stock.configure(sandbox.address, "sales-process")
    asked = {"sk_source": "inbound", "sk_need": "definite", "sk_winnable": "yes"}
    prospect = sandbox.create_contact({**asked, "sk_sales_step": "presentation"})
    lead = sandbox.create_contact({"sk_source": "inbound"})
    buyer = sandbox.create_contact(asked)
    a_deal(sandbox, prospect, amount="250")
    config, problems = load_config(stock.config)
    assert config is not None, problems
    services = open_services(config, metrics=build_metrics())
    worker = Worker(services)

    def look(*ids: str) -> None:
        Inbox(stock.engine, system_clock).look_at(PORTAL, ids, due=0)
        while worker.work_once():
            pass

    look(prospect, lead, buyer)
    sandbox.update_contact(buyer, {"lifecyclestage": "customer"})
    look(buyer)

    found = forecast_of(stock.engine, services.portals[PORTAL].hubspot, silent)
    assert sums_of(found) == {"presentation": (a_sum("EUR", 1, "250.00", "50.00"),)}
    assert rates_of(stock.engine, PORTAL, silent) == Rates(lead=a_rate("lead", 1, 0), prospect=a_rate("prospect", 2, 1))
    counted = rules_of(stock.engine, PORTAL, services.portals[PORTAL].pack)
    assert {each.rule: each.contacts for each in counted.rules if each.contacts} == {
        "customer": 1, "in-process": 1, "inbound": 1,
    }  # fmt: skip
    assert (counted.contacts, counted.by_other_version) == (3, 0)
    services.portals[PORTAL].hubspot.close()
    services.engine.dispose()

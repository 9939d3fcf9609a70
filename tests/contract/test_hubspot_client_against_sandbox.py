"""Every public method of the HubSpot client, over HTTP against the practice HubSpot, in both path families."""

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from connector.hubspot.budget import CallBudget, Limits, MemoryBudgetStore
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.deals import DealInput
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.setup import set_up
from connector.hubspot.tasks import TaskInput
from connector.properties import CONTACT_PROPERTIES, MARKERS
from connector.sandbox import Sandbox, SandboxOptions
from tests.hubspot_portals import START, Time, a_portal

TASK = {"hs_timestamp": str(START), "hs_task_subject": "Call", "hs_task_type": "CALL", "hs_task_status": "NOT_STARTED"}
DEAL = {"dealname": "Acme", "pipeline": "default", "dealstage": "appointmentscheduled"}


@pytest.fixture(params=["v3", "2026-03", "2026-09"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def sandbox(time: Time) -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(port=0, clock=time, search_lag_ms=0)) as running:
        yield running


@pytest.fixture
def portal(sandbox: Sandbox, time: Time, version: str) -> Iterator[HubSpotPortal]:
    opened = a_portal(
        time, api_url=sandbox.address, access_token="pat-sandbox", api_version=version, timeout_s=(1.0, 0.5)
    )
    yield opened
    opened.close()


@pytest.fixture
def ready(portal: HubSpotPortal) -> HubSpotPortal:
    list(set_up(portal))
    return portal


def three(sandbox: Sandbox) -> list[str]:
    return [sandbox.create_contact({"email": f"{name}@example.com", "firstname": name}) for name in ("a", "b", "c")]


def test_set_up_makes_everything_once(portal: HubSpotPortal) -> None:
    first = Counter(step.outcome for step in set_up(portal))
    second = Counter(step.outcome for step in set_up(portal))
    names = set(portal.properties.definitions("contacts"))
    assert first["made"] >= len(CONTACT_PROPERTIES) + len(MARKERS) + 1
    assert set(second) == {"found"}
    assert {each.name for each in CONTACT_PROPERTIES} <= names


def test_two_people_may_set_up_at_once(sandbox: Sandbox, version: str) -> None:
    outcomes: Counter[str] = Counter()

    def run() -> None:
        mine = a_portal(api_url=sandbox.address, access_token="pat-sandbox", api_version=version)
        outcomes.update(step.outcome for step in set_up(mine) if step.what == "property")
        mine.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = len(CONTACT_PROPERTIES) + len(MARKERS)
    assert outcomes == {"made": everything, "found": everything}


def test_contacts_are_read_missing_ones_named_and_merged_ones_resolved_singly(
    sandbox: Sandbox, portal: HubSpotPortal
) -> None:
    first, second, third = three(sandbox)
    merged = sandbox.merge_contacts(first, second)
    answer = portal.contacts.read([first, third, "999999999"], ["email"], history=["email"])
    one = portal.contacts.read_one(second, ["email"])
    assert (set(answer.found), answer.missing, answer.failed) == ({third}, {first, "999999999"}, {})
    assert answer.found[third]["propertiesWithHistory"]["email"][0]["value"] == "c@example.com"
    assert one is not None
    assert (one["id"], one["properties"]["email"]) == (merged, "a@example.com")
    assert portal.contacts.read_one("999999999", ["email"]) is None


def test_changes_are_written_and_one_bad_value_harms_no_other(sandbox: Sandbox, ready: HubSpotPortal) -> None:
    ids = three(sandbox)
    changes = {each: {"sk_need": "definite", "sk_drip": "true"} for each in ids}
    changes[ids[1]] = {"sk_need": "no such option"}
    changes["999999999"] = {"sk_need": "none"}
    answer = ready.contacts.update(changes)
    assert (set(answer.found), set(answer.failed), answer.missing) == ({ids[0], ids[2]}, {ids[1]}, {"999999999"})
    assert (answer.failed[ids[1]].kind, answer.failed[ids[1]].properties) == ("invalid", ("sk_need",))
    assert sandbox.contact(ids[0])["sk_need"] == "definite"


def test_a_backward_stage_is_told_by_what_came_back(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    contact = sandbox.create_contact({"email": "a@example.com", "lifecyclestage": "opportunity"})
    answer = portal.contacts.update({contact: {"lifecyclestage": "lead"}})
    assert answer.found[contact]["properties"]["lifecyclestage"] == "opportunity"


def changed(portal: HubSpotPortal, moment: int) -> list[str]:
    pages = portal.changes_after("contacts", moment, ["email"])
    return [each["id"] for page in pages for each in page.records]


def test_all_contacts_are_listed_and_changed_ones_searched(sandbox: Sandbox, time: Time, portal: HubSpotPortal) -> None:
    ids = [sandbox.create_contact({"email": f"p{number}@example.com"}) for number in range(7)]
    time.now += 60_000
    sandbox.update_contact(ids[3], {"firstname": "Ana"})
    assert [each["id"] for each in portal.contacts.all(["email"], page_size=3)] == ids
    assert changed(portal, time.now - 1_000) == [ids[3]]
    assert sorted(changed(portal, START - 1)) == ids


def test_a_contact_is_unsubscribed_and_erased(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    contact = sandbox.create_contact({"email": "ana@example.com"})
    portal.contacts.unsubscribe("ana@example.com")
    assert sandbox.contact(contact)["hs_email_optout"] == "true"
    portal.contacts.gdpr_delete(contact)
    portal.contacts.gdpr_delete(contact)
    assert portal.contacts.read_one(contact, ["email"]) is None


def test_companies_and_deals_of_contacts_are_read(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    company = sandbox.create_company({"name": "Acme", "industry": "RETAIL"})
    contact = sandbox.create_contact({"email": "a@example.com"}, company=company)
    lonely = sandbox.create_contact({"email": "b@example.com"})
    deals = [sandbox.create_deal({**DEAL, "amount": str(amount)}, contacts=[contact]) for amount in (1, 2)]
    assert portal.companies.read([company], ["industry"]).found[company]["properties"]["industry"] == "RETAIL"
    belonging = portal.deals.of_contacts([contact, lonely, "999999999"])
    assert {each: set(others) for each, others in belonging.items()} == {
        contact: set(deals), lonely: set(), "999999999": set(),
    }  # fmt: skip
    found = portal.deals.read(deals, ["amount"]).found
    assert [found[each]["properties"]["amount"] for each in deals] == ["1", "2"]
    assert [each["id"] for each in portal.deals.pipelines()] == ["default"]


def test_tasks_and_deals_are_made_once_and_found_by_their_marker(sandbox: Sandbox, ready: HubSpotPortal) -> None:
    company = sandbox.create_company({"name": "Acme"})
    contact, other = (sandbox.create_contact({"email": f"{each}@example.com"}) for each in "ab")
    tasks = ready.tasks.create([TaskInput(key=f"k{n}", contact=contact, properties=TASK) for n in (1, 2)])
    deals = ready.deals.create([DealInput(key="d1", contact=contact, company=company, properties=DEAL)])
    assert (set(tasks.created), tasks.failed, tasks.unclear) == ({"k1", "k2"}, {}, frozenset())
    assert (set(deals.created), deals.failed, deals.unclear) == ({"d1"}, {}, frozenset())
    assert ready.tasks.marked([contact, other]) == {contact: tasks.created, other: {}}
    assert ready.deals.marked([contact, other]) == {contact: deals.created, other: {}}
    assert ready.tasks.read(tasks.created.values(), ["hs_task_subject"]).missing == frozenset()


def test_a_bad_task_harms_no_other(sandbox: Sandbox, ready: HubSpotPortal) -> None:
    contact = sandbox.create_contact({"email": "a@example.com"})
    bad = TaskInput(key="bad", contact=contact, properties={**TASK, "hs_task_priority": "no such option"})
    good = TaskInput(key="good", contact=contact, properties=TASK)
    answer = ready.tasks.create([bad, good])
    assert (set(answer.created), set(answer.failed), answer.unclear) == ({"good"}, {"bad"}, frozenset())
    assert len(sandbox.tasks_of(contact)) == 1


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "502_html", "garbage"])
def test_a_task_whose_answer_was_lost_is_unclear_and_its_marker_tells(
    sandbox: Sandbox, ready: HubSpotPortal, fault: str
) -> None:
    contact = sandbox.create_contact({"email": "a@example.com"})
    sandbox.faults.add(fault, route="tasks/batch/create", times=1, seconds=0.7)
    answer = ready.tasks.create([TaskInput(key="k1", contact=contact, properties=TASK)])
    assert (answer.created, answer.failed, answer.unclear) == ({}, {}, {"k1"})
    there = len(sandbox.tasks_of(contact))
    assert (len(ready.tasks.marked([contact])[contact]), there <= 1) == (there, True)
    assert sandbox.calls.count(route="/crm/objects/tasks/batch/create") == 1


@pytest.mark.parametrize("fault", ["423", "429_ten_secondly"])
def test_a_task_that_was_turned_away_is_made_at_the_next_try(
    sandbox: Sandbox, ready: HubSpotPortal, fault: str
) -> None:
    contact = sandbox.create_contact({"email": "a@example.com"})
    sandbox.faults.add(fault, route="tasks/batch/create", times=1)
    assert set(ready.tasks.create([TaskInput(key="k1", contact=contact, properties=TASK)]).created) == {"k1"}
    assert len(sandbox.tasks_of(contact)) == 1


@pytest.mark.parametrize(
    "fault", ["423", "429_ten_secondly", "500", "502_html", "503", "504", "reset", "timeout_before", "garbage"]
)
def test_a_read_survives_what_passes_within_seconds(sandbox: Sandbox, portal: HubSpotPortal, fault: str) -> None:
    contact = sandbox.create_contact({"email": "a@example.com"})
    sandbox.faults.add(fault, route="contacts/batch/read", times=1, seconds=0.7)
    assert set(portal.contacts.read([contact], ["email"]).found) == {contact}


@pytest.mark.parametrize(
    ("fault", "is_dated"), [("401", False), ("403_missing_scope", False), ("477", True), ("429_daily", True)]
)
def test_trouble_of_the_whole_portal_is_raised_with_its_cure(
    sandbox: Sandbox, portal: HubSpotPortal, fault: str, is_dated: bool
) -> None:
    sandbox.faults.add(fault, route="contacts/batch/read")
    with pytest.raises(PortalTrouble) as caught:
        portal.contacts.read(["1"], ["email"])
    assert (caught.value.until is not None, bool(caught.value.cure)) == (is_dated, True)


def test_a_revoked_token_stops_the_portal_until_it_is_given_back(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    sandbox.revoke_token()
    with pytest.raises(PortalTrouble):
        portal.account()
    sandbox.restore_token()
    assert str(portal.account()["portalId"]) == "4242"


def test_a_wrong_address_never_means_that_contacts_are_gone(sandbox: Sandbox, version: str) -> None:
    contact = sandbox.create_contact({"email": "a@example.com"})
    astray = a_portal(api_url=f"{sandbox.address}/elsewhere", access_token="pat-sandbox", api_version=version)
    answer = astray.contacts.read([contact], ["email"])
    assert (answer.missing, set(answer.failed)) == (frozenset(), {contact})
    astray.close()


def test_owners_are_found_by_their_address(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    owner = sandbox.add_owner("Sam@Acme.example", "Sam", "Seller")
    found = [portal.owners.by_email(address) for address in ("sam@acme.example", "nobody@acme.example")]
    assert found == [owner, None]
    assert owner in {str(each["id"]) for each in portal.owners.all()}


def test_the_account_names_the_portal_and_its_time_zone(portal: HubSpotPortal) -> None:
    account = portal.account()
    assert (str(account["portalId"]), account["timeZone"]) == ("4242", "UTC")


def test_the_budget_keeps_every_worker_below_hubspots_limits(time: Time) -> None:
    """Two workers share a store; the practice HubSpot counts strictly and never has to refuse."""
    options = SandboxOptions(port=0, clock=time, calls_per_10s=20, calls_per_day=1_000, searches_per_second=5)
    limits = Limits(calls_per_10s=20, calls_per_day=1_000, reserve=0.1, searches_per_second=5)
    store = MemoryBudgetStore()
    with Sandbox(options) as sandbox:
        workers = [
            HubSpotPortal(
                portal=4242, access_token="pat-sandbox", api_url=sandbox.address, clock=time, sleep=time.sleep,
                budget=CallBudget(portal=4242, limits=limits, store=store, clock=time, sleep=time.sleep),
            )
            for _ in range(2)
        ]  # fmt: skip
        contact = sandbox.create_contact({"email": "a@example.com"})
        for turn in range(60):
            time.now += 37
            workers[turn % 2].contacts.read([contact], ["email"])
            workers[turn % 2].newest_change("contacts")
        for worker in workers:
            worker.close()
        assert (sandbox.calls.count(status=429), sandbox.calls.count(status=200)) == (0, 120)


def test_the_budget_makes_room_for_others_on_the_same_token(time: Time) -> None:
    options = SandboxOptions(port=0, clock=time, calls_per_10s=20)
    with Sandbox(options) as sandbox:
        ours, theirs = (
            a_portal(time, api_url=sandbox.address, access_token="pat-sandbox",
                     limits=Limits(calls_per_10s=20, calls_per_day=1_000, reserve=reserve))
            for reserve in (0.1, 0.0)
        )  # fmt: skip
        contact = sandbox.create_contact({"email": "a@example.com"})
        for _ in range(12):
            theirs.contacts.read([contact], ["email"])
        for _ in range(12):
            ours.contacts.read([contact], ["email"])
        ours.close()
        theirs.close()
        assert sandbox.calls.count(status=429) == 0


def test_a_hundred_contacts_cost_one_call_to_read_and_one_to_write(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    ids = [sandbox.create_contact({"email": f"p{number}@example.com"}) for number in range(100)]
    sandbox.calls.reset()
    assert len(portal.contacts.read(ids, ["email"]).found) == 100
    assert len(portal.contacts.update({each: {"firstname": "x"} for each in ids}).found) == 100
    assert sandbox.calls.total == 2


def test_threads_share_a_portal(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    ids = [sandbox.create_contact({"email": f"p{number}@example.com"}) for number in range(20)]
    wrong: list[str] = []

    def read(contact: str) -> None:
        answers = [portal.contacts.read([contact], ["email"]) for _ in range(20)]
        wrong.extend(contact for answer in answers if set(answer.found) != {contact})

    threads = [threading.Thread(target=read, args=(each,)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_listing_that_breaks_off_is_told(sandbox: Sandbox, portal: HubSpotPortal) -> None:
    three(sandbox)
    listing = portal.contacts.all(["email"], page_size=1)
    next(listing)
    sandbox.faults.add("400", route="objects")
    with pytest.raises(HubSpotError):
        list(listing)

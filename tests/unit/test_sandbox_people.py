"""The invented people of a practice portal and their stories."""

from collections.abc import Iterable
from itertools import islice

from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.kinds import KINDS
from connector.sandbox.people import invent, story
from connector.sandbox.portal import Portal
from connector.sandbox.properties import standard_properties
from connector.sandbox.webhooks import Webhooks

NOW = 1_790_000_000_000
STANDARD = standard_properties(KINDS["0-1"], NOW, unique_allowed=True).definitions
OWN = (
    "sk_target_market sk_relationship sk_source sk_interest sk_engagement sk_meeting_scheduled sk_positive_response "
    "sk_contacted sk_unanswered sk_need sk_winnable sk_intent sk_authority sk_budget sk_timeline sk_knowledge "
    "sk_requirements sk_ready_by sk_blocked_by sk_blocked_until sk_committed sk_erasure_requested sk_sales_step "
    "sk_step_moved_by"
)
CONTRACT = frozenset(OWN.split())


def test_the_same_seed_invents_the_same_people_and_another_seed_others() -> None:
    def crowd(seed: int) -> list[dict[str, str]]:
        return [invent(number, seed=seed, now=NOW, known=STANDARD).properties for number in range(50)]

    assert crowd(1) == crowd(1)
    assert crowd(1) != crowd(2)
    addresses = [one["email"] for one in crowd(1)]
    assert len(set(addresses)) == 50
    assert all(address.endswith("@example.com") and address.isascii() for address in addresses)


def test_stagekeepers_properties_are_filled_in_only_where_they_exist() -> None:
    def names(known: Iterable[str]) -> set[str]:
        people = [invent(number, seed=1, now=NOW, known=set(known)) for number in range(100)]
        return {name for person in people for name in person.properties if name.startswith("sk_")}

    assert names(STANDARD) == set()
    assert names([*STANDARD, *CONTRACT]) > {"sk_target_market", "sk_intent", "sk_relationship"}
    assert names([*STANDARD, *CONTRACT]) <= CONTRACT


def test_a_crowd_is_a_mix_of_strangers_leads_prospects_and_customers() -> None:
    kinds = [invent(number, seed=1, now=NOW, known=STANDARD).kind for number in range(200)]
    assert set(kinds) == {"stranger", "lead", "prospect", "customer"}
    assert kinds.count("stranger") > kinds.count("customer")


def test_a_portal_starts_with_as_many_people_as_asked_each_with_a_company_and_no_event() -> None:
    sandbox = Sandbox(SandboxOptions(contacts=30, clock=lambda: NOW))
    contacts = list(sandbox.portal.records["0-1"].live)
    assert len(contacts) == 30
    assert all("associatedcompanyid" in sandbox.contact(one) for one in contacts)
    assert sandbox.webhooks.emitted == 0
    again = Sandbox(SandboxOptions(contacts=30, clock=lambda: NOW))
    assert [sandbox.contact(one) for one in contacts] == [again.contact(one) for one in contacts]


def test_a_story_repeats_with_its_seed_and_never_ends() -> None:
    def told(seed: int) -> list[object]:
        return list(islice(story(["1", "2", "3"], seed=seed, clock=lambda: NOW), 60))

    assert told(1) == told(1)
    assert told(1) != told(2)
    assert len(told(1)) == 60


def test_a_story_without_contacts_is_empty() -> None:
    assert list(story([], seed=1, clock=lambda: NOW)) == []


def test_a_story_speaks_of_the_contracts_properties_only_and_of_every_kind_of_life() -> None:
    steps = list(islice(story([str(n) for n in range(40)], seed=1, clock=lambda: NOW), 400))
    told = {name for step in steps for name in step.properties}
    assert told - CONTRACT == {"jobtitle"}
    assert {"sk_committed", "sk_erasure_requested", "sk_blocked_until", "sk_sales_step", "sk_unanswered"} <= told
    assert len({step.contact for step in steps}) == 40
    assert all(step.says for step in steps)


def test_a_story_leaves_out_what_the_portal_does_not_have() -> None:
    steps = islice(story(["1"], seed=1, clock=lambda: NOW, known={"sk_source"}), 1)
    assert [set(step.properties) for step in steps] == [{"sk_source"}]


def test_a_silent_portal_speaks_again_afterwards() -> None:
    options = SandboxOptions(clock=lambda: NOW)
    webhooks = Webhooks(options)
    portal = Portal(options, webhooks)
    contact = {"subscriptionType": "contact.creation"}
    with portal.silence(), portal.silence():
        portal.emit([contact])
    portal.emit([contact])
    assert webhooks.emitted == 1

"""The app's files for HubSpot's developer platform: their shape, what follows from a pack, and what is left alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connector.config import Allow, Owners, Portal
from connector.errors import Refused, UsageError
from connector.needs import PROPERTY_CHANGE, Subscription, scopes, silent_inputs, subscriptions
from connector.project import APP, PROJECT, WEBHOOKS, WrittenFile, project_files, write_project
from connector.properties import CONTACT_PROPERTIES
from connector.rulebook.checking import load_pack, load_pack_text
from connector.rulebook.pack import Pack
from connector.rulebook.shipped import shipped_packs
from connector.sandbox.events import EventMaker
from connector.sandbox.kinds import CONTACT, KINDS
from connector.sandbox.options import SandboxOptions
from connector.sandbox.properties import standard_properties

URL = "https://hooks.example.com/webhooks/hubspot"
BASE = """
version: 1
pack: tiny
ladder: [contact, lead]
stages:
  - {id: asked, when: {sk_source: {is: inbound}}, stage: lead, because: They asked.}
  - {id: rest, stage: contact, because: Nothing.}
"""
CONTACTS = {f"crm.{what}.contacts.{right}" for what in ("objects", "schemas") for right in ("read", "write")}
ALWAYS = {"contact.creation", "contact.deletion", "contact.merge", "contact.restore", "contact.privacyDeletion"}


def a_portal(**more: Any) -> Portal:
    token, secret = SecretStr("pat-test"), SecretStr("client-secret")
    given: dict[str, Any] = {"id": 4242, "access_token": token, "client_secret": secret, "webhook_url": URL}
    return Portal(**{**given, "rules": Path("p.yaml"), **more})


def a_pack(more: str = "", base: str = BASE) -> Pack:
    pack, problems = load_pack_text(base + more)
    assert pack is not None, problems
    return pack


def names(portal: Portal, pack: Pack) -> set[str]:
    return {scope.name for scope in scopes(portal, pack)}


# --- shape ------------------------------------------------------------------------------------------------------------


def test_the_files_have_the_documented_shape() -> None:
    """https://developers.hubspot.com/docs/apps/developer-platform/add-features/configure-webhooks"""
    files = {path: json.loads(text) for path, text in project_files(a_portal(), a_pack()).items()}
    description = files[APP]["config"].pop("description")
    assert 0 < len(description) <= 8192
    assert files == {
        PROJECT: {"name": "stagekeeper", "srcDir": "src", "platformVersion": "2026.03"},
        APP: {
            "uid": "stagekeeper",
            "type": "app",
            "config": {
                "name": "Stagekeeper",
                "distribution": "private",
                "auth": {"type": "static", "requiredScopes": sorted(CONTACTS)},
                "permittedUrls": {"fetch": [], "iframe": [], "img": []},
            },
        },
        WEBHOOKS: {
            "uid": "stagekeeper_webhooks",
            "type": "webhooks",
            "config": {
                "settings": {"targetUrl": URL, "maxConcurrentRequests": 10},
                "subscriptions": {
                    "crmObjects": [],
                    "legacyCrmObjects": [
                        {"subscriptionType": "contact.creation", "active": True},
                        {"subscriptionType": "contact.deletion", "active": True},
                        {"subscriptionType": "contact.merge", "active": True},
                        {"subscriptionType": PROPERTY_CHANGE, "propertyName": "lifecyclestage", "active": True},
                        {"subscriptionType": PROPERTY_CHANGE, "propertyName": "sk_source", "active": True},
                        {"subscriptionType": "contact.restore", "active": True},
                    ],
                    "hubEvents": [{"subscriptionType": "contact.privacyDeletion", "active": True}],
                },
            },
        },
    }


def test_the_files_lie_where_the_platform_looks_for_them() -> None:
    assert [*project_files(a_portal(), a_pack())] == [
        "hsproject.json", "src/app/app-hsmeta.json", "src/app/webhooks/webhooks-hsmeta.json",
    ]  # fmt: skip


def test_no_secret_stands_in_them() -> None:
    written = "".join(project_files(a_portal(), a_pack()).values())
    assert "pat-test" not in written
    assert "client-secret" not in written


# --- what follows from a pack -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_packs())
def test_of_every_shipped_pack_each_input_that_can_fire_is_subscribed_and_nothing_else(name: str) -> None:
    pack, _ = load_pack(shipped_packs()[name])
    assert pack is not None
    fires = EventMaker(SandboxOptions(counters_fire=True)).is_subscribed
    there = standard_properties(KINDS[CONTACT], 0, True).definitions
    ours = {each.name for each in CONTACT_PROPERTIES}
    inputs = pack.properties("contact") | {"lifecyclestage"}
    assert inputs <= there.keys() | ours
    can = {each for each in inputs if each in ours or fires(there[each])}
    links = {"contact.associationChange"} if pack.properties("company") or pack.reads_deals else set()
    wanted = {Subscription(kind) for kind in ALWAYS | links} | {Subscription(PROPERTY_CHANGE, each) for each in can}
    found = subscriptions(pack)
    assert set(found) == wanted
    assert len(found) == len(wanted)
    assert set(silent_inputs(pack)) == inputs - can


def test_what_hubspot_calculates_is_known_without_asking_the_portal() -> None:
    fires = EventMaker(SandboxOptions(counters_fire=True)).is_subscribed
    for name, definition in standard_properties(KINDS[CONTACT], 0, True).definitions.items():
        pack = a_pack(base=BASE.replace("{sk_source: {is: inbound}}", f"{{{name}: {{known: true}}}}"))
        assert (name in silent_inputs(pack)) != fires(definition), name


def test_a_property_that_the_portal_calculates_is_not_subscribed() -> None:
    pack = a_pack(base=BASE.replace("sk_source", "my_rollup"))
    assert Subscription(PROPERTY_CHANGE, "my_rollup") in subscriptions(pack)
    assert Subscription(PROPERTY_CHANGE, "my_rollup") not in subscriptions(pack, {"my_rollup"})


def test_what_only_texts_show_is_not_subscribed() -> None:
    title = "Call {{ contact.firstname }} of {{ company.name }}"
    pack = a_pack(f'tasks: [{{id: t, when: {{entered: lead}}, title: "{title}"}}]')
    assert {each.property for each in subscriptions(pack)} == {"", "lifecyclestage", "sk_source"}
    assert Subscription("contact.associationChange") not in subscriptions(pack)


def test_what_starts_a_cadence_anew_is_subscribed() -> None:
    cadence = "{id: c, while: {stage: lead}, every: 3 days, starts_anew_on: [phone], task: {title: T}}"
    pack = a_pack(f"cadences: [{cadence}]")
    assert Subscription(PROPERTY_CHANGE, "phone") in subscriptions(pack)


@pytest.mark.parametrize(
    "facts",
    ["facts: {f: {company.type: {is: VENDOR}}}", "facts: {f: {any_deal: {dealstage: {is: closedwon}}}}",
     "derived: {sk_sales_step: {from: deal.dealstage, map: {proposal: [contractsent]}}}"],
)  # fmt: skip
def test_links_are_subscribed_where_companies_or_deals_are_read(facts: str) -> None:
    assert Subscription("contact.associationChange") in subscriptions(a_pack(facts))
    assert Subscription("contact.associationChange") not in subscriptions(a_pack())


DEAL = "actions: [{id: open-deal, when: {entered: lead}, create_deal: {pipeline: default, stage: contractsent}}]"
FORGET = "actions: [{id: forget, when: {entered: lead}, do: [unsubscribe, erase]}]"


@pytest.mark.parametrize(
    ("more", "options", "added"),
    [
        ("", {}, set()),
        ("facts: {f: {company.type: {is: VENDOR}}}", {}, {"crm.objects.companies.read", "crm.schemas.companies.read"}),
        ("facts: {f: {any_deal: {amount: {at_least: 1}}}}", {}, {"crm.objects.deals.read", "crm.schemas.deals.read"}),
        (DEAL, {}, {"crm.objects.deals.read", "crm.schemas.deals.read", "crm.objects.deals.write",
                    "crm.schemas.deals.write"}),
        (DEAL, {"allow": Allow(create_deals=False)}, set()),
        (FORGET, {}, set()),
        (FORGET, {"allow": Allow(erase_contacts=True)}, {"communication_preferences.read_write"}),
        ("", {"owners": Owners(default="a@b.example")}, {"crm.objects.owners.read"}),
        ("tasks: [{id: t, when: {entered: lead}, title: T, owner: a@b.example}]", {}, {"crm.objects.owners.read"}),
        ("tasks: [{id: t, when: {entered: lead}, title: T}]", {}, set()),
    ],
)  # fmt: skip
def test_scopes_follow_from_the_pack_and_the_options(more: str, options: dict[str, Any], added: set[str]) -> None:
    assert names(a_portal(**options), a_pack(more)) == CONTACTS | added


def test_a_scope_says_what_it_is_for() -> None:
    pack = a_pack("facts: {f: {company.type: {is: VENDOR}}, g: {company.type: {is: X}}, h: {company.name: {is: Y}}}\n"
                  "statuses: [{id: s, status: hot, when: {company.type: {is: Z}}}]")  # fmt: skip
    why = {scope.name: scope.why for scope in scopes(a_portal(), pack)}
    assert why["crm.objects.companies.read"] == "companies are read for fact f, fact g, fact h and 1 more"


def test_in_shadow_what_is_only_written_is_not_essential_yet() -> None:
    lacking = {scope.name for scope in scopes(a_portal(mode="shadow"), a_pack(DEAL)) if not scope.essential}
    assert {"crm.objects.contacts.write", "crm.objects.deals.write"} <= lacking


# --- writing ----------------------------------------------------------------------------------------------------------


def outcomes(written: list[WrittenFile]) -> list[str]:
    return [file.outcome for file in written]


def test_the_files_are_the_same_at_every_writing(tmp_path: Path) -> None:
    files = project_files(a_portal(), a_pack())
    assert outcomes(write_project(tmp_path / "app", files)) == ["made"] * 3
    before = {path: (tmp_path / "app" / path).read_bytes() for path in files}
    assert outcomes(write_project(tmp_path / "app", project_files(a_portal(), a_pack()))) == ["found"] * 3
    assert {path: (tmp_path / "app" / path).read_bytes() for path in files} == before


def test_a_file_that_differs_stays_and_then_none_is_written(tmp_path: Path) -> None:
    files = project_files(a_portal(), a_pack())
    (tmp_path / APP).parent.mkdir(parents=True)
    (tmp_path / APP).write_bytes(b"\xff mine")
    with pytest.raises(Refused, match=r"app-hsmeta\.json would be overwritten") as refused:
        write_project(tmp_path, files)
    assert refused.value.exit_code == 7
    assert PROJECT not in str(refused.value)
    assert (tmp_path / APP).read_bytes() == b"\xff mine"
    assert not (tmp_path / PROJECT).exists()
    assert outcomes(write_project(tmp_path, files, force=True)) == ["made", "changed", "made"]
    assert (tmp_path / APP).read_text("utf-8") == files[APP]


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("a file")
    with pytest.raises(UsageError, match="another folder"):
        write_project(tmp_path / "app", project_files(a_portal(), a_pack()))

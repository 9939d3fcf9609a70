"""Merging, deletion and GDPR deletion in the practice HubSpot, and what is left of the old ids."""

import pytest

from tests.integration.sandbox_calls import calling, receiving

PATH = "/crm/v3/objects/contacts"


def test_two_merged_contacts_become_a_third_and_both_old_ids_work_in_single_calls_only() -> None:
    with calling() as (sandbox, api):
        winner = sandbox.create_contact({"email": "a@example.com", "phone": "1", "lifecyclestage": "lead"})
        loser = sandbox.create_contact({"email": "b@example.com", "phone": "2", "city": "Oslo",
                                        "lifecyclestage": "opportunity"})  # fmt: skip
        deal = sandbox.create_deal({"dealname": "D"}, contacts=[loser])
        heard = api("POST", f"{PATH}/merge", {"primaryObjectId": winner, "objectIdToMerge": loser})
        merged = heard.body["id"]
        assert heard.status == 200
        assert len({merged, winner, loser}) == 3
        for old in (winner, loser):
            assert api("GET", f"{PATH}/{old}").body["id"] == merged
            assert api("PATCH", f"{PATH}/{old}", {"properties": {"zip": "1"}}).status == 200
        batch = api("POST", f"{PATH}/batch/read", {"inputs": [{"id": winner}, {"id": merged}]})
        assert (batch.status, batch.body["errors"][0]["context"]) == (207, {"ids": [winner]})
        update = api("POST", f"{PATH}/batch/update", {"inputs": [{"id": loser, "properties": {"zip": "2"}}]})
        assert (update.status, update.body["results"]) == (207, [])
        now = sandbox.contact(merged)
        assert (now["phone"], now["city"], now["email"], now["lifecyclestage"], now["num_associated_deals"]) == (
            "1", "Oslo", "a@example.com", "opportunity", "1",
        )  # fmt: skip
        assert now["hs_merged_object_ids"] == f"{winner};{loser}"
        assert [one["id"] for one in sandbox.deals_of(merged)] == [deal]


def test_two_merged_contacts_may_also_go_on_as_the_winner() -> None:
    with calling(merging_makes_third=False) as (sandbox, api):
        winner = sandbox.create_contact({"email": "a@example.com"})
        loser = sandbox.create_contact({"email": "b@example.com", "city": "Oslo"})
        task = sandbox.create_task({"hs_timestamp": "2099-01-01"}, contacts=[loser])
        assert sandbox.merge_contacts(winner, loser) == winner
        assert api("GET", f"{PATH}/{loser}").body["id"] == winner
        batch = api("POST", f"{PATH}/batch/read", {"inputs": [{"id": winner}, {"id": loser}]})
        assert (batch.status, batch.body["errors"][0]["context"]) == (207, {"ids": [loser]})
        assert (sandbox.contact(winner)["city"], sandbox.contact(winner)["hs_merged_object_ids"]) == ("Oslo", loser)
        assert [one["id"] for one in sandbox.tasks_of(winner)] == [task]
        told = sandbox.webhooks.events[-1]
        assert (told["newObjectId"], told["primaryObjectId"]) == (int(winner), int(winner))


@pytest.mark.parametrize("shown", [True, False])
def test_a_batch_read_of_the_bin_finds_the_deleted_and_by_default_not_the_merged(shown: bool) -> None:
    with calling(merged_are_binned=shown) as (sandbox, api):
        alive, deleted, winner, loser, erased = (sandbox.create_contact({}) for _ in range(5))
        sandbox.delete_contact(deleted)
        sandbox.privacy_delete(erased)
        sandbox.merge_contacts(winner, loser)
        inputs = {"inputs": [{"id": one} for one in (alive, deleted, winner, loser, erased)]}
        heard = api("POST", f"{PATH}/batch/read?archived=true", inputs)
        assert heard.status == 207
        found = {one["id"]: one["archived"] for one in heard.body["results"]}
        assert found == dict.fromkeys([deleted, *([winner, loser] if shown else [])], True)
        assert api("GET", f"{PATH}/{loser}").status == 200


def test_an_id_that_was_merged_twice_still_leads_to_the_living_contact() -> None:
    with calling() as (sandbox, api):
        first, second, third = (sandbox.create_contact({}) for _ in range(3))
        last = sandbox.merge_contacts(sandbox.merge_contacts(first, second), third)
        assert [api("GET", f"{PATH}/{old}").body["id"] for old in (first, second, third)] == [last] * 3
        assert api("POST", f"{PATH}/merge", {"primaryObjectId": last, "objectIdToMerge": first}).status == 400


def test_a_gdpr_deletion_leaves_nothing_and_finds_nothing_the_second_time() -> None:
    with calling() as (sandbox, api):
        contact = sandbox.create_contact({"email": "ana@example.com"})
        sandbox.create_task({"hs_timestamp": "2099-01-01"}, contacts=[contact])
        assert api("POST", f"{PATH}/gdpr-delete", {"objectId": contact}).status == 204
        assert api("GET", f"{PATH}/{contact}?archived=true").status == 404
        assert api("POST", f"{PATH}/gdpr-delete", {"objectId": contact}).status == 404
        by_mail = {"objectId": "ana@example.com", "idProperty": "email"}
        assert api("POST", f"{PATH}/gdpr-delete", by_mail).status == 204
        assert "ana@example.com" not in str(api("GET", "/sandbox/contacts").body)


def test_merging_deleting_restoring_and_forgetting_are_told() -> None:
    with receiving() as receiver, calling(webhook_url="https://hooks.example.com/w", deliver_to=receiver.address,
                                          batch_window_ms=1) as (sandbox, _):  # fmt: skip
        one, two, three = (sandbox.create_contact({"email": f"{n}@example.com"}) for n in range(3))
        merged = sandbox.merge_contacts(one, two)
        sandbox.delete_contact(merged)
        sandbox.restore_contact(merged)
        sandbox.privacy_delete(three)
        assert sandbox.webhooks.wait_until_quiet(5)
        told = {event["subscriptionType"]: event for event in receiver.events}
        facts = ("primaryObjectId", "mergedObjectIds", "newObjectId", "numberOfPropertiesMoved")
        assert [told["contact.merge"][name] for name in facts] == [int(one), [int(two)], int(merged), 0]
        assert (told["contact.restore"]["objectId"], told["contact.privacyDeletion"]["objectId"]) == (
            int(merged), int(three),
        )  # fmt: skip
        deleted = receiver.of("contact.deletion")
        assert [(event["objectId"], event["changeFlag"]) for event in deleted] == [
            (int(merged), "DELETED"), (int(three), "DELETED"),
        ]  # fmt: skip

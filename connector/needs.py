"""What a pack and a portal's options need of the app in HubSpot: scopes and webhook subscriptions, and what for.

Nothing more is named than is used, for an app should ask for no more. Events of companies and deals name no contact, so
they are not among the subscriptions: reconciliation finds such changes.
https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from connector.config import Portal
from connector.rulebook.conditions import Condition, DealsTest, leaves, tested_properties
from connector.rulebook.pack import ActionRule, Pack
from connector.snapshot import Wanted

PROPERTY_CHANGE = "contact.propertyChange"
_STAGE = "lifecyclestage"
_ALWAYS = ("contact.creation", "contact.deletion", "contact.merge", "contact.privacyDeletion", "contact.restore")
_MOST_NAMED = 3

# What never fires, however it changes: the first three cannot be subscribed to, the others are calculated.
# https://developers.hubspot.com/docs/api-reference/webhooks/guide
_SILENT = frozenset({
    "num_unique_conversion_events", "hs_lastmodifieddate", "lastmodifieddate",
    "num_conversion_events", "recent_conversion_event_name", "recent_conversion_date", "first_conversion_event_name",
    "first_conversion_date", "days_to_close", "hs_time_to_first_engagement", "hs_sequences_is_enrolled",
    "hs_sa_first_engagement_descr", "hs_sa_first_engagement_object_type", "hs_all_contact_vids", "hs_additional_emails",
    "hs_email_domain", "hs_is_contact",
})  # fmt: skip
_SILENT_BEGINNINGS = ("hs_time_in_", "hs_v2_cumulative_time_in_", "hs_v2_latest_time_in_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """A scope that the app must have."""

    name: str
    why: str
    instead: frozenset[str] = frozenset()
    """Scopes of which any is as good."""
    essential: bool = True
    """Without it the rules cannot work; otherwise something beside them cannot."""

    def is_among(self, granted: Collection[str]) -> bool:
        """Ask whether it, or one that is as good, was granted."""
        return self.name in granted or not self.instead.isdisjoint(granted)


@dataclass(frozen=True, slots=True, order=True)
class Subscription:
    """A webhook subscription; `property` only where it is one to the changes of a property."""

    type: str
    property: str = ""

    def __str__(self) -> str:
        return f"{self.type} ({self.property})" if self.property else self.type


# --- scopes -----------------------------------------------------------------------------------------------------------


def scopes(portal: Portal, pack: Pack) -> tuple[Scope, ...]:
    """Name the scopes that a portal's app needs, each with what it is for."""
    wanted, opens_deals = Wanted.by(pack), deal_rules(portal, pack)
    found = [*_of_contacts(live=portal.mode == "live")]
    if wanted.company:
        found += _reading("companies", _users(pack, _reads_company) or "texts of tasks")
    if opens_deals:
        rules = _named(opens_deals)
        writes = portal.mode == "live"
        found.append(Scope(name="crm.objects.deals.write", why=f"deals are opened by {rules}", essential=writes))
        why = f"`stagekeeper setup` makes the marker of the deals that {rules} opens"
        found.append(Scope(name="crm.schemas.deals.write", why=why, essential=False))
    if wanted.reads_deals or opens_deals:
        users = _users(pack, _reads_deals, pack.derived) or (_named(opens_deals) if opens_deals else "texts of tasks")
        found += _reading("deals", users)
    if asks_for_owners(portal, pack):
        found.append(Scope(name="crm.objects.owners.read", why="tasks are given to people by their address"))
    if unsubscribing := _unsubscribing(portal, pack):
        why = f"people are unsubscribed by {_named(unsubscribing)}"
        found.append(Scope(name="communication_preferences.read_write", why=why,
                           instead=frozenset({"communication_preferences.write"})))  # fmt: skip
    return tuple(sorted(found, key=lambda scope: scope.name))


def deal_rules(portal: Portal, pack: Pack) -> list[str]:
    """Name the rules that open deals, where the portal allows it."""
    return [rule.id for rule in pack.actions if rule.create_deal] if portal.allow.create_deals else []


def asks_for_owners(portal: Portal, pack: Pack) -> bool:
    """Ask whether tasks go to people who are named by their address."""
    bodies = [rule.body for rule in pack.tasks] + [rule.body for rule in pack.cadences]
    named = [address for body in bodies for address in (body.owner if isinstance(body.owner, list) else [body.owner])]
    return any("@" in address for address in (*named, *([portal.owners.default] if portal.owners.default else ())))


def _of_contacts(*, live: bool) -> Iterator[Scope]:
    yield Scope(name="crm.objects.contacts.read", why="every rule reads contacts; tasks go by it too")
    yield Scope(
        name="crm.objects.contacts.write", why="stages, reasons and tasks are written" + (
            "" if live else " as soon as `mode` is live"), essential=live,
    )  # fmt: skip
    yield Scope(
        name="crm.schemas.contacts.read", why="lifecycle stages and properties are read",
        instead=frozenset({"crm.objects.contacts.read"}),
    )  # fmt: skip
    yield Scope(name="crm.schemas.contacts.write", why="`stagekeeper setup` makes properties", essential=False)


def _reading(kind: str, users: str) -> Iterator[Scope]:
    yield Scope(name=f"crm.objects.{kind}.read", why=f"{kind} are read for {users}")
    yield Scope(
        name=f"crm.schemas.{kind}.read", why=f"properties of {kind} are read", instead=frozenset(
            {f"crm.objects.{kind}.read"}),
    )  # fmt: skip


def _unsubscribing(portal: Portal, pack: Pack) -> list[str]:
    allowed: Iterable[ActionRule] = pack.actions if portal.allow.erase_contacts else ()
    return [rule.id for rule in allowed if "unsubscribe" in rule.do]


def _users(pack: Pack, reads: Callable[[Condition], bool], others: Iterable[str] = ()) -> str:
    """Name the facts and rules whose own condition reads something."""
    facts = [f"fact {name}" for name, condition in pack.facts.items() if reads(condition)]
    rules = [rule.id for rule in pack.rules() if reads(rule.when)]
    return _named([*facts, *rules, *others])


def _reads_company(condition: Condition) -> bool:
    return any(test.object == "company" for test in tested_properties(condition))


def _reads_deals(condition: Condition) -> bool:
    return any(isinstance(leaf, DealsTest) for leaf in leaves(condition))


def _named(names: Collection[str]) -> str:
    listed = list(dict.fromkeys(names))
    more = len(listed) - _MOST_NAMED
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


# --- subscriptions ----------------------------------------------------------------------------------------------------


def subscriptions(pack: Pack, calculated: Collection[str] = ()) -> tuple[Subscription, ...]:
    """Name the subscriptions that a pack needs: whatever can change a decision and can fire.

    `calculated` are contact properties of which the portal says so: they never fire.
    """
    inputs = {*pack.properties("contact"), _STAGE} - {*silent_inputs(pack, calculated)}
    links = ("contact.associationChange",) if pack.properties("company") or pack.reads_deals else ()
    found = [Subscription(kind) for kind in (*_ALWAYS, *links)]
    return tuple(sorted([*found, *(Subscription(PROPERTY_CHANGE, name) for name in inputs)]))


def silent_inputs(pack: Pack, calculated: Collection[str] = ()) -> tuple[str, ...]:
    """Name the contact properties that the rules read and whose changes HubSpot tells nobody."""
    return tuple(sorted(n for n in pack.properties("contact") if _is_silent(n) or n in calculated))


def _is_silent(name: str) -> bool:
    return name in _SILENT or name.startswith(_SILENT_BEGINNINGS)

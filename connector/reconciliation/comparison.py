"""Whom of the contacts behind changed records to look at: whose rule inputs differ from those of the last look.

HubSpot changes records for many reasons that rules do not read, our own writes first among them; comparing with what
was read then drops those without a call. What is compared is what conditions read, the lifecycle stage and the primary
company. What our own last write put there is as good as read. Inputs of companies and deals count only for
contacts whose last decision needed them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from connector.identity.receipts import digest_of
from connector.plan import STAGE
from connector.rulebook.pack import Pack
from connector.snapshot import WRITTEN, Snapshot
from connector.store.engine import reading
from connector.store.tables import contacts, receipts, records

Inputs = Mapping[str, Any]
"""Properties by name, as HubSpot's API gives them."""

MERGED = "hs_merged_object_ids"
_COMPANY, _DEALS = "associatedcompanyid", "num_associated_deals"
_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """Contacts that must be looked at."""

    changed: frozenset[str] = frozenset()
    """What the rules read of them is not what it was at the last look."""
    unknown: frozenset[str] = frozenset()
    """Never judged, or taken for gone."""
    gone: frozenset[str] = frozenset()
    """Known here, and merged or deleted in HubSpot."""

    @property
    def every(self) -> frozenset[str]:
        """Give all of them."""
        return self.changed | self.unknown | self.gone

    def __or__(self, other: "Differences") -> "Differences":
        return Differences(
            changed=self.changed | other.changed, unknown=self.unknown | other.unknown, gone=self.gone | other.gone
        )


@dataclass(frozen=True, slots=True)
class _Written:
    """What our last write left in HubSpot, and whether HubSpot kept a stage of its own."""

    values: Mapping[str, str] = field(default_factory=dict)
    is_held: bool = False


class Comparison:
    """Compares what HubSpot holds with what one portal's contacts were judged by."""

    def __init__(self, engine: sa.Engine, *, portal: int, pack: Pack) -> None:
        self._engine = engine
        self._portal = portal
        self.companies = pack.properties("company")
        self.deals = pack.properties("deal")
        self.reads_deals = pack.reads_deals
        self.compared = frozenset({*pack.properties("contact"), STAGE, *({_COMPANY} if self.companies else ())})
        self.contacts = self.compared | {MERGED, *({_DEALS} if self.reads_deals else ())}
        """The contact properties to ask for."""
        self._writes_inputs = not self.compared.isdisjoint({*pack.written(), *WRITTEN} - {STAGE})

    def of_contacts(self, found: Mapping[str, Inputs]) -> Differences:
        """Compare contacts with their last look; those that were merged into them must not count on their own."""
        known = self._known(found)
        suspects = {c: row for c, row in known.items() if self._may_differ(row, found[c])}
        written = self._last_writes(suspects)
        changed = {c for c, row in suspects.items() if self._differs(row, found[c], written.get(c, _Written()))}
        merged = {loser for inputs in found.values() for loser in _ids(inputs.get(MERGED))} - found.keys()
        return Differences(
            changed=frozenset(changed),
            unknown=frozenset(self._not_erased(found.keys() - known.keys())),
            gone=frozenset(self._known(merged)),
        )

    def of_companies(
        self, found: Mapping[str, Inputs], contacts_of: Mapping[str, tuple[str, ...]]
    ) -> Differences:
        """Compare companies with what the contacts whose primary company they are were judged by."""
        every = {contact for belonging in contacts_of.values() for contact in belonging}
        known = self._known(every)
        changed = set()
        for company, inputs in found.items():
            for contact in contacts_of.get(company, ()):
                held = known[contact].snapshot if contact in known else {}
                is_theirs = held.get("properties", {}).get(_COMPANY) == company
                if is_theirs and self._company_differs(held, inputs):
                    changed.add(contact)
        return Differences(changed=frozenset(changed), unknown=frozenset(self._not_erased(every - known.keys())))

    def reading_deals(self, ids: Collection[str]) -> Differences:
        """Tell those of contacts that were judged by their deals (`changed`: they may be), and who is unknown."""
        known = self._known(ids)
        return Differences(
            changed=frozenset(c for c, row in known.items() if row.snapshot.get("deals") is not None),
            unknown=frozenset(self._not_erased(set(ids) - known.keys())),
        )

    def counting_other_deals(self, found: Mapping[str, Inputs]) -> set[str]:
        """Name contacts that were judged by another number of deals than HubSpot counts: one may have gone."""
        if not self.reads_deals:
            return set()
        held = {c: row.snapshot.get("deals") for c, row in self._known(found).items()}
        return {c for c, deals in held.items() if deals is not None and _number(found[c].get(_DEALS)) != len(deals)}

    def of_deals(self, snapshots: Mapping[str, Snapshot]) -> Differences:
        """Compare the deals of contacts, as read now, with those that they were judged by."""
        known = self._known(snapshots)
        changed = {c for c, row in known.items() if self._deals_differ(row.snapshot, snapshots[c].deals or ())}
        return Differences(changed=frozenset(changed))

    def of_primary_companies(self, snapshots: Mapping[str, Snapshot]) -> Differences:
        """Compare the primary companies of contacts, as read now, with what they were judged by."""
        known = self._known(snapshots)
        changed = {c for c, row in known.items() if self._company_differs(row.snapshot, snapshots[c].company or {})}
        return Differences(changed=frozenset(changed))

    # --- what is known ------------------------------------------------------------------------------------------------

    def known_after(self, contact: str, *, limit: int) -> list[str]:
        """List contacts that are taken for living, in the order of their ids as text, from behind one on."""
        of_portal = (contacts.c.portal == self._portal, contacts.c.contact > contact, contacts.c.gone.is_(None))
        query = sa.select(contacts.c.contact).where(*of_portal).order_by(contacts.c.contact).limit(limit)
        with reading(self._engine) as connection:
            return list(connection.scalars(query))

    def _known(self, ids: Iterable[str]) -> dict[str, sa.Row[Any]]:
        """Give the last looks at those who were ever judged and are not taken for gone."""
        wanted = sorted(ids)
        columns = (contacts.c.contact, contacts.c.snapshot, contacts.c.stage_seen)
        found: dict[str, sa.Row[Any]] = {}
        with reading(self._engine) as connection:
            for some in _parts(wanted):
                these = (contacts.c.portal == self._portal, contacts.c.contact.in_(some), contacts.c.gone.is_(None))
                judged = contacts.c.fingerprint != ""  # of whom more is known than what was handed over in a merge
                found |= {row.contact: row for row in connection.execute(sa.select(*columns).where(*these, judged))}
        return found

    def _not_erased(self, ids: Collection[str]) -> set[str]:
        """Leave out who was erased here: an event may bring them back, we do not of our own accord."""
        digests = {digest_of(self._portal, contact): contact for contact in ids}
        erased = set[str]()
        with reading(self._engine) as connection:
            for some in _parts(sorted(digests)):
                these = (receipts.c.portal == self._portal, receipts.c.digest.in_(some))
                erased |= set(connection.scalars(sa.select(receipts.c.digest).where(*these)))
        return {contact for digest, contact in digests.items() if digest not in erased}

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _differs(self, row: sa.Row[Any], now: Inputs, written: "_Written") -> bool:
        """Ask whether anything is neither as we left it nor, where we left it alone, as it was read.

        A stage that HubSpot kept against us may be either.
        """
        then, left = row.snapshot.get("properties", {}), written.values
        for name in self.compared:
            expected = {left.get(name, then.get(name) or "")}
            if name == STAGE and written.is_held:
                expected.add(then.get(name) or "")
            if (now.get(name) or "") not in expected:
                return True
        return False

    def _may_differ(self, row: sa.Row[Any], now: Inputs) -> bool:
        """Ask whether to look closer: whoever is as read, and of whom we wrote nothing that counts, is as before."""
        meant_to_move = (row.stage_seen or "") != (row.snapshot.get("properties", {}).get(STAGE) or "")
        return self._writes_inputs or meant_to_move or self._differs(row, now, _Written())

    def _last_writes(self, ids: Iterable[str]) -> "dict[str, _Written]":
        """Give what the latest record of each contact says was written, as it was planned."""
        found: dict[str, _Written] = {}
        with reading(self._engine) as connection:
            for some in _parts(sorted(ids)):
                these = (records.c.portal == self._portal, records.c.contact.in_(some))
                latest = sa.select(sa.func.max(records.c.id)).where(*these).group_by(records.c.contact)
                columns = (records.c.contact, records.c.planned, records.c.done)
                for row in connection.execute(sa.select(*columns).where(records.c.id.in_(latest))):
                    planned, done = row.planned.get("properties", {}), row.done or {}
                    values = {name: planned[name][1] or "" for name in done.get("written", ()) if name in planned}
                    found[row.contact] = _Written(values, is_held=bool(done.get("held")))
        return found

    def _company_differs(self, held: Mapping[str, Any], now: Inputs) -> bool:
        then = held.get("company")
        return then is not None and _shown(then, self.companies) != _shown(now, self.companies)

    def _deals_differ(self, held: Mapping[str, Any], now: Iterable[Inputs]) -> bool:
        then = held.get("deals")
        return then is not None and self._counted(then) != self._counted(now)

    def _counted(self, deals: Iterable[Inputs]) -> Counter[frozenset[tuple[str, Any]]]:
        """Count alike deals: their order says nothing, and two may be alike."""
        return Counter(frozenset(_shown(deal, self.deals).items()) for deal in deals)


def _shown(inputs: Inputs, names: Iterable[str]) -> dict[str, Any]:
    """Give the named properties without what is empty."""
    return {name: inputs[name] for name in names if inputs.get(name)}


def _ids(text: object) -> list[str]:
    return [each for each in str(text or "").split(";") if each]


def _number(text: object) -> int:
    return int(float(str(text))) if str(text or "").replace(".", "", 1).isdigit() else 0


def _parts(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))

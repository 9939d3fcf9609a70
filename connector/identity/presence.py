"""Who of a claim's contacts HubSpot holds, as whom, and what is known of them: the reading end of the pipeline.

A contact may be there; or deleted; or merged into another, to whom passes what is known of it; or erased, of whom
nothing is to be known again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.meaning import Meaning
from connector.identity.erasure import STILL_SHOWN
from connector.identity.merging import pass_on
from connector.identity.receipts import erased_among
from connector.identity.whereabouts import find_whereabouts
from connector.inbox import Claim
from connector.record import DELETED, Held, Recorder
from connector.snapshot import Snapshot, Wanted, read_snapshots
from connector.store.engine import reading

_BUSY = Meaning(kind="locked", message="another worker is at work on a contact that was merged into this one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """What HubSpot holds of a claim's contacts, and what is known of them."""

    found: Mapping[str, Snapshot]
    held: Mapping[str, Held]
    gone: Mapping[str, str]
    """The id that each was merged into, or "deleted"."""
    heirs: Mapping[str, str] = field(default_factory=dict)
    """By merged contact: the survivor in `found` whose `held` has taken in what was known of it."""
    erased: frozenset[str] = frozenset()
    """Whoever was erased, and of whom a later event has brought back a trace."""
    busy: Mapping[str, Meaning] = field(default_factory=dict)
    """Survivors that must wait for another worker."""
    failed: Mapping[str, Meaning] = field(default_factory=dict)

    def heirs_among(self, judged: Mapping[str, object]) -> dict[str, str]:
        """Give the merged contacts whose survivors have been judged."""
        return {merged: survivor for merged, survivor in self.heirs.items() if survivor in judged}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Reads the contacts of one portal's claims."""

    hubspot: HubSpotPortal
    wanted: Wanted
    engine: sa.Engine
    recorder: Recorder
    ladder: Sequence[str]
    shadow_ladder: Sequence[str] = ()

    def read(self, claim: Claim, *, now: int, still_held: Callable[[], None]) -> Presence:
        """Read a claim's contacts; raises HubSpotError when nothing could be read."""
        ids = [held.contact for held in claim.contacts]
        held = self.recorder.held(ids)
        snapshots = read_snapshots(self.hubspot, self.wanted, ids)
        where = find_whereabouts(self.hubspot, self.engine, snapshots.missing, still_held=still_held)
        erased = self._erased(claim.portal, snapshots.found, where.gone, now)
        found = {c: snapshot for c, snapshot in snapshots.found.items() if c not in erased}
        gone = {c: survivor for c, survivor in where.gone.items() if c not in erased}
        passing = pass_on(
            self.engine, self.recorder, claim, found=found, gone=gone, held=held, ladder=self.ladder,
            shadow_ladder=self.shadow_ladder,
        )  # fmt: skip
        return Presence(
            found={c: snapshot for c, snapshot in found.items() if c not in passing.busy},
            held={**held, **passing.held},
            gone=gone,
            heirs=passing.heirs,
            erased=erased,
            busy=dict.fromkeys(passing.busy, _BUSY),
            failed={**snapshots.failed, **where.lost},
        )

    def _erased(
        self, portal: int, found: Mapping[str, Snapshot], gone: Mapping[str, str], now: int
    ) -> frozenset[str]:
        """Name those that were erased: whoever is gone, or became one who was; and whom HubSpot only still shows."""
        with reading(self.engine) as connection:
            shown = erased_among(connection, portal, found, reason="privacy_deletion", since=now - STILL_SHOWN)
            deleted = erased_among(connection, portal, [c for c, where in gone.items() if where == DELETED])
            survivors = {*gone.values()} - {DELETED, *found}
            forgotten = erased_among(connection, portal, survivors, reason="privacy_deletion")
        return shown | deleted | {contact for contact, where in gone.items() if where in forgotten}

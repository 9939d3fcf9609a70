"""The kinds of records a practice portal holds, by every name that HubSpot's paths use for them."""

from dataclasses import dataclass

CONTACT, COMPANY, DEAL, TASK = "0-1", "0-2", "0-3", "0-27"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of record: its names, its scopes, and the properties that HubSpot keeps on each."""

    id: str
    singular: str
    plural: str
    scope: str
    created: str
    modified: str
    first_id: int
    """Ids start beyond 32 bits, as in portals of today."""
    shown: tuple[str, ...]
    """Returned when a call names no properties."""

    @property
    def always(self) -> tuple[str, str, str]:
        """Name the properties that come back whatever a call asks for."""
        return (self.created, "hs_object_id", self.modified)


KINDS: dict[str, Kind] = {
    kind.id: kind
    for kind in (
        Kind(id=CONTACT, singular="contact", plural="contacts", scope="crm.objects.contacts",
             created="createdate", modified="lastmodifieddate", first_id=97_000_000_001,
             shown=("email", "firstname", "lastname")),
        Kind(id=COMPANY, singular="company", plural="companies", scope="crm.objects.companies",
             created="createdate", modified="hs_lastmodifieddate", first_id=38_000_000_001,
             shown=("domain", "name")),
        Kind(id=DEAL, singular="deal", plural="deals", scope="crm.objects.deals",
             created="createdate", modified="hs_lastmodifieddate", first_id=61_000_000_001,
             shown=("amount", "closedate", "dealname", "dealstage", "pipeline")),
        Kind(id=TASK, singular="task", plural="tasks", scope="crm.objects.contacts",
             created="hs_createdate", modified="hs_lastmodifieddate", first_id=81_000_000_001, shown=()),
    )
}  # fmt: skip

_BY_NAME = {name: kind for kind in KINDS.values() for name in (kind.id, kind.singular, kind.plural)}


def find_kind(name: str) -> Kind | None:
    """Find a kind by its id, its singular or its plural; None when the portal has no such objects."""
    return _BY_NAME.get(name.lower())

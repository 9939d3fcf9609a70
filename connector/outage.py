"""HubSpot's bad hours told from a contact's own fault, so that an outage of writes is the portal's and nobody's else.

When a step of the writes fails for everybody, HubSpot is asked in the same place to do nothing. If it cannot do even
that, the portal waits and no attempt is used up; if it can, it is these contacts, whose attempts are counted.
"""

from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.meaning import Meaning

_OUTAGE = frozenset({"unavailable", "unclear", "unreachable", "limited"})
_CURE = "nothing to do: HubSpot does not take this now; what waits is kept, and work goes on by itself"


def is_outage(meaning: Meaning) -> bool:
    """Ask whether HubSpot gave no answer that speaks of what was sent."""
    return meaning.kind in _OUTAGE


def outage_at(hubspot: HubSpotPortal, place: str) -> PortalTrouble | None:
    """Ask HubSpot to do nothing at a place (`tasks/batch/create`); give the trouble when it cannot."""
    try:
        hubspot.do_nothing(place)
    except PortalTrouble as trouble:
        return trouble
    except HubSpotError as error:
        if is_outage(error.meaning):
            return PortalTrouble(f"{error}; {_CURE}", meaning=error.meaning, cure=_CURE)
    return None

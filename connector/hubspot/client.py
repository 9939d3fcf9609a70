"""One HubSpot portal, as the rest of the product sees it.

Every method may raise HubSpotError, and PortalTrouble (one of them) when the portal as a whole needs attention. Ids
are text. Batches report on each record by its id and lose nothing that was settled when a later call fails.
"""

import time
from collections.abc import Callable

from connector.hubspot.batch import Record
from connector.hubspot.budget import CallBudget
from connector.hubspot.companies import Companies
from connector.hubspot.contacts import Contacts
from connector.hubspot.deals import Deals
from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import unclear
from connector.hubspot.official import Official
from connector.hubspot.owners import Owners
from connector.hubspot.paths import ACCOUNT, PLAIN_VERSION
from connector.hubspot.properties import Properties
from connector.hubspot.retries import Patience
from connector.hubspot.tasks import Tasks
from connector.hubspot.transport import CallSeen, Transport
from connector.moments import Clock


class HubSpotPortal:
    """The calls to one portal; thread-safe, and opens no connection before the first call."""

    def __init__(  # noqa: PLR0913  # plain arguments instead of the configuration, all named
        self,
        *,
        portal: int,
        access_token: Callable[[], str] | str,
        api_url: str,
        budget: CallBudget,
        clock: Clock,
        api_version: str = PLAIN_VERSION,
        timeout_s: tuple[float, float] = (3.05, 10.0),
        sleep: Callable[[float], None] = time.sleep,
        on_call: Callable[[CallSeen], None] | None = None,
        trust_env: bool = False,
    ) -> None:
        self.portal = portal
        self._transport = Transport(
            portal=portal,
            access_token=access_token,
            api_url=api_url,
            budget=budget,
            clock=clock,
            api_version=api_version,
            patience=Patience(connect_s=timeout_s[0], read_s=timeout_s[1]),
            sleep=sleep,
            on_call=on_call,
            trust_env=trust_env,
        )
        official = Official(self._transport)
        self.contacts = Contacts(official, self._transport)
        self.companies = Companies(official)
        self.deals = Deals(official)
        self.tasks = Tasks(official)
        self.owners = Owners(official, clock)
        self.properties = Properties(official)

    def account(self) -> Record:
        """Tell whose portal the token opens: `portalId`, `timeZone` and more.

        https://developers.hubspot.com/docs/api-reference/account-account-info-v3/guide
        """
        answer = self._transport.send("GET", ACCOUNT)
        if not isinstance(answer.body, dict):
            raise HubSpotError(meaning=unclear("the answer is no account", status=answer.status))
        return answer.body

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

"""One HubSpot portal, as the rest of the product sees it.

Every method may raise HubSpotError, and PortalTrouble (one of them) when the portal as a whole needs attention. Ids
are text. Batches report on each record by its id and lose nothing that was settled when a later call fails.
"""

from collections.abc import Callable, Iterable, Iterator

from connector.hubspot.batch import Record
from connector.hubspot.budget import CallBudget
from connector.hubspot.changes import ChangedPage, changes_after, newest_change
from connector.hubspot.companies import Companies
from connector.hubspot.contacts import Contacts
from connector.hubspot.deals import Deals
from connector.hubspot.failure import HubSpotError
from connector.hubspot.meaning import unclear
from connector.hubspot.official import Official
from connector.hubspot.owners import Owners
from connector.hubspot.paths import ACCOUNT, PLAIN_VERSION, TOKEN_INFO
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
        on_refused: Callable[[str], None] | None = None,
        api_url: str,
        budget: CallBudget,
        clock: Clock,
        api_version: str = PLAIN_VERSION,
        timeout_s: tuple[float, float] = (3.05, 10.0),
        sleep: Callable[[float], None] | None = None,
        on_call: Callable[[CallSeen], None] | None = None,
        trust_env: bool = False,
    ) -> None:
        self.portal = portal
        self._transport = Transport(
            portal=portal,
            access_token=access_token,
            on_refused=on_refused,
            api_url=api_url,
            budget=budget,
            clock=clock,
            api_version=api_version,
            patience=Patience(connect_s=timeout_s[0], read_s=timeout_s[1]),
            sleep=sleep,
            on_call=on_call,
            trust_env=trust_env,
        )
        self._official = official = Official(self._transport)
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

    def token_info(self) -> Record:
        """Tell what the token of a private or static app is: `hubId`, `appId` and its `scopes`; it needs none itself.

        Other kinds of tokens are unknown there (404). The token travels in the body, to where it travels anyway.
        https://developers.hubspot.com/docs/api/private-apps
        """
        answer = self._transport.send("POST", TOKEN_INFO, body={"tokenKey": self._transport.token()})
        if not isinstance(answer.body, dict):
            raise HubSpotError(meaning=unclear("the answer tells nothing of the token", status=answer.status))
        return answer.body

    def look_into(self, place: str) -> None:
        """Read one record of a place such as `objects/contacts` and forget it: whoever may not read gets 403."""
        self._transport.send("GET", f"/crm/v3/{place}", query=(("limit", "1"),))

    @property
    def clock_ahead_ms(self) -> int | None:
        """Give how far HubSpot's clock was ahead of ours at the latest answer; None before one that was dated."""
        return self._transport.clock_ahead_ms

    def changes_after(self, kind: str, moment: int, properties: Iterable[str]) -> Iterator[ChangedPage]:
        """Search the contacts, companies or deals changed after a moment of HubSpot's clock, none skipped."""
        return changes_after(self._official, kind, moment, properties)

    def newest_change(self, kind: str) -> int | None:
        """Give the moment of the newest change of all contacts, companies or deals, by HubSpot's clock."""
        return newest_change(self._official, kind)

    def do_nothing(self, place: str) -> None:
        """Send an empty batch to a place such as `contacts/batch/update`; raises HubSpotError, as any call does."""
        self._transport.send("POST", f"/crm/v3/objects/{place}", body={"inputs": []})

    @property
    def is_making(self) -> bool:
        """Ask whether a call is under way of which it is not known yet what it has made."""
        return self._transport.is_making

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

"""HubSpot's official client, with our transport under it: it names the endpoints and builds the requests.

Its API objects are built once and held, for building one costs milliseconds; the package is imported at the first
call, for that costs a tenth of a second. Answers come back as `Answer`s with raw JSON: the client's models drop what
they do not know, warnings among it, and cost thirty times as much.
https://github.com/HubSpot/hubspot-api-python
"""

import threading
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from connector.hubspot.transport import Answer, Transport


class Official:
    """Gives the official client's API objects for one portal; thread-safe."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._client: Any = None
        self._held: dict[str, Any] = {}
        self._lock = threading.Lock()

    def api(self, name: str) -> Any:
        """Give the API object of that name, such as `crm.contacts.batch_api`."""
        with self._lock:
            if name not in self._held:
                self._held[name] = attrgetter(name)(self._opened())
            return self._held[name]

    def call(self, name: str, *arguments: object, **options: object) -> Answer:
        """Call a method of an API object, such as `crm.contacts.batch_api.read`, and give the raw answer."""
        api, _, method = name.rpartition(".")
        answer = getattr(self.api(api), method)(*arguments, **options, _preload_content=False)
        if not isinstance(answer, Answer):
            raise TypeError(f"{name} did not go through the transport")
        return answer

    def _opened(self) -> Any:
        if self._client is None:
            from hubspot import HubSpot  # noqa: PLC0415  # slow to import, and most commands never call HubSpot

            self._client = HubSpot(api_factory=self._build)
        return self._client

    def _build(self, package: Any, api_name: str, _config: Mapping[str, object]) -> Any:
        """Build an API class whose client sends through our transport; the transport knows the host and the token."""
        configuration = package.Configuration()
        configuration.host = ""
        client = package.ApiClient(configuration=configuration)
        client.rest_client = _RestClient(self._transport)
        return getattr(package, api_name)(api_client=client)


class _RestClient:
    """Stands where the generated client keeps its urllib3 pool; the signatures are the generated ones."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def request(
        self,
        method: str,
        url: str,
        query_params: Sequence[tuple[str, object]] | None = None,
        body: object = None,
        **_generated: object,  # headers, time-outs and form fields: the transport has its own
    ) -> Answer:
        """Send what the generated client built."""
        query = [(name, _spelled(value)) for name, value in query_params or ()]
        return self._transport.send(method, url, query=query, body=body)

    def GET(self, url: str, **generated: Any) -> Answer:  # noqa: N802  # the generated client's name
        """Send a GET."""
        return self.request("GET", url, **generated)

    def POST(self, url: str, **generated: Any) -> Answer:  # noqa: N802  # the generated client's name
        """Send a POST."""
        return self.request("POST", url, **generated)

    def PATCH(self, url: str, **generated: Any) -> Answer:  # noqa: N802  # the generated client's name
        """Send a PATCH."""
        return self.request("PATCH", url, **generated)

    def PUT(self, url: str, **generated: Any) -> Answer:  # noqa: N802  # the generated client's name
        """Send a PUT."""
        return self.request("PUT", url, **generated)

    def DELETE(self, url: str, **generated: Any) -> Answer:  # noqa: N802  # the generated client's name
        """Send a DELETE."""
        return self.request("DELETE", url, **generated)


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

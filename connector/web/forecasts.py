"""The forecast on the page Funnel: read from HubSpot when somebody asks for it, and kept until somebody asks again.

It takes a call for every hundred prospects, out of the portal's budget like all others; it is read beside the requests,
one portal at a time, so that no thread that takes webhooks waits for HubSpot. The price: it is this process's own.
"""

import threading
from dataclasses import dataclass

import flask
import structlog

from connector.errors import StagekeeperError
from connector.reports.reading import PortalForecast, forecast_of
from connector.web.forms import read_form
from connector.web.layout import Site, chosen_portal, masked

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How far the reading of a forecast is, and what it gave; `at` is when it began or ended."""

    at: int
    is_under_way: bool = False
    what: str = ""
    done: int = 0
    of: int = 0
    found: PortalForecast | None = None
    error: str = ""


class Forecasts:
    """Reads forecasts and keeps the latest of each portal; thread-safe."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._latest: dict[int, Reading] = {}
        self._turn = threading.Lock()

    def of(self, portal: int) -> Reading | None:
        """Give the latest forecast of a portal, or how far it is."""
        return self._latest.get(portal)

    def begin(self, portal: int) -> bool:
        """Begin to read a forecast; False while one is being read."""
        if not self._turn.acquire(blocking=False):
            return False
        self._latest[portal] = Reading(at=self._site.clock(), is_under_way=True)
        threading.Thread(target=self._read, args=(portal,), name=f"forecast-{portal}", daemon=True).start()
        return True

    def _read(self, portal: int) -> None:
        def progress(what: str, done: int, of: int) -> None:
            self._latest[portal] = Reading(at=self._site.clock(), is_under_way=True, what=what, done=done, of=of)

        try:
            found = forecast_of(self._site.engine, self._site.hubspot.patient(portal), progress)
            self._latest[portal] = Reading(at=self._site.clock(), found=found)
        except StagekeeperError as error:
            _log.warning("page.forecast_failed", portal=portal, error=masked(str(error)))
            self._latest[portal] = Reading(at=self._site.clock(), error=masked(str(error)))
        finally:
            self._turn.release()


def add_forecast(blueprint: flask.Blueprint, site: Site, forecasts: Forecasts) -> None:
    """Add the route that begins one."""

    def begin() -> flask.typing.ResponseReturnValue:
        form = read_form(flask.request, site.admission.sessions, flask.g.visitor)
        portal = chosen_portal(site, form.get("portal"))
        if forecasts.begin(portal.id):
            _log.info("page.forecast_began", portal=portal.id)
        return flask.redirect(flask.url_for("page.funnel", portal=portal.id, _anchor="forecast"), 303)

    blueprint.add_url_rule("/funnel/forecast", view_func=begin, endpoint="forecast", methods=["POST"])

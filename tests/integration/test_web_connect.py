"""The page Connect: from our page to HubSpot's and back, for one session, by people who may act."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import structlog

from connector.moments import MINUTE
from connector.receiver import create_app
from connector.web.admission import make_admission
from connector.web.page import make_page
from tests.oauth import CLIENT_ID, REDIRECT, TOKEN, kept, oauth_practice, tokens_kept
from tests.pages import OPS, READ, Browser, make_pages
from tests.practice import Practice
from tests.receivers import make_parts

SERVER = f"server: {{ops_token: {OPS}, read_token: {READ}}}"


@dataclass
class Place:
    """A Stagekeeper with its page, beside the practice HubSpot that asks for consent."""

    the: Practice
    browsers: Any

    def browser(self, token: str | None = OPS) -> Browser:
        browser = Browser(self.browsers())
        if token is not None:
            assert browser.log_in(token).status_code == 303
        return browser

    def set_out(self, browser: Browser) -> str:
        """Go to HubSpot, by the link on the page; the address at HubSpot."""
        page = browser.get("/connect")
        assert page.status_code == 200
        [link] = re.findall(r'href="(/connect/go[^"]*)"', page.text)
        answer = browser.get(unescape(link))
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def consent(self, address: str, **more: str) -> str:
        """Say yes at HubSpot; the path and query that it sends the browser back to."""
        query = urlencode({**dict(parse_qsl(urlsplit(address).query)), **more})
        location = moved(f"{self.the.sandbox.address}/oauth/authorize?{query}")
        assert location.startswith(REDIRECT)
        back = urlsplit(location)
        return f"{back.path}?{back.query}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def moved(url: str) -> str:
    """Call an address that answers with another one."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(_NoRedirect).open(url, timeout=10)
    with caught.value as answer:
        assert answer.code == 302
        return str(answer.headers["Location"])


def come_back(browser: Browser, path: str) -> Any:
    """Come back from HubSpot: a browser shows nobody's cookie then, and our own page sends it on."""
    known = browser.client
    browser.client = known.application.test_client()
    first = browser.get(path)
    browser.client = known
    assert first.status_code == 200
    assert "Set-Cookie" not in first.headers
    [address] = re.findall(r'http-equiv="refresh" content="0; url=([^"]*)"', first.text)
    return browser.get(unescape(address))


@contextmanager
def place(folder: Path, *, server: str = SERVER, **options: Any) -> Iterator[Place]:
    with oauth_practice(folder, more=server, connected=False, **options) as the:
        admission = make_admission(the.config, the.time)
        packs = {id_: one.pack for id_, one in the.services.portals.items()}
        page = make_page(
            config=the.config, packs=packs, engine=the.services.engine, inbox=the.services.inbox,
            troubles=the.services.troubles, clock=the.time, admission=admission,
        )  # fmt: skip
        parts = make_parts(folder / "page.db", clock=the.time, ops_token=OPS)
        app = create_app(replace(parts, page=page, may_look=admission.may_look))
        yield Place(the, app.test_client)


def test_an_app_is_installed_by_the_page_and_work_begins(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        ana = one.the.sandbox.create_contact({"email": "ana@example.com"})
        one.the.catch_up()
        browser = one.browser()
        assert "not connected yet; its events are kept" in browser.get("/connect").text
        address = one.set_out(browser)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith("https://app.hubspot.com/oauth/authorize?")
        assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT_ID, REDIRECT)
        assert asked["scope"].split() == [
            "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read",
            "crm.schemas.contacts.write", "oauth",
        ]  # fmt: skip
        answer = come_back(browser, one.consent(address))
        assert (answer.status_code, answer.headers["Location"]) == (303, "/connect?portal=4242")
        page = browser.get("/connect?portal=4242")
        assert "Portal 4242 is connected; work goes on by itself." in page.text
        one.the.work()  # at once, although the portal was in trouble
        assert one.the.sandbox.contact(ana)["lifecyclestage"] == "lead"
        for secret in (tokens_kept(one.the).access, tokens_kept(one.the).refresh, "sandbox-secret"):
            assert secret not in page.text


def test_consent_may_be_refused_in_hubspot(tmp_path: Path) -> None:
    with place(tmp_path, asks_consent=True) as one:
        browser = one.browser()
        answer = come_back(browser, one.consent(one.set_out(browser), consent="no"))
        assert (answer.status_code, "it was declined in HubSpot" in answer.text) == (400, True)
        answer = come_back(browser, one.consent(one.set_out(browser), consent="yes"))
        assert answer.status_code == 303


def test_hubspot_is_asked_whose_portal_it_is_where_it_does_not_say(tmp_path: Path) -> None:
    with place(tmp_path, tells_whose_token=False) as one:
        browser = one.browser()
        assert come_back(browser, one.consent(one.set_out(browser))).headers["Location"] == "/connect?portal=4242"
        assert one.the.calls("/account-info/details") == 1


def test_a_portal_that_is_not_configured_is_kept_and_shown_with_what_to_write(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        object.__setattr__(one.the.sandbox.options, "portal", 5353)
        browser = one.browser()
        answer = come_back(browser, one.consent(one.set_out(browser)))
        page = browser.get(answer.headers["Location"]).text
        assert "Portal 5353 is connected, but not in the configuration." in page
        assert f"- id: 5353\n    oauth: {{client_id: {CLIENT_ID}}}" in page
        assert "connected, but not in the configuration: nothing is done with it" in page
        assert [grant.portal for grant in kept(one.the).all()] == [5353]


def refused(one: Place, browser: Browser, path: str, words: str, status: int = 400) -> None:
    answer = come_back(browser, path)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert kept(one.the).all() == []
    assert one.the.calls(TOKEN, status=200) == 0


def test_a_state_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        browser = one.browser()
        path = one.consent(one.set_out(browser))
        code = parse_qs(urlsplit(path).query)["code"][0]
        state = parse_qs(urlsplit(path).query)["state"][0]
        for wrong in ("", "x", state[:-1] + ("A" if state[-1] != "A" else "Q"), "A" + state, state.partition(".")[0]):
            refused(one, browser, f"/oauth/callback?{urlencode({'code': code, 'state': wrong})}", "another session")
        refused(one, browser, f"/oauth/callback?{urlencode({'state': state})}", "HubSpot sent no code back")


def test_a_state_of_another_session_is_refused(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        attacker, victim = one.browser(), one.browser()
        refused(one, victim, one.consent(one.set_out(attacker)), "belongs to another session")


def test_a_state_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        browser = one.browser()
        path = one.consent(one.set_out(browser))
        one.the.time.now += 15 * MINUTE
        refused(one, browser, path, "This took longer than a quarter of an hour")


def test_a_code_that_was_used_or_invented_gives_no_access(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        browser = one.browser()
        state = parse_qs(urlsplit(one.set_out(browser)).query)["state"][0]
        path = f"/oauth/callback?{urlencode({'code': 'invented-code', 'state': state})}"
        with structlog.testing.capture_logs() as logs:
            refused(one, browser, path, "HubSpot gave no access: unauthorised (400): it knows this grant no more", 502)
        assert "invented-code" not in repr(logs)


def test_who_may_only_look_sees_the_portals_and_connects_none(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        path = one.consent(one.set_out(one.browser()))
        reader = one.browser(READ)
        page = reader.get("/connect")
        assert (page.status_code, "/connect/go" in page.text) == (200, False)
        assert reader.get(f"/connect/go?app={CLIENT_ID}").status_code == 403
        refused(one, reader, path, "You may look, but not act", 403)


def test_nobody_comes_in_without_logging_in(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        path = one.consent(one.set_out(one.browser()))
        stranger = one.browser(None)
        assert [stranger.get(where).status_code for where in ("/connect", f"/connect/go?app={CLIENT_ID}")] == [401, 401]
        refused(one, stranger, path, "nothing was connected", 401)


def test_on_this_machine_alone_it_works_without_a_token(tmp_path: Path) -> None:
    with place(tmp_path, server="") as one:
        browser = one.browser(None)
        assert come_back(browser, one.consent(one.set_out(browser))).headers["Location"] == "/connect?portal=4242"


@pytest.mark.parametrize("app", ["", "nonsense", "' OR 1=1", "<script>"])
def test_an_app_that_is_not_configured_cannot_be_installed(app: str, tmp_path: Path) -> None:
    with place(tmp_path) as one:
        answer = one.browser().get(f"/connect/go?{urlencode({'app': app})}")
        assert (answer.status_code, "No such app is configured" in answer.text) == (400, True)


def test_hostile_answers_from_hubspot_are_shown_as_text(tmp_path: Path) -> None:
    with place(tmp_path) as one:
        browser = one.browser()
        first = browser.get('/oauth/callback?code="><script>alert(1)</script>&state=x')
        assert "<script>" not in first.text
        assert come_back(browser, "/oauth/callback?error=<b>oh</b>&state=x").status_code == 400
        assert "<b>" not in browser.get("/connect?portal=<b>").text


def test_without_an_oauth_app_there_is_no_such_page(tmp_path: Path) -> None:
    pages = make_pages(tmp_path)
    browser = pages.logged_in()
    assert [browser.get(path).status_code for path in ("/connect", "/oauth/callback")] == [404, 404]
    assert "/connect" not in browser.get("/").text

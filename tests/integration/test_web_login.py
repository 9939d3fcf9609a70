"""Who gets in: by login, by a header, from this machine; and how long, how often, and back to where."""

import base64
import re
from pathlib import Path

import pytest

from connector.config import load_config
from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.web.attempts import MOST_FAILED, Attempts
from tests.inboxes import Hands
from tests.pages import OPS, READ, Browser, Pages, make_config, make_pages

PAGES = ["/", "/funnel", "/trouble", "/trouble/drop", "/trouble?portal=4242&after=1-4242-7"]
LOCAL = "threads: 2"


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    return make_pages(tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Pages:
    """An installation without a token."""
    return make_pages(tmp_path, server=LOCAL)


def cookie(browser: Browser, name: str = "stagekeeper") -> str:
    found = browser.client.get_cookie(name)
    assert found is not None
    return found.value


def with_cookie(pages: Pages, value: str, name: str = "stagekeeper") -> Browser:
    browser = pages.browser()
    browser.client.set_cookie(name, value)
    return browser


def is_in(browser: Browser) -> bool:
    return browser.get("/").status_code == 200


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


# --- login and logout -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_who_has_not_logged_in_sees_the_login_and_comes_back_to_where_they_were(pages: Pages, path: str) -> None:
    browser = pages.browser()
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="stagekeeper"')
    answer = browser.submit("/login", given={"token": OPS})
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    assert browser.follow().status_code == 200


def test_a_link_on_another_site_logs_nobody_out(pages: Pages) -> None:
    """For such a link browsers keep back the cookie: a login shown then would set a new one over it."""
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    browser = pages.browser()
    answer = browser.get("/funnel?days=7", **elsewhere)
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (200, [])
    assert 'content="0; url=/funnel?days=7"' in answer.text
    assert browser.get("/funnel?days=7", **{"Sec-Fetch-Site": "same-origin"}).status_code == 401
    assert pages.logged_in().get("/funnel?days=7", **elsewhere).status_code == 200


@pytest.mark.parametrize(
    "token", ["", "wrong", OPS + "x", OPS[:-1], OPS.upper(), "\x00", "ü", "' OR 1=1 --", "x" * 9_000]
)
def test_a_wrong_token_opens_nothing(pages: Pages, token: str) -> None:
    browser = pages.browser()
    answer = browser.log_in(token)
    assert answer.status_code == 401
    assert "This token is not the right one." in answer.text
    assert not token or token not in answer.text.replace("wrong token", "")
    assert not is_in(browser)


def test_a_wrong_token_leaves_the_form_ready_for_the_right_one(pages: Pages) -> None:
    browser = pages.browser()
    browser.log_in("wrong", "/trouble")
    answer = browser.submit("/login", given={"token": OPS})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/trouble")


def test_who_is_in_is_not_asked_again(pages: Pages) -> None:
    browser = pages.logged_in()
    answer = browser.get("/login?next=/trouble")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/trouble")


def test_logging_out_ends_the_session_for_every_copy_of_its_cookie(pages: Pages) -> None:
    browser = pages.logged_in()
    copy = with_cookie(pages, cookie(browser))
    assert is_in(copy)
    browser.get("/")
    answer = browser.submit("/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert (is_in(browser), is_in(copy)) == (False, False)
    assert browser.log_in().status_code == 303
    assert is_in(browser)


def test_who_logs_out_twice_is_sent_nowhere_that_is_not_there(pages: Pages) -> None:
    browser = pages.browser()
    browser.post("/logout", {})
    assert browser.submit("/login", given={"token": OPS}).headers["Location"] == "/"


@pytest.mark.parametrize(
    "given",
    [
        "//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil.example", "/\tevil", "/\t/evil.example",
        "/ /evil", "javascript:alert(1)", "evil", "", "///evil.example", "/a\r\nSet-Cookie: x=y", "http:/evil.example",
        "/" + "a" * 2_000, "\n//evil.example",
    ],
)  # fmt: skip
def test_the_login_leads_to_no_other_site(pages: Pages, given: str) -> None:
    browser = pages.browser()
    browser.get("/login")
    answer = browser.submit("/login", given={"token": OPS, "next": given})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert browser.client.get("/login", query_string={"next": given}).headers["Location"] == "/"


# --- the session and its cookie ---------------------------------------------------------------------------------------


def test_the_cookie_is_for_this_site_and_no_script(pages: Pages) -> None:
    browser = pages.browser()
    browser.get("/")
    answer = browser.submit("/login", given={"token": OPS})
    assert re.fullmatch(r"stagekeeper=[\w.-]+; HttpOnly; Path=/; SameSite=Strict", answer.headers["Set-Cookie"])


def test_over_tls_the_cookie_is_secure_and_bound_to_the_host(pages: Pages) -> None:
    browser = pages.browser()
    browser.headers["X-Forwarded-Proto"] = "https"
    browser.get("/")
    answer = browser.submit("/login", given={"token": OPS})
    wanted = r"__Host-stagekeeper=[\w.-]+; Secure; HttpOnly; Path=/; SameSite=Strict"
    assert re.fullmatch(wanted, answer.headers["Set-Cookie"])


def test_a_login_begins_a_session_that_nobody_could_have_prepared(pages: Pages) -> None:
    browser = pages.browser()
    browser.get("/")
    prepared, key = cookie(browser), browser.form("/login").fields["form_key"]
    browser.submit("/login", given={"token": OPS})
    browser.get("/trouble")
    assert cookie(browser) != prepared
    assert browser.form("/logout").fields["form_key"] != key
    assert not is_in(with_cookie(pages, prepared))


def test_a_cookie_that_was_changed_anywhere_is_worth_nothing(pages: Pages) -> None:
    good = cookie(pages.logged_in())
    assert is_in(with_cookie(pages, good))
    for place, letter in enumerate(good):
        other = "A" if letter != "A" else "E"  # the last letter of base64 has bits that mean nothing: E and A differ
        if place == len(good) - 1:
            continue
        assert not is_in(with_cookie(pages, good[:place] + other + good[place + 1 :])), place
    for text in ("", ".", good[:-5], good + "x", good * 2, good.split(".")[0], "." * 400, "x" * 600, "é"):
        assert not is_in(with_cookie(pages, text)), text


def test_nobody_makes_a_reader_into_an_operator_or_a_visitor_into_either(pages: Pages) -> None:
    visitor = pages.browser()
    visitor.get("/")
    reader, operator = cookie(pages.logged_in(READ)), cookie(pages.logged_in(OPS))
    payload, _, signature = reader.rpartition(".")
    for head in (payload, cookie(visitor).rpartition(".")[0]):
        for tail in (operator.rpartition(".")[2], cookie(visitor).rpartition(".")[2], signature):
            browser = with_cookie(pages, f"{head}.{tail}")
            assert is_in(browser) == ((head, tail) == (payload, signature))
            assert "full access" not in browser.get("/").text


def test_a_session_ends_when_it_is_not_used_for_eight_hours(pages: Pages) -> None:
    browser = pages.logged_in()
    pages.time.move(8 * HOUR - SECOND)
    assert is_in(browser)
    pages.time.move(8 * HOUR)
    answer = browser.get("/trouble?portal=4242")
    assert answer.status_code == 401
    assert browser.form("/login").fields["next"] == "/trouble?portal=4242"


def test_a_session_ends_after_a_day_however_much_it_is_used(pages: Pages) -> None:
    browser = pages.logged_in()
    for _ in range(23):
        pages.time.move(HOUR)
        assert is_in(browser)
    pages.time.move(DAY - 23 * HOUR)
    assert not is_in(browser)


def test_what_refreshes_by_itself_keeps_no_session_alive(pages: Pages) -> None:
    browser = pages.logged_in()
    for _ in range(7):
        pages.time.move(HOUR)
        assert browser.get("/", **{"X-Live": "1"}).status_code == 200
    pages.time.move(HOUR)
    assert browser.get("/", **{"X-Live": "1"}).status_code == 401


def test_a_session_from_the_future_is_refused(pages: Pages) -> None:
    browser = pages.logged_in()
    pages.time.move(-HOUR)
    assert not is_in(browser)


def test_every_process_knows_the_sessions_of_the_others(pages: Pages, tmp_path: Path) -> None:
    other = make_pages(tmp_path, time=pages.time)
    assert is_in(with_cookie(other, cookie(pages.logged_in())))


def test_another_token_ends_its_sessions_and_no_others(pages: Pages, tmp_path: Path) -> None:
    operator, reader = cookie(pages.logged_in(OPS)), cookie(pages.logged_in(READ))
    changed = make_pages(tmp_path, server=f"ops_token: another, read_token: {READ}", time=pages.time)
    assert [is_in(with_cookie(changed, one)) for one in (operator, reader)] == [False, True]
    changed = make_pages(tmp_path, server=f"ops_token: {OPS}", time=pages.time)
    assert [is_in(with_cookie(changed, one)) for one in (operator, reader)] == [True, False]


# --- guessing ---------------------------------------------------------------------------------------------------------


def guess(browser: Browser, times: int = MOST_FAILED) -> list[int]:
    browser.get("/login")
    return [browser.submit("/login", given={"token": f"guess {one}"}).status_code for one in range(times)]


def test_after_ten_wrong_tokens_even_the_right_one_waits_a_minute(pages: Pages) -> None:
    browser = pages.browser()
    assert guess(browser, 12) == [401] * 10 + [429, 429]
    answer = browser.submit("/login", given={"token": OPS})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert "wait a minute" in answer.text
    pages.time.move(MINUTE)
    assert browser.submit("/login", given={"token": OPS}).status_code == 303


def test_who_is_in_goes_on_while_others_guess(pages: Pages) -> None:
    inside = pages.logged_in()
    guess(pages.browser())
    assert is_in(inside)


def test_scripts_guess_no_faster_than_people(pages: Pages) -> None:
    client, wrong = pages.client, ["Bearer x", basic("x")]
    answers = [client.get("/", headers={"Authorization": wrong[one % 2]}).status_code for one in range(8)]
    answers += [client.get("/metrics", headers={"Authorization": "Bearer x"}).status_code for _ in range(3)]
    assert answers == [401] * 10 + [429]
    for path in ("/", "/metrics"):
        answer = client.get(path, headers={"Authorization": f"Bearer {OPS}"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert guess(pages.browser(), 1) == [429]


def test_who_may_look_guesses_no_faster_at_who_may_act(pages: Pages) -> None:
    browser = pages.browser()
    assert guess(browser, 9) == [401] * 9
    assert browser.submit("/login", given={"token": READ}).status_code == 303
    assert guess(pages.browser(), 2) == [401, 429]


def test_addresses_wait_each_for_themselves(pages: Pages) -> None:
    def status(address: str, **headers: str) -> int:
        sent = {"Authorization": "Bearer wrong", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return pages.client.get("/", headers=sent, environ_overrides={"REMOTE_ADDR": address}).status_code

    assert [status("192.0.2.1") for _ in range(11)][-1] == 429
    assert status("192.0.2.2") == 401
    assert status("192.0.2.1", X_Forwarded_For="192.0.2.9") == 429, "nobody names his own address"
    assert [status(f"2001:db8:0:1::{one:x}") for one in range(11)][-1] == 429
    assert status("2001:db8:0:2::1") == 401
    assert status("::ffff:192.0.2.1") == 429


def test_behind_a_proxy_the_address_that_it_names_counts(tmp_path: Path) -> None:
    pages = make_pages(tmp_path, server=f"ops_token: {OPS}, proxies: 1")

    def status(forwarded: str) -> int:
        return pages.client.get("/", headers={"Authorization": "Bearer x", "X-Forwarded-For": forwarded}).status_code

    assert [status(f"198.51.100.{one}, 192.0.2.1") for one in range(11)][-1] == 429, "only what our proxy wrote"
    assert status("192.0.2.1, 192.0.2.2") == 401
    assert status("192.0.2.1:4711") == 429
    assert [status("nonsense") for _ in range(11)][-1] == 429


def test_a_crowd_of_addresses_takes_no_more_than_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(Hands())
    for one in range(30_000):
        assert attempts.wait_ms(f"client {one}", right=False) == 0
    assert len(attempts._failed) == 10_000


# --- scripts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [OPS, READ])
def test_scripts_look_by_bearer_and_by_password(pages: Pages, token: str) -> None:
    for header in (f"Bearer {token}", f"bearer  {token} ", basic(token)):
        for path in ("/", "/trouble", "/metrics"):
            answer = pages.client.get(path, headers={"Authorization": header})
            assert answer.status_code == 200
            assert "Set-Cookie" not in answer.headers
            assert "Retry all" not in answer.text


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic " + "x" * 500, OPS, f"Digest {OPS}", "Bearer \xff",
        basic(""),
    ],
)  # fmt: skip
def test_headers_of_any_kind_open_nothing(pages: Pages, header: str) -> None:
    for path in ("/", "/metrics"):
        answer = pages.client.get(path, headers={"Authorization": header})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="stagekeeper"')


@pytest.mark.parametrize("path", ["/trouble/retry", "/trouble/drop", "/logout"])
def test_scripts_do_not_act(pages: Pages, path: str) -> None:
    pages.bury("1")
    for header in (f"Bearer {OPS}", basic(OPS), f"Bearer {READ}"):
        assert pages.client.post(path, headers={"Authorization": header}).status_code == 403
    assert pages.dead() == [(4242, "1")]


# --- the configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("read_token: x", "`read_token` stands without `ops_token`"),
        ("read_token: same-secret, ops_token: same-secret", "`read_token` is the same as `ops_token`"),
        ("proxies: -1", "found -1"), ("proxies: 11", "found 11"),
    ],
)  # fmt: skip
def test_a_configuration_that_opens_more_than_it_says_is_refused(tmp_path: Path, server: str, found: str) -> None:
    path = tmp_path / "config.yaml"
    make_config(tmp_path)
    path.write_text(path.read_text("utf-8").replace("server: {}", f"server: {{{server}}}"), "utf-8")
    config, problems = load_config(path, {})
    assert config is None
    assert [(problem.place.line, problem.code, problem.found) for problem in problems] == [(3, "wrong-value", found)]
    assert "same-secret" not in str(problems)


# --- this machine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.1.2.3", "LOCALHOST.", "a.localhost"]
)
def test_without_a_token_this_machine_sees_and_does_everything(local: Pages, host: str) -> None:
    local.bury("1")
    browser = local.browser(host)
    assert [browser.get(path).status_code for path in ("/", "/funnel", "/metrics", "/trouble")] == [200] * 4
    assert browser.submit("/trouble/retry", contact="1").status_code == 303
    assert local.dead() == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "", "192.0.2.1",
        "127.0.0.1@evil.example", "xlocalhost", "[::2]:8080", "0.0.0.0:8080",
    ],
)  # fmt: skip
def test_without_a_token_a_name_of_somebody_elses_shows_nothing(local: Pages, host: str) -> None:
    local.bury("1")
    browser = local.browser(host)
    for path in ("/", "/trouble", "/login", "/metrics"):
        answer = browser.get(path)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    assert "server.ops_token" in browser.get("/").text
    assert browser.post("/trouble/retry", {"contact": "1", "portal": "4242"}).status_code == 403
    assert local.dead() == [(4242, "1")]


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Via": "1.1 proxy"}]
)
def test_without_a_token_what_a_proxy_passes_on_shows_nothing(local: Pages, headers: dict[str, str]) -> None:
    assert local.client.get("/", headers=headers).status_code == 403
    assert local.client.get("/", environ_overrides={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403


def test_without_a_token_another_sites_form_does_nothing(local: Pages) -> None:
    local.bury("1")
    browser = local.browser()
    fields = {"portal": "4242", "contact": "1"}
    assert browser.post("/trouble/drop", fields).status_code == 403
    browser.get("/trouble")
    good = browser.form("/trouble/retry", contact="1").fields
    assert browser.post("/trouble/drop", fields).status_code == 403
    assert browser.post("/trouble/drop", good, Sec_Fetch_Site="cross-site").status_code == 403
    assert local.dead() == [(4242, "1")]


def test_without_a_token_there_is_nothing_to_log_in_to(local: Pages) -> None:
    browser = local.browser()
    assert (browser.get("/login").status_code, browser.get("/login").headers["Location"]) == (303, "/")
    assert "Log out" not in browser.get("/").text

"""Forms: only from our own pages, made for the session that sends them, by who may act, with the fields they have."""

from pathlib import Path

import pytest

from tests.pages import OPS, READ, Browser, Pages, make_pages

RETRY, DROP = "/trouble/retry", "/trouble/drop"


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    made = make_pages(tmp_path)
    made.bury("1", "2", "3")
    return made


@pytest.fixture
def browser(pages: Pages) -> Browser:
    """A browser that has logged in and looks at the page Trouble."""
    browser = pages.logged_in()
    browser.get("/trouble")
    return browser


def test_the_form_as_it_stands_is_taken(pages: Pages, browser: Browser) -> None:
    answer = browser.submit(RETRY, contact="1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/trouble?done=retried&number=1")
    assert pages.dead() == [(4242, "2"), (4242, "3")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "Same-Origin, cross-site"},
        {"Sec_Fetch_Site": "", "Origin": "https://evil.example"}, {"Sec_Fetch_Site": "", "Origin": "null"},
        {"Sec_Fetch_Site": "", "Origin": "http://localhost.evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "http://localhost:9999"},
        {"Sec_Fetch_Site": "", "Origin": "http://evil.example/localhost"},
        {"Sec_Fetch_Site": "", "Origin": "http://localhost@evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "localhost"},
    ],
)  # fmt: skip
def test_what_another_site_sends_changes_nothing(pages: Pages, browser: Browser, headers: dict[str, str]) -> None:
    answer = browser.post(RETRY, browser.form(RETRY, contact="1").fields, **headers)
    assert answer.status_code == 403
    assert "This form was sent by another site. Nothing was changed." in answer.text
    assert len(pages.dead()) == 3


@pytest.mark.parametrize(
    "headers",
    [{"Sec_Fetch_Site": ""}, {"Sec_Fetch_Site": "", "Origin": ""}, {"Sec_Fetch_Site": "", "Origin": "https://LOCALHOST"},
     {"Origin": "https://stagekeeper.example.com"}],
)  # fmt: skip
def test_what_our_own_page_sends_is_taken_behind_a_proxy_and_from_old_browsers(
    pages: Pages, browser: Browser, headers: dict[str, str]
) -> None:
    assert browser.post(RETRY, browser.form(RETRY, contact="1").fields, **headers).status_code == 303
    assert len(pages.dead()) == 2


@pytest.mark.parametrize("key", [None, "", "0" * 64, "x", "é", "\x00"])
def test_a_form_without_the_key_of_its_session_changes_nothing(pages: Pages, browser: Browser, key: str | None) -> None:
    fields = dict(browser.form(RETRY, contact="1").fields)
    fields.pop("form_key")
    answer = browser.post(RETRY, fields if key is None else {**fields, "form_key": key})
    assert answer.status_code == 403
    assert "load the page again" in answer.text
    assert len(pages.dead()) == 3


def test_the_key_of_another_session_is_no_key(pages: Pages, browser: Browser) -> None:
    other = pages.logged_in()
    other.get("/trouble")
    visitor = pages.browser()
    visitor.get("/login")
    for key in (other.form("/logout").fields["form_key"], visitor.form("/login").fields["form_key"]):
        browser.get("/trouble")
        fields = {**browser.form(RETRY, contact="1").fields, "form_key": key}
        assert browser.post(RETRY, fields).status_code == 403
    assert len(pages.dead()) == 3


def test_a_key_outside_the_form_is_no_key(pages: Pages, browser: Browser) -> None:
    fields = dict(browser.form(RETRY, contact="1").fields)
    key = fields.pop("form_key")
    assert browser.post(f"{RETRY}?form_key={key}", fields, form_key=key).status_code == 403


def test_the_login_itself_takes_no_form_of_another_site(pages: Pages) -> None:
    browser = pages.browser()
    assert browser.post("/login", {"token": OPS}).status_code == 403
    browser.get("/login")
    good = {**browser.form("/login").fields, "token": OPS}
    assert browser.post("/login", good, Sec_Fetch_Site="cross-site").status_code == 403
    browser.client.delete_cookie("stagekeeper")
    assert browser.post("/login", good).status_code == 403
    assert browser.get("/").status_code == 401


def test_nobody_is_logged_out_by_another_site(browser: Browser) -> None:
    assert browser.post("/logout", {}).status_code == 403
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("path", [RETRY, DROP])
def test_who_may_look_may_not_act(pages: Pages, path: str) -> None:
    reader = pages.logged_in(READ)
    answer = reader.get("/trouble")
    assert [form.action for form in reader.page.forms] == ["/logout"]
    assert "read-only" in answer.text
    key = reader.form("/logout").fields["form_key"]
    answer = reader.post(path, {"portal": "4242", "contact": "1", "form_key": key})
    assert answer.status_code == 403
    assert "You may look, but not act." in answer.text
    assert [form.action for form in reader.page.forms] == ["/logout"]
    reader.get(DROP)
    assert [form.action for form in reader.page.forms] == ["/logout"]
    assert len(pages.dead()) == 3


def test_a_form_sent_after_the_session_ended_changes_nothing_and_leads_back(pages: Pages, browser: Browser) -> None:
    form = browser.form(RETRY, contact="1")
    browser.client.delete_cookie("stagekeeper")
    assert browser.post(RETRY, form.fields).status_code == 401
    assert browser.submit("/login", given={"token": OPS}).headers["Location"] == "/trouble"
    assert len(pages.dead()) == 3


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"portal": "x"}, 400), ({"portal": "-4242"}, 400), ({"portal": "4242.0"}, 400), ({"portal": "٤٢٤٢"}, 400),
        ({"portal": "9" * 40}, 400), ({"portal": "1"}, 404), ({"portal": ""}, 400), ({"contact": "x" * 41}, 400),
        ({"contact": "1 OR 1=1"}, 400), ({"contact": "\x00"}, 400), ({"contact": "é"}, 400),
    ],
)  # fmt: skip
def test_a_form_that_was_tampered_with_changes_nothing(
    pages: Pages, browser: Browser, changed: dict[str, str], status: int
) -> None:
    for path in (RETRY, DROP):
        answer = browser.post(path, {**browser.form(RETRY, contact="1").fields, **changed})
        assert answer.status_code == status
        assert "Nothing was changed." in answer.text
        browser.get("/trouble")
    assert len(pages.dead()) == 3


def test_a_field_that_stands_twice_is_refused(pages: Pages, browser: Browser) -> None:
    fields = browser.form(RETRY, contact="1").fields
    body = "&".join(f"{name}={value}" for name, value in fields.items()) + "&contact=2"
    answer = browser.client.post(
        RETRY, data=body, content_type="application/x-www-form-urlencoded", headers={"Origin": "http://localhost"}
    )
    assert answer.status_code == 400
    assert len(pages.dead()) == 3


def test_forms_of_other_kinds_and_sizes_are_refused(pages: Pages, browser: Browser) -> None:
    fields = dict(browser.form(RETRY, contact="1").fields)
    sent = {
        415: {"json": fields}, 413: {"data": {**fields, "more": "x" * 20_000}},
    }  # fmt: skip
    for status, body in sent.items():
        assert browser.client.post(RETRY, **body).status_code == status
    assert browser.client.post(RETRY, data=fields, content_type="multipart/form-data").status_code == 415
    many = {**fields, **{f"field{number}": "x" for number in range(2_000)}}
    assert browser.client.post(RETRY, data=many).status_code in (400, 413)
    assert len(pages.dead()) == 3


@pytest.mark.parametrize("path", [RETRY, "/logout"])
def test_what_acts_takes_no_other_method(pages: Pages, browser: Browser, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        answer = browser.client.open(path, method=method, headers={"Accept": "text/html"})
        assert (answer.status_code, "POST" in answer.headers["Allow"]) == (405, True)
    assert len(pages.dead()) == 3

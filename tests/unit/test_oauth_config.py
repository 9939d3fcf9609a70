"""The configuration of OAuth apps: what opens a portal, the keys, one secret for each app."""

from pathlib import Path

import pytest

from connector.cli import run
from connector.config import load_config
from connector.oauth.keyring import app_of, sealer_of
from connector.oauth.sealing import SealBroken, Sealer, TokenPair
from connector.project import APP, project_files
from connector.rulebook.checking import load_pack
from connector.rulebook.shipped import shipped_packs
from tests.oauth import KEYS

TOP = Path(__file__).parents[2]
ENV = {"HUBSPOT_ACCESS_TOKEN": "pat-x", "HUBSPOT_CLIENT_SECRET": "secret-of-the-app", "STAGEKEEPER_OAUTH_KEY": KEYS[0]}
OAUTH = f"oauth: {{keys: [{KEYS[0]}], redirect_url: https://sk.example/oauth/callback}}\n"


def portal(id_: int = 1, opens: str = "oauth: {client_id: app}", of_app: str = "the-secret") -> str:
    rest = f"client_secret: {of_app}, webhook_url: https://h.example/w, rules: pack.yaml"
    return f"  - {{id: {id_}, {opens}, {rest}}}\n"


def faults(folder: Path, text: str) -> list[str]:
    """Read a configuration; its problems as line, code and what was found."""
    (folder / "config.yaml").write_text("version: 1\n" + text)
    _, problems = load_config(folder / "config.yaml", {})
    return [f"{one.place.line} {one.code}: {one.found}" for one in problems]


def test_the_oauth_lines_of_the_example_are_right_when_they_are_used(tmp_path: Path) -> None:
    text = (TOP / "config.example.yaml").read_text("utf-8")
    text = text.replace("# oauth: {", "oauth: {").replace("    access_token:", "    # access_token:")
    (tmp_path / "config.yaml").write_text(text)
    config, problems = load_config(tmp_path / "config.yaml", ENV)
    assert problems == []
    assert config is not None
    app = app_of(config, config.portals[0])
    assert app is not None
    assert (app.client_id, app.client_secret) == ("11111111-2222-3333-4444-555555555555", "secret-of-the-app")
    assert app.redirect_url == "https://stagekeeper.example.com/oauth/callback"
    assert sealer_of(config) is not None
    assert not any(secret in repr(config) + repr(app) for secret in (KEYS[0], "secret-of-the-app"))


def test_portals_of_one_app_share_it(tmp_path: Path) -> None:
    assert faults(tmp_path, OAUTH + "portals:\n" + portal(1) + portal(2)) == []


@pytest.mark.parametrize(("text", "fault"), [
    (OAUTH + "portals:\n" + portal(opens="name: x"), "4 missing-key: 'access_token' is missing"),
    (OAUTH + "portals:\n" + portal(opens="access_token: t, oauth: {client_id: a}"),
     "4 wrong-value: `access_token` and `oauth` stand beside each other"),
    ("portals:\n" + portal(), "3 missing-key: this portal's tokens cannot be kept"),
    (OAUTH + "portals:\n" + portal(1) + portal(2, of_app="other-one"),
     "5 wrong-value: another portal of the same app has another `client_secret`"),
    (OAUTH + "portals:\n" + portal(opens="oauth: {client: a}"), "4 missing-key: 'client_id' is missing"),
    (OAUTH + "portals:\n" + portal(opens="oauth: null"), "4 wrong-type: found nothing"),
])  # fmt: skip
def test_what_opens_a_portal_is_one_thing_and_whole(text: str, fault: str, tmp_path: Path) -> None:
    assert fault in faults(tmp_path, text)


@pytest.mark.parametrize("key", ["short-secret", '""', "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5", "12345"])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str, tmp_path: Path) -> None:
    [fault] = faults(tmp_path, OAUTH.replace(KEYS[0], key) + "portals:\n" + portal())
    assert fault.endswith("the value that stands here (it is not shown)")


def test_there_must_be_a_key(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, OAUTH.replace(f"[{KEYS[0]}]", "[]") + "portals:\n" + portal())
    assert fault.startswith("2 wrong-value")


def test_any_of_the_keys_opens_and_the_first_one_seals() -> None:
    pair = TokenPair(access="a", refresh="r")
    old, both, new = Sealer(KEYS[:1]), Sealer(KEYS[::-1]), Sealer(KEYS[1:])
    sealed = old.seal(7, pair)
    assert both.open(7, sealed) == pair
    resealed = both.resealed(7, sealed)
    assert resealed is not None
    assert both.resealed(7, resealed) is None
    assert new.open(7, resealed) == pair
    for sealer, portal_id, text in ((new, 7, sealed), (old, 8, sealed), (old, 7, ""), (old, 7, "nonsense")):
        with pytest.raises(SealBroken):
            sealer.open(portal_id, text)


def test_the_project_of_an_oauth_portal_is_an_oauth_app(tmp_path: Path) -> None:
    assert faults(tmp_path, OAUTH + "portals:\n" + portal()) == []
    config, _ = load_config(tmp_path / "config.yaml", {})
    pack, _ = load_pack(shipped_packs()["default"])
    assert config is not None
    assert pack is not None
    text = project_files(config.portals[0], pack, "https://sk.example/oauth/callback")[APP]
    assert '"type": "oauth"' in text
    assert '"redirectUrls": [\n        "https://sk.example/oauth/callback"\n      ]' in text
    assert '"oauth"' in text.partition("requiredScopes")[2]


def test_check_names_what_is_wrong_with_exit_code_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("version: 1\nportals:\n" + portal())
    assert run(["setup"]) == 3

"""Forms that come back: only from our own pages, made for the session that sends them, with the fields they have.

Two proofs are asked for, each enough by itself in a browser that keeps the rules: where the request says it comes from,
and a key that no other site can read.
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import BadRequest, Forbidden, UnsupportedMediaType

from connector.web.admission import Visitor
from connector.web.sessions import Sessions

KEY = "form_key"
_LARGEST = 16 * 1024
_TYPE = "application/x-www-form-urlencoded"


def read_form(request: flask.Request, sessions: Sessions, visitor: Visitor) -> Mapping[str, str]:
    """Read a form; raises Forbidden when it is not from our own page, BadRequest when it is not as we made it."""
    if not _is_own(request):
        raise Forbidden("This form was sent by another site. Nothing was changed.")
    if visitor.session is None:
        raise Forbidden("Only a person who has logged in may send forms. Nothing was changed.")
    if request.mimetype not in ("", _TYPE):
        raise UnsupportedMediaType(f"A form is sent as {_TYPE}.")
    request.max_content_length = _LARGEST
    fields = dict(request.form.lists())
    if any(len(values) != 1 for values in fields.values()):
        raise BadRequest("A field stands twice in this form. Nothing was changed.")
    form = {name: values[0] for name, values in fields.items()}
    if not sessions.is_form_key(visitor.session, form.pop(KEY, "")):
        raise Forbidden("This form is too old or of another session. Nothing was changed; load the page again.")
    return form


def own_path(text: str | None) -> str:
    """Give a path within this site, `/` for whatever else: a link to the login must lead nowhere else afterwards."""
    # A browser takes `//host`, `/\\host` and, as it drops tabs and line ends, `/<tab>/host` for other hosts.
    if not text or len(text) > 1_000 or not text.startswith("/") or text.startswith("//"):
        return "/"
    return text if all("!" <= character <= "~" and character != "\\" for character in text) else "/"


def _is_own(request: flask.Request) -> bool:
    """Ask whether the browser says that our own page sent this.

    Sec-Fetch-Site cannot be forged by a page and does not depend on what a proxy makes of Host; browsers send it over
    TLS and to this machine. Without it Origin must name the host that was asked for.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    if origin is None:
        return True  # no browser of this decade; the key decides
    return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower() != ""

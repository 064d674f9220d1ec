"""Cookie, crumb and the consent chain, with every redirect on the same origin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Final
from urllib.parse import quote

from ingestion_server.sandbox.seeding import token
from ingestion_server.sandbox.wire import HTML, TEXT, Call, Reply
from ingestion_server.sandbox.yahoo.refusals import unauthorized

QUOTE_PAGE: Final = re.compile(r"/quote/([^/]+)(/?)")
_YEAR_S: Final = 31_536_000
_CRUMB_LENGTH: Final = 11
_FORM: Final = """<!DOCTYPE html>
<html dir="ltr" class="ltr yahoo-page height100">
<head><title>Yahoo is part of the Yahoo family of brands</title></head>
<body>
<form method="post" class="consent-form" action="">
<input type="hidden" name="csrfToken" value="{csrf}">
<input type="hidden" name="sessionId" value="{session}">
<input type="hidden" name="originalDoneUrl" value="{done}">
<input type="hidden" name="namespace" value="yahoo">
<button type="submit" class="btn secondary accept-all" name="agree" value="agree">
Accept all</button>
<button type="submit" class="btn secondary reject-all" name="reject" value="reject">
Reject all</button>
</form>
</body>
</html>
"""


class Visitors:
    """Know the cookies handed out, the crumbs that fit, and consents under way."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._cookies: set[str] = set()
        self._consents: dict[str, str] = {}

    def knows(self, cookies: Mapping[str, str]) -> bool:
        """Tell whether the caller brings a cookie that was handed out."""
        return cookies.get("A3", "") in self._cookies

    def may_pass(self, call: Call) -> bool:
        """Tell whether cookie and crumb are there and belong together."""
        crumb = call.query.get("crumb", "")
        return self.knows(call.cookies) and crumb == self._crumb(call.cookies["A3"])

    def home(self, *, consent_required: bool) -> Reply:
        """Answer ``/`` (fc.yahoo.com): 404, but with the cookie."""
        body = b"<html><body>Not Found</body></html>"
        headers = () if consent_required else (self._cookie("A3", self._new()),)
        return Reply(body, 404, HTML, headers)

    def crumb(self, call: Call) -> Reply:
        """Answer ``/v1/test/getcrumb``: eleven characters for a known cookie."""
        if not self.knows(call.cookies):
            return unauthorized("Invalid Cookie")
        return Reply(self._crumb(call.cookies["A3"]).encode(), 200, TEXT)

    def page(self, call: Call) -> Reply:
        """Answer ``/quote/{symbol}``: to the consent, unless it has been given."""
        path = call.path
        if "guccounter" in call.query and not path.endswith("/"):
            return _to(301, f"{quote(path)}/")
        if self.knows(call.cookies):
            return Reply(b"<!DOCTYPE html><html><body>quote</body></html>", 200, HTML)
        done = quote(f"https://finance.yahoo.com{path}", safe="")
        csrf = token(7, self._seed, "csrf", path)
        target = f"/consent?brandType=nonEu&gcrumb={csrf}&done={done}"
        return _to(307, target, self._cookie("GUCS", "AQABCAFn", 1800))

    def begin(self, call: Call) -> Reply:
        """Answer ``/consent``: open a session and show its form."""
        name = token(32, self._seed, "consent", len(self._consents))
        session = f"3_cc-session_{name}"
        done = call.query.get("done", "https://finance.yahoo.com/quote/AAPL")
        self._consents[session] = done
        return _to(302, f"/v2/collectConsent?sessionId={session}")

    def form(self, call: Call) -> Reply:
        """Answer ``GET /v2/collectConsent`` with the form."""
        session = call.query.get("sessionId", "")
        if session not in self._consents:
            return Reply(b"<html><body>Session expired</body></html>", 400, HTML)
        done = self._consents[session]
        page = _FORM.format(
            csrf=self._csrf(session),
            session=escape(session),
            done=escape(f"{done}?guccounter=1"),
        )
        return Reply(page.encode(), 200, HTML)

    def agree(self, call: Call) -> Reply:
        """Answer the form; a wrong token or no agreement leads nowhere."""
        session = call.form.get("sessionId", "")
        agreed = (
            session in self._consents
            and call.form.get("csrfToken") == self._csrf(session)
            and call.form.get("agree") == "agree"
        )
        if not agreed:
            return Reply(b"<html><body>Bad Request</body></html>", 400, HTML)
        target = f"/copyConsent?sessionId={session}&lang=en-GB"
        return _to(302, target, self._cookie("CFC", "AQABCAFn"))

    def copy(self, call: Call) -> Reply:
        """Answer ``/copyConsent``: hand out the cookies, go back to the page."""
        done = self._consents.pop(call.query.get("sessionId", ""), None)
        if done is None:
            return Reply(b"<html><body>Session expired</body></html>", 400, HTML)
        page = QUOTE_PAGE.search(done)
        value = self._new()
        return _to(
            302,
            f"/quote/{quote(page[1] if page else 'AAPL')}?guccounter=1",
            self._cookie("GUC", "AQABCAFn"),
            self._cookie("A3", value),
            self._cookie("A1S", value, None),
            self._cookie("EuConsent", "CQAAAAAA", 86_400),
            self._cookie("A1", value),
        )

    def _new(self) -> str:
        value = f"d=AQABBSBX{token(24, self._seed, 'cookie', len(self._cookies))}"
        self._cookies.add(value)
        return value

    def _crumb(self, cookie: str) -> str:
        return token(_CRUMB_LENGTH, self._seed, "crumb", cookie)

    def _csrf(self, session: str) -> str:
        return token(7, self._seed, "csrf", session)

    def _cookie(
        self, name: str, value: str, age_s: int | None = _YEAR_S
    ) -> tuple[str, str]:
        # No Domain and no Secure: the recordings have them, but here a client has
        # rewritten the host and speaks plain HTTP.
        age = "" if age_s is None else f"; Max-Age={age_s}"
        return "Set-Cookie", f"{name}={value}{age}; Path=/; HttpOnly"


def _to(status: int, target: str, *cookies: tuple[str, str]) -> Reply:
    return Reply(b"", status, HTML, (("Location", target), *cookies))

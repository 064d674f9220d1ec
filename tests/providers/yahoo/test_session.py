"""How Yahoo is greeted; the chain as it was recorded, with values made by us."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    ProviderError,
    ProviderUnavailableError,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import Credentials
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.providers.yahoo.declarations import HOSTS
from ingestion_server.providers.yahoo.session import greet

CRUMB = HttpResponse(200, b"abc.DEF/123")
A3 = {"set-cookie": "A3=d=AQAB&S=xyz; Expires=Tue, 17 Feb 2099 00:39:40 GMT; Path=/"}
NOTHING = HttpResponse(404, b"")
FORM = (
    b'<form method="post" class="consent-form" action="">\n'
    b'<input type="hidden" name="csrfToken" value="GoN">\n'
    b'<input type="hidden" name="sessionId" value="3_x">\n'
    b'<input type="hidden" name="originalDoneUrl" '
    b'value="https://finance.yahoo.com/quote/AAPL?guccounter&#x3D;1">\n'
    b'<input type="hidden" name="namespace" value="yahoo">\n'
)
CONSENT = "https://consent.yahoo.com/v2/collectConsent?sessionId=3_x"
ABSOLUTE = (
    "https://guce.yahoo.com/consent?brandType=nonEu&gcrumb=GoN&done=https%3A%2F%2Fa.b",
    CONSENT,
    "https://guce.yahoo.com/copyConsent?sessionId=3_x&lang=en-GB",
    "https://finance.yahoo.com/quote/AAPL?guccounter=1",
)


def moved(location: str, status: int = 302, *cookies: str) -> HttpResponse:
    """Redirect, and perhaps set cookies."""
    headers = {"location": location}
    if cookies:
        headers["set-cookie"] = "\n".join(cookies)
    return HttpResponse(status, b"", headers)


def greeted(
    answers: Iterable[HttpResponse],
) -> tuple[list[HttpRequest], Credentials | None]:
    """Greet with prepared answers; None if they end before the greeting does."""
    requests: list[HttpRequest] = []
    return requests, walked(answers, requests.append)


def walked(
    answers: Iterable[HttpResponse], see: Callable[[HttpRequest], None]
) -> Credentials | None:
    """Greet with prepared answers, and show each request to somebody."""
    exchange = Yahoo().greet(Credentials(crumb="old", cookies=(("A3", "old"),)))
    try:
        see(next(exchange))
        for one in answers:
            see(exchange.send(one))
    except StopIteration as done:
        credentials: Credentials = done.value
        return credentials
    return None


def header(request: HttpRequest, name: str = "Cookie") -> str:
    """Return a header, or nothing."""
    return dict(request.headers).get(name, "")


def test_all_of_a_greeting_is_one_endpoint() -> None:
    form = HttpResponse(200, FORM)
    short, _ = greeted([HttpResponse(404, b"", A3), CRUMB])
    long, _ = greeted([NOTHING, moved(ABSOLUTE[0]), form, moved(ABSOLUTE[2])])

    assert (len(short), len(long)) == (2, 5)
    assert {request.feature for request in (*short, *long)} == {"session"}
    assert "session" in Yahoo().endpoints


def test_the_short_way_takes_two_requests() -> None:
    requests, found = greeted([HttpResponse(404, b"", A3), CRUMB])

    assert [request.full_url for request in requests] == [
        "https://fc.yahoo.com/",
        "https://query1.finance.yahoo.com/v1/test/getcrumb",
    ]
    assert header(requests[0]) == ""
    assert header(requests[1]) == "A3=d=AQAB&S=xyz"
    assert found == Credentials(crumb="abc.DEF/123", cookies=(("A3", "d=AQAB&S=xyz"),))


@pytest.mark.parametrize(
    "hops",
    [
        ABSOLUTE,
        tuple(hop.replace("https:", "http:") for hop in ABSOLUTE),
        (*(f"/{hop.split('/', 3)[3]}" for hop in ABSOLUTE),),
    ],
    ids=["absolute", "plain", "relative"],
)
def test_the_consent_chain_is_walked_as_recorded(hops: tuple[str, ...]) -> None:
    requests, found = greeted(
        [
            NOTHING,
            moved(hops[0], 307, "GUCS=Aa; Max-Age=1800; Domain=.yahoo.com"),
            moved(hops[1]),
            HttpResponse(200, FORM),
            moved(hops[2], 302, "CFC=Bb; Domain=consent.yahoo.com; Secure"),
            moved(hops[3], 302, "GUC=Cc; Path=/", "A3=Dd; Path=/", "A1=Ee; Path=/"),
            CRUMB,
        ]
    )

    assert found is not None
    assert dict(found.cookies) == {
        "GUCS": "Aa",
        "CFC": "Bb",
        "GUC": "Cc",
        "A3": "Dd",
        "A1": "Ee",
    }
    assert [urlsplit(request.url).path for request in requests] == [
        "/",
        "/quote/AAPL",
        "/consent",
        "/v2/collectConsent",
        "/v2/collectConsent",
        "/copyConsent",
        "/v1/test/getcrumb",
    ]
    if hops[0].startswith("http"):
        assert [urlsplit(request.url).hostname for request in requests[2:6]] == [
            "guce.yahoo.com",
            "consent.yahoo.com",
            "consent.yahoo.com",
            "guce.yahoo.com",
        ]
    assert [request.method for request in requests] == [
        "POST" if number == 4 else "GET" for number in range(7)
    ]
    assert dict(requests[4].params) == {"sessionId": "3_x"}
    assert requests[4].form == (
        ("csrfToken", "GoN"),
        ("sessionId", "3_x"),
        ("originalDoneUrl", "https://finance.yahoo.com/quote/AAPL?guccounter=1"),
        ("namespace", "yahoo"),
        ("agree", "agree"),
        ("agree", "agree"),
    )
    assert header(requests[5]) == "GUCS=Aa; CFC=Bb"
    assert all(request.url.startswith("https://") for request in requests)


def test_where_no_consent_is_wanted_the_page_itself_sets_the_cookie() -> None:
    _, found = greeted([NOTHING, HttpResponse(200, b"<html>", A3), CRUMB])

    assert found is not None


@pytest.mark.parametrize(
    "crumb",
    [
        HttpResponse(200, b"<html>sorry</html>"),
        HttpResponse(200, b"Too Many Requests\r\n"),
        HttpResponse(200, b""),
        HttpResponse(200, b'{"finance":{}}'),
        HttpResponse(200, b"a" * 100),
        HttpResponse(401, b"abc.DEF/123"),
        HttpResponse(500, b"abc.DEF/123"),
    ],
)
def test_what_is_no_crumb_leads_to_consent_and_then_to_an_end(
    crumb: HttpResponse,
) -> None:
    answers = [HttpResponse(404, b"", A3), crumb, HttpResponse(200, b"", A3)]
    requests, found = greeted(answers)

    assert found is None
    assert requests[2].full_url == "https://finance.yahoo.com/quote/AAPL"
    assert header(requests[2]) == ""
    with pytest.raises(CredentialsRefusedError, match="neither by cookie nor"):
        greeted([*answers, crumb])


@pytest.mark.parametrize(
    "line", ["A3=; Path=/", "A3=gone; Max-Age=0", "A3=x; max-age=-1; Path=/", "A3"]
)
def test_a_cookie_that_is_deleted_is_none(line: str) -> None:
    requests, _ = greeted([HttpResponse(404, b"", {"set-cookie": line})])

    assert requests[1].full_url == "https://finance.yahoo.com/quote/AAPL"


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/x",
        "https://evil.example//evil.example/x",
        "//evil.example/x",
        "///evil.example/x",
        "https://finance.yahoo.com.evil.example/",
        "https://finance.yahoo.com@evil.example/",
        "https://evil.example@finance.yahoo.com/",
        "https://finance.yahoo.com:99/",
        "http://guce.yahoo.com/x",
        "ftp://guce.yahoo.com/x",
        "mailto:evil.example",
        "javascript:x",
        "https:evil.example",
        "\\\\evil.example\\x",
        "https://[",
        "https://finance.yahoo.com/ü\udcff x",
        "\ud800",
    ],
)
def test_no_cookie_goes_to_a_foreign_host(location: str) -> None:
    answers = [NOTHING, moved(location, 302, "GUCS=secret"), NOTHING, NOTHING]

    requests: list[HttpRequest] = []

    with pytest.raises(CredentialsRefusedError):
        walked(answers, requests.append)

    assert len(requests) >= 2
    for request in requests:
        assert_ours(request)


def assert_ours(request: HttpRequest) -> None:
    """Check that a request goes to one of the vendor's hosts, by https."""
    parts = urlsplit(request.full_url)
    assert parts.scheme == "https"
    assert parts.netloc in HOSTS
    assert request.full_url.isascii()
    assert not request.follow_redirects
    assert request.feature == "session"


def test_redirects_in_a_circle_come_to_an_end() -> None:
    with pytest.raises(CredentialsRefusedError):
        greeted([NOTHING, *[moved("/quote/AAPL")] * 50])


urls = st.one_of(
    st.sampled_from(ABSOLUTE),
    st.builds("https://{}{}".format, st.text(max_size=12), st.text(max_size=12)),
    st.text(),
)
cookies = st.one_of(
    st.sampled_from(["A3=x", "A3=x\nA1=y; Path=/"]), st.text(), st.just("")
)
answers = st.builds(
    HttpResponse,
    st.sampled_from([200, 200, 301, 302, 307, 404, 429, 500]),
    st.one_of(st.just(FORM), st.just(CRUMB.body), st.binary(max_size=40)),
    st.fixed_dictionaries({}, optional={"location": urls, "set-cookie": cookies}),
)


@given(st.lists(answers, min_size=30, max_size=30))
def test_whatever_is_answered_a_greeting_ends_well_or_with_our_error(
    replies: list[HttpResponse],
) -> None:
    try:
        found = walked(replies, assert_ours)
    except ProviderError:
        return

    assert found is not None
    assert found.crumb
    assert "A3" in dict(found.cookies)


def test_a_host_that_cannot_be_reached_closes_one_way_only() -> None:
    """The consent pages are tried when the cookie's host is down."""
    exchange = greet()
    next(exchange)

    request = exchange.throw(ProviderUnavailableError("down", provider="yahoo"))

    assert request.url == "https://finance.yahoo.com/quote/AAPL"

"""Where a redirect leads."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.ports.http import HttpRequest
from ingestion_server.transport import hops
from tests.transport.fakes import HOST, HOSTS, NAME, ask


def next_hop(
    request: HttpRequest, location: str | None, status: int = 302
) -> HttpRequest | None:
    """Follow a redirect in the real world."""
    return hops.next_hop(request, status, location, hosts=HOSTS[NAME], sandbox=None)


def test_https_is_not_left() -> None:
    with pytest.raises(MalformedPayloadError, match=f"plain HTTP on {HOST}"):
        next_hop(ask(), f"http://{HOST}/")


def test_plain_http_may_stay_plain_or_become_better() -> None:
    plain = HttpRequest(NAME, f"http://{HOST}/", (("a", "b"),))

    for location in ("/c", f"https://{HOST}/c"):
        hop = next_hop(plain, location)
        assert hop is not None
        assert hop.full_url.endswith("/c")


def test_only_the_schemes_of_the_door_are_taken() -> None:
    stream = HttpRequest(NAME, f"wss://{HOST}/")

    assert hops.checked(stream, HOSTS[NAME], hops.WEBSOCKET).hostname == HOST
    with pytest.raises(MalformedPayloadError, match="refused"):
        hops.checked(stream, HOSTS[NAME])
    with pytest.raises(MalformedPayloadError, match="refused"):
        hops.checked(ask(), HOSTS[NAME], hops.WEBSOCKET)


@pytest.mark.parametrize(("status", "location"), [(200, "/a"), (302, None), (304, "")])
def test_an_answer_is_no_redirect(status: int, location: str | None) -> None:
    assert next_hop(ask(), location, status) is None


def test_authorization_stays_on_the_host_it_was_meant_for() -> None:
    request = HttpRequest(
        NAME, f"https://{HOST}/", headers=(("authorization", "x"), ("cookie", "y"))
    )

    same = next_hop(request, "/a")
    other = next_hop(request, "https://www.acme.test/")

    assert same is not None
    assert same.headers == request.headers
    assert other is not None
    assert other.headers == (("cookie", "y"),)

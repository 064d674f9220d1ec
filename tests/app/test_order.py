"""What of the order of vendors an operator chose."""

from __future__ import annotations

import pytest

from ingestion_server.app.order import in_order, listing
from ingestion_server.app.settings import load_settings
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.registry.selection import Listing

AV, YAHOO = "alpha_vantage", "yahoo"
VENDORS = (AlphaVantage(), Yahoo())


def made(**variables: str) -> Listing:
    """List the vendors by settings."""
    settings = load_settings(
        environ={f"INGESTION_PROVIDERS__{name}": v for name, v in variables.items()}
    )
    assert [p.name for p in in_order(settings, VENDORS)] == [
        *listing(settings, VENDORS, {AV, YAHOO}).enabled
    ]
    return listing(settings, VENDORS, {AV, YAHOO})


def test_by_default_the_order_numbers_vendors_and_nobody_chose_it() -> None:
    made_ = made()

    assert made_.enabled == (AV, YAHOO)
    assert made_.priorities == {AV: 10, YAHOO: 20}
    assert not made_.hard(AV)


@pytest.mark.parametrize("order", ["yahoo,alpha_vantage", "yahoo"])
def test_an_order_that_was_set_numbers_all_and_is_obeyed(order: str) -> None:
    made_ = made(ORDER=order)

    assert made_.enabled == (YAHOO, AV)
    assert made_.priorities == {YAHOO: 10, AV: 20}
    assert made_.hard(AV)


def test_a_priority_that_was_set_moves_that_vendor_and_is_obeyed() -> None:
    made_ = made(YAHOO__PRIORITY="5")

    assert made_.enabled == (YAHOO, AV)
    assert made_.priorities == {AV: 10, YAHOO: 5}
    assert made_.hard(YAHOO)
    assert not made_.hard(AV)


def test_equals_stand_as_they_are_named() -> None:
    assert made(YAHOO__PRIORITY="10").enabled == (AV, YAHOO)


def test_who_is_off_is_listed_apart() -> None:
    made_ = listing(load_settings(environ={}), VENDORS, {YAHOO})

    assert (made_.enabled, made_.disabled) == ((YAHOO,), (AV,))
    assert made_.priority(AV) == 10

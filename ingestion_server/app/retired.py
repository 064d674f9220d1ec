"""A vendor that is gone: who may stand in for it, and what to say of it."""

from __future__ import annotations

from ingestion_server.app.settings import Settings
from ingestion_server.providers.iex_cloud import declarations


def refusal(settings: Settings) -> str:
    """
    Say why IEX Cloud cannot be asked, and what to do; empty if it can, or need not.

    Simulations and recordings stand in for it as well.
    """
    chosen = settings.providers.iex_cloud
    host = declarations.host_of(chosen.base_url or declarations.API_URL)
    if not chosen.enabled or host not in declarations.HOSTS:
        return ""
    origin = settings.origin("providers.iex_cloud.enabled")
    return (
        f"providers.iex_cloud.enabled ({origin}): the service was closed on "
        f"{declarations.CLOSED_ON}; set providers.iex_cloud.base_url to the address of "
        "a compatible one, or leave it switched off"
    )

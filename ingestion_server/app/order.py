"""In which order an operator wants vendors to be asked."""

from __future__ import annotations

from collections.abc import Container, Sequence

from ingestion_server.app.settings import DEFAULT, Settings
from ingestion_server.ports.provider import Provider
from ingestion_server.registry.selection import STEP, Listing


def listing(
    settings: Settings, providers: Sequence[Provider], enabled: Container[str]
) -> Listing:
    """Return the vendors by priority, and what of it an operator chose."""
    names = [provider.name for provider in in_order(settings, providers)]
    off = [name for name in names if name not in enabled]
    gone = {each.name for each in providers if each.lifecycle.stage == "retired"}
    return Listing(
        enabled=tuple(name for name in names if name in enabled),
        disabled=tuple(name for name in off if name not in gone),
        retired=tuple(name for name in off if name in gone),
        ranked=settings.origin("providers.order") != DEFAULT,
        priorities=_priorities(settings, providers),
        chosen=frozenset(
            name for name in names if settings.providers.of(name).priority is not None
        ),
    )


def in_order(settings: Settings, providers: Sequence[Provider]) -> list[Provider]:
    """Return the vendors by priority; of equals, the one that is named first."""
    priorities = _priorities(settings, providers)
    known = {provider.name: provider for provider in providers}
    # The order of the mapping is that of the setting.
    names = sorted(priorities, key=lambda name: priorities[name])
    return [known[name] for name in names]


def _priorities(settings: Settings, providers: Sequence[Provider]) -> dict[str, int]:
    known = [provider.name for provider in providers]
    named = dict.fromkeys([*settings.providers.order, *known])
    priorities = {}
    for place, name in enumerate((each for each in named if each in known), start=1):
        own = settings.providers.of(name).priority
        priorities[name] = place * STEP if own is None else own
    return priorities

"""What stands at the other end of the wire, and what it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from ingestion_server.app.settings import Settings

SANDBOX_KEY: Final = "sandbox-key"
"""What is shown to simulated vendors and recordings, which want some key."""


class Mode(msgspec.Struct, frozen=True):
    """Say what stands at the other end of the wire."""

    sandbox: bool = False
    """Simulated vendors within this process."""
    sandbox_url: str = ""
    """Simulated vendors elsewhere."""
    record: Path | None = None
    """Folder that receives what the vendors answer."""
    replay: Path | None = None
    """Folder that answers instead of the vendors."""

    @property
    def simulated(self) -> bool:
        """Return whether no real vendor is asked."""
        return self.sandbox or bool(self.sandbox_url) or self.replay is not None


def key_of(settings: Settings, name: str, mode: Mode) -> str:
    """Return a vendor's key in the clear; empty if there is none."""
    key = settings.providers.key_of(name)
    return SANDBOX_KEY if mode.simulated and not key else key

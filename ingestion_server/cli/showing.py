"""What the command `config` does: load the settings, and show them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingestion_server.app.presentation import Shown, effective
from ingestion_server.app.settings import DEFAULT, SettingsError, load_settings
from ingestion_server.cli.exits import Exit


def show(config: Path | None, *, as_json: bool) -> Exit:
    """Write the settings, or what is wrong with them, and tell the exit status."""
    try:
        settings = effective(load_settings(config_file=config))
    except SettingsError as error:
        Console(stderr=True).print(Text(str(error)), soft_wrap=True)
        return Exit.USAGE
    if as_json:
        by_key = {
            one.key: {"value": one.value, "origin": one.origin} for one in settings
        }
        sys.stdout.write(json.dumps(by_key, indent=2, ensure_ascii=False) + "\n")
    else:
        Console().print(_table(settings))
    sys.stdout.flush()
    return Exit.OK


def _table(settings: Sequence[Shown]) -> Table:
    """Make a table in which what somebody has set stands out."""
    table = Table("setting", "value", "from", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in settings:
        style = "dim" if one.origin == DEFAULT else ""
        cells = (one.key, one.text, one.origin)
        table.add_row(*(Text(cell, style, overflow="fold") for cell in cells))
    return table

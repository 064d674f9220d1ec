"""What the command `doctor` does: look at everything, and tell what was found."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingestion_server.app import findings, probes
from ingestion_server.app.diagnosis import diagnose
from ingestion_server.app.findings import Finding, Verdict
from ingestion_server.app.settings import SettingsError, load_settings
from ingestion_server.app.wiring import calendar_folder

_STYLES: Final = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


def examine(
    config: Path | None, *, offline: bool, sandbox_url: str, as_json: bool
) -> bool:
    """Write what is found, and tell whether a server could serve."""
    found = _found(config, offline=offline, sandbox_url=sandbox_url)
    sound = all(finding.verdict is not Verdict.FAIL for finding in found)
    if as_json:
        report = {"ok": sound, "findings": [asdict(finding) for finding in found]}
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    else:
        Console().print(_table(found))
    sys.stdout.flush()
    return sound


def _found(
    config: Path | None, *, offline: bool, sandbox_url: str
) -> Sequence[Finding]:
    try:
        settings = load_settings(config_file=config)
    except SettingsError as error:
        return [findings.unfit(problem) for problem in error.problems]
    folder = calendar_folder(settings)
    return asyncio.run(
        diagnose(
            settings,
            probes.means(folder),
            calendar_folder=folder,
            offline=offline,
            sandbox_url=sandbox_url,
        )
    )


def _table(found: Sequence[Finding]) -> Table:
    """Make a table with the advice below what was found."""
    table = Table("", "what", "found", box=box.SIMPLE_HEAD, pad_edge=False)
    for finding in found:
        told = Text(finding.text, overflow="fold")
        if finding.advice:
            told.append(f"\n→ {finding.advice}", "italic")
        verdict = Text(finding.verdict.value, _STYLES[finding.verdict])
        table.add_row(verdict, Text(finding.name), told)
    return table

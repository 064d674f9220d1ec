"""
Look at an installation from all sides, and tell what was found.

How one looks at ports, folders and vendors is handed in as ``Means``, so that this
module touches nothing by itself.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

from ingestion_server.app import findings
from ingestion_server.app.findings import (
    PROBE_SECONDS,
    Answer,
    Finding,
    LedgerFile,
    Target,
    Verdict,
)
from ingestion_server.app.settings import Settings
from ingestion_server.domain.venues import PRIMARY_VENUE
from ingestion_server.providers.alpha_vantage import declarations as alpha_vantage
from ingestion_server.providers.finnhub import declarations as finnhub
from ingestion_server.providers.iex_cloud import declarations as iex_cloud
from ingestion_server.providers.yahoo import declarations as yahoo
from ingestion_server.quota.journal_file import FILE_NAME

OUR_NAME: Final = "ingestion-server"
"""How our HTTP door calls itself."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Means:
    """Look at the world; everything that does not work is an ``OSError``."""

    ask: Callable[[Target], Awaitable[Answer]]
    """Ask for the head of a page."""
    listen: Callable[[str], None]
    """Take a port and give it back."""
    write: Callable[[Path], None]
    """Write into a folder, or where it would be made, and leave nothing behind."""
    load_tls: Callable[[Path, Path], None]
    """Read a certificate and its key."""
    read_ledger: Callable[[Path], LedgerFile | None]
    """Read a ledger wholly, and leave it as it is; None = there is none."""
    calendar: Callable[[str], Coroutine[object, object, bool]]
    """Have an exchange's calendar, computed if need be; tell whether one has."""
    now: Callable[[], float]
    """Seconds since 1970."""


async def diagnose(
    settings: Settings,
    means: Means,
    *,
    calendar_folder: Path,
    offline: bool = False,
    sandbox_url: str = "",
) -> list[Finding]:
    """Look at everything, and tell what was found, in the order of a start."""
    targets = () if offline else vendors(settings, sandbox_url)
    async with asyncio.TaskGroup() as tasks:
        ours = tasks.create_task(_is_ours(means, settings.http.address))
        calendar = tasks.create_task(means.calendar(PRIMARY_VENUE))
        asked = [tasks.create_task(_asked(means, target)) for target in targets]
    outcomes = [task.result() for task in asked]
    return [
        Finding("settings", Verdict.OK, "all are known and have a right value"),
        *findings.keys(settings, simulated=bool(sandbox_url)),
        *await asyncio.to_thread(
            _at_home, settings, means, calendar_folder, ours=ours.result()
        ),
        findings.calendar(PRIMARY_VENUE, known=calendar.result()),
        *map(findings.reach, targets, outcomes),
        *_skipped(offline=offline),
        findings.clock([o for o in outcomes if isinstance(o, Answer)], means.now()),
    ]


def vendors(settings: Settings, sandbox_url: str = "") -> tuple[Target, ...]:
    """
    Return whom to ask whether they can be reached.

    The root of a vendor's host is asked, not its interface: that proves name, route,
    proxy and certificate as well, holds no key, and is nothing that a vendor meters.
    """
    if sandbox_url:
        return (Target("sandbox", sandbox_url, direct=True),)
    chosen = settings.providers
    urls = {
        alpha_vantage.NAME: alpha_vantage.QUERY_URL,
        yahoo.NAME: yahoo.CHART_URL,
        finnhub.NAME: finnhub.API_URL,
        iex_cloud.NAME: chosen.iex_cloud.base_url or iex_cloud.API_URL,
    }
    return tuple(
        Target(name, urlunsplit((*urlsplit(url)[:2], "/", "", "")))
        for name, url in urls.items()
        if chosen.of(name).enabled
    )


def _at_home(
    settings: Settings, means: Means, calendar_folder: Path, *, ours: bool
) -> list[Finding]:
    """Look at what this machine has; that may block."""
    state = settings.state.place()
    ledger = state / FILE_NAME
    return [
        *_tls(settings, means),
        *_ports(settings, means, ours=ours),
        findings.state_folder(state, _error(lambda: means.write(state))),
        findings.ledger(ledger, _outcome(lambda: means.read_ledger(ledger))),
        findings.calendar_folder(
            calendar_folder, _error(lambda: means.write(calendar_folder))
        ),
    ]


def _tls(settings: Settings, means: Means) -> Iterator[Finding]:
    certificate, key = settings.grpc.tls_certificate_file, settings.grpc.tls_key_file
    if certificate is not None and key is not None:
        error = _error(lambda: means.load_tls(certificate, key))
        yield findings.tls(certificate, key, error)


def _ports(settings: Settings, means: Means, *, ours: bool) -> Iterator[Finding]:
    for name, address in (
        ("gRPC port", settings.grpc.address),
        ("HTTP port", settings.http.address),
    ):
        error = _error(functools.partial(means.listen, address))
        yield findings.port(name, address, error, ours=ours)


def _skipped(*, offline: bool) -> Iterator[Finding]:
    if offline:
        yield Finding("reach", Verdict.OK, "not looked at, because of --offline")


async def _is_ours(means: Means, http_address: str) -> bool:
    outcome = await _asked(
        means, Target("ourselves", f"http://{http_address}/readyz", direct=True)
    )
    return isinstance(outcome, Answer) and outcome.server == OUR_NAME


async def _asked(means: Means, target: Target) -> Answer | OSError:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await means.ask(target)
    except OSError as error:
        return error


def _error(look: Callable[[], None]) -> OSError | None:
    return _outcome(look)


def _outcome(look: Callable[[], _T]) -> _T | OSError:
    try:
        return look()
    except OSError as error:
        return error

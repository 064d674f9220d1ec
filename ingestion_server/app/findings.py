"""
What is found when one looks at an installation: plain words, and what to do.

Pure: each function makes findings of what somebody else has seen.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import urlsplit

from ingestion_server.app import retired, secrets
from ingestion_server.app.settings import Settings
from ingestion_server.providers.alpha_vantage import declarations as alpha_vantage
from ingestion_server.providers.finnhub import declarations as finnhub
from ingestion_server.providers.iex_cloud import declarations as iex_cloud
from ingestion_server.providers.yahoo import declarations as yahoo

SKEW_SECONDS: Final = 5.0
"""A clock may be off by so much; the Date of an answer is whole seconds."""
PROBE_SECONDS: Final = 5.0
"""How long each look over the network may take; they are taken at once."""
_REFUSALS: Final = frozenset({401, 403, 407, 429, 451})
_FIRST_SERVER_ERROR: Final = 500
_OLDEST_NOW: Final = 1_735_689_600.0
"""2025: no clock that is set shows less."""


class Verdict(StrEnum):
    """Weigh a finding."""

    OK = "ok"
    WARN = "warn"
    """The server runs, but something about it is not as it should be."""
    FAIL = "fail"
    """The server does not start, or could answer nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Tell what was found, and what to do about it."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Name somebody on the network."""

    name: str
    url: str
    direct: bool = False
    """Past all proxies."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what can be told from the head of an answer."""

    status: int
    received_at: float
    """Seconds since 1970 by our clock."""
    date: str = ""
    """The other's clock, as HTTP writes it."""
    server: str = ""
    """What the other calls itself."""


@dataclass(frozen=True, slots=True)
class LedgerFile:
    """Hold what can be told of a ledger by reading it."""

    size_bytes: int
    complaint: str = ""
    """What SQLite says is wrong with it; empty = nothing."""
    unread: str = ""
    """Why it was not read, if that is nothing to worry about."""


def keys(settings: Settings, *, simulated: bool) -> Iterator[Finding]:
    """Tell of each vendor whether it can be asked, by its key and plan."""
    chosen = settings.providers
    usable = False
    for name, default in (
        (alpha_vantage.NAME, alpha_vantage.DEFAULT_PLAN),
        (yahoo.NAME, yahoo.DEFAULT_PLAN),
        (finnhub.NAME, finnhub.DEFAULT_PLAN),
        (iex_cloud.NAME, iex_cloud.DEFAULT_PLAN),
    ):
        vendor = chosen.of(name)
        place = f"providers.{name}.api_key"
        plan = f"plan {vendor.plan or default}"
        if not vendor.enabled:
            since = f"; closed on {iex_cloud.CLOSED_ON}"
            gone = since if name == iex_cloud.NAME else ""
            yield Finding(name, Verdict.OK, f"switched off in the settings{gone}")
        elif simulated:
            usable = True
            yield Finding(name, Verdict.OK, "simulated, so it needs no key")
        elif name == iex_cloud.NAME and (gone := retired.refusal(settings)):
            yield Finding(
                name,
                Verdict.FAIL,
                f"was closed on {iex_cloud.CLOSED_ON}",
                gone,
            )
        elif place not in secrets.CUSTOMARY:
            usable = True
            yield Finding(name, Verdict.OK, f"needs no key; {plan}")
        elif key := chosen.key_of(name):
            usable = True
            yield _keyed(name, key, f"from {settings.origin(place)}; {plan}")
        else:
            names = secrets.names(place)
            yield Finding(
                name,
                Verdict.WARN,
                "has no key, so it is not asked",
                f"set {names[1]}, or {names[1]}{secrets.FILE_SUFFIX} to a file with "
                f"the key, or switch it off (providers.{name}.enabled = false)",
            )
    if not usable:
        yield Finding(
            "vendors",
            Verdict.FAIL,
            "no vendor can be asked",
            "switch one on, or set its key; `serve --sandbox` needs neither",
        )


def port(name: str, address: str, error: OSError | None, *, ours: bool) -> Finding:
    """Tell whether a door can be opened."""
    if error is None:
        return Finding(name, Verdict.OK, f"{address} is free")
    if error.errno != errno.EADDRINUSE:
        return Finding(
            name,
            Verdict.FAIL,
            f"{address} cannot be used: {_said(error)}",
            "choose an address of this machine and a port this user may open",
        )
    if ours:
        return Finding(name, Verdict.OK, f"{address} is taken; a server runs already")
    return Finding(
        name,
        Verdict.FAIL,
        f"{address} is taken by another program",
        "stop that program, or choose another port (0 = any free)",
    )


def reach(target: Target, outcome: Answer | OSError) -> Finding:
    """Tell whether somebody can be reached, and if not, why."""
    name = f"reach {target.name}"
    host = urlsplit(target.url).netloc
    if isinstance(outcome, Answer):
        if outcome.status in _REFUSALS:
            return Finding(
                name,
                Verdict.WARN,
                f"{host} answers, but turns this machine away ({outcome.status})",
                "wait if it was asked too often; otherwise a proxy, or the vendor, "
                "blocks this address",
            )
        if outcome.status >= _FIRST_SERVER_ERROR:
            return Finding(
                name,
                Verdict.WARN,
                f"{host} answers with an error of its own ({outcome.status})",
                "try again later; the server does so by itself",
            )
        return Finding(name, Verdict.OK, f"{host} answers")
    text, advice = _explained(outcome)
    return Finding(name, Verdict.WARN, f"{host} {text}", advice)


def unfit(problem: str) -> Finding:
    """Tell of a setting that stops the start."""
    return Finding(
        "settings",
        Verdict.FAIL,
        problem,
        "correct it; nothing else was looked at, since all depends on the settings",
    )


def clock(answers: Sequence[Answer], now: float) -> Finding:
    """Tell how far our clock is off; one answer that agrees is proof enough."""
    offsets = [offset for answer in answers if (offset := _offset(answer)) is not None]
    advice = (
        "set the clock (NTP): quotas turn over, and bars become final, by the time of "
        "day"
    )
    if now < _OLDEST_NOW:
        return Finding("clock", Verdict.FAIL, "the clock was never set", advice)
    if not offsets:
        return Finding("clock", Verdict.OK, "plausible; nobody's to compare it with")
    least = min(offsets, key=abs)
    if abs(least) > SKEW_SECONDS:
        way = "behind" if least > 0 else "ahead"
        return Finding(
            "clock", Verdict.WARN, f"{abs(least):.0f} s {way} of the vendors'", advice
        )
    return Finding("clock", Verdict.OK, "agrees with the vendors'")


def tls(certificate: Path, key: Path, error: OSError | None) -> Finding:
    """Tell whether the gRPC door can speak TLS."""
    if error is None:
        return Finding("TLS", Verdict.OK, f"{certificate} and its key fit")
    return Finding(
        "TLS",
        Verdict.FAIL,
        f"{certificate} and {key} cannot be used: {_said(error)}",
        "both must be PEM, belong to each other, be readable and not encrypted",
    )


def state_folder(folder: Path, error: OSError | None) -> Finding:
    """Tell whether anything can be kept over a restart."""
    if error is None:
        return Finding("state folder", Verdict.OK, f"{folder} can be written")
    return Finding(
        "state folder",
        Verdict.FAIL,
        f"{folder} cannot be written: {_said(error)}",
        "set state.folder to a folder that this user may write",
    )


def ledger(file: Path, outcome: LedgerFile | OSError | None) -> Finding:
    """Tell whether what was used of each quota is known from the last run."""
    match outcome:
        case None:
            return Finding("ledger", Verdict.OK, f"{file} will be made")
        case OSError():
            return Finding(
                "ledger",
                Verdict.FAIL,
                f"{file} cannot be read: {_said(outcome)}",
                "let this user read and write it; it must be a plain file",
            )
        case LedgerFile(complaint=""):
            told = outcome.unread or "is whole"
            size = f"{outcome.size_bytes:,} bytes"
            return Finding("ledger", Verdict.OK, f"{file} {told}, {size}")
        case LedgerFile():
            return Finding(
                "ledger",
                Verdict.FAIL,
                f"{file} is damaged: {outcome.complaint}",
                "restore it, or move it away together with its -wal and -shm; then "
                "what was used today is forgotten, so vendors may refuse calls, or "
                "charge for more than was planned",
            )
        case _:
            assert_never(outcome)


def calendar_folder(folder: Path, error: OSError | None) -> Finding:
    """Tell whether calendars can be kept."""
    if error is None:
        return Finding("calendar folder", Verdict.OK, f"{folder} can be written")
    return Finding(
        "calendar folder",
        Verdict.WARN,
        f"{folder} cannot be written: {_said(error)}",
        "set calendars.cache_folder; until then they are computed at each start",
    )


def calendar(name: str, *, known: bool) -> Finding:
    """Tell whether an exchange's sessions are known."""
    if known:
        return Finding("calendar", Verdict.OK, f"the sessions of {name} are known")
    return Finding(
        "calendar",
        Verdict.WARN,
        f"the sessions of {name} cannot be computed",
        "reinstall exchange_calendars; without it holidays cannot be told from gaps",
    )


def _keyed(name: str, key: str, facts: str) -> Finding:
    if (name, key) == (alpha_vantage.NAME, "demo"):
        return Finding(
            name,
            Verdict.WARN,
            f"has the public key `demo` ({facts}), which answers examples only",
            "ask for a key of your own; a free one takes a minute",
        )
    return Finding(name, Verdict.OK, f"has a key {facts}")


def _explained(error: OSError) -> tuple[str, str]:
    """Say in plain words why somebody cannot be reached, and what to do."""
    proxy = "if this network has a proxy, set HTTPS_PROXY"
    match error:
        case TimeoutError():
            return (
                f"does not answer within {PROBE_SECONDS:g} s",
                f"a firewall may drop packets; {proxy}",
            )
        case socket.gaierror():
            return "has no address: its name is not known", f"check DNS; {proxy}"
        case ssl.SSLCertVerificationError():
            return (
                f"shows a certificate that is not trusted ({error.verify_message})",
                "check the clock; if a proxy opens TLS, name its root in SSL_CERT_FILE",
            )
        case ConnectionRefusedError():
            return "refuses connections", "is it running, at this port?"
        case _:
            return f"cannot be reached: {_said(error)}", f"check the network; {proxy}"


def _said(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _offset(answer: Answer) -> float | None:
    """Return by how much our clock is behind; None if the other tells no time."""
    try:
        return parsedate_to_datetime(answer.date).timestamp() - answer.received_at
    except ValueError:
        return None

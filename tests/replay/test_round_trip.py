"""What was recorded is answered again: the same bars, with the time they came at."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.app.mode import Mode
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import Credentials
from ingestion_server.providers.yahoo import Yahoo
from tests.port.house import NOON, Build, House, RefusedError, pinned, times
from tests.replay.vendors import ABSENT, RECORDINGS

KEY: Final = "a-key-of-the-round-trip-1200"
SETTINGS: Final = {
    "PROVIDERS__ALPHA_VANTAGE__API_KEY": KEY,
    "PROVIDERS__YAHOO__PLAN": "unmetered",
    "SANDBOX__YAHOO_PER_SECOND": "1000",
}
YAHOO: Final[dict[str, Any]] = {"source_policy": pinned("yahoo")}
ALPHA_VANTAGE: Final[dict[str, Any]] = {"source_policy": pinned("alpha_vantage")}
MAY: Final[dict[str, Any]] = {
    "start": "2024-05-01T00:00:00Z",
    "end": "2024-06-01T00:00:00Z",
}
SPLIT: Final[dict[str, Any]] = {
    "start": "2020-08-24T00:00:00Z",
    "end": "2020-09-05T00:00:00Z",
}
MONDAY: Final[dict[str, Any]] = {
    "start": "2024-06-10T13:30:00Z",
    "end": "2024-06-10T20:00:00Z",
}

QUESTIONS: Final[dict[str, dict[str, Any]]] = {
    "days of yahoo": {"symbol": "MSFT", **MAY, **YAHOO},
    "days of both, by priority": {"symbol": "MSFT", **MAY},
    "minutes": {
        "symbol": "MSFT",
        "interval": "INTERVAL_1_MINUTE",
        **MONDAY,
        **YAHOO,
    },
    "hours, of half hours": {
        "symbol": "MSFT",
        "interval": "INTERVAL_1_HOUR",
        "adjustment": "ADJUSTMENT_RAW",
        **MONDAY,
        **ALPHA_VANTAGE,
    },
    "quarters, also before the open": {
        "symbol": "IBM",
        "interval": "INTERVAL_15_MINUTES",
        "adjustment": "ADJUSTMENT_SPLIT_DIVIDEND",
        "session": "SESSION_EXTENDED",
        **MONDAY,
        **ALPHA_VANTAGE,
    },
    "quarters of an older month": {
        "symbol": "IBM",
        "interval": "INTERVAL_15_MINUTES",
        "adjustment": "ADJUSTMENT_RAW",
        "start": "2024-03-11T13:30:00Z",
        "end": "2024-03-12T20:00:00Z",
        **ALPHA_VANTAGE,
    },
    "currencies of yahoo": {"symbol": "EUR/USD", **MAY, **YAHOO},
    "currencies of alpha vantage": {"symbol": "EUR/USD", **MAY, **ALPHA_VANTAGE},
    "coins of yahoo": {"symbol": "BTC/USD", **MAY, **YAHOO},
    "coins of alpha vantage": {"symbol": "BTC/USD", **MAY, **ALPHA_VANTAGE},
    "weeks": {"symbol": "^GSPC", "interval": "INTERVAL_1_WEEK", **MAY, **YAHOO},
    "raw days of yahoo, by its actions": {
        "symbol": "AAPL",
        "adjustment": "ADJUSTMENT_RAW",
        **SPLIT,
        **YAHOO,
    },
    "adjusted days of alpha vantage, by its actions": {
        "symbol": "AAPL",
        "adjustment": "ADJUSTMENT_SPLIT_DIVIDEND",
        **SPLIT,
        **ALPHA_VANTAGE,
    },
    # After the whole history of the same, so that both pages lie in the folder.
    "the latest raw days": {
        "symbol": "AAPL",
        "adjustment": "ADJUSTMENT_RAW",
        **MAY,
        **ALPHA_VANTAGE,
    },
    "adjusted days, by splits alone": {
        "symbol": "NVDA",
        "adjustment": "ADJUSTMENT_SPLIT",
        **SPLIT,
        **ALPHA_VANTAGE,
    },
    "a share class": {"symbol": "BRK.B", **MAY, **YAHOO},
    "nobody's symbol": {"symbol": "NOSUCH", **MAY, **YAHOO},
    # Last, because a vendor whose quota is gone is left alone for a while.
    "quota": {
        "symbol": "GM",
        "adjustment": "ADJUSTMENT_RAW",
        **MAY,
        **ALPHA_VANTAGE,
    },
}

Answers = dict[str, ingestion_service_pb2.FetchResponse | RefusedError]


async def answers(home: House) -> Answers:
    """Ask all questions; some are refused."""
    found: Answers = {}
    for name, question in QUESTIONS.items():
        # So that each question has its own time of answer.
        home.clock.advance(2)
        try:
            found[name] = await home.fetch(**question)
        except RefusedError as error:
            found[name] = error
    return found


def told(answer: ingestion_service_pb2.FetchResponse) -> list[object]:
    """Return what an answer says, apart from how long it took and who asked."""
    return [
        answer.series,
        answer.completeness,
        list(answer.missing),
        list(answer.quality_flags),
        [
            (
                source.provider,
                source.start,
                source.end,
                # Envelopes tell whole seconds.
                source.received_at.seconds,
                source.derivation,
            )
            for source in answer.sources
        ],
    ]


@pytest.fixture
def greeted(monkeypatch: pytest.MonkeyPatch) -> list[Credentials]:
    """Watch which sessions with Yahoo sign requests."""
    seen: list[Credentials] = []
    sign = Yahoo.sign

    def watched(
        self: Yahoo, request: HttpRequest, credentials: Credentials
    ) -> HttpRequest:
        seen.append(credentials)
        return sign(self, request, credentials)

    monkeypatch.setattr(Yahoo, "sign", watched)
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where to record."""
    return tmp_path / "recordings"


@pytest.fixture
async def recorded(build: Build, folder: Path) -> Answers:
    """Ask simulated vendors, and keep what they answer."""
    mode = Mode(sandbox=True, record=folder)
    async with build(mode=mode, settings=SETTINGS) as home:
        await home.fault("alpha_vantage", "information_key", symbols=["GM"])
        # Yahoo wants a session for one symbol.
        await home.fault("yahoo", "crumb_required", symbols=["BRK-B"])
        return await answers(home)


def files(folder: Path) -> list[Path]:
    """List all that was recorded."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def bodies(folder: Path) -> list[Path]:
    """List the recorded bodies."""
    return [path for path in files(folder) if not path.name.endswith(".meta.json")]


def zipped(folder: Path, target: Path) -> Path:
    """Return a copy whose bodies are gzip files."""
    shutil.copytree(folder, target)
    for path in bodies(target):
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return target


@pytest.mark.parametrize("form", ["as recorded", "gzip"])
async def test_a_recording_answers_like_the_vendors_did(
    recorded: Answers, folder: Path, build: Build, tmp_path: Path, form: str
) -> None:
    replayed = zipped(folder, tmp_path / "zipped") if form == "gzip" else folder
    refused = {name for name, got in recorded.items() if isinstance(got, RefusedError)}
    assert refused == {"nobody's symbol", "quota"}

    # Months later, and without any key.
    later = NOON + timedelta(days=200)
    async with build(mode=Mode(replay=replayed), start=later) as home:
        again = await answers(home)

    for name, first in recorded.items():
        second = again[name]
        if isinstance(first, RefusedError):
            assert isinstance(second, RefusedError), name
            assert (second.code, second.reason) == (first.code, first.reason), name
        else:
            assert not isinstance(second, RefusedError), f"{name}: {second}"
            assert told(second) == told(first), name
            assert len(times(second)) > 3, name


async def test_unknown_and_exhausted_stay_what_they_were(recorded: Answers) -> None:
    unknown, quota = recorded["nobody's symbol"], recorded["quota"]

    assert isinstance(unknown, RefusedError)
    assert unknown.reason == "SYMBOL_UNKNOWN"
    assert isinstance(quota, RefusedError)
    assert quota.reason == "QUOTA_EXHAUSTED"


async def test_no_recorded_byte_is_a_secret(
    greeted: list[Credentials], recorded: Answers, folder: Path
) -> None:
    assert not isinstance(recorded["a share class"], RefusedError)
    crumbs = {c.crumb for c in greeted if c.crumb}
    cookies = {value for c in greeted for value in dict(c.cookies).values() if value}
    assert crumbs
    assert cookies

    told_the_key = 0
    for path in files(folder):
        content = path.read_bytes()
        told_the_key += b"detected your API key as ***" in content
        for secret in {KEY} | crumbs | cookies:
            assert secret.encode() not in content, path
            assert secret not in path.name
    assert told_the_key == 1


async def test_recordings_have_the_form_of_the_shared_ones(
    recorded: Answers, folder: Path
) -> None:
    assert recorded
    assert {path.parent.name for path in files(folder)} == {"alphavantage", "yahoo"}
    for path in bodies(folder):
        beside = path.with_name(f"{path.name}.meta.json")
        meta = json.loads(beside.read_text())
        assert sorted(meta) == ["headers", "recorded", "status", "url"]
        assert meta["recorded"].endswith(" GMT")
        assert meta["url"].startswith("https://")
        if path.suffix == ".json":
            json.loads(path.read_bytes())


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=ABSENT)
async def test_the_shared_ones_have_that_form() -> None:
    for path in RECORDINGS.glob("*/*.meta.json"):
        meta = json.loads(path.read_text())
        assert {"headers", "recorded", "status", "url"} <= set(meta), path


@pytest.mark.parametrize("what", ["missing", "empty", "without bodies"])
async def test_a_folder_that_holds_no_recording_stops_the_start(
    build: Build, tmp_path: Path, what: str
) -> None:
    folder = tmp_path / "nothing"
    if what != "missing":
        folder.mkdir()
    if what == "without bodies":
        (folder / "notes.txt").write_text("no body of anybody")

    with pytest.raises(ValueError, match=f"cannot replay {folder}: ") as caught:
        async with build(mode=Mode(replay=folder)):
            pass

    assert ("no such folder" in str(caught.value)) is (what == "missing")

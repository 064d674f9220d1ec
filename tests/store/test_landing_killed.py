"""Killed at any moment, a landing has happened, or it has not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion_server.ports.jobs import Landed
from tests.store import killed
from tests.store.answers import AAPL, files, kept, landing, whole


def revisions(folder: Path) -> list[float]:
    """Return the closes that lost their place."""
    files = sorted((folder / "revisions").rglob("*.parquet"))
    return [close.as_py() for file in files for close in pq.read_table(file)["close"]]


async def state(folder: Path) -> object:
    """Return all that can be read, as a server does that starts now."""
    store = landing(folder)
    return await whole(store), await kept(store), revisions(folder)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Have what is left of landings that were killed, each one step later."""
    command = [sys.executable, "-m", "tests.store.killed", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr
    left = [path for path in tmp_path.iterdir() if path.name.isdecimal()]
    return sorted(left, key=lambda path: int(path.name))


async def test_wherever_it_is_killed_all_has_landed_or_nothing(
    tmp_path: Path, folders: list[Path]
) -> None:
    before = await state(tmp_path / killed.BEFORE)
    after = await state(folders[-1])
    assert before != after
    seen = []
    for folder in folders:
        seen.append(await state(folder) == after)
        assert await state(folder) in (before, after)
        assert not any(name.startswith(".landing") for name in files(folder))

        # As the job does: what did not land is asked for again.
        landed = await landing(folder).land(AAPL, *killed.later())
        assert landed == Landed(6, 0 if seen[-1] else 1)
        assert await state(folder) == after
        shutil.rmtree(folder)

    # Once it counts, it counts; and there is much on both sides of that.
    assert seen == sorted(seen)
    assert seen.count(False) > 20
    assert seen.count(True) > 10

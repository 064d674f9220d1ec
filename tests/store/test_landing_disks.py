"""A disk or a file that is bad is named, and harms nothing else."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.interval import MINUTE_NS, Interval
from ingestion_server.ports.jobs import Landed
from ingestion_server.store.parquet.placing import ASIDE
from tests.builders import bars, days, ns, span
from tests.store import answers
from tests.store.answers import AAPL, ALL, files, kept, landing, result, whole

NVDA = answers.holding("NVDA")
MINUTES = answers.holding(interval=Interval.MINUTE_1)
MANY = bars(
    ns("2022-11-01") + np.arange(200_000) * MINUTE_NS,
    np.random.default_rng(7).uniform(1, 2, 200_000),
)
YEAR = span("2024-01-01", "2024-02-01")
ROOT = Path("bars/1d/split/AAPL")
FILE = ROOT / "2024.parquet"
JANUARY = result(bars(days("2024-01-01", 31).open_time_ns, np.arange(100.0, 131)))


@contextmanager
def mounted(folder: Path, *, size: str) -> Iterator[Callable[[str], None]]:
    """Have a file system of one's own, and something that mounts it otherwise."""

    def mount(*arguments: str) -> int:
        return subprocess.run(  # noqa: S603 - our own words
            [str(tool), *arguments, str(folder)], check=False, capture_output=True
        ).returncode

    def again(options: str) -> None:
        assert mount("-o", f"remount,{options}") == 0

    tool = shutil.which("mount")
    if tool is None or mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        pytest.skip("only a user who may mount can fill a file system or close it")
    try:
        yield again
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


async def test_a_disk_that_fills_up_leaves_old_files_whole_and_no_rubbish(
    tmp_path: Path,
) -> None:
    over = span("2022-11-01", "2024-01-01")
    with mounted(tmp_path, size="600k"):
        store = landing(tmp_path)
        few = result(MANY.take(slice(0, 100)), of=MINUTES)
        await store.land(MINUTES, span("2022-11-01", "2022-11-02"), few)
        before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

        with pytest.raises(StateUnavailableError, match=r"2022.parquet: No space left"):
            await store.land(MINUTES, over, result(MANY, of=MINUTES))

        assert {n: (tmp_path / n).read_bytes() for n in files(tmp_path)} == before
        await store.land(NVDA, YEAR, result(days("2024-01-01", 31), of=NVDA))
        assert len(await kept(store, of=NVDA)) == 31


async def test_a_folder_that_cannot_be_written_is_named_and_still_read(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path, size="8m") as remount:
        await landing(tmp_path).land(AAPL, YEAR, JANUARY)
        remount("ro")
        store = landing(tmp_path)

        with pytest.raises(StateUnavailableError, match="a folder that can be written"):
            await store.land(NVDA, YEAR, result(days("2024-01-01", 31), of=NVDA))

        assert len(await kept(store)) == 31
        remount("rw")
        assert await store.land(
            NVDA, YEAR, result(days("2024-01-01", 31), of=NVDA)
        ) == Landed(31, 0)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(content: bytes) -> bytes:
    return content[:0]


def flipped(content: bytes) -> bytes:
    # Within a price, which no reader passes by.
    at = content.index(np.float64(101.0).tobytes())
    return content[:at] + b"x" + content[at + 1 :]


def foreign(_: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"close": [1.0]}), sink)
    return sink.getvalue().to_pybytes()


def text(_: bytes) -> bytes:
    return b"no Parquet at all, but longer than a footer's end"


@pytest.mark.parametrize("damage", [truncated, empty, flipped, foreign, text])
async def test_a_file_that_is_broken_is_named_and_harms_no_other(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store = landing(tmp_path)
    await store.land(AAPL, YEAR, JANUARY)
    await store.land(NVDA, YEAR, result(days("2024-01-01", 31), of=NVDA))
    broken = damage((tmp_path / FILE).read_bytes())
    (tmp_path / FILE).write_bytes(broken)

    for work in (
        store.read(AAPL, ALL),
        store.land(AAPL, span("2024-02-01", "2024-02-02"), JANUARY),
        store.land(AAPL, YEAR, JANUARY),
    ):
        with pytest.raises(StateUnavailableError, match=r"2024.parquet is .* move it"):
            await work
    if damage is not flipped:
        with pytest.raises(StateUnavailableError, match=r"2024.parquet is .* move it"):
            await store.covered(AAPL, ALL)

    assert (tmp_path / FILE).read_bytes() == broken
    assert len(await kept(store, of=NVDA)) == 31
    (tmp_path / FILE).rename(tmp_path / "aside")
    assert await whole(store) == []
    assert await store.land(AAPL, YEAR, JANUARY) == Landed(31, 0)


async def test_bytes_that_changed_anywhere_never_pass_for_other_bars(
    tmp_path: Path,
) -> None:
    store = landing(tmp_path)
    await store.land(AAPL, YEAR, JANUARY)
    path = tmp_path / FILE
    content = path.read_bytes()
    said = (await kept(store), await whole(store))

    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            found = (await kept(store), await whole(store))
        except StateUnavailableError:
            continue
        assert found == said, place


async def test_a_file_of_another_series_is_not_believed(tmp_path: Path) -> None:
    store = landing(tmp_path)
    await store.land(NVDA, YEAR, result(days("2024-01-01", 31), of=NVDA))
    (tmp_path / ROOT).mkdir()
    shutil.copy(tmp_path / "bars/1d/split/NVDA/2024.parquet", tmp_path / FILE)

    with pytest.raises(StateUnavailableError, match="it is that of NVDA 1d split 2024"):
        await store.covered(AAPL, ALL)
    with pytest.raises(StateUnavailableError, match="it is that of NVDA"):
        await store.read(AAPL, ALL)


async def test_what_is_in_the_place_of_a_file_or_folder_is_named(
    tmp_path: Path,
) -> None:
    store = landing(tmp_path)
    (tmp_path / FILE).mkdir(parents=True)
    with pytest.raises(StateUnavailableError, match=r"2024.parquet: .* move away"):
        await store.land(AAPL, YEAR, JANUARY)
    (tmp_path / FILE).rmdir()
    (tmp_path / ROOT).rmdir()
    (tmp_path / ROOT).write_text("a file")

    with pytest.raises(StateUnavailableError, match=r"AAPL.*: .* move away"):
        await store.land(AAPL, YEAR, JANUARY)

    (tmp_path / ROOT).unlink()
    assert await store.land(AAPL, YEAR, JANUARY) == Landed(31, 0)
    assert files(tmp_path) == [str(FILE)]


async def test_a_landing_that_cannot_be_ended_is_ended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over = span("2022-01-01", "2025-01-01")
    answer = result(days("2022-01-01", 1096))
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if target.name == "2023.parquet":
            raise OSError(errno.EROFS, "Read-only file system")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    store = landing(tmp_path)
    for each in (store, store, landing(tmp_path), landing(tmp_path)):
        with pytest.raises(StateUnavailableError, match=r"2023.parquet: Read-only"):
            await each.land(AAPL, over, answer)
        with pytest.raises(StateUnavailableError, match=r"2023.parquet: Read-only"):
            await each.covered(AAPL, over)
        await each.land(NVDA, YEAR, result(days("2024-01-01", 31), of=NVDA))
        assert len(await kept(each, of=NVDA)) == 31
    assert "2023.parquet: Read-only" in caplog.text

    monkeypatch.undo()
    for each in (store, landing(tmp_path)):
        assert len(await kept(each)) == 1096
        assert await whole(each) == [("2022-01-01", "2025-01-01")]
    assert not any(name.startswith(ASIDE) for name in files(tmp_path))


async def test_a_folder_that_was_taken_away_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = span("2022-01-01", "2025-01-01")
    store = landing(tmp_path)

    def refuse(_: Path, target: Path) -> Path:
        raise OSError(errno.EACCES, "Permission denied", target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(StateUnavailableError, match="read and write there"):
            await store.land(AAPL, over, result(days("2022-01-01", 1096)))
    shutil.rmtree(tmp_path / "bars")

    assert len(await kept(store)) == 1096


async def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / ASIDE).mkdir()
    (tmp_path / ASIDE / "0.new").write_bytes(b"torn")

    assert await whole(landing(tmp_path)) == []

    assert files(tmp_path) == []


async def test_a_list_that_nobody_can_read_is_told_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ASIDE).mkdir()
    listed = tmp_path / ASIDE / "0.list"
    listed.write_text('{"series": "x", "moves": [{"aside": "1", "place": "../up"}]}')
    (tmp_path / ASIDE / "1.new").write_bytes(b"who knows")
    store = landing(tmp_path)

    await store.land(AAPL, YEAR, JANUARY)

    assert len(await kept(store)) == 31
    assert str(listed) in caplog.text
    assert len(files(tmp_path)) == 3

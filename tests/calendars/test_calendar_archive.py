"""The bytes of a calendar: what comes back, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import random
from pathlib import Path

import numpy as np
import pytest

from ingestion_server.calendars import archive
from tests.calendars.fakes import LIBRARY, encoded, label, made_up


@pytest.mark.parametrize("exhausted", [False, True])
def test_round_trip(exhausted: bool) -> None:  # noqa: FBT001
    """What was encoded is decoded, and cannot be changed by those who share it."""
    computed = made_up(exhausted=exhausted)
    again = archive.decode(encoded(computed), "XNYS", LIBRARY)
    assert again.exhausted is exhausted
    for item in dataclasses.fields(computed.sessions):
        before = getattr(computed.sessions, item.name)
        after = getattr(again.sessions, item.name)
        assert type(after) is type(before)
        assert np.array_equal(after, before)
    with pytest.raises(ValueError, match="read-only"):
        again.sessions.labels_ns[0] = 0


def test_damage_is_noticed() -> None:
    """Damaged bytes are refused in one way, or do not matter."""
    good = encoded(made_up())
    want = archive.decode(good, "XNYS", LIBRARY).sessions
    dice = random.Random(7)  # noqa: S311 - nobody's secret
    for _ in range(300):
        bad = bytearray(good)
        if dice.random() < 0.3:
            del bad[dice.randrange(len(bad)) :]
        else:
            bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        try:
            got = archive.decode(bytes(bad), "XNYS", LIBRARY).sessions
        except archive.CorruptArchiveError:
            continue
        # A zip has bits without meaning, such as the time of day.
        assert np.array_equal(got.opens_ns, want.opens_ns)
        assert got.covers_until_ns == want.covers_until_ns


@pytest.mark.parametrize("data", [b"", b"hello", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    """Bytes that are no archive at all are refused in the same way."""
    with pytest.raises(archive.CorruptArchiveError):
        archive.decode(data, "XNYS", LIBRARY)


def test_pickles_are_refused() -> None:
    """An archive with objects in it is not opened: that would run their code."""
    target = io.BytesIO()
    np.savez(target, about=np.array([{}], dtype=object), covers=np.zeros(3))
    with pytest.raises(archive.CorruptArchiveError, match="allow_pickle"):
        archive.decode(target.getvalue(), "XNYS", LIBRARY)


def test_other_calendars_and_versions_are_refused() -> None:
    """A file that was renamed, or comes from another version, is not believed."""
    with pytest.raises(archive.CorruptArchiveError, match="holds 'XNYS'"):
        archive.decode(encoded(made_up()), "XTKS", LIBRARY)
    with pytest.raises(archive.CorruptArchiveError, match="version"):
        archive.decode(encoded(made_up()), "XNYS", "0.1")


@pytest.mark.parametrize(
    "change",
    [
        {"labels_ns": np.array([3, 2, 1]) * archive.DAY_NS},
        {"labels_ns": np.array([], dtype=np.int64)},
        {"labels_ns": np.array([1.0, 2.0, 3.0])},
        {"closes_ns": np.zeros(3, dtype=np.int64)},
        {"closes_ns": np.zeros((3, 1), dtype=np.int64)},
        {"break_ends_ns": np.full(3, -1)},
        {"covers_from_ns": label("2025-01-07")},
        {"covers_until_ns": label("2025-01-08")},
        {"zone": ""},
    ],
)
def test_implausible_sessions_are_refused(change: dict[str, object]) -> None:
    """Columns that break the promises of Sessions are refused."""
    computed = made_up()
    sessions = dataclasses.replace(computed.sessions, **change)
    data = encoded(archive.Computed(sessions, exhausted=False))
    with pytest.raises(archive.CorruptArchiveError):
        archive.decode(data, "XNYS", LIBRARY)


def test_freshness() -> None:
    """An answer is fresh for as long as half a year is left, or nothing is gained."""
    computed = made_up(until="2026-01-10")
    until = computed.sessions.covers_until_ns
    assert computed.fresh(until - 180 * archive.DAY_NS)
    assert not computed.fresh(until - 180 * archive.DAY_NS + 1)
    assert made_up(exhausted=True).fresh(until)


@pytest.mark.parametrize("name", ["24/7", "../../etc/passwd", "..", ".", "/", "a~b"])
def test_file_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    """No name leads out of the folder."""
    path = tmp_path / archive.file_name(name, "1.0/../..")
    assert path.resolve().parent == tmp_path.resolve()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A file that cannot take its place is removed again."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        archive.write(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    """A file that cannot be ours is left alone."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 32)
    assert archive.read(tmp_path / "huge", "XNYS", LIBRARY) is None

"""What operators changed is kept as a whole, or the old stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion_server.ports.routing import Override, OverridesError
from ingestion_server.store.overrides import FILE_NAME, FileOverrides, NoOverrides

CHANGED = {"yahoo": Override(enabled=False), "alpha_vantage": Override(priority=7)}


def test_where_nothing_was_changed_nothing_is_kept(tmp_path: Path) -> None:
    overrides = FileOverrides(tmp_path / "none")

    assert overrides.load() == {}
    assert not (tmp_path / "none").exists()


async def test_what_was_changed_is_known_again(tmp_path: Path) -> None:
    await FileOverrides(tmp_path / "new").save({"yahoo": Override(priority=1)})

    await FileOverrides(tmp_path / "new").save(CHANGED)

    assert FileOverrides(tmp_path / "new").load() == CHANGED
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"providers": {"yahoo": {"priority": "high"}}}']
)
def test_a_file_that_makes_no_sense_is_told_and_left(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)

    with pytest.raises(OverridesError, match="is not what this server wrote"):
        FileOverrides(tmp_path).load()

    assert (tmp_path / FILE_NAME).read_text() == text


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(OverridesError, match="cannot read"):
        FileOverrides(tmp_path).load()


async def test_what_cannot_be_written_leaves_the_old(tmp_path: Path) -> None:
    overrides = FileOverrides(tmp_path)
    await overrides.save(CHANGED)
    (tmp_path / f"{FILE_NAME}.new").mkdir()

    with pytest.raises(OverridesError, match="cannot write"):
        await overrides.save({})

    assert overrides.load() == CHANGED


async def test_without_a_folder_nothing_is_kept() -> None:
    overrides = NoOverrides()
    await overrides.save(CHANGED)

    assert overrides.load() == {}

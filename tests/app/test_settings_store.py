"""Where jobs are kept can be set, and its password is never shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from ingestion_server.app.presentation import MASK, effective
from ingestion_server.app.settings import SettingsError, load_settings

VARIABLE = "INGESTION_STORE__URL"
URL = "postgresql+asyncpg://me:s3cr3t@db.example:5433/market?ssl=require"


def test_by_default_it_is_a_file() -> None:
    settings = load_settings(environ={})

    assert settings.store.url is None
    shown = {each.key: each.text for each in effective(settings)}
    assert shown["store.url"] == "(a file in the state folder)"


@pytest.mark.parametrize("suffix", ["", "_FILE"])
def test_a_url_is_taken_and_never_shown(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    value = str(file) if suffix else URL

    settings = load_settings(environ={VARIABLE + suffix: value})

    assert settings.store.url is not None
    assert settings.store.url.get_secret_value() == URL
    (shown,) = [each for each in effective(settings) if each.key == "store.url"]
    assert (shown.value, shown.text, shown.origin) == (MASK, MASK, VARIABLE + suffix)
    assert "s3cr3t" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:s3cr3t@db/market",
        "postgresql://me:s3cr3t@db/market",
        "postgresql+asyncpg://me:s3cr3t@db",
        "postgresql+asyncpg://me:s3cr3t@db:port/market",
        "postgresql+asyncpg://me:s3cr3t @db/market",
        "s3cr3t",
    ],
)
def test_what_is_no_url_of_a_postgresql_is_told_without_it(
    tmp_path: Path, url: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'[store]\nurl = "{url}"\n')
    for where in ({"environ": {VARIABLE: url}}, {"config_file": file, "environ": {}}):
        with pytest.raises(SettingsError) as caught:
            load_settings(**where)  # type: ignore[arg-type]

        told = "".join(traceback.format_exception(caught.value))
        assert "expected postgresql+asyncpg://USER:PASSWORD@HOST:PORT/DATABASE" in told
        assert "s3cr3t" not in told

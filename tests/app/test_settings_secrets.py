"""Keys are found where people keep them, and never shown."""

import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingestion_server.app.settings import SettingsError, load_settings

KEY = "s3cr3t-k3y"
OURS = "INGESTION_PROVIDERS__ALPHA_VANTAGE__API_KEY"
ORDER = [OURS, "ALPHAVANTAGE_API_KEY", "ALPHA_VANTAGE_API_KEY"]
NAMES = [
    *(("alpha_vantage", name) for name in ORDER),
    ("finnhub", "INGESTION_PROVIDERS__FINNHUB__API_KEY"),
    ("finnhub", "FINNHUB_API_KEY"),
]


def told(file: Path | None = None, **environ: str) -> str:
    """Load what is wrong, and return everything that a log could show of it."""
    with pytest.raises(SettingsError) as caught:
        load_settings(config_file=file, environ=environ)
    return "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("vendor", "name"), NAMES)
def test_a_key_is_read_by_each_of_its_names(vendor: str, name: str) -> None:
    settings = load_settings(environ={name: f"{KEY}\n"})

    assert settings.providers.key_of(vendor) == KEY
    assert settings.origin(f"providers.{vendor}.api_key") == name


@pytest.mark.parametrize(("vendor", "name"), NAMES)
def test_a_key_is_read_from_a_mounted_file(
    vendor: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\r\n")

    settings = load_settings(environ={f"{name}_FILE": str(file)})

    assert settings.providers.key_of(vendor) == KEY
    assert settings.origin(f"providers.{vendor}.api_key") == f"{name}_FILE"


def test_our_own_name_wins_over_customary_ones(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("mounted")
    customary = {"ALPHAVANTAGE_API_KEY": "other", "ALPHA_VANTAGE_API_KEY": "third"}

    written = load_settings(environ={OURS: KEY, **customary})
    mounted = load_settings(environ={f"{OURS}_FILE": str(file), **customary})

    assert written.providers.key_of("alpha_vantage") == KEY
    assert mounted.providers.key_of("alpha_vantage") == "mounted"


def test_an_empty_variable_makes_room_for_the_next() -> None:
    settings = load_settings(environ={OURS: "", "ALPHAVANTAGE_API_KEY": KEY})

    assert settings.providers.key_of("alpha_vantage") == KEY


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('providers.alpha_vantage.api_key = "written"\n')

    alone = load_settings(config_file=file, environ={})
    both = load_settings(config_file=file, environ={"ALPHAVANTAGE_API_KEY": KEY})

    assert alone.providers.key_of("alpha_vantage") == "written"
    assert both.providers.key_of("alpha_vantage") == KEY


def test_a_value_and_a_file_of_the_same_name_are_one_too_many(tmp_path: Path) -> None:
    message = told(
        ALPHAVANTAGE_API_KEY=KEY, ALPHAVANTAGE_API_KEY_FILE=str(tmp_path / "key")
    )

    assert "(ALPHAVANTAGE_API_KEY, ALPHAVANTAGE_API_KEY_FILE): expected one" in message
    assert KEY not in message


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "No such file or directory"),
        (b" \n", "it is empty"),
        (b"\xff\xfe", "it is no text"),
    ],
)
def test_a_file_without_a_key_is_told(
    tmp_path: Path, body: bytes | None, why: str
) -> None:
    file = tmp_path / KEY
    if body is not None:
        file.write_bytes(body)

    message = told(ALPHAVANTAGE_API_KEY_FILE=str(file))

    assert "(ALPHAVANTAGE_API_KEY_FILE): expected a file with the key: " in message
    assert why in message
    assert KEY not in message


@pytest.mark.parametrize("key", [f"{KEY} {KEY}", f"{KEY}\n{KEY}", f"{KEY}\x00"])
def test_a_key_with_blanks_is_refused_and_not_shown(key: str) -> None:
    message = told(ALPHAVANTAGE_API_KEY=key)

    assert "(ALPHAVANTAGE_API_KEY): expected a key, without blanks" in message
    assert KEY not in message


def test_a_key_that_is_no_text_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("providers.alpha_vantage.api_key = 271828182\n")

    message = told(file)

    assert "expected a key" in message
    assert "271828182" not in message


def test_a_key_that_was_also_written_elsewhere_is_blanked() -> None:
    message = told(
        ALPHAVANTAGE_API_KEY=KEY, INGESTION_PROVIDERS__ALPHA_VANTAGE__PLAN=KEY
    )

    assert "got '********'" in message
    assert KEY not in message


def test_user_and_query_of_a_wrong_url_are_not_shown() -> None:
    message = told(INGESTION_GRPC__ADDRESS=f"http://me:{KEY}@host/?apikey={KEY}")

    assert "expected HOST:PORT" in message
    assert KEY not in message


def test_a_key_is_in_no_representation() -> None:
    settings = load_settings(environ={"ALPHAVANTAGE_API_KEY": KEY})

    assert KEY not in f"{settings!r} {settings} {settings.model_dump()}"
    assert KEY not in settings.model_dump_json()


@hypothesis_settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "INGESTION_GRPC__ADDRESS",
                "INGESTION_PROVIDERS__ORDER",
                "INGESTION_GRPC__ADDRESS",
                "INGESTION_RETRY__FIRST_SECONDS",
                "INGESTION_NOBODY",
                "ALPHA_VANTAGE_API_KEY_FILE",
            ]
        ),
        st.text(max_size=20).map(lambda text: text.replace("\x00", "")),
        min_size=1,
    )
)
def test_whatever_is_written_nothing_but_a_settings_error_comes_out(
    environ: dict[str, str],
) -> None:
    try:
        load_settings(environ={"ALPHAVANTAGE_API_KEY": KEY, **environ})
    except SettingsError as error:
        assert KEY not in str(error)  # noqa: PT017 - most examples are fine

"""Files and variables are read strictly: what is unknown stops the start."""

from pathlib import Path

import pytest

from ingestion_server.app.settings import Settings, SettingsError, load_settings


def told(file: Path | None = None, **environ: str) -> str:
    """Load what is wrong, and return what is said about it."""
    with pytest.raises(SettingsError) as caught:
        load_settings(config_file=file, environ=environ)
    return str(caught.value)


def toml(folder: Path, text: str) -> Path:
    """Write a file of settings."""
    file = folder / "server.toml"
    file.write_text(text)
    return file


def test_a_file_is_read_with_tables_and_dotted_keys(tmp_path: Path) -> None:
    file = toml(tmp_path, 'log.level = "debug"\n[http]\naddress = "localhost:0"\n')

    settings = load_settings(config_file=file, environ={})

    assert settings.log.level == "debug"
    assert settings.http.address == "localhost:0"


def test_a_variable_names_the_file_unless_the_command_line_does(tmp_path: Path) -> None:
    file = toml(tmp_path, "retry.attempts = 2\n")
    other = tmp_path / "other.toml"
    other.write_text("retry.attempts = 4\n")
    environ = {"INGESTION_CONFIG": str(file)}

    named = load_settings(environ=environ)
    chosen = load_settings(config_file=other, environ=environ)

    assert named.retry.attempts == 2
    assert chosen.retry.attempts == 4


def test_no_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ingestion-server.toml").write_text("retry.attempts = 4\n")
    monkeypatch.chdir(tmp_path)

    assert load_settings(environ={}) == Settings()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "no.toml"

    assert told(file) == f"{file}: cannot be read: No such file or directory"
    assert str(tmp_path) in told(tmp_path)


def test_a_mistake_of_syntax_is_told_with_its_line(tmp_path: Path) -> None:
    file = toml(tmp_path, "[grpc]\naddress = \n")

    assert told(file).startswith(f"{file}: expected TOML: ")
    assert "line 2" in told(file)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_bytes(b"\xff\xfe")

    assert told(file) == f"{file}: expected TOML in UTF-8"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('[grpc]\nadress = "x"', "grpc.adress: did you mean grpc.address?"),
        ("drain_seconds = 1", "drain_seconds: did you mean grpc.drain_seconds?"),
        ("[kafka]\nbrokers = 3", "kafka"),
    ],
)
def test_an_unknown_key_of_a_file_is_told_with_what_may_be_meant(
    tmp_path: Path, text: str, hint: str
) -> None:
    file = toml(tmp_path, text)
    key, _, meant = hint.partition(": ")

    message = told(file)

    ending = f"; {meant}" if meant else ""
    assert message == f"{key} ({file}): unknown setting{ending}"


def test_a_value_where_a_table_belongs_is_told(tmp_path: Path) -> None:
    file = toml(tmp_path, "grpc = 50051\n")

    assert told(file) == f"grpc ({file}): expected a table of settings"


def test_a_table_where_a_value_belongs_is_told(tmp_path: Path) -> None:
    file = toml(tmp_path, "[grpc.address]\nport = 1\n")

    assert told(file).startswith(f"grpc.address ({file}): expected HOST:PORT")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("INGESTION_GRPC__ADRESS", "did you mean INGESTION_GRPC__ADDRESS"),
        ("INGESTION_GRPC_ADDRESS", "did you mean INGESTION_GRPC__ADDRESS"),
        ("INGESTION_grpc__address", "unknown setting"),
        ("INGESTION_GRPC", "its settings are named like INGESTION_GRPC__ADDRESS"),
        ("INGESTION_GRPC__ADDRESS_FILE", "did you mean INGESTION_GRPC__ADDRESS"),
        ("INGESTION_SERVICE_HOST", "unknown setting"),
    ],
)
def test_an_unknown_variable_is_told_without_its_value(name: str, hint: str) -> None:
    message = told(**{name: "10.0.0.1"})

    assert message.startswith(f"{name}: unknown setting")
    assert hint in message
    assert "10.0.0.1" not in message


def test_what_kubernetes_tells_about_services_is_no_setting() -> None:
    links = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "INGESTION_SERVICE_HOST": "10.0.0.2",
        "INGESTION_SERVICE_PORT": "50051",
        "INGESTION_SERVER_SERVICE_HOST": "10.0.0.2",
        "INGESTION_SERVER_SERVICE_PORT_GRPC": "50051",
        "INGESTION_SERVER_PORT": "tcp://10.0.0.2:50051",
        "INGESTION_SERVER_PORT_50051_TCP": "tcp://10.0.0.2:50051",
        "INGESTION_SERVER_PORT_50051_TCP_ADDR": "10.0.0.2",
    }

    assert load_settings(environ=links) == Settings()
    assert "INGESTION_GRPC__PORT" in told(INGESTION_GRPC__PORT="1", **links)


def test_an_empty_variable_counts_as_not_set() -> None:
    environ = {"INGESTION_RETRY__ATTEMPTS": "", "INGESTION_CONFIG": ""}

    assert load_settings(environ=environ) == Settings()

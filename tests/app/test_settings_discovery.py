"""Where a server makes itself known can be set, and what nobody can call is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion_server.app.presentation import MASK, effective
from ingestion_server.app.settings import Settings, SettingsError, load_settings

PREFIX = "INGESTION_DISCOVERY__"
ETCD = {f"{PREFIX}ETCD_ENDPOINTS": "http://10.0.0.1:2379"}
FILE = {f"{PREFIX}FILE_SD_PATH": "/targets/house.json"}
EVERYWHERE = {"INGESTION_GRPC__ALLOW_INSECURE_BIND": "true"}


def problems(environ: dict[str, str]) -> tuple[str, ...]:
    """Return what is wrong."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=environ)
    return caught.value.problems


def loaded(**discovery: str) -> Settings:
    """Load some settings of discovery."""
    named = {f"{PREFIX}{name.upper()}": value for name, value in discovery.items()}
    return load_settings(environ=named)


def test_by_default_it_is_found_nowhere() -> None:
    discovery = load_settings(environ={}).discovery

    assert discovery.etcd_endpoints is None
    assert discovery.file_sd_path is None


def test_several_endpoints_are_separated_by_commas() -> None:
    found = loaded(etcd_endpoints="http://a:2379/, https://b:2379").discovery

    assert found.etcd_endpoints == ("http://a:2379", "https://b:2379")


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "[::]", "[::0]"])  # noqa: S104
def test_an_address_that_means_all_of_them_must_be_told_otherwise(
    wildcard: str,
) -> None:
    bound = {"INGESTION_GRPC__ADDRESS": f"{wildcard}:50051", **EVERYWHERE}

    (problem,) = problems({**ETCD, **bound})

    assert problem == (
        "discovery.advertise_address: expected HOST:PORT at which others reach this "
        "server, since discovery.etcd_endpoints is set, and grpc.address is "
        f"'{wildcard}:50051', which nobody can call"
    )
    advertised = {f"{PREFIX}ADVERTISE_ADDRESS": "10.0.0.5:0"}
    settings = load_settings(environ={**ETCD, **bound, **advertised})
    assert settings.discovery.advertise_address == "10.0.0.5:0"


def test_the_same_holds_for_the_http_address_in_a_file() -> None:
    bound = {"INGESTION_HTTP__ADDRESS": "0.0.0.0:8080", **EVERYWHERE}

    (problem,) = problems({**FILE, **bound})

    assert problem.startswith("discovery.advertise_http_address: expected HOST:PORT")
    assert "http.address is '0.0.0.0:8080'" in problem


def test_what_nobody_is_told_may_be_anything() -> None:
    bound = {"INGESTION_GRPC__ADDRESS": "0.0.0.0:50051", **EVERYWHERE}

    assert load_settings(environ={**FILE, **bound}).grpc.address == "0.0.0.0:50051"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:50051", "10.0.0.5:1"])
def test_an_address_that_somebody_can_call_is_told_as_it_is(address: str) -> None:
    bound = {"INGESTION_GRPC__ADDRESS": address, **EVERYWHERE}

    settings = load_settings(environ={**ETCD, **bound})

    assert settings.discovery.advertise_address is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("etcd_endpoints", "10.0.0.1:2379", "urls such as http://etcd.example:2379"),
        ("etcd_endpoints", "http://me:secret@a:2379", "urls such as"),
        ("etcd_endpoints", "http://a:1,http://a:1/", "urls such as"),
        ("etcd_endpoints", ",".join(f"http://a:{n}" for n in range(10)), "up to 9"),
        ("advertise_address", "0.0.0.0:50051", "HOST:PORT that others can reach"),
        ("advertise_http_address", "[::]:1", "HOST:PORT that others can reach"),
        ("service", "/market/", "letters, digits, and . _ - with / in between"),
        ("region", "eu west\n", "up to 64 letters, digits and . _ -"),
        ("weight", "-1", "an integer from 0 to 10000"),
        ("lease_seconds", "1", "an integer from 2 to 3600"),
        ("file_sd_path", "/targets/house.txt", "a path that ends in .json"),
    ],
)
def test_what_cannot_be_meant_is_told(name: str, value: str, expected: str) -> None:
    (problem,) = problems({f"{PREFIX}{name.upper()}": value})

    assert problem.startswith(f"discovery.{name} ({PREFIX}{name.upper()}): expected")
    assert expected in problem
    assert "secret" not in problem


@pytest.mark.parametrize("name", ["etcd_username", "etcd_password"])
def test_a_name_and_its_password_belong_together(name: str) -> None:
    (problem,) = problems({f"{PREFIX}{name.upper()}": "s3cr3t"})

    assert "expected both of etcd_username and etcd_password, or neither" in problem
    assert name == "etcd_username" or "s3cr3t" not in problem


def test_a_password_may_stand_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cr3t\n")
    named = {
        f"{PREFIX}ETCD_USERNAME": "server",
        f"{PREFIX}ETCD_PASSWORD_FILE": str(file),
    }

    settings = load_settings(environ=named)

    assert settings.discovery.etcd_password is not None
    assert settings.discovery.etcd_password.get_secret_value() == "s3cr3t"
    key = "discovery.etcd_password"
    (shown,) = [each for each in effective(settings) if each.key == key]
    assert (shown.value, shown.text) == (MASK, MASK)
    assert "s3cr3t" not in f"{settings!r}"

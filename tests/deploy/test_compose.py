"""
What `docker compose` would start fits the image, the settings and the files here.

No engine is asked, so nothing here says that the containers start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pytest
import typer

from ingestion_server.app import schema
from ingestion_server.app.settings import FIELDS, load_settings
from ingestion_server.cli.main import app
from tests.deploy.monitoring import DEPLOY, ROOT

TEXT: Final = (DEPLOY / "compose.yaml").read_text()
IMAGE: Final = (ROOT / "Dockerfile").read_text()


def blocks(section: str) -> Mapping[str, str]:
    """Return the text of each thing that a section at the top names."""
    (body,) = re.findall(rf"(?ms)^{section}:\n(.*?)(?=^\S|\Z)", TEXT)
    parts = re.split(r"(?m)^  (\w[\w-]*):", body)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def items(service: str, key: str) -> list[str]:
    """Return the lines of a list of a service, without comments."""
    listed = re.search(
        rf"(?m)^    {key}:\n((?:      .*\n)+)", blocks("services")[service]
    )
    lines = listed[1].splitlines() if listed else []
    return [line.strip().removeprefix("- ") for line in lines if "#" not in line]


SERVICES: Final = blocks("services")
OTHERS: Final = sorted(SERVICES.keys() - {"server"})
MOUNTS: Final = [
    (service, mount) for service in SERVICES for mount in items(service, "volumes")
]


def test_it_starts_a_server_and_what_watches_it() -> None:
    assert sorted(SERVICES) == ["grafana", "jaeger", "prometheus", "server"]
    assert re.search(r"build:\n +context: \.\.\n", SERVICES["server"])


def test_no_line_is_indented_by_tabs_or_odd_numbers() -> None:
    depths = [len(line) - len(line.lstrip()) for line in TEXT.splitlines() if line]

    assert "\t" not in TEXT
    assert {depth % 2 for depth in depths} == {0}


@pytest.mark.parametrize("service", OTHERS)
def test_foreign_images_are_pinned(service: str) -> None:
    assert re.search(r"\n    image: [\w./-]+:v?\d+\.\d+\.\d+\n", SERVICES[service])


@pytest.mark.parametrize("service", OTHERS)
def test_each_says_how_its_health_is_seen(service: str) -> None:
    assert re.search(r"\n    healthcheck:\n      test: \[CMD, ", SERVICES[service])


def test_the_image_says_how_the_health_of_the_server_is_seen() -> None:
    assert "HEALTHCHECK" in IMAGE
    # It looks at the port that the image names.
    assert "HEALTH_PORT=8080" in IMAGE
    assert "--http=0.0.0.0:8080" in items("server", "command")


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_opened_to_other_machines(service: str) -> None:
    ports = items(service, "ports")

    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)


@pytest.mark.parametrize(("service", "mount"), MOUNTS)
def test_what_is_mounted_is_there(service: str, mount: str) -> None:
    source, _, target = mount.partition(":")

    assert target.startswith("/"), service
    if source.startswith("."):
        assert (DEPLOY / source).exists()
        assert mount.endswith(":ro")
    else:
        assert source in blocks("volumes")


def test_the_state_of_the_server_outlives_its_container() -> None:
    (folder,) = re.findall(r"INGESTION_STATE__FOLDER=(\S+)", IMAGE)

    assert f"server-state:{folder}" in items("server", "volumes")


def test_the_server_takes_its_settings() -> None:
    variables = dict(
        line.replace('"', "").split(": ") for line in items("server", "environment")
    )

    settings = load_settings(config_file=None, environ=variables)

    assert variables.keys() <= set(map(schema.variable, FIELDS))
    assert variables.keys() <= {settings.origin(key) for key in FIELDS}
    assert settings.telemetry.otlp_endpoint == "http://jaeger:4317"
    # Jaeger refuses metrics, and an alert would tell of it for ever.
    assert settings.telemetry.metrics_interval_seconds == 0


def test_the_server_takes_its_command() -> None:
    name, *words = items("server", "command")
    serve = typer.main.get_command(app).commands[name]
    known = {
        option
        for parameter in serve.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }

    assert {word.partition("=")[0] for word in words} <= known


def test_they_know_each_other_by_name() -> None:
    sources = (
        DEPLOY / "grafana" / "provisioning" / "datasources" / "datasources.yml"
    ).read_text()
    targets = (DEPLOY / "prometheus/targets/compose/server.json").read_text()

    named = re.findall(r"http://(\w+):\d+", sources + TEXT)
    asked = re.findall(r'"(\w+):8080"', targets)

    assert set(named) - {"127"} == {"prometheus", "jaeger"}
    assert asked == ["server"]

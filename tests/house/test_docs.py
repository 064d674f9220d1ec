"""What the documents say is so."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from marketdata.ingestion.v1 import error_reason_pb2

from ingestion_server.app import schema, secrets
from ingestion_server.app.settings import FIELDS, load_settings
from ingestion_server.app.sources import CONFIG_VARIABLE
from ingestion_server.app.vendor_sections import WindowSettings
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.failure import STATUSES
from ingestion_server.cli.main import app
from ingestion_server.client.errors import BY_REASON
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.quota import AlertKind
from ingestion_server.ports.spans import ATTRIBUTES
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.iex_cloud import IexCloud
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.sandbox import faults
from ingestion_server.sandbox.asking import asked
from ingestion_server.service.statuses import CODES

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
DOCUMENTS = [README, *sorted(DOCS.rglob("*.md"))]
EVERY_DOCUMENT = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
MOST_LINES_OF_README = 250
REASONS = [
    name.removeprefix("ERROR_REASON_")
    for name in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118 - it is no dict
    if not name.endswith("UNSPECIFIED")
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def fences(document: Path, language: str) -> list[str]:
    """Return the blocks of code in one language."""
    return [
        code for kind, code in _FENCE.findall(document.read_text()) if kind == language
    ]


def inline(document: Path) -> list[str]:
    """Return the code within sentences."""
    return _INLINE.findall(_FENCE.sub("", document.read_text()))


def rows(document: Path, heading: str = "") -> Iterator[list[str]]:
    """Yield the cells of each row of the tables, or of those below a heading."""
    text = document.read_text()
    if heading:
        text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip(" `") for cell in line.strip("|").split(" | ")]


def command_lines(document: Path) -> list[str]:
    """Return the calls of our command, without what stands around them."""
    shell = "\n".join(fences(document, "sh")).replace("\\\n", " ").splitlines()
    spans = [code for code in inline(document) if code.startswith("ingestion-server ")]
    calls = [
        f"ingestion-server {line.partition('ingestion-server ')[2]}"
        for line in shell
        # The image of Docker has the same name.
        if "ingestion-server " in line and not line.startswith("docker")
    ]
    return [*calls, *spans]


def options_of(command: Any) -> set[str]:
    """Return the options that a command knows."""
    return {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


def commands_of(group: Any, within: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the name of each command, as it is called, and its options."""
    for name, command in group.commands.items():
        yield f"{within}{name}", options_of(command)
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{within}{name} ")


COMMANDS = dict(commands_of(typer.main.get_command(app)))


def options_in(words: Sequence[str]) -> set[str]:
    """Return the words that are options, without their values."""
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}


@EVERY_DOCUMENT
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = [link for link in _LINK.findall(document.read_text()) if ":" not in link]

    dead = [
        link
        for link in links
        if not (document.parent / link.partition("#")[0]).exists()
    ]

    assert dead == []


@EVERY_DOCUMENT
def test_every_command_and_option_exists(document: Path) -> None:
    unknown = []
    for line in command_lines(document):
        _, name, *words = shlex.split(line, comments=True)
        if words and f"{name} {words[0]}" in COMMANDS:
            name = f"{name} {words.pop(0)}"
        if name not in COMMANDS:
            unknown.append(line)
        else:
            unknown += sorted(options_in(words) - COMMANDS[name])

    assert unknown == []


@EVERY_DOCUMENT
def test_every_option_named_in_a_sentence_exists(document: Path) -> None:
    known = set().union(*COMMANDS.values())

    named = options_in([code.split()[0] for code in inline(document)])

    assert named <= known


@EVERY_DOCUMENT
def test_every_make_target_exists(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    code = [*fences(document, "sh"), *inline(document)]

    named = {target for text in code for target in re.findall(r"\bmake (\w+)", text)}

    assert named <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))


@EVERY_DOCUMENT
def test_every_variable_exists(document: Path) -> None:
    hidden = [key for key, field in FIELDS.items() if schema.is_secret(field)]
    keyed = {name for key in hidden for name in secrets.names(key)}
    known = {
        schema.PREFIX,
        CONFIG_VARIABLE,
        *map(schema.variable, FIELDS),
        *keyed,
        *(name + secrets.FILE_SUFFIX for name in keyed),
    }

    named = set(
        re.findall(
            r"\b(?:INGESTION_|ALPHA_?VANTAGE_|FINNHUB_)[A-Z_]*", document.read_text()
        )
    )

    assert named <= known


@EVERY_DOCUMENT
def test_every_setting_exists(document: Path) -> None:
    sections = "|".join(sorted({key.partition(".")[0] for key in FIELDS}))

    named = {
        code
        for code in inline(document)
        if re.fullmatch(rf"(?:{sections})(?:\.[a-z_]+)+", code)
    }

    # Some attributes of spans begin as sections of settings do.
    assert named - ATTRIBUTES.keys() <= FIELDS.keys()


def test_the_table_of_settings_is_the_model() -> None:
    table = {key: default for key, default, *_ in rows(DOCS / "settings.md")}

    assert table == {key: shown(key) for key in FIELDS}


def shown(key: str) -> str:
    """Return a default as the table of settings shows it."""
    field = FIELDS[key]
    default = field.get_default(call_default_factory=True)
    if schema.is_secret(field):
        return "none"
    if default is None:
        return schema.unset(field)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ", ".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_the_table_of_alerts_is_complete() -> None:
    table = {kind for kind, *_ in rows(DOCS / "operations.md", "Alerts")}

    assert table == set(AlertKind)


def test_the_settings_shown_as_toml_are_right(tmp_path: Path) -> None:
    examples = fences(DOCS / "settings.md", "toml")
    file = tmp_path / "server.toml"

    for example in examples:
        file.write_text(example)
        settings = load_settings(config_file=file, environ={})

        for section in tomllib.loads(example):
            assert hasattr(settings, section)

    assert examples


def test_the_settings_shown_as_variables_are_right() -> None:
    lines = "\n".join(fences(DOCS / "settings.md", "sh")).splitlines()
    variables = dict(shlex.split(line)[0].split("=", 1) for line in lines)

    settings = load_settings(environ=variables)

    assert variables
    origins = {settings.origin(key) for key in FIELDS}
    assert variables.keys() <= origins


def test_every_field_of_a_window_is_explained() -> None:
    text = (DOCS / "settings.md").read_text().split("\n## Budgets\n")[1]

    fields = re.findall(r"^- `(\w+)`", text, re.MULTILINE)

    assert fields == list(WindowSettings.model_fields)


@pytest.mark.parametrize(
    "vendor",
    [AlphaVantage(), Yahoo(), Finnhub(), IexCloud()],
    ids=lambda v: v.name,
)
def test_every_endpoint_of_a_vendor_is_listed(vendor: Provider) -> None:
    text = (DOCS / "vendors.md").read_text().split(f"(`{vendor.name}`)\n")[1]
    _, listed = text.split("\n## ")[0].split("**Endpoints**")

    named = set(_INLINE.findall(listed.partition("\n**")[0]))

    assert named - {":full", ":international"} == vendor.endpoints


def test_the_table_of_faults_is_the_sandbox() -> None:
    everyone = {
        *(faults.ALPHA_VANTAGE, faults.YAHOO),
        *(faults.FINNHUB, faults.IEX_CLOUD),
    }
    table = {
        name: everyone if vendors == "all" else set(vendors.split(", "))
        for name, vendors, _ in rows(DOCS / "sandbox.md", "Faults")
    }

    assert table == {name: kind.vendors for name, kind in faults.KINDS.items()}


@pytest.mark.parametrize("document", [README, DOCS / "sandbox.md"])
def test_the_sandbox_takes_the_faults_in_the_examples(document: Path) -> None:
    shell = "\n".join(fences(document, "sh")).replace("\\\n", " ")
    examples = re.findall(r"-d '(\{\"fault\".*?\})' +\S+/control/(\w+)", shell)

    found = [asked(vendor, json.loads(body)) for body, vendor in examples]

    assert found


@pytest.mark.parametrize("document", [README, DOCS / "contract.md"])
def test_the_table_of_errors_is_complete_and_right(document: Path) -> None:
    codes = {error.reason: code.name for error, code in CODES.items()}

    table = {reason: code for reason, code, *_ in rows(document, "Errors")}

    assert table == {reason: codes.get(reason, "INTERNAL") for reason in REASONS}


def test_the_exit_codes_in_the_readme_are_those_of_fetch() -> None:
    exits = {
        reason: next(
            (status for group, status in STATUSES.items() if issubclass(kind, group)),
            Exit.DEFECT,
        )
        for reason, kind in BY_REASON.items()
    }

    table = {reason: int(status) for reason, _, status, _ in rows(README, "Errors")}

    assert table == exits


@EVERY_DOCUMENT
def test_python_in_the_documents_compiles(document: Path) -> None:
    for code in fences(document, "python"):
        compile(code, str(document), "exec")


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < MOST_LINES_OF_README


def test_every_decision_is_listed_once_and_numbered_in_order() -> None:
    files = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))

    listed = _LINK.findall((DOCS / "decisions" / "README.md").read_text())

    assert listed == files
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))


def test_the_example_says_when_nobody_answers() -> None:
    ended = subprocess.run(  # noqa: S603
        [
            sys.executable,
            ROOT / "examples" / "fetch_to_pandas.py",
            "--target",
            "127.0.0.1:1",
        ],
        check=False,
        capture_output=True,
        text=True,
    )

    assert ended.stderr == "No server answers at 127.0.0.1:1: run `make run`.\n"
    assert ended.returncode == Exit.UNREACHABLE

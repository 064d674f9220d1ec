"""The command line as a whole: version, help, completion, and being quick."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.cli.conftest import Run

COMMAND = Path(sys.executable).parent / "ingestion-server"


def test_the_version_is_the_package_s(run: Run) -> None:
    assert run("--version").stdout.strip() == metadata.version("ingestion-server")


def test_without_a_command_there_is_help(run: Run) -> None:
    assert "fetch" in run().output


def test_the_help_of_fetch_tells_every_exit_status(run: Run) -> None:
    shown = run("fetch", "-h")

    assert shown.exit_code == 0
    assert "Exit status" in shown.stdout
    assert [n for n in range(7) if f"\n {n}  " not in shown.stdout] == []


def test_the_console_script_prints_a_completion_script() -> None:
    asked = os.environ | {"_INGESTION_SERVER_COMPLETE": "source_bash"}  # noqa: TID251

    shown = subprocess.run(  # noqa: S603
        [COMMAND], env=asked, capture_output=True, text=True, check=False
    )

    assert "complete -o default -F _ingestion_server_completion" in shown.stdout


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; import ingestion_server.cli.main; "
        "print(*{'numpy', 'grpc', 'google.protobuf', 'plotext', 'pandas'} "
        "& set(sys.modules))"
    )

    shown = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() == ""


def test_there_is_a_console_script() -> None:
    assert shutil.which(COMMAND) is not None

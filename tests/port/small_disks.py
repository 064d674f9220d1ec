"""File systems of one's own, to be filled up or closed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, *, size: str) -> Iterator[Callable[[str], None]]:
    """Have a small file system, and something that gives it other options."""
    tool = shutil.which("mount")

    def mount(*arguments: str) -> int:
        return subprocess.run(  # noqa: S603 - our own words
            [str(tool), *arguments, str(folder)], check=False, capture_output=True
        ).returncode

    def again(options: str) -> None:
        assert mount("-o", f"remount,{options}") == 0

    folder.mkdir(parents=True, exist_ok=True)
    if tool is None or mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        pytest.skip("only a user who may mount can fill a file system or close it")
    try:
        yield again
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607

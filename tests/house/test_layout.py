"""The house keeps its own law: what lies where, and what it is called."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    ".ci",
    ".dockerignore",
    ".gitattributes",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "buf.yaml",
    "deploy",
    "docs",
    "examples",
    "generated",
    "ingestion_server",
    "protos",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
    "tests",
}
VAGUE = {"base", "common", "helper", "helpers", "impl", "manager", "util", "utils"}
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture(scope="module")
def files() -> list[PurePosixPath]:
    """List what is, or could be, committed; caches and the like are not."""
    reason = "not a git checkout, so caches and sources look alike"
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip(reason)
    listing = subprocess.run(  # noqa: S603
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if listing.returncode:
        pytest.skip(f"{reason}: {listing.stderr.strip()}")
    names = (PurePosixPath(name) for name in listing.stdout.split("\0") if name)
    return [name for name in names if (ROOT / name).exists()]


def dotted(path: Path) -> str:
    """Name a module or a package as an import would."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


SOURCES = sorted((ROOT / "ingestion_server").rglob("*.py"))
PACKAGES = sorted({dotted(source.parent) for source in SOURCES})
MODULES = [
    dotted(source)
    for source in SOURCES
    if source.name not in {"__init__.py", "__main__.py"}
]


def test_the_top_level_holds_only_what_the_architecture_names(
    files: list[PurePosixPath],
) -> None:
    strangers = {name.parts[0] for name in files} - TOP_LEVEL

    assert strangers == set()


def test_no_module_has_a_vague_name(files: list[PurePosixPath]) -> None:
    sources = [n for n in files if n.suffix == ".py" and n.parts[0] != "generated"]

    vague = [
        str(source)
        for source in sources
        if VAGUE & {word for part in source.parts for word in re.split(r"\W|_", part)}
    ]

    assert vague == []


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name: str) -> None:
    module = importlib.import_module(name)

    assert module.__name__ == name


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_states_its_law(name: str) -> None:
    law = importlib.import_module(name).__doc__

    assert law


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_names_no_index_and_no_path_of_the_machine(lock: str) -> None:
    text = (ROOT / lock).read_text()

    addresses = re.findall(r"(?m)^-.*|^.*(?:://| @ ).*", text)

    assert addresses == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text())[1:]

    bare = [block for block in blocks if "--hash=sha256:" not in block]

    assert blocks
    assert bare == []


def test_the_lock_files_answer_pyproject() -> None:
    check = subprocess.run(  # noqa: S603
        [sys.executable, ROOT / ".ci" / "locks.py"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert check.stderr == ""
    assert check.returncode == 0

"""Check, without the network, that the lock files answer pyproject.toml."""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
RELOCK = "run `make lock`"


def locked(path: Path) -> Mapping[str, list[Requirement]]:
    """Read the pins of one lock file; a package may have one per Python version."""
    pins: dict[str, list[Requirement]] = {}
    for line in path.read_text().splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            pin = Requirement(line.removesuffix("\\"))
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def strays(
    wanted: Iterable[str], pins: Mapping[str, list[Requirement]]
) -> Iterator[str]:
    """Say which wanted packages the lock lacks, or pins outside their range."""
    for text in wanted:
        want = Requirement(text)
        found = pins.get(canonicalize_name(want.name), [])
        if not found:
            yield f"{want.name} is not locked"
        for pin in found:
            version = str(pin.specifier).removeprefix("==")
            if version not in want.specifier:
                yield f"{pin.name} {version} is locked, {want} is wanted"


def disagreements(root: Path) -> Iterator[str]:
    """Say where the two lock files differ from pyproject.toml or from each other."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = [
        *pyproject["project"]["dependencies"],
        *pyproject["build-system"]["requires"],
    ]
    runtime = locked(root / "requirements.lock")
    dev = locked(root / "requirements-dev.lock")
    tools = pyproject["dependency-groups"]["dev"]
    for complaint in strays(wanted, runtime):
        yield f"requirements.lock: {complaint}"
    for complaint in strays([*wanted, *tools], dev):
        yield f"requirements-dev.lock: {complaint}"
    for name, pins in runtime.items():
        if {str(p.specifier) for p in pins} != {
            str(p.specifier) for p in dev.get(name, [])
        }:
            yield f"{name}: the lock files pin different versions"


def main() -> int:
    """Print every disagreement; fail if there is one."""
    found = [*disagreements(ROOT)]
    for complaint in found:
        sys.stderr.write(f"{complaint}: {RELOCK}\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

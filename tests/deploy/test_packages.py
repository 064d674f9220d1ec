"""Wherever it is told what to install, it is the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.monitoring import ROOT

CI = ROOT / ".ci" / "run"
DOCUMENTS = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "operations.md"]


def named(array: str) -> list[str]:
    """Return what an array of the script holds."""
    (words,) = re.findall(rf"(?m)^{array}=\((.*)\)$", CI.read_text())
    return words.split()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_name_the_packages_that_ci_installs(document: Path) -> None:
    line = f"\napt-get install --no-install-recommends {' '.join(named('PACKAGES'))}\n"

    assert line in document.read_text()

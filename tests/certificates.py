"""Certificates for tests, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SECONDS = 30


def certified(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Make a certificate that nobody but itself vouches for, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here to make a certificate with")
    alternatives = f"DNS:{name}"
    if name == "localhost":
        alternatives += ",IP:127.0.0.1"
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(  # noqa: S603
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName={alternatives}"),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS,
    )
    return certificate, key

"""A real etcd that a test starts, breaks and ends."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.waiting import eventually

START_SECONDS: Final = 30.0
_ETCD: Final = shutil.which("etcd")
_ETCDCTL: Final = shutil.which("etcdctl")

needs_etcd: Final = pytest.mark.skipif(
    _ETCD is None, reason="there is no etcd here (Debian: apt-get install etcd-server)"
)
needs_etcdctl: Final = pytest.mark.skipif(
    _ETCDCTL is None,
    reason="there is no etcdctl here (Debian: apt-get install etcd-client)",
)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Etcd:
    """Run one member while the block lasts; it may be killed and started again."""

    def __init__(self, folder: Path, *more: str, scheme: str = "http") -> None:
        self._folder = folder
        self._more = more
        self._starts = 0
        self.port = free_port()
        self.url = f"{scheme}://localhost:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, without anything that it knew before."""
        assert _ETCD is not None
        self._starts += 1
        peer = "http://127.0.0.1:1"
        with (self._folder / f"etcd-{self._starts}.log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [
                    *(_ETCD, "--data-dir", str(self._folder / f"data-{self._starts}")),
                    *(
                        "--listen-client-urls",
                        self.url.replace("localhost", "127.0.0.1"),
                    ),
                    *("--advertise-client-urls", self.url),
                    *("--listen-peer-urls", "http://127.0.0.1:0"),
                    *("--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", f"default={peer}"),
                    *("--heartbeat-interval", "10", "--election-timeout", "100"),
                    *self._more,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if self.url.startswith("http://"):
            eventually(self._answers)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, path: str, question: object, token: str = "") -> Any:
        """Ask over the JSON gateway."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/v3/{path}", json.dumps(question).encode()
        )
        if token:
            request.add_header("Authorization", token)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=START_SECONDS) as reply:
            return json.load(reply)

    def entries(self, prefix: str = "", token: str = "") -> dict[str, tuple[str, int]]:
        """Return each value, and its lease, by its key."""
        first = base64.b64encode(prefix.encode() or b"\0").decode()
        last = base64.b64encode(f"{prefix}\U0010ffff".encode()).decode()
        found = self.ask("kv/range", {"key": first, "range_end": last}, token)
        return {
            base64.b64decode(each["key"]).decode(): (
                base64.b64decode(each["value"]).decode(),
                int(each.get("lease", 0)),
            )
            for each in found.get("kvs", ())
        }

    def revoke(self, lease: int) -> None:
        """End a lease that is somebody else's."""
        self.ask("lease/revoke", {"ID": str(lease)})

    def delete(self, key: str) -> None:
        """Delete an entry, but not its lease."""
        self.ask("kv/deleterange", {"key": base64.b64encode(key.encode()).decode()})

    def control(self, *arguments: str, login: str = "", typed: str = "") -> None:
        """Do what an administrator does."""
        assert _ETCDCTL is not None
        user = ["--user", login] if login else []
        command: Sequence[str] = [_ETCDCTL, "--endpoints", self.url, *user, *arguments]
        subprocess.run(  # noqa: S603
            command,
            env={"ETCDCTL_API": "3"},
            input=typed.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=START_SECONDS,
        )

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "etcd has ended; see its log"
        with contextlib.suppress(urllib.error.URLError, OSError):
            self.ask("kv/range", {"key": "AA=="})
            return True
        return False

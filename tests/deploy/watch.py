"""A real Prometheus that watches a server, as `deploy/` has it, only faster."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import urllib.error
import urllib.parse
from collections import deque
from pathlib import Path
from typing import Any, Final, Self

from tests.deploy.monitoring import PROMETHEUS, RULES, binary
from tests.process.programs import START_SECONDS, STOP_SECONDS, got
from tests.waiting import eventually

_LISTENING: Final = re.compile(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)')


def hastened(text: str) -> str:
    """Let everything happen within a second that takes minutes where it is meant."""
    return re.sub(
        r"\b(for|interval|scrape_interval|evaluation_interval|scrape_timeout): \w+",
        r"\1: 1s",
        text,
    )


class Prometheus:
    """Run a Prometheus while the block lasts; kill it, should it still live."""

    def __init__(self, folder: Path, http_door: str) -> None:
        """Watch the server at a door, with the settings and rules of `deploy/`."""
        for file in (PROMETHEUS / "prometheus.yml", RULES):
            folder.joinpath(file.name).write_text(hastened(file.read_text()))
        targets = folder / "targets"
        targets.mkdir()
        targets.joinpath("server.json").write_text(
            json.dumps([{"targets": [http_door]}])
        )
        self._folder = folder
        self._said: deque[str] = deque(maxlen=100)

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(  # noqa: S603
            [
                binary("prometheus"),
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._door: str | None = None
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listens.wait(START_SECONDS) or self._door is None:
            self.__exit__()
            raise AssertionError("it does not listen:\n" + "".join(self._said))
        eventually(self._ready, what="Prometheus is ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._reader.join(STOP_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()

    def ask(self, path: str, **parameters: str) -> Any:
        """Return what its interface says, or fail with its complaint."""
        query = urllib.parse.urlencode(parameters)
        status, text = got(f"http://{self._door}/api/v1/{path}?{query}")
        assert status == 200, text
        return json.loads(text)["data"]

    def value(self, expression: str) -> list[Any]:
        """Return what an expression is at the moment."""
        return self.ask("query", query=expression)["result"]

    def firing(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that fire, each under its name and labels."""
        return {
            " ".join(
                each["labels"].get(label, "")
                for label in ("alertname", "provider", "kind")
            ).strip(): each
            for each in self.ask("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules, with how their last evaluation went."""
        return [
            rule for group in self.ask("rules")["groups"] for rule in group["rules"]
        ]

    def _ready(self) -> bool:
        with contextlib.suppress(urllib.error.URLError):
            return got(f"http://{self._door}/-/ready")[0] == 200
        return False

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)
            if self._door is None and (found := _LISTENING.search(line)):
                self._door = found[1]
                self._listens.set()
        self._listens.set()

"""An etcd that fails as it is told, without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderUnavailableError,
)
from ingestion_server.ports.http import HttpResponse

PASSWORD = "our-own-password"


def refused(message: str, code: int, status: int = 400) -> HttpResponse:
    """Answer as etcd does when it will not."""
    body = {"error": message, "message": message, "code": code}
    return HttpResponse(status, json.dumps(body).encode())


class FakeEtcd:
    """Be a ``Post`` that leads to one etcd with several members."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.leases: dict[int, int] = {}
        """How long each lease lives."""
        self.entries: dict[str, tuple[str, int]] = {}
        self.asked: list[tuple[str, str]] = []
        """Host and question, in order."""
        self.away: set[str] = set()
        self.rubbish: dict[str, HttpResponse] = {}
        """What a host answers to everything."""
        self.timeouts: list[float] = []
        self.password = ""
        """Empty = nobody has to say who they are."""
        self.tokens: set[str] = set()
        self._count = 100

    async def __call__(
        self,
        url: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        *,
        timeout_seconds: float,
    ) -> HttpResponse:
        """Answer, or fail."""
        host, _, path = url.removeprefix("http://").partition("/v3/")
        self.asked.append((host, path))
        self.timeouts.append(timeout_seconds)
        if host in self.away:
            raise ProviderUnavailableError("etcd cannot be reached", provider="etcd")
        if host == "oversized":
            raise MalformedPayloadError("etcd sent too much", provider="etcd")
        if host in self.rubbish:
            return self.rubbish[host]
        return self._answer(path, json.loads(body), dict(headers))

    def restart(self) -> None:
        """Forget everything."""
        self.leases.clear()
        self.entries.clear()
        self.tokens.clear()

    def _answer(
        self, path: str, question: Any, headers: dict[str, str]
    ) -> HttpResponse:
        if path == "auth/authenticate":
            return self._authenticated(question)
        token = headers.get("Authorization", "")
        if self.password and token not in self.tokens:
            if token:
                return refused("etcdserver: invalid auth token", 16, 401)
            return refused("etcdserver: user name is empty", 3)
        answers: dict[str, Callable[[Any], HttpResponse]] = {
            "lease/grant": self._granted,
            "lease/keepalive": self._kept_alive,
            "lease/revoke": self._revoked,
            "kv/txn": self._transaction,
        }
        return answers[path](question)

    def _granted(self, question: Any) -> HttpResponse:
        self._count += 1
        self.leases[self._count] = int(question["TTL"])
        return told({"ID": str(self._count), "TTL": question["TTL"]})

    def _kept_alive(self, question: Any) -> HttpResponse:
        result = {"header": {}, "ID": question["ID"]}
        if seconds := self.leases.get(int(question["ID"])):
            result["TTL"] = str(seconds)
        return told({"result": result})

    def _revoked(self, question: Any) -> HttpResponse:
        lease = int(question["ID"])
        if self.leases.pop(lease, None) is None:
            return refused("etcdserver: requested lease not found", 5, 404)
        for key, (_, held_by) in list(self.entries.items()):
            if held_by == lease:
                del self.entries[key]
        return told({"header": {}})

    def _authenticated(self, question: Any) -> HttpResponse:
        if not self.password:
            return refused("etcdserver: authentication is not enabled", 9, 412)
        if question["password"] != self.password:
            words = "etcdserver: authentication failed, invalid user ID or password"
            return refused(f"{words} {question['password']}", 3)
        self._count += 1
        self.tokens.add(f"token-{self._count}")
        return told({"token": f"token-{self._count}"})

    def _transaction(self, question: Any) -> HttpResponse:
        ((compare,), (other,)) = question["compare"], question["failure"]
        put = other["requestPut"]
        key = base64.b64decode(put["key"]).decode()
        lease = int(put["lease"])
        if lease not in self.leases:
            return refused("etcdserver: requested lease not found", 5, 404)
        same = self.entries.get(key, ("", 0))[1] == int(compare["lease"])
        if not same:
            self.entries[key] = base64.b64decode(put["value"]).decode(), lease
        return told({"header": {}, **({"succeeded": True} if same else {})})


def told(answer: object) -> HttpResponse:
    """Answer as etcd does when it will."""
    return HttpResponse(200, json.dumps(answer).encode())

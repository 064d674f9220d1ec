"""Asking an etcd: one endpoint after the other, with a token where one is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar, final
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from ingestion_server.discovery import etcd
from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderUnavailableError,
)
from ingestion_server.ports.discovery import Post

T = TypeVar("T")
_OK = 200
_LONGEST_TOLD = 200


class Login(msgspec.Struct, frozen=True):
    """Be who asks; no user = nobody in particular."""

    user: str = ""
    password: str = ""

    @override
    def __repr__(self) -> str:
        """Return who it is, without the password."""
        return f"Login({self.user!r})"


@final
class Conversation:
    """
    Ask whichever endpoint answered last; where it fails, each of the others once.

    What an etcd refuses is refused: no other endpoint of it would say otherwise.
    """

    def __init__(
        self,
        post: Post,
        endpoints: Sequence[str],
        login: Login,
        *,
        timeout_seconds: float,
    ) -> None:
        """Ask these urls, each for so long."""
        self._post = post
        self._endpoints = endpoints
        self._login = login
        self._timeout_seconds = timeout_seconds
        self._turn = 0
        self._token = ""

    async def ask(
        self, question: etcd.Ask[T], *, within_seconds: float | None = None
    ) -> T:
        """
        Return what the answer means.

        ``within_seconds`` are for all endpoints together.

        Raises:
            EtcdError: There is none, or not the one that was hoped for.

        """
        each_seconds = self._timeout_seconds
        if within_seconds is not None:
            each_seconds = min(each_seconds, within_seconds / len(self._endpoints))
        if not self._token:
            await self._greet(each_seconds)
        try:
            return await self._in_turn(question, each_seconds)
        except etcd.EtcdRefusedError as error:
            shown, self._token = self._token, ""
            if not shown or error.code != etcd.UNAUTHENTICATED:
                raise
        # Tokens end, and an etcd that was restarted knows none of before.
        await self._greet(each_seconds)
        return await self._in_turn(question, each_seconds)

    async def _greet(self, each_seconds: float) -> None:
        if not self._login.user:
            return
        question = etcd.authenticate(self._login.user, self._login.password)
        try:
            self._token = await self._in_turn(question, each_seconds)
        except etcd.EtcdRefusedError as error:
            # It asks nobody who they are, which may change at any time.
            if error.code != etcd.FAILED_PRECONDITION:
                raise

    async def _in_turn(self, question: etcd.Ask[T], each_seconds: float) -> T:
        failure = etcd.EtcdError("nobody to ask")
        for _ in self._endpoints:
            endpoint = self._endpoints[self._turn]
            try:
                return await self._of(endpoint, question, each_seconds)
            except (etcd.EtcdUnavailableError, etcd.EtcdMalformedError) as error:
                failure = error
                self._turn = (self._turn + 1) % len(self._endpoints)
        raise failure

    async def _of(self, endpoint: str, question: etcd.Ask[T], each_seconds: float) -> T:
        host = urlsplit(endpoint).netloc
        headers = [("Content-Type", "application/json")]
        if self._token:
            headers.append(("Authorization", self._token))
        try:
            answer = await self._post(
                f"{endpoint}{question.path}",
                question.body,
                headers,
                timeout_seconds=each_seconds,
            )
        except ProviderUnavailableError as error:
            raise etcd.EtcdUnavailableError(error.message) from error
        except MalformedPayloadError as error:
            raise etcd.EtcdMalformedError(error.message) from error
        try:
            if answer.status != _OK:
                raise etcd.refusal(answer.status, answer.body)
            return question.read(answer.body)
        except etcd.EtcdError as error:
            error.args = (f"etcd ({host}): {self._blanked(str(error))}",)
            raise

    def _blanked(self, told: str) -> str:
        """Blank what an etcd, or what poses as one, may repeat; only then shorten."""
        for secret in filter(None, (self._login.password, self._token)):
            # As it is, and as it may be written in JSON.
            written = msgspec.json.encode(secret).decode()[1:-1]
            for form in (secret, written, json.dumps(secret)[1:-1]):
                told = told.replace(form, "********")
        return told[:_LONGEST_TOLD]

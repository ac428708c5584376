# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the options of the role hub, one sentence each, found before anything is changed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ansible_collections.campus.jupyterhub.plugins.module_utils import (
    _hub_config,
    _hub_config_problems,
    _hub_schema,
    _hub_secret,
    _quantity,
)

METADATA: Final = (ipaddress.ip_address("169.254.169.254"), ipaddress.ip_address("fd00:ec2::254"))

_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE: Final = re.compile(r"[\w.-]+(:\d+)?(/[a-z0-9._-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII)
_ORIGIN: Final = re.compile(r"https?://([\w-]+\.)*[\w-]+(:\d{1,5})?/?", re.ASCII)
_URL: Final = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(/[\w.~/-]*)?", re.ASCII)


def problems(options: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Every problem of the options.

    Args:
        options: the role's options without their prefix; shared ones as name, namespace and url.
        schema: classes and traits of the hub's image.
    """
    found = [
        *_names(options),
        *_image_names(options),
        *_sizes(options),
        *_numbers(options),
        *_url(options["url"]),
        *_subdomains(options["subdomain_host"], options["url"]),
        *_database(options["db_url"]),
        *_replicas(options["replicas"], options["db_url"]),
        *_hub_config_problems.problems(options, schema),
        *_egress(options["student_egress"]),
        *_secret_names(options),
    ]
    return [*found, *_hub_secret.value_problems(options["secrets"], "hub_secrets")]


def _names(options: Mapping[str, Any]) -> Iterator[str]:
    for option in ("name", "namespace"):
        if not _LABEL.fullmatch(options[option]):
            yield (
                f"jupyterhub_{option} is {options[option]!r};"
                " use at most 63 lower-case letters, digits and '-', beginning with a letter and not ending with '-'."
            )


def _image_names(options: Mapping[str, Any]) -> Iterator[str]:
    for option in ("image", "singleuser_image", "pause_image"):
        if not _IMAGE.fullmatch(options[option] or ""):
            yield f"hub_{option} is {options[option]!r}; give an image such as registry.example.org/campus/hub:1.0."


def _sizes(options: Mapping[str, Any]) -> Iterator[str]:
    readers: dict[str, Callable[[object], object]] = {
        "student_disk_size": _quantity.to_bytes,
        "db_size": _quantity.to_bytes,
        "student_memory_guarantee": _hub_config.size,
        "student_memory_limit": _hub_config.size,
        "student_cpu_guarantee": _hub_config.cores,
        "student_cpu_limit": _hub_config.cores,
    }
    read: dict[str, Any] = {}
    for option, reader in readers.items():
        try:
            read[option] = reader(options[option])
        except ValueError as error:
            yield f"hub_{option}: {error}"
    for what in ("memory", "cpu"):
        guarantee, limit = read.get(f"student_{what}_guarantee"), read.get(f"student_{what}_limit")
        if guarantee is not None and limit is not None and guarantee > limit:
            yield f"hub_student_{what}_guarantee is above hub_student_{what}_limit; lower the one or raise the other."


def _numbers(options: Mapping[str, Any]) -> Iterator[str]:
    least = {
        "named_servers": 0,
        "auth_grace": 0,
        "cull_max_age": 0,
        "cull_timeout": 60,
        "cull_every": 10,
        "student_start_timeout": 10,
        "student_http_timeout": 5,
        "ready_timeout": 10,
    }
    for option, number in least.items():
        if options[option] < number:
            yield f"hub_{option} is {options[option]}; use {number} or more."


def _url(url: str) -> Iterator[str]:
    if url and not _URL.fullmatch(url):
        yield f"jupyterhub_url is {url!r}; give the hub's public address such as https://hub.example.org/."


def _subdomains(host: str, url: str) -> Iterator[str]:
    """Problems of the host below which each student's server has a name of its own."""
    if not host:
        return
    if not _ORIGIN.fullmatch(host):
        yield f"hub_subdomain_host is {host!r}; give scheme and host alone, such as https://hub.example.org."
        return
    name = urlsplit(host).hostname or ""
    if _is_address(name):
        yield f"hub_subdomain_host is {host!r}, but there are no names below an address; give a host name."
    elif _origin(host) != _origin(url):
        yield (
            f"hub_subdomain_host is {host!r}, but jupyterhub_url is {url or 'empty'};"
            " people are sent back and forth between the two, so give both the same scheme, host and port."
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _origin(url: str) -> tuple[str, str]:
    """Scheme and host of a URL, with its port unless that is the usual one."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")


def _database(url: str) -> Iterator[str]:
    """Problems of the database URL; it is never shown, since it holds a password."""
    if not url:
        return
    scheme, found, rest = url.partition("://")
    if not found or not re.fullmatch(r"[a-z0-9]+(\+[a-z0-9]+)?", scheme):
        yield "hub_db_url is not a URL; write it as postgresql://user:password@host:5432/database."
    elif scheme.startswith("sqlite"):
        if not rest.startswith(f"/{_hub_config.DB_FOLDER}/"):
            yield (
                "hub_db_url names a sqlite file outside the hub's disk, which a restart would lose;"
                f" leave hub_db_url empty or use sqlite:///{_hub_config.DB_FOLDER}/NAME.sqlite."
            )
    else:
        yield from _database_server(url)


def _database_server(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    try:
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        port_is_number = False
    if not parts.hostname or not port_is_number or not parts.path.strip("/"):
        yield "hub_db_url lacks a host, a valid port or a database; write it as postgresql://user:password@host:5432/database."


def _replicas(replicas: int, db_url: str) -> Iterator[str]:
    if replicas not in (1, 2):
        yield f"hub_replicas is {replicas}; use 1, or 2 for a hub and a standby."
    elif replicas == 2 and (not db_url or db_url.startswith("sqlite")):
        yield (
            "hub_replicas is 2, but sqlite serves one hub only;"
            " give hub_db_url of a PostgreSQL server or leave hub_replicas at 1."
        )


def _egress(rules: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Rules that open the cloud's metadata service, where any student could read the node's credentials."""
    for number, rule in enumerate(rules, start=1):
        peers = rule.get("to") or []
        if not peers:
            yield f"hub_student_egress: rule {number} has no 'to' and so opens cloud metadata; say where it leads."
        for peer in peers:
            try:
                opened = _opens_metadata(peer.get("ipBlock") or {})
            except ValueError as error:
                yield f"hub_student_egress: rule {number}: {error}; write an address range such as 10.1.0.0/16."
                continue
            if opened:
                closed = " and ".join(opened)
                yield f"hub_student_egress: rule {number} opens cloud metadata; add {closed} to its 'except'."


def _opens_metadata(block: Mapping[str, Any]) -> list[str]:
    """Addresses of metadata services that a block of addresses holds."""
    if "cidr" not in block:
        return []
    excepted = [ipaddress.ip_network(cidr) for cidr in block.get("except") or ()]
    network = ipaddress.ip_network(block["cidr"])
    opened = (address for address in METADATA if address in network and not any(address in other for other in excepted))
    return [f"{address}/{address.max_prefixlen}" for address in opened]


def _secret_names(options: Mapping[str, Any]) -> Iterator[str]:
    for key in options["secrets"]:
        if key not in _hub_secret.KEYS:
            near = _hub_schema.nearest(key, _hub_secret.KEYS)
            yield f"hub_secrets: the hub reads no key {key!r}{near}; correct the name."
    if options["secrets"] and options["existing_secret"]:
        yield "hub_secrets and hub_existing_secret are both set; keep the values in one place."

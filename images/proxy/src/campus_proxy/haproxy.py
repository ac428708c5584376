"""HAProxy's runtime API, and through it the route map, changed without a reload."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MARKER = "!applied"
"""Key that no request can have; its value says which agent filled the map. Without it HAProxy serves nobody."""

MAX_COMMAND = 12_000
"""Longest command, in bytes; HAProxy reads one into a buffer (tune.bufsize, 16 KiB unless told)."""

_WORD = re.compile(r"[!-:<-\[\]-~]+")


class HaproxyError(Exception):
    """HAProxy cannot be reached, or does not do what it was told; the map's state is then unknown."""


def _check(word: str) -> str:
    """The word, if it cannot be taken for anything but one word of a command.

    Blanks, control characters, backslashes and semicolons have a meaning to the runtime API.
    """
    if not _WORD.fullmatch(word):
        raise HaproxyError(f"{word!r:.80} cannot be written into a map")
    return word


def batches(lines: Iterable[str], between: str, limit: int = MAX_COMMAND) -> Iterable[str]:
    """Join lines to as few commands, or payloads of one, as HAProxy can read."""
    batch: list[str] = []
    size = 0
    for line in lines:
        if batch and size + len(line) + len(between) > limit:
            yield between.join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line) + len(between)
    if batch:
        yield between.join(batch)


async def command(path: str, text: str, timeout: float = 5.0) -> str:
    """Send one line, or one with a payload, to the runtime socket `path` and return what HAProxy says.

    `timeout` is in seconds. Raises HaproxyError.
    """
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(text.encode("ascii") + b"\n")
                await writer.drain()
                return (await reader.read(-1)).decode("utf-8", "replace")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise HaproxyError(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class RouteMap:
    """The map file `path` of the HAProxy that listens on `socket`. Every method may raise HaproxyError."""

    socket: str
    path: str
    timeout: float = 5.0

    async def command(self, text: str) -> str:
        """Send one line, or one with a payload, and return what HAProxy says."""
        return await command(self.socket, text, self.timeout)

    async def _silent(self, text: str) -> None:
        answer = (await self.command(text)).strip()
        if answer:
            raise HaproxyError(answer[:200])

    async def owner(self) -> str:
        """Which agent filled the map; empty when nobody did since HAProxy started."""
        answer = await self.command(f"get map {self.path} {MARKER}")
        found = re.search(rf'key="{re.escape(MARKER)}", value="([^"]*)"', answer)
        return found[1] if found else ""

    async def show(self) -> dict[str, str]:
        """The whole map as HAProxy has it, the marker left out."""
        entries = (line.split(" ", 2)[1:] for line in (await self.command(f"show map {self.path}")).splitlines())
        return {entry[0]: entry[1] for entry in entries if len(entry) == 2 and entry[0] != MARKER}

    async def replace(self, values: Mapping[str, str], owner: str) -> None:
        """Put a whole new map in the place of the old one, at one stroke."""
        lines = [f"{_check(key)} {_check(value)}" for key, value in {**values, MARKER: owner}.items()]
        answer = await self.command(f"prepare map {self.path}")
        found = re.search(r"New version created: (\d+)", answer)
        if not found:
            raise HaproxyError(answer.strip()[:200])
        try:
            for batch in batches(lines, "\n"):
                await self._silent(f"add map @{found[1]} {self.path} <<\n{batch}\n")
            await self._silent(f"commit map @{found[1]} {self.path}")
        except HaproxyError:
            await self.command(f"clear map @{found[1]} {self.path}")
            raise

    async def change(self, old: Mapping[str, str], values: Mapping[str, str | None]) -> None:
        """Bring the map from `old` to have `values`; None takes a key out."""
        gone = [f"del map {self.path} {_check(key)}" for key, value in values.items() if value is None and key in old]
        other = [
            f"set map {self.path} {_check(key)} {_check(value)}"
            for key, value in values.items()
            if value is not None and old.get(key, value) != value
        ]
        new = [f"{_check(k)} {_check(value)}" for k, value in values.items() if value is not None and k not in old]
        for batch in batches(gone + other, ";"):
            await self._silent(batch)
        for batch in batches(new, "\n"):
            await self._silent(f"add map {self.path} <<\n{batch}\n")

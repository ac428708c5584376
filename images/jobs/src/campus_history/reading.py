"""Asks the pod that shows a snapshot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from campus_history.looks import Look

Json = dict[str, Any]

CHUNK: Final = 1 << 18
PATIENCE: Final = ClientTimeout(total=None, sock_connect=10, sock_read=120)


class NotThereError(Exception):
    """The snapshot has no such file or folder; the message is for the student."""


class LostError(Exception):
    """The pod does not answer."""


def quoted(path: str) -> str:
    """Return a path of a disk for a URL; a name that is no UTF-8 stays what it is."""
    return quote(os.fsencode(path))


@asynccontextmanager
async def asked(session: ClientSession, look: Look, what: str, path: str) -> AsyncIterator[ClientResponse]:
    """Have the pod's answer about a path; ``what`` is ``list``, ``file`` or ``archive``.

    Raises:
        NotThereError: there is no such path.
        LostError: nothing answers, or the answer broke off.
    """
    url = URL(f"{look.address}/{what}?path={quote(os.fsencode(path), safe='')}", encoded=True)
    proof = {"Authorization": f"Bearer {look.token}"}
    try:
        async with session.get(url, headers=proof, timeout=PATIENCE, allow_redirects=False) as answer:
            if answer.status == 404:
                raise NotThereError(str((await answer.json())["error"]))
            if answer.status != 200:
                raise LostError(f"the reader answers {answer.status}")
            yield answer
    except (ClientError, TimeoutError) as error:
        raise LostError(str(error)) from error


async def listing(session: ClientSession, look: Look, path: str) -> Json:
    """Return what is in a folder, as campus_jobs.reader has it; raises as ``asked`` does."""
    async with asked(session, look, "list", path) as answer:
        return dict(await answer.json())

"""The pages. Whose snapshots they show is decided by the hub's answer alone, never by anything in a request."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote_to_bytes

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import home_path
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError
from campus_jobs.trees import RefusedError
from jupyterhub.services.auth import HubOAuthenticated
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, StaticFileHandler, authenticated

from campus_history import days, looks, put_backs, reading, views

if TYPE_CHECKING:
    from campus_history.app import History

log = logging.getLogger(__name__)

PREPARING_SECONDS: Final = 2
UNKNOWN: Final = "You have no such snapshot. It may have been removed since: choose another day."
WORDS: Final = {
    403: "This page does not take that. Go back to it from the hub, and log in again if you are asked to.",
    404: "There is nothing here.",
    500: "Something went wrong here, and it was not you. Try again; if it stays so, tell the staff of this hub.",
    502: "The hub does not answer, so nobody can be logged in just now. Try again in a minute.",
}
WORDS[503] = WORDS[504] = WORDS[502]


def log_request(handler: RequestHandler) -> None:
    """Log what failed; paths are students' own, so only the page's name is shown."""
    if handler.get_status() >= 500:
        log.warning("%s %s: %d", handler.request.method, type(handler).__name__, handler.get_status())


class Health(RequestHandler):  # type: ignore[misc]
    """Says to the kubelet that the page is up."""

    def get(self) -> None:
        """Answer."""
        self.write("ok")


class Static(StaticFileHandler):  # type: ignore[misc]
    """The style."""

    def set_extra_headers(self, path: str) -> None:
        """Keep browsers from taking it for anything else."""
        self.set_header("X-Content-Type-Options", "nosniff")


class Page(HubOAuthenticated, RequestHandler):  # type: ignore[misc]
    """What all pages have in common."""

    parts: History

    def initialize(self, parts: History) -> None:
        """Take what the pages work with."""
        self.parts = parts

    def set_default_headers(self) -> None:
        """Let a browser run nothing, keep nothing, and show this in no other page."""
        own = f"'self' {self.settings['hub_origin']}".strip()
        policy = f"default-src 'none'; style-src {own}; font-src {own}; img-src {own} data:; form-action 'self'"
        self.set_header("Content-Security-Policy", f"{policy}; frame-ancestors 'none'; base-uri 'none'")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Ask the hub who this is, without holding up the others."""
        await self.hub_auth.get_user(self, sync=False)

    def check_hub_user(self, model: dict[str, Any]) -> Any:
        """Let in whom the hub lets in, if it is a person: a service may have a student's name."""
        allowed = super().check_hub_user(model)
        if allowed and allowed["kind"] != "user":
            raise HTTPError(403)
        return allowed

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Take names of files as they are, also those that are no UTF-8."""
        return value.decode("utf-8", "surrogateescape")

    @property
    def student(self) -> str:
        """The name that the hub vouches for."""
        return str(self.current_user["name"])

    @property
    def prefix(self) -> str:
        """Path of the page."""
        return self.parts.settings.prefix

    def show(self, template: str, **values: Any) -> None:
        """Write a page."""
        settings = self.parts.settings
        hub = f"{settings.subdomain_host}{settings.base_path}hub/"
        user = getattr(self, "_hub_auth_user_cache", None)
        name = user["name"] if user else ""
        page = self.parts.templates.get_template(template)
        self.finish(page.render(prefix=self.prefix, hub=hub, student=name, zone=settings.zone, **values))

    def say(self, status: int, message: str, back: str = "") -> None:
        """Write a page that is one sentence."""
        self.set_status(status)
        self.show("message.html", message=message, back=back or self.prefix)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write what went wrong, in words for students."""
        self.say(status_code, WORDS.get(status_code, WORDS[500] if status_code >= 500 else WORDS[403]))

    async def snapshots(self) -> list[Snapshot]:
        """Return the student's snapshots; raises HTTPError when the cluster does not answer."""
        try:
            return await asyncio.to_thread(self.parts.students.snapshots, self.student)
        except ClusterError as error:
            log.warning("%s", error)
            raise HTTPError(500) from error

    async def snapshot(self, name: str) -> Snapshot | None:
        """Return the student's snapshot of this name; None, and a page that says so, when there is none."""
        found = next((each for each in await self.snapshots() if each.name == name), None)
        if found is None:
            self.say(404, UNKNOWN)
        return found

    def look(self, snapshot: Snapshot) -> looks.Look | None:
        """Return the student's look into a snapshot if it can be read; else None, and a page that says why not."""
        try:
            found = self.parts.looks.look(self.student, snapshot)
        except looks.BusyError as error:
            self.say(503, str(error))
            return None
        if found.state == looks.FAILED:
            self.say(503, f"The snapshot cannot be opened just now. {found.why}")
        elif found.state != looks.READY:
            self.set_header("Refresh", PREPARING_SECONDS)
            self.show("preparing.html", when=views.moment(snapshot.taken, self.parts.settings.zone))
        return found if found.state == looks.READY else None

    def lost(self, found: looks.Look, error: reading.LostError) -> None:
        """Begin anew where the reader is gone, such as with its node."""
        log.warning("A reader does not answer: %s", error)
        self.parts.looks.end(found)


class Slash(Page):
    """The address without its last slash."""

    def get(self) -> None:
        """Lead to the page."""
        self.redirect(self.prefix)


class Missing(Page):
    """Every other address."""

    @authenticated  # type: ignore[untyped-decorator]
    def get(self, *_path: str) -> None:
        """Say so."""
        self.say(404, WORDS[404])


class Calendar(Page):
    """The days that have snapshots, and the snapshots of one of them."""

    @authenticated  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Show it."""
        zone = self.parts.settings.zone
        found = await self.snapshots()
        grouped = days.by_day(found, zone)
        day = days.chosen(self.get_query_argument("day", ""), grouped)
        several = len({each.disk for each in found}) > 1
        times = [
            {
                "time": f"{each.taken.astimezone(zone):%H:%M}",
                "href": views.place(self.prefix, each, "files", ""),
                "disk": each.disk if several else "",
            }
            for each in (grouped[day] if day else ())
        ]
        self.show("calendar.html", months=days.months(grouped), day=day, times=times, last=self.last())

    def last(self) -> put_backs.PutBack | None:
        """Return what the student put back last."""
        return self.parts.put_backs.last(self.student)


class Folder(Page):
    """What is in a folder of a snapshot."""

    @authenticated  # type: ignore[untyped-decorator]
    async def get(self, name: str, path: str) -> None:
        """Show it."""
        snapshot = await self.snapshot(name)
        if snapshot is None:
            return
        zone = self.parts.settings.zone
        found = self.look(snapshot)
        if found is None:
            return
        try:
            path = views.normal(path)
            with self.parts.looks.reading(found):
                listing = await reading.listing(self.parts.session, found, path)
        except (RefusedError, reading.NotThereError) as error:
            self.say(404, views.title(str(error)), views.place(self.prefix, snapshot, "files", ""))
            return
        except reading.LostError as error:
            self.lost(found, error)
            self.look(snapshot)
            return
        self.show(
            "folder.html",
            when=views.moment(snapshot.taken, zone),
            calendar=f"{self.prefix}?day={views.day(snapshot.taken, zone)}",
            steps=views.steps(self.prefix, snapshot, path),
            entries=views.entries(self.prefix, snapshot, path, listing["entries"], zone),
            more=listing["more"],
            download=views.place(self.prefix, snapshot, "folder", path),
            action=f"{self.prefix}snapshot/{quote(snapshot.name)}/put-back",
            path=reading.quoted(path) if path and views.is_text(path) else "",
            xsrf=self.xsrf_token.decode("ascii"),
        )


class Download(Page):
    """A file of a snapshot; never shown by the browser, which would run what is in it."""

    what = "file"

    @authenticated  # type: ignore[untyped-decorator]
    async def get(self, name: str, path: str) -> None:
        """Send it."""
        snapshot = await self.snapshot(name)
        if snapshot is None:
            return
        try:
            path = views.normal(path)
            above = path.rpartition("/")[0]
            found = self.parts.looks.look(self.student, snapshot)
            if found.state != looks.READY:
                # There is a page that waits until it can be read.
                self.redirect(views.place(self.prefix, snapshot, "files", above))
                return
            with self.parts.looks.reading(found):
                await self._send(found, path)
        except looks.BusyError as error:
            self.say(503, str(error))
        except (RefusedError, reading.NotThereError) as error:
            self.say(404, views.title(str(error)), views.place(self.prefix, snapshot, "files", ""))
        except reading.LostError as error:
            self.lost(found, error)
            if not self._headers_written:
                self.redirect(views.place(self.prefix, snapshot, "files", above))
                return
            # Anything else would look like the end of a whole file.
            self.request.connection.stream.close()
        except StreamClosedError:
            log.info("A download was broken off.")

    async def _send(self, found: looks.Look, path: str) -> None:
        async with reading.asked(self.parts.session, found, self.what, path) as answer:
            ending = ".zip" if self.what == "archive" else ""
            title = (path.rpartition("/")[2] or "home") + ending
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(views.title(title), safe='')}")
            if answer.content_length is not None:
                self.set_header("Content-Length", str(answer.content_length))
            async for data in answer.content.iter_chunked(reading.CHUNK):
                self.write(data)
                await self.flush()
                found.used = self.parts.looks.now()


class Archive(Download):
    """A folder of a snapshot as a ZIP file."""

    what = "archive"


class PutBack(Page):
    """Puts a path back."""

    @authenticated  # type: ignore[untyped-decorator]
    async def post(self, name: str) -> None:
        """Begin it, and lead to how it goes."""
        snapshot = await self.snapshot(name)
        if snapshot is None:
            return
        written = self.get_body_argument("path", "", strip=False).encode("utf-8", "surrogateescape")
        path = unquote_to_bytes(written).decode("utf-8", "surrogateescape")
        try:
            path = home_path(path, "path")
            if not views.is_text(path):
                raise SelectionError("This name has letters that cannot be written; put back the folder that it is in.")
            self.parts.put_backs.begin(self.student, snapshot, path)
        except SelectionError as error:
            self.say(400, views.title(str(error)))
        except looks.BusyError as error:
            self.say(409, str(error), f"{self.prefix}put-back")
        else:
            self.redirect(f"{self.prefix}put-back", status=303)


class LastPutBack(Page):
    """How it goes with what the student put back last."""

    @authenticated  # type: ignore[untyped-decorator]
    def get(self) -> None:
        """Show it."""
        found = self.parts.put_backs.last(self.student)
        if found is None:
            self.redirect(self.prefix)
            return
        if found.state == put_backs.RUNNING:
            self.set_header("Refresh", PREPARING_SECONDS)
        folder = views.place(self.prefix, found.snapshot, "files", found.path.rpartition("/")[0])
        when = views.moment(found.snapshot.taken, self.parts.settings.zone)
        self.show("put_back.html", found=found, when=when, folder=folder)

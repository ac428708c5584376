"""The page as a student's browser sees it, and as somebody who wants more than his own."""

from __future__ import annotations

import asyncio
import io
import os
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import TestServer
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.tests.unit.images.jobs.history_world import Site, until
from campus_history import handlers, reading
from campus_history.reading import LostError
from campus_jobs.archive import Archive

ANN = "claim-ann-20261125-090000"
OLDER = "claim-ann-20261103-221500"
BEN = "claim-ben-20261125-090000"

Answer = tuple[int, str]


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Ann with two snapshots and Ben with one."""
    async with Site(tmp_path, monkeypatch, str(tmp_path)) as site:
        world = site.world
        world.student("ann", "2026-11-25T09:00:00Z", "2026-11-03T22:15:00Z", label="ann")
        world.student("ben", "2026-11-25T09:00:00Z", label="ben")
        (world.of(ANN) / "hw").mkdir()
        (world.of(ANN) / "hw" / "lab3.ipynb").write_text("ann's work")
        (world.of(BEN) / "ben.txt").write_text("ben's work")
        (world.home("ann") / "hw").mkdir()
        yield site


@pytest.fixture
async def ann(site: Site) -> AsyncIterator[ClientSession]:
    """Ann's browser."""
    async with site.browser("ann") as browser:
        yield browser


async def get(browser: ClientSession, address: str) -> Answer:
    async with browser.get(address) as answer:
        return answer.status, await answer.text()


async def opened(browser: ClientSession, site: Site, snapshot: str = ANN, path: str = "") -> str:
    """A folder of a snapshot, waited for as a browser does."""
    address = f"{site.page}snapshot/{snapshot}/files/{path}"
    while True:
        async with browser.get(address) as answer:
            text = await answer.text()
            if "Refresh" not in answer.headers:
                assert answer.status == 200, text
                return text
        await asyncio.sleep(0.02)


def xsrf(text: str) -> str:
    found = re.search(r'name="_xsrf" value="([^"]+)"', text)
    assert found
    return found[1]


async def put_back(browser: ClientSession, site: Site, path: str, snapshot: str = ANN, token: str = "") -> Answer:
    token = token or xsrf(await opened(browser, site))
    address = f"{site.page}snapshot/{snapshot}/put-back"
    async with browser.post(address, data={"_xsrf": token, "path": quote(path)}) as answer:
        return answer.status, await answer.text()


# The calendar


async def test_the_days_with_snapshots_are_links(site: Site, ann: ClientSession) -> None:
    status, text = await get(ann, site.page)
    assert status == 200
    assert set(re.findall(r"\?day=([0-9-]+)", text)) == {"2026-11-25", "2026-11-03"}
    assert "November 2026" in text
    # It was 09:00 in Greenwich and 10:00 in Berlin.
    assert f'href="{site.settings.prefix}snapshot/{ANN}/files/"' in text
    assert "10:00" in text
    assert OLDER not in text
    assert "Europe/Berlin" in text


async def test_a_day_shows_its_snapshots(site: Site, ann: ClientSession) -> None:
    _status, text = await get(ann, f"{site.page}?day=2026-11-03")
    assert OLDER in text
    assert "23:15" in text
    assert ANN not in text


@pytest.mark.parametrize("day", ["2026-11-04", "x", "2026-13-01", "%00", "%ff"])
async def test_another_day_shows_the_newest(site: Site, ann: ClientSession, day: str) -> None:
    status, text = await get(ann, f"{site.page}?day={day}")
    assert (status, ANN in text) == (200, True)


async def test_without_a_snapshot_it_says_so(site: Site) -> None:
    site.world.cluster.disk("new")
    async with site.browser("new") as new, site.browser("stranger") as stranger:
        for browser in (new, stranger):
            assert "No snapshot of your files has been taken yet" in (await get(browser, site.page))[1]


async def test_a_student_with_two_disks_sees_which_is_which(site: Site, ann: ClientSession) -> None:
    site.world.cluster.disk("ann", name="claim-ann--ml", **{"hub.jupyter.org/username": "ann"})
    item = site.world.cluster.snapshot("2026-11-25T08:00:00Z", student="ann", name="ml")
    item["spec"]["source"]["persistentVolumeClaimName"] = "claim-ann--ml"
    item["metadata"]["labels"]["hub.jupyter.org/username"] = "ann"
    _status, text = await get(ann, site.page)
    assert "<small>claim-ann--ml</small>" in text
    assert "<small>claim-ann</small>" in text


async def test_a_failed_snapshot_is_not_shown(site: Site, ann: ClientSession) -> None:
    site.world.cluster.found("VolumeSnapshot", ANN)["status"].update(readyToUse=False, error={"message": "no"})
    assert ANN not in (await get(ann, site.page))[1]
    assert (await get(ann, f"{site.page}snapshot/{ANN}/files/"))[0] == 404


# Looking, downloading, putting back


async def test_a_snapshot_is_opened_looked_through_and_closed(site: Site, ann: ClientSession) -> None:
    site.world.gate.clear()
    async with ann.get(f"{site.page}snapshot/{ANN}/files/") as answer:
        assert answer.headers["Refresh"] == "2"
        assert "is being opened" in await answer.text()
    site.world.gate.set()
    text = await opened(ann, site)
    assert f"/snapshot/{ANN}/files/hw" in text
    text = await opened(ann, site, path="hw")
    assert f"/snapshot/{ANN}/file/hw/lab3.ipynb" in text
    assert "10 bytes" in text
    assert len(site.world.left) == 2
    await site.parts.looks.end_all()
    assert site.world.left == []


async def test_a_file_and_a_folder_are_downloaded_and_never_shown(site: Site, ann: ClientSession) -> None:
    (site.world.of(ANN) / "hw" / 'évil "x".html').write_text("<script>alert(1)</script>")
    await opened(ann, site)
    name = quote('évil "x".html')
    async with ann.get(f"{site.page}snapshot/{ANN}/file/hw/{name}") as answer:
        assert await answer.text() == "<script>alert(1)</script>"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{name}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Length"] == "25"
    async with ann.get(f"{site.page}snapshot/{ANN}/folder/hw") as answer:
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''hw.zip"
        found = zipfile.ZipFile(io.BytesIO(await answer.read()))
        assert found.read("hw/lab3.ipynb") == b"ann's work"
    async with ann.get(f"{site.page}snapshot/{ANN}/folder/") as answer:
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''home.zip"


async def test_a_download_that_breaks_off_is_not_taken_for_whole(
    site: Site, ann: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Archive) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Archive, "close", broken)
    await opened(ann, site)
    async with ann.get(f"{site.page}snapshot/{ANN}/folder/hw") as answer:
        with pytest.raises(ClientPayloadError):
            await answer.read()


async def test_a_download_of_what_is_not_open_leads_to_its_folder(site: Site, ann: ClientSession) -> None:
    async with ann.get(f"{site.page}snapshot/{ANN}/file/hw/lab3.ipynb", allow_redirects=True) as answer:
        assert str(answer.url).endswith(f"/snapshot/{ANN}/files/hw")


async def test_a_file_is_put_back_beside_what_is_there(site: Site, ann: ClientSession) -> None:
    home = site.world.home("ann")
    (home / "hw" / "lab3.ipynb").write_text("spoilt")
    status, text = await put_back(ann, site, "hw/lab3.ipynb")
    assert status == 200
    await until(lambda: (last := site.parts.put_backs.last("ann")) is not None and last.state != "running")
    status, text = await get(ann, f"{site.page}put-back")
    assert "restored/2026-11-25 1000/hw/lab3.ipynb" in text
    assert (home / "restored" / "2026-11-25 1000" / "hw" / "lab3.ipynb").read_text() == "ann's work"
    assert (home / "hw" / "lab3.ipynb").read_text() == "spoilt"
    assert "was put back" in (await get(ann, site.page))[1]
    await site.parts.looks.end_all()
    assert site.world.left == []


async def test_one_is_put_back_after_the_other(site: Site, ann: ClientSession) -> None:
    text = await opened(ann, site)
    site.world.gate.clear()
    assert "is being copied into your home" in (await put_back(ann, site, "hw", token=xsrf(text)))[1]
    status, text = await put_back(ann, site, "hw", token=xsrf(text))
    assert (status, "still being copied" in text) == (409, True)
    site.world.gate.set()


@pytest.mark.parametrize("path", ["../../ben", "/etc/passwd", "", "hw/../..", "a\0b"])
async def test_what_is_not_in_the_home_is_not_put_back(site: Site, ann: ClientSession, path: str) -> None:
    assert (await put_back(ann, site, path))[0] == 400
    assert site.parts.put_backs.last("ann") is None


async def test_a_name_that_is_no_text_is_shown_and_comes_with_its_folder(site: Site, ann: ClientSession) -> None:
    name = os.fsdecode(b"caf\xe9")
    (site.world.of(ANN) / "hw" / name).write_text("old")
    text = await opened(ann, site, path="hw")
    assert "caf\N{REPLACEMENT CHARACTER}" in text
    async with ann.get(f"{site.page}snapshot/{ANN}/file/hw/{quote(os.fsencode(name))}") as answer:
        assert await answer.read() == b"old"
    token = xsrf(text)
    address = f"{site.page}snapshot/{ANN}/put-back"
    async with ann.post(address, data={"_xsrf": token, "path": "hw/caf%E9"}) as answer:
        assert (answer.status, "put back the folder" in await answer.text()) == (400, True)


@pytest.mark.parametrize("path", ["%2Fcaf%E9", "..%2F%E9", "caf%C3%28", "\udce9"])
async def test_a_path_that_is_neither_text_nor_in_the_home_is_refused(
    site: Site, ann: ClientSession, path: str
) -> None:
    token = xsrf(await opened(ann, site))
    body = urlencode({"_xsrf": token, "path": path}, errors="surrogateescape")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with ann.post(f"{site.page}snapshot/{ANN}/put-back", data=body, headers=headers) as answer:
        assert (answer.status, handlers.WORDS[500] in await answer.text()) == (400, False)


async def test_a_reader_that_leads_elsewhere_is_not_followed(site: Site, ann: ClientSession) -> None:
    await opened(ann, site)
    (look,) = site.parts.looks._looks.values()
    async with TestServer(elsewhere()) as impostor:
        look.address = str(impostor.make_url("")).rstrip("/")
        with pytest.raises(LostError, match="302"):
            await reading.listing(site.parts.session, look, "")


def elsewhere() -> web.Application:
    """A server that sends whoever asks it to another address, where there is an answer."""

    async def there(_request: web.Request) -> web.Response:
        return web.json_response({"entries": [], "more": 0})

    async def away(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/there")

    made = web.Application()
    made.add_routes([web.get("/there", there), web.get("/list", away)])
    return made


async def test_what_cannot_be_put_back_is_explained(site: Site, ann: ClientSession) -> None:
    await put_back(ann, site, "hw/lab4.ipynb")
    await until(lambda: (last := site.parts.put_backs.last("ann")) is not None and last.state == "failed")
    assert "did you mean lab3.ipynb" in (await get(ann, f"{site.page}put-back"))[1]


async def test_names_are_text_and_never_markup(site: Site, ann: ClientSession) -> None:
    (site.world.of(ANN) / "<img src=x onerror=alert(1)>").mkdir()
    text = await opened(ann, site)
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


# When it does not work


async def test_a_full_pool_is_said(site: Site, ann: ClientSession) -> None:
    site.world.cluster.no_room = "rpc error: code = ResourceExhausted desc = the pool has 1 GiB left"
    await get(ann, f"{site.page}snapshot/{ANN}/files/")
    await until(lambda: not site.parts.looks.names)
    status, text = await get(ann, f"{site.page}snapshot/{ANN}/files/")
    assert (status, "There is no room" in text) == (503, True)
    assert site.world.left == []
    site.world.cluster.no_room = ""
    assert "hw" in await opened(ann, site)


async def test_when_too_many_look_the_next_is_told(site: Site, ann: ClientSession) -> None:
    site.parts.looks._at_once = 1
    await opened(ann, site)
    async with site.browser("ben") as ben:
        status, text = await get(ben, f"{site.page}snapshot/{BEN}/files/")
    assert (status, "Many students are looking" in text) == (503, True)


async def test_a_reader_that_is_gone_is_made_anew(site: Site, ann: ClientSession) -> None:
    await opened(ann, site)
    (name,) = site.parts.looks.names
    site.world.stop(name)
    assert "hw" in await opened(ann, site)
    assert site.parts.looks.names != {name}


async def test_a_cluster_that_does_not_answer_is_said(
    site: Site, ann: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_student: str) -> None:
        raise ClusterError("list", "VolumeSnapshot objects", "secret.internal refused", "")

    monkeypatch.setattr(site.world, "snapshots", broken)
    status, text = await get(ann, site.page)
    assert (status, "secret.internal" in text) == (500, False)
    assert handlers.WORDS[500] in text


# Whose it is


async def test_who_is_not_logged_in_sees_nothing(site: Site) -> None:
    async with site.browser("") as nobody:
        for address in ("", f"snapshot/{ANN}/files/", f"snapshot/{ANN}/file/hw/lab3.ipynb", "put-back", "x"):
            assert (await get(nobody, f"{site.page}{address}"))[1] == "Log in."
    assert site.world.left == []


@pytest.mark.parametrize("what", ["files/", "files/ben.txt", "file/ben.txt", "folder/", "folder/x"])
async def test_another_students_snapshot_is_not_there(site: Site, ann: ClientSession, what: str) -> None:
    async with site.browser("ben") as ben:
        await opened(ben, site, BEN)
        theirs = await get(ann, f"{site.page}snapshot/{BEN}/{what}")
        nobodys = await get(ann, f"{site.page}snapshot/claim-x-20261125-090000/{what}")
    assert theirs == nobodys
    assert (theirs[0], "You have no such snapshot" in theirs[1]) == (404, True)
    assert "ben" not in theirs[1]


async def test_another_students_files_are_not_put_back(site: Site, ann: ClientSession) -> None:
    status, _text = await put_back(ann, site, "ben.txt", snapshot=BEN)
    assert status == 404
    assert site.parts.put_backs.last("ann") is None
    assert not (site.world.home("ann") / "restored").exists()


async def test_what_a_request_says_of_a_student_counts_for_nothing(site: Site, ann: ClientSession) -> None:
    token = xsrf(await opened(ann, site))
    address = f"{site.page}snapshot/{BEN}/put-back?student=ben&user=ben"
    body = {"_xsrf": token, "path": "ben.txt", "student": "ben", "disk": "claim-ben"}
    async with ann.post(address, data=body, headers={"X-Forwarded-User": "ben"}) as answer:
        assert answer.status == 404
    assert BEN not in (await get(ann, f"{site.page}?student=ben&disk=claim-ben"))[1]


@pytest.mark.parametrize("name", ["../claim-ben-20261125-090000", "..%2F" + BEN, BEN + "%00", BEN.upper(), "%2e%2e"])
async def test_no_spelling_of_a_name_leads_to_another_student(site: Site, ann: ClientSession, name: str) -> None:
    status, text = await get(ann, f"{site.page}snapshot/{name}/files/")
    assert status == 404
    assert "ben.txt" not in text


@pytest.mark.parametrize("who", ["service:ann", "mallory"])
async def test_a_service_of_that_name_and_who_has_no_access_stay_out(site: Site, who: str) -> None:
    async with site.browser(who) as browser:
        status, text = await get(browser, site.page)
    assert (status, ANN in text) == (403, False)


async def test_a_user_called_like_a_claim_gets_no_disk_whose_student_is_unknown(site: Site) -> None:
    item = site.world.cluster.disk("zoe")
    del item["metadata"]["annotations"]
    kept = site.world.cluster.snapshot("2026-11-25T09:00:00Z", student="zoe")
    # A snapshot of such a disk is said to be that of a student called like the claim.
    kept["metadata"]["annotations"]["hub.jupyter.org/username"] = "claim-zoe"
    async with site.browser("claim-zoe") as browser:
        assert "No snapshot of your files" in (await get(browser, site.page))[1]
        assert (await get(browser, f"{site.page}snapshot/{kept['metadata']['name']}/files/"))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "..%2F..%2F" + BEN, "%2e%2e/" + BEN, "hw/..%2f..%2f..", "trap", "trap/passwd", "trap%2Fpasswd", "/etc/passwd",
        "%2Fetc%2Fpasswd", "hw%00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("what", ["files", "file", "folder"])
async def test_nothing_leads_out_of_a_snapshot(site: Site, ann: ClientSession, what: str, path: str) -> None:
    (site.world.of(ANN) / "trap").symlink_to("/etc")
    await opened(ann, site)
    async with ann.get(f"{site.page}snapshot/{ANN}/{what}/{path}", allow_redirects=False) as answer:
        assert (answer.status, "root:" in await answer.text()) == (404, False)


# Requests that another page made


@pytest.mark.parametrize("token", ["wrong", "2|1|x"])
async def test_without_the_pages_own_word_nothing_is_put_back(site: Site, ann: ClientSession, token: str) -> None:
    await opened(ann, site)
    assert (await put_back(ann, site, "hw", token=token))[0] == 403
    async with ann.post(f"{site.page}snapshot/{ANN}/put-back", data={"path": "hw"}) as answer:
        assert answer.status == 403
    assert site.parts.put_backs.last("ann") is None


async def test_the_word_of_another_student_is_none(site: Site, ann: ClientSession) -> None:
    await opened(ann, site)
    async with site.browser("ben") as ben:
        token = xsrf(await opened(ben, site, BEN))
    assert (await put_back(ann, site, "hw", token=token))[0] == 403


async def test_putting_back_takes_more_than_a_link(site: Site, ann: ClientSession) -> None:
    assert (await get(ann, f"{site.page}snapshot/{ANN}/put-back?path=hw"))[0] == 405
    assert site.parts.put_backs.last("ann") is None


async def test_no_other_page_may_frame_or_fetch_it(site: Site, ann: ClientSession) -> None:
    async with ann.get(site.page) as answer:
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    async with ann.get(site.page, headers=headers, allow_redirects=False) as answer:
        assert answer.status != 200

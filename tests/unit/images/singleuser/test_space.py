"""How full a disk is, in numbers and in words."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from campus_singleuser import space
from hypothesis import given
from hypothesis import strategies as st

BLOCK = 4096
GIB = 1 << 30
# What JupyterLab shows of a notification.
SHOWN = 140


def disk(used: int, free: int, files: tuple[int, int] = (10, 990), for_root: int = 0) -> space.Space:
    """Return a disk of so many blocks used, free and kept for root, with so many files used and free."""
    blocks = (used + free + for_root, free + for_root, free)
    return space.Space.of(os.statvfs_result((BLOCK, BLOCK, *blocks, sum(files), files[1], files[1], 0, 255)))


@pytest.mark.parametrize(
    ("percent", "kind"),
    [(0, "default"), (79, "default"), (80, "warning"), (94, "warning"), (95, "error"), (100, "error")],
)
def test_the_steps_of_bytes_and_of_files(percent: int, kind: str) -> None:
    assert disk(percent * 1000, (100 - percent) * 1000).told()["kind"] == kind
    assert disk(1, 99, (percent, 100 - percent)).told()["kind"] == kind


def test_what_the_page_shows() -> None:
    advice = "Delete what you do not need, or ask the staff for more room."
    assert disk(1700 * 256, 300 * 256).told() == {
        "used": 1700 << 20,
        "free": 300 << 20,
        "kind": "warning",
        "label": "Disk: 1.6 GiB used, 300 MiB free",
        "message": f"Your disk is 85 % full: 300 MiB are free. {advice}",
    }


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (disk(500, 500), "^Your disk is 50 % full: 1.9 MiB are free.$"),
        (disk(99_000, 1000), "Your disk is 99 % full: 3.9 MiB are free. Soon nothing can be saved. Delete"),
        (disk(99_999, 1), "Your disk is 99 % full: 4.0 KiB are free. Nothing can be saved. Delete"),
        (disk(1000, 0), "Your disk is 100 % full: 0 B are free. Nothing can be saved. Delete"),
        (disk(500, 500, (97, 3)), "Your disk holds 97 % of the files that it can. Soon nothing can be saved. Delete"),
        (disk(500, 500, (100, 0)), "Your disk holds 100 % of the files that it can. Nothing can be saved. Delete"),
    ],
)
def test_what_is_said(found: space.Space, words: str) -> None:
    assert re.match(words, found.told()["message"])


def test_what_is_kept_for_root_is_not_the_student_s() -> None:
    kept = disk(950, 0, for_root=50)

    assert kept.told()["kind"] == "error"
    assert (kept.used, kept.free, kept.bytes_share) == (950 * BLOCK, 0, 1)


def test_a_file_system_that_does_not_count_files() -> None:
    assert disk(10, 90, (0, 0)).told()["kind"] == "default"


COUNTS = st.integers(0, 1 << 50)


@given(COUNTS, COUNTS, st.tuples(COUNTS, COUNTS), COUNTS)
def test_a_warning_is_never_cut_off_and_names_its_reason(
    used: int, free: int, files: tuple[int, int], for_root: int
) -> None:
    told = disk(used, free, files, for_root).told()
    percent = re.search(r"(\d+) %", told["message"])
    assert percent
    assert len(told["message"]) <= SHOWN
    assert 0 <= int(percent[1]) <= 100
    if told["kind"] != "default":
        assert int(percent[1]) >= (95 if told["kind"] == "error" else 80)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (99 * 1024 + 1023, "99.9 KiB"),
        (100 * 1024, "100 KiB"),
        (GIB - 1, "1023 MiB"),
        (2 * GIB, "2.0 GiB"),
        (5000 << 40, "5000 TiB"),
    ],
)
def test_sizes_as_people_read_them(size: int, text: str) -> None:
    assert space.show(size) == text


def test_a_real_disk(tmp_path: Path) -> None:
    found = space.measure(str(tmp_path))
    figures = os.statvfs(tmp_path)

    assert found.used + found.free <= figures.f_blocks * figures.f_frsize
    assert 0 <= found.bytes_share <= 1

"""What is written into the log comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.tests.faults import records
from ansible_collections.campus.jupyterhub.tests.faults.records import Kind, Record
from ansible_collections.campus.jupyterhub.tests.unit.faults.logs import answered, refused
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(max_size=30)
NUMBERS = st.floats(min_value=0, max_value=2e9)
RECORDS = st.builds(
    Record,
    at=NUMBERS,
    student=st.text(min_size=1, max_size=30),
    kind=st.sampled_from(Kind),
    status=st.integers(0, 599),
    latency=NUMBERS,
    reason=TEXTS,
    owner=TEXTS,
    digest=TEXTS,
    number=st.integers(-1, 10**9),
    lost=st.integers(0, 1000),
)


@given(RECORDS)
def test_a_record_is_one_line_and_comes_back(record: Record) -> None:
    line = record.line()
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert Record.parse(line) == record


def test_a_log_is_read_by_time_and_without_its_unfinished_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    records.write([refused(3), answered(1)], path)
    records.write([answered(2)], path)
    with path.open("a") as log:
        log.write(answered(4).line()[:20])
    assert records.read(path) == [answered(1), answered(2), refused(3)]


@pytest.mark.parametrize("line", ["", "nothing", "[]", "{}", '{"at": 1, "student": "ann", "kind": "unheard of"}'])
def test_what_is_no_record_is_refused(line: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Record.parse(line)

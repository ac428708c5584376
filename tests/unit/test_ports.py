"""No two tests get the same port."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.campus.jupyterhub.tests.unit import ports

OTHER = "import sys; sys.path[:0] = {path!r}; from {module} import _reserve; print(_reserve({port}))"


def test_no_port_is_given_twice() -> None:
    given = [ports.free_port() for _unused in range(300)]
    assert len(set(given)) == 300


def test_another_process_does_not_get_it_though_nothing_listens() -> None:
    code = OTHER.format(path=sys.path, module=ports.__name__, port=ports.free_port())
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout
    assert said == "False\n"


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ((32768, 60999), [*range(10_000, 32_768), *range(61_000, 65_536)]),
        ((1024, 65000), list(range(10_000, 65_536))),
        ((15000, 65535), list(range(10_000, 15_000))),
    ],
)
def test_the_kernel_s_own_ports_are_left_alone(kernel: tuple[int, int], expected: list[int]) -> None:
    assert ports.outside(*kernel) == expected

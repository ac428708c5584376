"""What the modules that change students' disks have in common: the right cluster, one sentence, and who failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _student_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_module import run_module

Json = dict[str, Any]


class EndedError(Exception):
    """A module says how it ended, and runs no further."""


class Module:
    """Notes how it ends."""

    def __init__(self, arguments: Json, supports_check_mode: bool) -> None:
        self.params = {name: each["default"] for name, each in arguments.items()}
        self.check_mode = supports_check_mode

    def exit_json(self, **result: Any) -> None:
        raise EndedError("well", result)

    def fail_json(self, **result: Any) -> None:
        raise EndedError("badly", result)


class Cluster:
    """Knows its uid."""

    def expect_uid(self, wanted: str) -> None:
        if wanted not in ("", "ours"):
            raise ClusterError("use", "this cluster", "its uid is ours", "")


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How a run ends, and with what result."""
    monkeypatch.setattr(_student_module, "new_module", Module)
    monkeypatch.setattr(_student_module, "connect", lambda _module: Cluster())

    def run(
        outcome: Json | Exception, uid: str = "", failures: str = "failed_disks", namespace: str = "jupyterhub"
    ) -> tuple[str, Json]:
        def act(_cluster: Any, options: Any, check_mode: bool) -> Json:
            if isinstance(outcome, Exception):
                raise outcome
            return {**outcome, "seen": (options["size"], check_mode)}

        given = {"namespace": namespace, "cluster_uid": uid, "size": 3}
        with pytest.raises(EndedError) as ended:
            run_module({name: {"default": value} for name, value in given.items()}, act, failures)
        how, result = ended.value.args
        return how, result

    return run


def test_what_was_done_is_the_result(end: Any) -> None:
    done = {"changed": True, "failed_disks": 0}
    assert end(done) == ("well", {**done, "seen": (3, True)})
    assert end({"changed": True}, failures="")[0] == "well"


def test_one_that_failed_fails_the_module_with_all_of_the_result(end: Any) -> None:
    how, result = end({"failed_disks": 1, "msg": "one"})
    assert (how, result["failed_disks"], result["msg"]) == ("badly", 1, "one")


@pytest.mark.parametrize("error", [SelectionError("no"), RestoreError("no")])
def test_a_refusal_is_a_sentence(end: Any, error: Exception) -> None:
    assert end(error) == ("badly", {"msg": "no"})


def test_another_cluster_is_let_be(end: Any) -> None:
    how, result = end(SimpleNamespace(), uid="another")
    assert (how, result["msg"]) == ("badly", "Could not use this cluster: its uid is ours.")


def test_an_empty_namespace_is_refused_before_anything_is_asked(end: Any) -> None:
    how, result = end(AssertionError("the module went on"), namespace="", uid="another")
    assert (how, result) == (
        "badly",
        {"msg": "namespace is empty; name the one that the hub is in, such as jupyterhub."},
    )

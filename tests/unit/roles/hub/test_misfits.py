"""What the preflight says of the storage classes and the Secret that are there, or are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Evaluate = Callable[[str, list[str], list[Json]], list[list[Any]]]

NO_CLASS = "StorageClass nowhere does not exist in the cluster; set hub_storage_class to one of: gp3."
OURS, OWN = {"hub_storage_class": "gp3"}, {"hub_storage_class": "gp3", "hub_existing_secret": "own"}
AHEAD = {"jupyterhub_ahead": True}


def answer(kind: str, *names: str) -> Json:
    """An answer of the cluster."""
    return {"kind": kind, "api_found": True, "resources": [{"metadata": {"name": name}} for name in names]}


CASES: list[tuple[Json, list[Json], list[str]]] = [
    (OURS, [answer("StorageClass", "gp3"), answer("Secret")], []),
    ({"hub_storage_class": "nowhere"}, [answer("StorageClass", "gp3"), answer("Secret")], [NO_CLASS]),
    ({**AHEAD, "hub_storage_class": "jupyterhub"}, [], []),
    (
        {"hub_storage_class": "jupyterhub"},
        [answer("StorageClass"), answer("Secret")],
        ["one of: none is there, create"],
    ),
    (OWN, [answer("StorageClass", "gp3"), answer("Secret")], ["Secret own does not exist in namespace"]),
    ({**OWN, **AHEAD}, [answer("StorageClass", "gp3"), answer("Secret")], ["Secret own does not exist in namespace"]),
    # Nobody could look; the real run says it.
    ({**OWN, **AHEAD}, [answer("StorageClass", "gp3")], []),
    (
        {**OWN, "hub_storage_class": "nowhere"},
        [answer("StorageClass", "gp3"), answer("Secret")],
        [NO_CLASS, "Secret own does not exist in namespace"],
    ),
]


def test_what_does_not_fit_is_said(evaluate: Evaluate) -> None:
    given = {"ansible_check_mode": False, "hub_db_storage_class": ""}
    cases = [{**given, **options, "__hub_looked": {"answers": answers}} for options, answers, _says in CASES]
    said = [value for (value,) in evaluate("hub", ["__hub_misfits"], cases)]
    for texts, (options, _answers, says) in zip(said, CASES, strict=True):
        assert len(texts) == len(says), (options, texts)
        assert all(words in text for words, text in zip(says, texts, strict=True)), (options, texts)

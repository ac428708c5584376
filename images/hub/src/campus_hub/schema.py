"""Print every configurable class of the image with its traits, so that a wrong hub_config is refused early.

Usage: python -m campus_hub.schema > jupyterhub-<version>.json
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from traitlets import TraitType
from traitlets.config import Configurable

PACKAGES = ("jupyterhub", "kubespawner", "oauthenticator", "ltiauthenticator", "nativeauthenticator", "campus_hub")
# Left out: what runs in the student's container, and modules that only tests or migrations import.
SKIPPED = ("tests", "alembic", "singleuser")
DISTRIBUTIONS = (
    "jupyterhub",
    "jupyterhub-kubespawner",
    "oauthenticator",
    "jupyterhub-ltiauthenticator",
    "jupyterhub-nativeauthenticator",
)
# Their defaults come from the machine at hand; the schema must be the same everywhere.
MACHINE = {
    "n_threads",
    "data_files_path",
    "template_paths",
    "logo_file",
    "statsd_host",
    "pycurl",
    "singleuser_image_spec",
}


def _modules(package: str) -> Iterator[str]:
    """Yield the importable modules of a package, in a stable order."""
    root = importlib.import_module(package)
    yield package
    for found in sorted(pkgutil.walk_packages(root.__path__, f"{package}."), key=lambda item: item.name):
        parts = found.name.split(".")
        if not any(part in SKIPPED or part.startswith("__") for part in parts[1:]):
            yield found.name


def import_all() -> None:
    """Import every module of the shipped packages that can be imported here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in PACKAGES:
            with contextlib.suppress(ImportError):
                for name in _modules(package):
                    with contextlib.suppress(ImportError):
                        importlib.import_module(name)


def _subclasses(cls: Any) -> Iterator[Any]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def shipped_classes() -> list[Any]:
    """Return the shipped Configurable classes and those they inherit from, ordered by module and name."""
    found: set[Any] = set()
    for cls in _subclasses(Configurable):
        package, *inner = cls.__module__.split(".")
        if package in PACKAGES and not set(inner) & set(SKIPPED):
            found.update(base for base in cls.__mro__ if isinstance(base, type) and issubclass(base, Configurable))
    return sorted(found, key=lambda cls: (cls.__name__, cls.__module__))


def _default(name: str, trait: TraitType[Any, Any]) -> str:
    """Return the default as text: the same on every machine, empty where it is only known at run time."""
    if name in MACHINE:
        return ""
    try:
        text = str(trait.default_value_repr())
    except Exception:
        return ""
    if " at 0x" in text or text.startswith("traitlets.") or text == "Undefined":
        return ""
    for path in (sys.prefix, os.getcwd()):
        if len(path) > 1 and path in text:
            return ""
    return text if len(text) <= 200 else ""


def _first_line(text: str) -> str:
    """Return the first line of a help text that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def describe(cls: Any) -> dict[str, Any]:
    """Describe one class: module, classes it takes settings from, own settable traits, traits it takes away."""
    own = cls.class_own_traits(config=True)
    bases: list[Any] = [base for base in cls.__mro__ if isinstance(base, type) and issubclass(base, Configurable)]
    inherited = {name for base in bases for name in base.class_own_traits(config=True)}
    described: dict[str, Any] = {
        "module": cls.__module__,
        "mro": [base.__name__ for base in bases],
        "traits": {
            name: {
                "type": type(trait).__name__,
                "default": _default(name, trait),
                "help": _first_line(trait.help or ""),
            }
            for name, trait in sorted(own.items())
        },
    }
    hidden = sorted(inherited - set(cls.class_trait_names(config=True)))
    if hidden:
        described["hidden"] = hidden
    return described


def schema() -> dict[str, Any]:
    """Return the versions of the packages and the description of every shipped class by its name."""
    import_all()
    classes: dict[str, Any] = {}
    for cls in shipped_classes():
        described = describe(cls)
        known = classes.setdefault(cls.__name__, described)
        if known is not described:
            # Two classes of one name share a section of the configuration.
            known["traits"] = dict(sorted({**known["traits"], **described["traits"]}.items()))
            known["mro"] += [name for name in described["mro"] if name not in known["mro"]]
            known.pop("hidden", None)
    versions: dict[str, str] = {}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {"versions": versions, "classes": classes}


def main() -> None:
    """Print the schema as JSON with sorted keys."""
    json.dump(schema(), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks hub_config against the classes and traits that the hub's image brings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

Schema = Mapping[str, Any]

# Kind of value, in the words of YAML, that each type of trait takes; types that take more than one kind are not listed.
_KINDS: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "Bool": ("true or false", (bool,)),
    "Int": ("a whole number", (int,)),
    "Integer": ("a whole number", (int,)),
    "Float": ("a number", (int, float)),
    "Unicode": ("text", (str,)),
    "URLPrefix": ("text", (str,)),
    "List": ("a list", (list,)),
    "Tuple": ("a list", (list,)),
    "Set": ("a list", (list,)),
    "Dict": ("a mapping", (Mapping,)),
    "Command": ("text or a list", (str, list)),
    "ByteSpecification": ("a number of bytes or text such as 1G", (int, float, str)),
}


def problems(config: Mapping[str, Any], schema: Schema, extra_classes: Collection[str]) -> Iterator[str]:
    """One sentence for each class or trait that the hub does not know, and for each value of a wrong kind."""
    classes = schema["classes"]
    for cls, traits in config.items():
        if cls in classes:
            yield from _trait_problems(cls, traits, traits_of(cls, schema))
        elif cls not in extra_classes:
            yield (
                f"hub_config: the hub's image has no class {cls!r}{nearest(cls, classes)};"
                " correct the name, or list the class in hub_extra_classes when your own image brings it."
            )


def traits_of(cls: str, schema: Schema) -> dict[str, Any]:
    """Every trait that may be set on a class, inherited ones included."""
    classes = schema["classes"]
    described = classes[cls]
    traits: dict[str, Any] = {}
    for base in reversed(described["mro"]):
        traits.update(classes.get(base, {}).get("traits", {}))
    return {name: trait for name, trait in traits.items() if name not in described.get("hidden", ())}


def nearest(name: str, names: Collection[str]) -> str:
    """The known names most like a wrong one, as the middle of a sentence; empty when none is."""
    by_lower = {known.lower(): known for known in names}
    close = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.7)]
    return f" (nearest: {', '.join(close)})" if close else ""


def _trait_problems(cls: str, traits: object, known: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(traits, Mapping):
        yield f"hub_config: {cls} takes a mapping, not {_shown(traits)}; write '{cls}: {{trait: value}}'."
        return
    for trait, value in traits.items():
        if trait not in known:
            near = nearest(str(trait), known)
            yield f"hub_config: {cls} has no trait {trait!r}{near}; correct the name or leave it out."
        else:
            yield from _kind_problems(f"{cls}.{trait}", value, known[trait]["type"])


def _kind_problems(where: str, value: object, trait_type: str) -> Iterator[str]:
    if trait_type == "Callable" and value is not None:
        yield f"hub_config: {where} takes a Python function; set it in hub_extra_config as 'c.{where} = …'."
    if value is None or trait_type not in _KINDS:
        return
    words, kinds = _KINDS[trait_type]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        yield f"hub_config: {where} takes {words}, not {_shown(value)}."


def _shown(value: object) -> str:
    """What kind of value it is; never the value, which may be a secret."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, Mapping):
        return "a mapping"
    words = {str: "text", list: "a list", int: "a whole number", float: "a number"}
    return next((word for kind, word in words.items() if isinstance(value, kind)), "nothing")

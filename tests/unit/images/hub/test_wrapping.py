"""A method of somebody else's is wrapped once."""

from __future__ import annotations

from collections.abc import Callable

from campus_hub.wrapping import wrap


class Greeter:
    """Somebody else's."""

    def greet(self) -> str:
        return "hello"


Greeter.greet.__module__ = "elsewhere"


def loudly(greet: Callable[[Greeter], str]) -> Callable[[Greeter], str]:
    def wrapped(self: Greeter) -> str:
        return f"{greet(self)}!"

    return wrapped


def test_it_is_wrapped_once() -> None:
    wrap(Greeter, "greet", loudly)
    wrap(Greeter, "greet", loudly)
    assert Greeter().greet() == "hello!"

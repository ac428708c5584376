"""The lookup key, held against another way to say the same."""

from __future__ import annotations

import pytest
from campus_proxy.routing import MAX_KEY, BadRoutespec, host_key, path_key, routespec_key
from hypothesis import given
from hypothesis import strategies as st

PATHS = st.text("/.%aZ~@ 0b2fF5eEé'+;=\\", max_size=30).map("/".__add__)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/", "/"),
        ("", "/"),
        ("/user/ann", "/user/ann/"),
        ("/user/ann/", "/user/ann/"),
        ("/user/ann/lab/tree/a.ipynb", "/user/ann/lab/tree/a.ipynb/"),
        ("/user/%61nn/", "/user/ann/"),
        ("/user/ann%2fb/", "/user/ann%2Fb/"),
        ("/user/ann%2Fb/", "/user/ann%2Fb/"),
        ("/user/%c3%a9va/", "/user/%C3%A9va/"),
        ("/user/éva/", "/user/%C3%A9va/"),
        ("/user/a@uni.edu/", "/user/a@uni.edu/"),
        ("/user/a%40uni.edu/", "/user/a@uni.edu/"),
        ("/user/o'neill/", "/user/o%27neill/"),
        ("/user/o%27neill/", "/user/o%27neill/"),
        ("//user///ann//", "/user/ann/"),
        ("/user/./ann/.", "/user/ann/"),
        ("/user/bob/../ann/", "/user/ann/"),
        ("/user/bob/%2e%2E/ann/", "/user/ann/"),
        ("/user/a/..%2f", "/user/a/..%2F/"),
        ("/../../user/ann/", "/user/ann/"),
        ("/user/%", "/user/%25/"),
        ("/user/%4", "/user/%254/"),
        ("/user/%%41", "/user/%25A/"),
        ("/user/%zz", "/user/%25zz/"),
        ("/user/%00", "/user/%00/"),
        ("/user/Ann/", "/user/Ann/"),
        ("/user/...", "/user/.../"),
    ],
)
def test_the_key_of_a_path(path: str, key: str) -> None:
    assert path_key(path) == key


@given(PATHS)
def test_a_key_is_its_own_key(path: str) -> None:
    assert path_key(path_key(path)) == path_key(path)


@given(PATHS)
def test_a_key_is_made_of_harmless_characters(path: str) -> None:
    key = path_key(path)
    assert key.startswith("/")
    assert key.endswith("/")
    assert key.isascii()
    assert not set(key) & set(" \\;|<>#!\t\r\n")
    assert "//" not in key
    assert not {".", ".."} & set(key.split("/"))


@given(st.text("ab/%", min_size=1, max_size=8), st.text("ab/%", min_size=1, max_size=8))
def test_two_names_share_a_key_only_when_they_are_the_same_name(one: str, other: str) -> None:
    def quote(name: str) -> str:
        return "".join(f"%{ord(c):02x}" if c in "/%" else c for c in name)

    assert (path_key(f"/user/{quote(one)}/") == path_key(f"/user/{quote(other)}/")) == (one == other)


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("Hub.Example.ORG", "hub.example.org"),
        ("hub.example.org:8000", "hub.example.org"),
        ("[::1]:8000", "[::1]"),
        ("127.0.0.1", "127.0.0.1"),
        ("", ""),
        ("!applied", ""),
        ("a b", ""),
        ("a..b", ""),
    ],
)
def test_the_key_of_a_host(host: str, key: str) -> None:
    assert host_key(host) == key


@pytest.mark.parametrize(
    ("routespec", "key"),
    [
        ("/", "/"),
        ("/user/ann/", "/user/ann/"),
        ("/user/a%40b/", "/user/a@b/"),
        ("Ann.example.org/user/ann/", "ann.example.org/user/ann/"),
        ("hub.example.org/", "hub.example.org/"),
    ],
)
def test_the_key_of_a_routespec(routespec: str, key: str) -> None:
    assert routespec_key(routespec) == key


@pytest.mark.parametrize(
    ("routespec", "reason"),
    [
        ("", "slash"),
        ("user", "slash"),
        ("/user/ann", "slash"),
        ("/user/../", "dot segments"),
        ("/user/%2e%2E/", "dot segments"),
        ("/user/a\nb/", "control"),
        ("/user/a b/", "blanks"),
        ("/user/a\x7f/", "control"),
        ("a:80/user/ann/", "host"),
        ("a;b/user/ann/", "host"),
        ("/" + "a" * MAX_KEY + "/", "longer"),
    ],
)
def test_a_routespec_that_is_refused(routespec: str, reason: str) -> None:
    with pytest.raises(BadRoutespec, match=reason):
        routespec_key(routespec)

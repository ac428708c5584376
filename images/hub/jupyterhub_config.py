"""All of the hub's configuration comes from campus_hub.config and the files that it reads."""

from campus_hub.config import configure

configure(get_config())  # type: ignore[name-defined]  # noqa: F821  # pylint: disable=undefined-variable

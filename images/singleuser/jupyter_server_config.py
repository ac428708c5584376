"""Settings of every student's server; a student's own in ~/.jupyter go before them."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # pylint: disable=undefined-variable

# Without internet the list of extensions would hang, and what it installs would be lost with the pod.
c.LabApp.extension_manager = "readonly"

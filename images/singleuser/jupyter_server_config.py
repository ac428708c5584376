"""Settings of every student's server; a student's own in ~/.jupyter go before them."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # pylint: disable=undefined-variable

# Without internet the list of extensions would hang, and what it installs would be lost with the pod.
c.LabApp.extension_manager = "readonly"

# The trash is a hidden folder on the student's own disk that nobody empties: what is moved there frees nothing, and on
# a full disk not even that works. JupyterLab asks before it deletes.
c.FileContentsManager.delete_to_trash = False
c.FileContentsManager.always_delete_dir = True

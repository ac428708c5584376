"""How Sphinx builds the documentation; `make docs` puts the reference of plugins and roles beside these files first."""

project = "campus.jupyterhub"
author = "campus.jupyterhub contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
exclude_patterns: list[str] = []
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Links to files outside of docs/ hold where the code is shown, and a test follows them all; kubernetes.core's own words
# refer to pages of Ansible's site.
suppress_warnings = ["misc.highlighting_failure", "myst.xref_missing", "ref.ref"]
html_theme = "alabaster"
html_title = "campus.jupyterhub"
html_theme_options = {"description": "A JupyterHub that stays up", "fixed_sidebar": True}
highlight_language = "yaml"

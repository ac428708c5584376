# mypy: ignore-errors
"""Run while the image is built: what a first course does has to work with the pinned packages."""

import sys
from pathlib import Path

import datascience
import folium
import matplotlib
import nbconvert
import nbgitpuller
import numpy as np
import pandas as pd
import scipy.stats
from jupyterlab_server.config import get_federated_extensions

matplotlib.use("Agg")

table = datascience.Table().with_columns("a", [1, 2, 3], "b", ["x", "y", "x"], "c", [3.0, 4.0, 5.0])
numbers = table.select("a", "c")
assert table.group("b").num_rows == 2
assert table.where("a", datascience.are.above(1)).join("a", table).num_rows == 2
assert table.pivot("b", "a", "c", sum).num_columns == 3
assert datascience.Table.from_df(table.to_df()).num_rows == 3
numbers.hist()
numbers.boxplot()
table.scatter("a", "c", fit_line=True)
table.barh("b", "c")
table.iscatter("a", "c", show=False)
assert datascience.Marker(37, -122).as_html()

frame = pd.DataFrame({"when": pd.date_range("2030-01-01", periods=3), "value": np.arange(3)})
assert frame.describe().loc["mean", "value"] == 1
assert 0 < scipy.stats.ttest_ind([1, 2, 3], [2, 3, 4]).pvalue < 1
extensions = get_federated_extensions([str(Path(sys.prefix, "share/jupyter/labextensions"))])
assert extensions["campus-singleuser"]["jupyterlab"]["_build"]["load"] == "static/disk.js"
assert all(module.__name__ for module in (folium, nbconvert, nbgitpuller))

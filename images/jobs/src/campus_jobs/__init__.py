"""What the image of the jobs runs besides the collection's own modules: the figures about snapshots."""

__version__ = "0.1.0"

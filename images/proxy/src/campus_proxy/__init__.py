"""A replica of the proxy: HAProxy's launcher and drain hook, and the agent that keeps its routes."""

__version__ = "0.1.0"

"""What campus.jupyterhub adds to JupyterHub: routes in the Kubernetes API, a spawner that leaves servers alone."""

__version__ = "0.1.0"

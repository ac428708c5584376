"""Which faults are done, in which order: the short form in every test run, the full one on its own.

The kubelet makes a container wait that ends a second time within ten minutes. So the rolling update, which brings new
pods, stands between the faults that kill.
"""

from __future__ import annotations

import os

from ansible_collections.campus.jupyterhub.tests.faults.cluster_faults import (
    ApiServerStopped,
    Calm,
    NamesGone,
    NodeLost,
    ReplicaKilledMeanwhile,
)
from ansible_collections.campus.jupyterhub.tests.faults.fault import Fault
from ansible_collections.campus.jupyterhub.tests.faults.hub_faults import (
    DatabaseWiped,
    HubKilled,
    HubKilledForNow,
    HubRestartedOften,
)
from ansible_collections.campus.jupyterhub.tests.faults.proxy_faults import (
    AllReplicasKilled,
    ReplicaCutOff,
    ReplicaHangs,
    ReplicaKilled,
    RollingUpdate,
    WorkerDrained,
)

SHORT = "short"
FULL = "full"
FORM = os.environ.get("JUPYTERHUB_FAULTS", SHORT)
"""The form that is asked for."""


def short() -> list[Fault]:
    """About five minutes."""
    return [
        Calm(5),
        HubKilledForNow(60),
        AllReplicasKilled(15),
        RollingUpdate(0),
        ReplicaKilled(10),
        ReplicaHangs(15),
        ApiServerStopped(20),
        ReplicaKilledMeanwhile(20),
        NamesGone(20),
    ]


def full() -> list[Fault]:
    """About forty minutes; the hub is away for longer than the students' servers remember what it said."""
    return [
        Calm(30),
        HubKilled(480),
        HubKilledForNow(20),
        AllReplicasKilled(40),
        RollingUpdate(0),
        ReplicaKilled(20),
        ReplicaHangs(90, lingers=75),
        RollingUpdate(0),
        ApiServerStopped(240),
        ReplicaKilledMeanwhile(60),
        NamesGone(120),
        HubRestartedOften(20),
        ReplicaCutOff(60),
        WorkerDrained(),
        # Both replicas may be on one node now.
        RollingUpdate(0),
        NodeLost(120),
        DatabaseWiped(30),
    ]


FORMS = {SHORT: short, FULL: full}

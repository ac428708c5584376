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
    WorkerRemoved,
)
from ansible_collections.campus.jupyterhub.tests.faults.fault import Fault
from ansible_collections.campus.jupyterhub.tests.faults.hub_faults import (
    DatabaseKilled,
    DatabaseWiped,
    HubDeletedBesideStandby,
    HubKilled,
    HubKilledBesideStandby,
    HubKilledForNow,
    HubRestartedOften,
)
from ansible_collections.campus.jupyterhub.tests.faults.proxy_faults import (
    AllReplicasKilled,
    ProxyScaled,
    ReplicaCutOff,
    ReplicaHangs,
    ReplicaHangsForLong,
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
    """More than an hour, on a hub with a standby and PostgreSQL.

    Hub and database are away for longer than the students' servers remember what the hub said.
    """
    return [
        Calm(30),
        HubKilled(480),
        HubKilledForNow(20),
        AllReplicasKilled(40),
        RollingUpdate(0),
        ReplicaKilled(20),
        ReplicaHangs(90, lingers=75),
        *three_replicas(),
        ReplicaHangsForLong(servers=50, at_once=5),
        RollingUpdate(0),
        ApiServerStopped(240),
        ReplicaKilledMeanwhile(60),
        NamesGone(120),
        HubKilledBesideStandby(20),
        HubDeletedBesideStandby(20),
        HubRestartedOften(20),
        DatabaseKilled(480),
        ReplicaCutOff(60),
        WorkerDrained(),
        # Both replicas may be on one node now.
        RollingUpdate(0),
        NodeLost(120),
        DatabaseWiped(30),
        WorkerRemoved(),
    ]


def three_replicas() -> list[Fault]:
    """With three replicas: one and all of them killed, with a hub and without."""
    return [
        ProxyScaled(3),
        RollingUpdate(0),
        ReplicaKilled(20, "one of three replicas killed"),
        AllReplicasKilled(20, "three of three replicas killed", hub=True),
        RollingUpdate(0),
        HubKilledForNow(20),
        ReplicaKilled(30, "one of three replicas killed, hub down", hub=False),
        AllReplicasKilled(40, "three of three replicas killed, hub down"),
        ProxyScaled(2),
    ]


FORMS = {SHORT: short, FULL: full}

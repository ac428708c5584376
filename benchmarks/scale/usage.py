"""Processor time and memory of containers, and what the API server counted. The parsing is pure."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import TICKS, cpu_seconds, rss_mib
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube

MEBI = 1 << 20
SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
WATCHED = {
    "hub": "hub",
    "haproxy": "HAProxy",
    "agent": "routes agent",
    "kube-apiserver": "API server",
    "etcd": "etcd",
    "kube-scheduler": "scheduler",
    "kube-controller-manager": "controllers",
    "farm": "farm (simulated)",
}
"""What is watched: the container's name, and what it is called here."""
KWOK = "KWOK (simulated)"
MACHINE = "whole machine"


@dataclass(frozen=True)
class Use:
    """What containers of a kind have used: processor seconds of each since it began, by its pod; the largest's MiB."""

    cpu: Mapping[str, float]
    mib: float


def uses(summaries: list[Mapping[str, Any]]) -> dict[str, Use]:
    """From the kubelets' summaries to what is watched."""
    cpu: dict[str, dict[str, float]] = defaultdict(dict)
    mib: dict[str, float] = defaultdict(float)
    for summary in summaries:
        for pod in summary.get("pods") or []:
            for container in pod.get("containers") or []:
                kind = WATCHED.get(container["name"])
                # A kubelet that has not looked yet leaves figures out.
                used = container.get("cpu", {}).get("usageCoreNanoSeconds")
                if kind and used is not None:
                    cpu[kind][pod["podRef"]["name"]] = used / 1e9
                    mib[kind] = max(mib[kind], container.get("memory", {}).get("workingSetBytes", 0) / MEBI)
    return {kind: Use(cpu[kind], round(mib[kind], 1)) for kind in sorted(cpu)}


def read_uses(kube: Kube, nodes: list[str], kwok: int) -> dict[str, Use]:
    """What is used now, by what is watched, by KWOK's process, and by everything that runs on this machine."""
    query = "only_cpu_and_memory=true"
    summaries = [json.loads(raw(kube, f"/api/v1/nodes/{node}/proxy/stats/summary?{query}")) for node in nodes]
    return {
        **uses(summaries),
        KWOK: Use({KWOK: cpu_seconds([kwok])}, round(rss_mib(kwok), 1)),
        MACHINE: Use({MACHINE: busy_seconds(Path("/proc/stat").read_text())}, 0.0),
    }


def raw(kube: Kube, path: str, accept: str = "*/*") -> str:
    """What the API server answers to a GET, as text. Raises kubernetes.client.ApiException."""
    api = kube.core.api_client
    request = api.param_serialize("GET", path, header_params={"Accept": accept}, auth_settings=["BearerToken"])
    return str(api.call_api(*request).read().decode())


def uids(kube: Kube, selector: str) -> set[str]:
    """Uids of the pods in the hub's namespace; asks for nothing else, since there are thousands."""
    path = f"/api/v1/namespaces/{kube.namespace}/pods?labelSelector={quote(selector)}&resourceVersion=0"
    found = json.loads(raw(kube, path, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"))
    return {item["metadata"]["uid"] for item in found["items"] or []}


def busy_seconds(stat: str) -> float:
    """Processor time that the machine has used, all processes together, from /proc/stat."""
    user, nice, system, _idle, _wait, irq, softirq, *_rest = map(int, stat.splitlines()[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICKS


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, labels and value of each sample in Prometheus' text format."""
    for line in text.splitlines():
        if found := SAMPLE.match(line):
            yield found["name"], dict(LABEL.findall(found["labels"] or "")), float(found["value"])


def total(text: str, name: str, **labels: str) -> float:
    """Sum of a metric's samples with these labels."""
    return sum(
        value
        for each, found, value in samples(text)
        if each == name and all(found.get(key) == wanted for key, wanted in labels.items())
    )


def api_requests(text: str) -> dict[str, float]:
    """Requests that the API server has answered, by verb."""
    counted: dict[str, float] = defaultdict(float)
    for name, labels, value in samples(text):
        if name == "apiserver_request_total":
            counted[labels["verb"]] += value
    return dict(counted)

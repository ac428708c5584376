"""Objects that a role's templates make, as its tests look at them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Objects = dict[tuple[str, str], Json]


def by_name(rendered: list[Json]) -> Objects:
    """Objects by kind and name, none of them twice."""
    found = {(item["kind"], item["metadata"]["name"]): item for item in rendered}
    assert len(found) == len(rendered)
    return found


def without_namespace(found: Objects) -> set[tuple[str, str]]:
    """Kind and name of those that belong to no namespace."""
    return {key for key, item in found.items() if "namespace" not in item["metadata"]}


def assert_restricted(spec: Json) -> None:
    """A pod of one container has the rights of the restricted profile, asks for what it takes, and writes to /tmp."""
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


def assert_bound(found: Objects, count: int) -> None:
    """There are so many bindings, and each has its role and its account."""
    bindings = [item for (kind, _name), item in found.items() if kind in ("RoleBinding", "ClusterRoleBinding")]
    assert len(bindings) == count
    for item in bindings:
        assert (item["roleRef"]["kind"], item["roleRef"]["name"]) in found
        (subject,) = item["subjects"]
        assert found["ServiceAccount", subject["name"]]["metadata"]["namespace"] == subject["namespace"]


def assert_fenced(found: Objects, namespace: str, policy: str, account: str, resource: str) -> None:
    """This policy of a hub denies what it does not allow, of what that account alone does to objects of a kind."""
    full = f"campus-jupyterhub-{namespace}-{policy}"
    spec = found["ValidatingAdmissionPolicy", full]["spec"]
    assert spec["failurePolicy"] == "Fail"
    (condition,) = spec["matchConditions"]
    user = f"system:serviceaccount:{namespace}:{account}"
    assert condition["expression"] == f"request.userInfo.username == '{user}'"
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["operations"], rule["resources"]) == (["CREATE", "UPDATE", "DELETE"], [resource])
    binding = found["ValidatingAdmissionPolicyBinding", full]["spec"]
    assert binding == {"policyName": full, "validationActions": ["Deny"]}
    for validation in spec["validations"]:
        assert validation["message"].startswith(f"The account {account} of the namespace {namespace} ")
        assert validation["reason"] == "Forbidden"

# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which steps lead from what is there to what is wanted, and in which order they run. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ansible_collections.campus.jupyterhub.plugins.module_utils._images import Recipes

PUSH_SECONDS = 10


@dataclass(frozen=True)
class Step:
    """One piece of work; ``action`` is tool, image, serve or push, ``needs`` names the steps before it."""

    action: str
    name: str
    needs: frozenset[str] = frozenset()
    seconds: int = 5
    megabytes: int = 0
    network: bool = False

    @property
    def id(self) -> str:
        """Return what other steps call this one."""
        return f"{self.action} {self.name}"

    @property
    def doing(self) -> str:
        """Return what the progress says about it."""
        return {"tool": "compiling", "image": "building", "serve": "starting", "push": "storing"}[self.action]


@dataclass(frozen=True)
class Present:
    """What is there already: compiled tools, images of the runtime, images that the nodes can pull."""

    tools: Collection[str] = field(default_factory=frozenset)
    images: Collection[str] = field(default_factory=frozenset)
    pushed: Collection[str] = field(default_factory=frozenset)
    serving: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is asked for: programs for this machine, images for the runtime, images that the nodes pull.

    ``serve`` says that the nodes pull from a local registry, which is then an image to build and a container to run.
    """

    tools: Collection[str] = field(default_factory=frozenset)
    images: Collection[str] = field(default_factory=frozenset)
    pushed: Collection[str] = field(default_factory=frozenset)
    serve: bool = False


def plan(recipes: Recipes, wanted: Wanted, present: Present) -> list[Step]:
    """Return the steps that are missing, each one after those that it needs."""
    steps: dict[str, Step] = {}

    def tool(name: str) -> frozenset[str]:
        recipe = recipes.tools[name]
        if name in present.tools:
            return frozenset()
        return add(Step("tool", name, frozenset(), recipe.seconds, recipe.megabytes))

    def image(name: str) -> frozenset[str]:
        recipe = recipes.images[name]
        if name in present.images:
            return frozenset()
        needs = frozenset[str]().union(*(image(other) for other in recipe.needs), *(tool(t) for t in recipe.tools))
        return add(Step("image", name, needs, recipe.seconds, recipe.megabytes, recipe.network))

    def add(step: Step) -> frozenset[str]:
        steps.setdefault(step.id, step)
        return frozenset([step.id])

    for name in sorted(wanted.tools):
        tool(name)
    for name in sorted(wanted.images):
        image(name)
    served: frozenset[str] = frozenset()
    if wanted.serve and not present.serving:
        served = add(Step("serve", "registry", image("registry"), 2))
    for name in sorted(set(wanted.pushed) - set(present.pushed)):
        megabytes = recipes.images[name].megabytes // 4
        add(Step("push", name, image(name) | served, PUSH_SECONDS, megabytes))
    return list(steps.values())


def remaining_path(steps: Iterable[Step]) -> dict[str, int]:
    """Return for each step the seconds of the longest chain of work that begins with it."""
    by_id = {step.id: step for step in steps}
    followers: dict[str, list[str]] = {name: [] for name in by_id}
    for step in by_id.values():
        for need in step.needs & by_id.keys():
            followers[need].append(step.id)
    lengths: dict[str, int] = {}

    def length(name: str) -> int:
        if name not in lengths:
            lengths[name] = by_id[name].seconds + max((length(other) for other in followers[name]), default=0)
        return lengths[name]

    return {name: length(name) for name in by_id}


def choose(ready: Collection[Step], running: Collection[Step], urgency: dict[str, int]) -> Step | None:
    """Return the step to start next: the most urgent one, but beside compilers rather one that downloads."""
    if not ready:
        return None
    compiling = any(not step.network for step in running)
    downloading = any(step.network for step in running)
    best = [step for step in ready if step.network] if compiling and not downloading else []
    return max(best or ready, key=lambda step: (urgency[step.id], step.id))


def megabytes(steps: Iterable[Step]) -> int:
    """Return the disk space that the steps need, in MB."""
    return sum(step.megabytes for step in steps)

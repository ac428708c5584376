# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plans: nothing that is there, everything that is missing, each step after those that it needs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _images_plan as plans
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import Binaries, Image, Recipes, Tool
from hypothesis import given
from hypothesis import strategies as st

# What each image of the example needs: images and tools.
NEEDS: dict[str, tuple[set[str], set[str]]] = {
    "base": (set(), set()),
    "pause": ({"base"}, set()),
    "proxy": ({"base"}, {"kubernetes"}),
    "node": ({"base", "pause", "proxy"}, {"kubernetes", "cni"}),
    "registry": (set(), {"registry"}),
    "hub": ({"base"}, set()),
}
TOOLS = ("kubernetes", "cni", "registry", "kind")


def image(name: str) -> Image:
    needs, tools = NEEDS[name]
    return Image(
        name=name,
        folder=Path(name),
        version="1",
        upstream="",
        binaries=tuple(Binaries(tool, (tool,), "bin") for tool in sorted(tools)),
        archive=tuple((other, f"carried/{other}") for other in sorted(needs - {"base"})),
        args=(),
        uses_base="base" in needs,
        seconds=10,
        megabytes=100,
        network=name in {"base", "hub"},
    )


RECIPES = Recipes(
    root=Path(),
    debian={},
    tools={name: Tool(name, name, "v1", (), (), 50 if name == "kubernetes" else 5, 1000) for name in TOOLS},
    images={name: image(name) for name in NEEDS},
    versions={},
)
EVERYTHING = plans.Wanted(tools={"kind"}, images={"node"}, pushed={"hub", "pause"}, serve=True)


def ids(steps: Collection[plans.Step]) -> set[str]:
    return {step.id for step in steps}


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        (plans.Wanted(), plans.Present(), set()),
        (plans.Wanted(tools={"kind"}), plans.Present(), {"tool kind"}),
        (plans.Wanted(tools={"kind"}), plans.Present(tools={"kind"}), set()),
        (plans.Wanted(images={"pause"}), plans.Present(), {"image base", "image pause"}),
        (plans.Wanted(images={"node"}), plans.Present(images={"node"}), set()),
        (
            plans.Wanted(images={"node"}),
            plans.Present(images={"base", "pause"}, tools={"kubernetes"}),
            {"image node", "image proxy", "tool cni"},
        ),
        (
            plans.Wanted(pushed={"hub"}, serve=True),
            plans.Present(images={"hub"}),
            {"push hub", "serve registry", "image registry", "tool registry"},
        ),
        (plans.Wanted(pushed={"hub"}, serve=True), plans.Present(images={"hub"}, serving=True), {"push hub"}),
        (plans.Wanted(pushed={"hub"}), plans.Present(pushed={"hub"}), set()),
        # A registry that is gone is started again even when it already holds everything.
        (
            plans.Wanted(pushed={"hub"}, serve=True),
            plans.Present(pushed={"hub"}, images={"registry"}),
            {"serve registry"},
        ),
    ],
)
def test_a_plan_holds_what_is_missing(wanted: plans.Wanted, present: plans.Present, expected: set[str]) -> None:
    assert ids(plans.plan(RECIPES, wanted, present)) == expected


present_things = st.builds(
    plans.Present,
    tools=st.sets(st.sampled_from(TOOLS)),
    images=st.sets(st.sampled_from(sorted(NEEDS))),
    pushed=st.sets(st.sampled_from(["hub", "pause"])),
    serving=st.booleans(),
)


@given(present_things)
def test_steps_come_after_those_that_they_need(present: plans.Present) -> None:
    seen: set[str] = set()
    for step in plans.plan(RECIPES, EVERYTHING, present):
        assert step.needs <= seen
        seen.add(step.id)


@given(present_things)
def test_nothing_that_is_there_is_done_again(present: plans.Present) -> None:
    steps = ids(plans.plan(RECIPES, EVERYTHING, present))
    assert not steps & {f"tool {name}" for name in present.tools}
    assert not steps & {f"image {name}" for name in present.images}
    assert not steps & {f"push {name}" for name in present.pushed}


@given(present_things, st.integers(min_value=1, max_value=4))
def test_every_order_of_choices_ends_with_all_steps_done(present: plans.Present, jobs: int) -> None:
    steps = plans.plan(RECIPES, EVERYTHING, present)
    urgency, waiting, running, done = plans.remaining_path(steps), list(steps), list[plans.Step](), set[str]()
    while waiting or running:
        ready = [step for step in waiting if step.needs & urgency.keys() <= done]
        step = plans.choose(ready, running, urgency) if len(running) < jobs else None
        if step:
            waiting.remove(step)
            running.append(step)
        else:
            done.add(running.pop(0).id)
    assert done == ids(steps)


def test_the_longest_chain_is_the_most_urgent() -> None:
    steps = plans.plan(RECIPES, EVERYTHING, plans.Present())
    urgency = plans.remaining_path(steps)
    assert max(urgency, key=lambda name: urgency[name]) == "tool kubernetes"
    # tool kubernetes, image proxy, image node
    assert urgency["tool kubernetes"] == 50 + 10 + 10


def test_a_download_runs_beside_a_compiler() -> None:
    steps = {step.id: step for step in plans.plan(RECIPES, EVERYTHING, plans.Present())}
    urgency = plans.remaining_path(list(steps.values()))
    ready = [steps["tool kubernetes"], steps["tool registry"], steps["image base"]]
    first = plans.choose(ready, [], urgency)
    assert first == steps["tool kubernetes"]
    assert plans.choose(ready[1:], [first], urgency) == steps["image base"]
    assert plans.choose([], [first], urgency) is None


def test_the_space_is_that_of_all_steps() -> None:
    steps = plans.plan(RECIPES, plans.Wanted(images={"pause"}, tools={"kind"}), plans.Present())
    assert plans.megabytes(steps) == 100 + 100 + 1000

# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds out for every image whether a registry has it or it is built; what a registry had once is not asked again.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_probe import Probe
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_source import (
    THERE,
    choose_source,
)


class Origins:
    """Asks registries and remembers in a file what they had, so that a run without network decides the same."""

    def __init__(self, source: str, memory: Path, probe: Probe, named: Collection[str]) -> None:
        """``named`` are the hosts of the registries that the user asked for by name."""
        self._source, self._memory, self._probe, self._named = source, memory, probe, set(named)

    def choose(self, candidates: Mapping[str, Sequence[str]], at_hand: Collection[str]) -> dict[str, str]:
        """Return for each image the reference that a registry has, or nothing where it is built; raises ImagesError.

        ``candidates`` are each image's references, the best first; ``at_hand`` are the images that were built before.
        """
        built = set(candidates) if self._source == "build" else set(at_hand) if self._source == "auto" else set()
        asked = [reference for name in candidates if name not in built for reference in candidates[name]]
        answers = self.answers(asked)
        return {
            name: "" if name in built else choose_source(self._source, name, references, answers, self._named)
            for name, references in candidates.items()
        }

    def has(self, reference: str) -> bool:
        """Say whether a registry has an image, without asking any where everything is to be built."""
        return self._source != "build" and self.answers([reference])[reference] == THERE

    def answers(self, references: Collection[str]) -> dict[str, str]:
        """Return what the registries say of each reference."""
        known = self._remembered()
        answers = {reference: THERE for reference in references if reference in known}
        answers |= self._probe.ask_all([reference for reference in references if reference not in known])
        found = {reference for reference, answer in answers.items() if answer == THERE}
        if not found <= known:
            self._remember(known | found)
        return answers

    def _remembered(self) -> set[str]:
        try:
            return set(json.loads(self._memory.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return set()

    def _remember(self, references: set[str]) -> None:
        # Without a memory the registries are asked again, which is slower and no error.
        with contextlib.suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            self._memory.write_text(json.dumps(sorted(references), indent=1), encoding="utf-8")

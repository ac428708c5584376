"""The protocol's Python code is generated into build/proto before the tests import the driver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
GENERATED = ROOT / "build" / "proto"

subprocess.run([sys.executable, ROOT / "images" / "csi" / "generate.py", GENERATED], check=True)
sys.path.insert(0, str(GENERATED))

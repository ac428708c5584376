"""Generate the Python package campus_csi_proto from the protocol files beside this script.

Usage: python generate.py FOLDER   (grpcio-tools must be installed)
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent / "proto"


def generate(target: Path) -> None:
    """Write the generated package below `target`, unless it is newer than its sources.

    Raises:
        RuntimeError: protoc refused a file.
    """
    sources = sorted(str(path) for path in PROTO.glob("campus_csi_proto/*.proto"))
    mark = target / "campus_csi_proto" / "__init__.py"
    if mark.exists() and mark.stat().st_mtime > max(Path(path).stat().st_mtime for path in (__file__, *sources)):
        return
    target.mkdir(parents=True, exist_ok=True)
    includes = Path(grpc_tools.__file__).parent / "_proto"
    code = protoc.main(
        ["protoc", f"-I{PROTO}", f"-I{includes}", f"--python_out={target}", f"--grpc_python_out={target}", *sources]
    )
    if code:
        raise RuntimeError(f"protoc ended with {code}")
    mark.touch()


if __name__ == "__main__":
    generate(Path(sys.argv[1]))

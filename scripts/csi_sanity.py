"""Run csi-sanity, the CSI specification's own tests, against the driver, started on this machine.

Usage: python scripts/csi_sanity.py   (as root, with Go, xfsprogs and e2fsprogs)

The driver gets a pool of its own in a folder that is gone afterwards; nothing outside it is touched but loop devices.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGE = ROOT / "images" / "csi"
MODULE = ROOT / "tests" / "sanity_csi"
PROTOCOL = ROOT / "build" / "proto"
SANITY = ROOT / "build" / "bin" / "csi-sanity"
MIB = 1024 * 1024

_SUMMARY = re.compile(r"(\d+) Passed.*?(\d+) Failed.*?(\d+) Pending.*?(\d+) Skipped", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SYS_RESOURCE = 24


def missing() -> str:
    """Return why the driver cannot be run here, or an empty text."""
    if os.geteuid() != 0:
        return "mounting takes root"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    absent = [tool for tool in ("mkfs.xfs", "mke2fs", "xfs_growfs", "resize2fs") if not _which(tool)]
    return f"{', '.join(absent)} is not installed" if absent else ""


def _which(tool: str) -> bool:
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/sbin"]
    return any((Path(folder) / tool).exists() for folder in folders)


def may_grow_mounted() -> bool:
    """Say whether the kernel lets this process grow a mounted ext4."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _SYS_RESOURCE & 1)


def build() -> Path:
    """Build csi-sanity, once for each state of its go.mod, and return its path.

    Raises:
        subprocess.CalledProcessError: Go failed.
    """
    pins = MODULE / "go.sum"
    if not SANITY.exists() or SANITY.stat().st_mtime < pins.stat().st_mtime:
        SANITY.parent.mkdir(parents=True, exist_ok=True)
        package = "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"
        command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(SANITY), package]
        subprocess.run(command, cwd=MODULE, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
        SANITY.touch()
    return SANITY


class HostDriver:
    """The driver as a process of this machine, with a pool in `folder`."""

    def __init__(self, folder: Path, pool_size: str) -> None:
        self.folder = folder
        self.socket = folder / "csi.sock"
        self.pool = folder / "pool" / "pool" if pool_size else folder / "pool"
        self.log = folder / "driver.log"
        self.program: tuple[str, ...] = ("-m", "campus_csi")
        self._pool_size = pool_size
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start the driver and wait until it serves.

        Raises:
            RuntimeError: it ended, or does not serve within a minute.
        """
        self.socket.unlink(missing_ok=True)
        path = os.pathsep.join((str(PROTOCOL), str(IMAGE / "src")))
        tools = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
        command = [sys.executable, *self.program, f"--endpoint={self.socket}", "--node-name=host"]
        command += [f"--pool-path={self.folder / 'pool'}", f"--pool-size={self._pool_size}", *arguments]
        with self.log.open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": path, "PATH": tools}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the driver does not serve:\n{self.log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self.socket)) == 0

    @property
    def pid(self) -> int:
        """The driver's process id.

        Raises:
            RuntimeError: it does not run.
        """
        if self._process is None:
            raise RuntimeError("the driver does not run")
        return self._process.pid

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the driver with a signal and return its exit code.

        Raises:
            subprocess.TimeoutExpired: it went on for half a minute; it is killed then.
        """
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def unmount(self) -> None:
        """Unmount everything below the folder, the latest first."""
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        for line in reversed(table.splitlines()):
            mount = line.split(" ")[4]
            if mount.startswith(f"{self.folder}/"):
                subprocess.run(["umount", mount], check=True)


@contextmanager
def host_driver(pool_size: str = "2Gi") -> Iterator[HostDriver]:
    """Run a driver for the block; afterwards nothing of it is left."""
    subprocess.run([sys.executable, IMAGE / "generate.py", PROTOCOL], check=True)
    with tempfile.TemporaryDirectory(prefix="campus-csi-") as folder:
        driver = HostDriver(Path(folder), pool_size)
        try:
            driver.start()
            yield driver
        finally:
            try:
                driver.end()
            finally:
                driver.unmount()


@dataclass(frozen=True)
class Result:
    """What csi-sanity counted."""

    passed: int
    failed: int
    skipped: int
    seconds: float
    output: str


def run(driver: HostDriver) -> Result:
    """Run csi-sanity against a driver.

    Raises:
        RuntimeError: it did not count anything.
    """
    size = 128 * MIB
    # Where the kernel grows no mounted disk, that test asks for the size the disk has already.
    grown = 2 * size if may_grow_mounted() else size
    begun = time.monotonic()
    command = [str(build()), "--ginkgo.no-color", "--ginkgo.v", f"--csi.endpoint=unix://{driver.socket}"]
    command += [f"--csi.mountdir={driver.folder}/mount", f"--csi.stagingdir={driver.folder}/staging"]
    command += [f"--csi.testvolumesize={size}", f"--csi.testvolumeexpandsize={grown}"]
    done = subprocess.run(command, cwd=driver.folder, capture_output=True, text=True, check=False)
    output = _COLOUR.sub("", done.stdout + done.stderr)
    counts = _SUMMARY.search(output)
    if counts is None:
        raise RuntimeError(f"csi-sanity counted nothing:\n{output[-2000:]}")
    passed, failed, _unused, skipped = map(int, counts.groups())
    return Result(passed, failed, skipped, time.monotonic() - begun, output)


def main() -> int:
    """Run it and say what came out."""
    reason = missing()
    if reason:
        print(f"csi-sanity cannot run here: {reason}", file=sys.stderr)
        return 2
    build()
    with host_driver() as driver:
        result = run(driver)
    if result.failed:
        print(result.output)
    growth = (
        "with growth of a mounted disk" if may_grow_mounted() else "without growth of a mounted disk (CAP_SYS_RESOURCE)"
    )
    print(
        f"csi-sanity: {result.passed} passed, {result.failed} failed, {result.skipped} skipped (not offered)"
        f" in {result.seconds:.1f} s, {growth}"
    )
    return min(1, result.failed)


if __name__ == "__main__":
    sys.exit(main())

"""Entry point: python -m campus_csi."""

from __future__ import annotations

import logging
import signal
import sys

from . import config
from .driver import Driver
from .errors import CallError


def main() -> int:
    """Run the driver and return its exit code."""
    settings = config.parse(sys.argv[1:])
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s level=%(levelname)s %(message)s")
    try:
        driver = Driver(settings)
    except (CallError, OSError) as error:
        logging.error("the driver cannot start: %s", error)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: driver.stop())
    driver.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the program as ``python -m pytest_mlrun``."""

from __future__ import annotations

import sys

from pytest_mlrun.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Where the shared test vectors lie: files of other projects are read in place, never copied."""

import os
from pathlib import Path

import pytest


def vectors() -> Path:
    """The vectors folder; skips the test where it is absent, fails instead under CI."""
    path = Path(os.environ.get("BRIDGED_VECTORS") or Path(__file__).parents[2] / "shared" / "vectors")
    if not path.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"test vectors are missing at {path}; set BRIDGED_VECTORS")
        pytest.skip(f"no test vectors at {path}")
    return path

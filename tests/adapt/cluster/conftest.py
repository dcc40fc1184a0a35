"""A Ray of the tests' own on this machine, for each module."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray.train", reason="Ray is not installed")

from rejoinder.adapt.cluster.connection import connected


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="rj", dir="/tmp"))  # short: the path of a Unix socket has 107 characters
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("REJOINDER_CACHE", str(folder / "cache"))
        with connected(n_cpus=2):
            yield
    shutil.rmtree(folder, ignore_errors=True)

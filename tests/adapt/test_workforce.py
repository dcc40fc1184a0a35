"""Work by this process: in order, with as many threads as the work gains from, and broken off by what it raises."""

import threading
import time

import pytest

from rejoinder.adapt.workforce import THIS_PROCESS, do_all
from rejoinder.errors import AdaptError
from tests.adapt.cluster.halving import Halving


def test_results_come_in_the_items_order() -> None:
    def wait(s: float) -> tuple[float, str]:
        time.sleep(s)
        return s, threading.current_thread().name

    slow_first = [0.05, 0.0, 0.02, 0.0]
    results = list(do_all(wait, slow_first, n_threads=2))
    assert [s for s, _ in results] == slow_first
    assert {name.partition("_")[0] for _, name in results} == {"rejoinder-work"}
    assert {name for _, name in do_all(wait, slow_first, n_threads=1)} == {threading.current_thread().name}


def test_what_one_item_raises_comes_through() -> None:
    with THIS_PROCESS.crew(Halving()) as halve:
        assert list(halve([2, 4])) == [1, 2]
        with pytest.raises(AdaptError, match="3 is odd"):
            list(halve([2, 3, 4]))

"""A search for settings: what is clearly worse is not taken, and a try that fails does not end it."""

from collections.abc import Mapping

import pytest

from rejoinder.adapt.cluster.tuning import search
from rejoinder.adapt.search import Among, current
from rejoinder.errors import AdaptError
from tests.adapt.cluster.tries import learn, refuse

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.usefixtures("ray_here"),
    pytest.mark.timeout(600),
]


def test_the_better_settings_are_found() -> None:
    told: list[tuple[int, int]] = []
    found = search(
        learn,
        {"learning_rate": Among((0.05,)), "n_epochs": Among((3,))},
        {"learning_rate": 1e-7, "n_epochs": 3},
        n_tries=3,
        progress=lambda _task, n, n_total, _note="": told.append((n, n_total)),
    )
    assert found.settings == {"learning_rate": "0.05", "n_epochs": "3"}
    assert found.score < 0.5 * found.score_before
    assert found.describe()["n_tries"] == 3
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_when_no_try_comes_to_an_end_the_reason_is_said() -> None:
    with pytest.raises(AdaptError, match=r"none of the 1 tries of --tune came to an end: .*diverged at step 7"):
        search(refuse, {"learning_rate": Among((1.0,))}, {"learning_rate": 1.0}, n_tries=1)


def test_what_settings_are() -> None:
    recipe: Mapping[str, object] = {"n_sentences": 3, "tuning": {"training": {"learning_rate": 0.1, "device": "cpu"}}}
    assert current(recipe, ("learning_rate", "device", "missing")) == {"learning_rate": 0.1}

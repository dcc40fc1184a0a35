"""Training together, as far as one process can show it; tests/adapt/cluster has real teams."""

import pytest
import torch
from torch import nn

from rejoinder.adapt.team import Team


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 7])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_example_of_a_batch_has_one_member(n: int, size: int) -> None:
    batch = list(range(n))
    parts = [Team(rank, size).part(batch) for rank in range(size)]
    assert [one for _, part in parts for one in part] == batch
    for first, part in parts:
        assert batch[first : first + len(part)] == part


def test_alone_there_is_nobody_to_ask() -> None:
    team = Team.of_this_process()
    assert (team, team.leads) == (Team(), True)
    weight = nn.Parameter(torch.ones(2))
    assert team.add_up([weight], 0.5) == 0.5
    assert weight.grad is None
    assert team.firsts("a value") == "a value"
    tensors = {"a": torch.ones(1)}
    assert team.firsts_tensors(tensors, torch.device("cpu")) is tensors


def test_only_the_first_leads() -> None:
    assert [Team(rank, 3).leads for rank in range(3)] == [True, False, False]

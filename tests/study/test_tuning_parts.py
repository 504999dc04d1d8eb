"""Joining a search: what the command says, and what it refuses."""

from __future__ import annotations

import pytest

from asen_study.tuning import Search, take_part
from asen_study.tuning.__main__ import main
from asen_tf.config import ConfigError


def test_help_says_how_machines_share_a_search(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for role in ("chief --chief 0.0.0.0:8000", "worker --name a --chief FIRST:8000"):
        command = f"\n    python -m asen_study.tuning --role {role} --results-dir /shared/results\n"
        assert command in said  # a line of its own, to be copied
    assert "papermill notebooks/10_tune.ipynb" in said
    assert "12 unless given" in said and "stage1_learning_rate, local_loss_weight" in said


@pytest.mark.parametrize("address", ["", "first", "first:", ":8000", "first:http", "first:99999"])
def test_an_address_without_host_or_port_is_an_error(address: str) -> None:
    with pytest.raises(ConfigError, match=f"address must be host:port; got '{address}'"):
        take_part(Search(), name="one", address=address)


@pytest.mark.parametrize("name", ["", "mychief"])
def test_a_worker_whom_kerastuner_would_take_for_a_chief_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=f"or contain 'chief'; got '{name}'"):
        take_part(Search(), name=name, address="first:8000")

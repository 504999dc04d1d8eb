"""Taking part in a search: what the command says, and what a worker finds."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tuning_process import free_address

from asen_study.tuning import Search, SearchError, take_part
from asen_study.tuning.__main__ import main
from asen_study.tuning.search import SEARCH_FILE
from asen_study.tuning.taking_part import shares_results, wait_for_chief
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


def test_a_worker_says_that_it_waits_and_for_whom(capsys) -> None:
    address = free_address()
    with pytest.raises(SearchError, match=f"no chief has answered at {address} for 2 s; start it"):
        wait_for_chief(address, longest=2.0, every=0.5)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"waiting for the chief at {address}: is it started, and the address right?"
    assert 1 <= len(said) <= 4


def test_a_worker_that_was_started_first_finds_its_chief(capsys) -> None:
    address = free_address()
    server = grpc.server(ThreadPoolExecutor(1))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait_for_chief, address, longest=60.0, every=0.5)
        while "waiting" not in capsys.readouterr().out:
            time.sleep(0.1)
        server.add_insecure_port(address)
        server.start()
        waiting.result(timeout=60)
    wait_for_chief(address)  # at once, and without a word
    server.stop(None)
    assert capsys.readouterr().out.count("\n") <= 20


@pytest.mark.parametrize("address", ["", "first", "first:", ":8000", "first:http", "first:99999"])
def test_an_address_without_host_or_port_is_an_error(address: str) -> None:
    with pytest.raises(ConfigError, match=f"address must be host:port; got '{address}'"):
        take_part(Search(), name="one", address=address)


def test_a_worker_sees_whether_the_results_folder_is_the_chiefs(tmp_path: Path) -> None:
    search = Search(preset="smoke", results_dir=str(tmp_path))
    vars(search)["state_dir"] = tmp_path  # otherwise named by data, of which there are none
    assert not shares_results(search, longest=0.1)
    (tmp_path / SEARCH_FILE).write_text("{}")
    assert shares_results(search, longest=0.1)

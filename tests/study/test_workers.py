"""The workers of a cluster, as TF_CONFIG names them."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from asen_study import experiment
from asen_study.runs import Places
from asen_tf.presets import smoke
from asen_tf.training import ClusterError, keeps_files, team_for
from asen_tf.training.cluster import cluster_strategy
from data_prep.synthetic import make_dataset

HOSTS = ["a:1", "b:2"]


def text(cluster: dict, kind: str = "worker", index: object = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


WRONG = {
    "nothing": "",
    "no JSON": "worker 0",
    "no task": json.dumps({"cluster": {"worker": HOSTS}}),
    "no workers": text({"worker": []}),
    "no port": text({"worker": ["a", "b"]}),
    "a parameter server": text({"worker": HOSTS, "ps": ["c:3"]}),
    "another kind of task": text({"worker": HOSTS}, kind="evaluator"),
    "an index too high": text({"worker": HOSTS}, index=2),
    "an index as text": text({"worker": HOSTS}, index="0"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_tf_config_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", wrong)
    with pytest.raises(ClusterError, match="needs the environment variable TF_CONFIG") as raised:
        cluster_strategy()
    assert (wrong or "nothing") in str(raised.value)
    assert '{"type": "worker", "index": 0}' in str(raised.value)


def test_a_run_of_many_workers_without_tf_config_says_so(monkeypatch, tmp_path) -> None:
    make_dataset(tmp_path / "data", images=200, size=64, dataset="Garments")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    config = smoke().override(strategy="multi_worker", starting_weights="random")
    with pytest.raises(ClusterError, match="TF_CONFIG"):
        experiment.run(config, Places(tmp_path / "data", tmp_path / "results"))
    assert not (tmp_path / "results").exists()


def test_without_a_cluster_the_process_is_its_own_chief() -> None:
    alone = team_for(smoke())
    assert alone.is_chief and keeps_files()
    assert alone.from_chief(7) == 7
    alone.agree(7, "number")


def test_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text({"worker": ["127.0.0.1:1", "127.0.0.1:2"]}))
    tf.constant(1.0)  # from here on TensorFlow takes no more workers
    with pytest.raises(ClusterError, match="must come first"):
        cluster_strategy()

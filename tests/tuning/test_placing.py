"""Where Ray puts trials, with logical GPUs: real Ray, workers that only say where they are."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tuning.execution.gpu_share import CUDA_CONTEXT, gpu_share, largest_configuration

SCRIPT = """
import json, os, sys, time
from pathlib import Path
import ray, torch
from optuna.distributions import FloatDistribution
from ray import tune
from search_spaces import SearchSpace
import tuning.execution.ray_session  # sets Ray's options
from tuning.execution.placement import Placement
from tuning.execution.run_trials import run_trials
from tuning.execution.trial_setup import Limits, TrialSetup
from tuning.study.open_study import open_search
from results.run_folder import RunFolder
from tuning.study.stop_rules import StopRules
from tuning.study.live_trial import Epoch
from tuning.study.tune_interface import EPOCHS, GPU_SHARE, TRIAL_SETUP, only_trial

def main(gpus, share, slots, trials, folder, hungry, data):
    class Probe(tune.Trainable):
        @classmethod
        def default_resource_request(cls, config):
            return tune.PlacementGroupFactory([{"CPU": 1, "GPU": config[TRIAL_SETUP].placement.gpus}])
        def setup(self, config):
            self.reset_config(config)
        def reset_config(self, new_config):
            self.number = only_trial(new_config)
            self.share = new_config.get(GPU_SHARE, new_config[TRIAL_SETUP].placement.gpus)
            return True
        def step(self):
            began = time.time()
            Path(folder, f"trains-{os.getpid()}").touch()
            # Tune gives a waiting trial to whoever is free first: nobody is before all have trained at a time.
            while len(list(Path(folder).glob("trains-*"))) < slots and time.time() < began + 300:
                time.sleep(0.05)
            time.sleep(0.2)
            if self.number == hungry and self.share < 0.5:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            ids = ray.get_runtime_context().get_accelerator_ids()["GPU"]
            seen = os.environ.get("CUDA_VISIBLE_DEVICES")
            place = json.dumps([ids, seen, self.share, began, time.time()])
            return {EPOCHS: [(self.number, Epoch(1, 0.5, 0.4, "", place))]}

    ray.init("local", num_cpus=4, num_gpus=gpus, include_dashboard=False, log_to_driver=False)
    settings = {"seed": 0, "sampler": "random", "pruner": "none", "fixed": {"epochs": 1}}
    run = RunFolder.create(Path(folder) / "run", settings, {})
    space = SearchSpace({"dropout": FloatDistribution(0, 0.9)}, {"dropout": 0.5})
    study = open_search(run, space, StopRules(trials=trials))
    setup = TrialSetup(data, "", fixed={}, placement=Placement(1, share, slots), show_in_dashboard=False)
    run_trials(study, setup, Limits(), run, worker=Probe)
    print(json.dumps([[t.state.name, json.loads(t.user_attrs.get("worker", "null"))] for t in run.study().trials]))
    ray.shutdown()

main(*json.loads(sys.argv[1]))
"""


def place(
    folder: Path, *, gpus: int, share: float, slots: int, hungry: int = -1, data: PreparedData | None = None
) -> list[Any]:
    """State and whereabouts of each of 8 trials: its GPUs, what it sees, its share, when it began and ended."""
    arguments = json.dumps([gpus, share, slots, 8, str(folder), hungry, str(data.folder) if data else ""])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, arguments], capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def at_once(spans: list[tuple[float, float]]) -> int:
    """The most trials that ever ran at the same time."""
    return max(sum(other[0] <= begin < other[1] for other in spans) for begin, _ in spans)


@pytest.mark.long
@pytest.mark.parametrize(
    ("gpus", "share", "slots", "on_each"),
    [
        pytest.param(0, 0, 2, 0, id="none", marks=pytest.mark.rare),  # as every search of the tests
        pytest.param(1, 0.5, 2, 2, id="halves"),
        pytest.param(4, 1, 4, 1, id="four"),
    ],
)
def test_trials_share_gpus_as_documented_and_see_only_their_own(
    tmp_path: Path, gpus: int, share: float, slots: int, on_each: int
) -> None:
    trials = place(tmp_path, gpus=gpus, share=share, slots=slots)
    assert [state for state, _ in trials] == ["COMPLETE"] * 8
    places = [found for _, found in trials]
    assert 2 <= at_once([(begin, end) for *_, begin, end in places]) <= slots
    if not gpus:
        assert all(ids == [] and not seen for ids, seen, *_ in places)
        return
    assert all(len(ids) == 1 and seen == ids[0] for ids, seen, *_ in places)
    assert {ids[0] for ids, *_ in places} == {str(number) for number in range(gpus)}
    for number in range(gpus):
        spans = [(begin, end) for ids, _, _, begin, end in places if ids == [str(number)]]
        assert at_once(spans) <= on_each


@pytest.mark.long
def test_a_trial_that_lacked_memory_runs_again_with_fewer_neighbours(tmp_path: Path, tiny_data: PreparedData) -> None:
    trials = place(tmp_path, gpus=1, share=0.25, slots=4, hungry=2, data=tiny_data)
    assert [state for state, _ in trials] == ["COMPLETE"] * 8
    assert [found[2] for _, found in trials] == [0.25, 0.25, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25]
    begin, end = trials[2][1][3:]
    beside = [found for _, found in trials if found[3] < end and found[4] > begin]
    assert len(beside) <= 3  # half a GPU is left for two quarters


def test_the_largest_configuration_has_every_searched_size_at_its_upper_end() -> None:
    config = TrainingConfig(hidden_size=100, embedding_size=50, hops=1)
    space = {
        "hidden_size": IntDistribution(8, 640),
        "hops": IntDistribution(1, 3),
        "step_epochs": IntDistribution(1, 9),
        "attention_size": CategoricalDistribution([16, 64, 32]),
        "dropout": FloatDistribution(0, 0.7),
        "feature_dropout": FloatDistribution(0, 0.8),
        "clip_norm": CategoricalDistribution([0.0, 10.0, 0.1]),
        "schedule": CategoricalDistribution(["constant", "cosine"]),
    }
    found = largest_configuration(config, space)
    assert (found.hidden_size, found.hops, found.embedding_size, found.step_epochs) == (640, 3, 50, 5)
    assert (found.attention_size, found.dropout, found.feature_dropout) == (64, 0.7, 0.8)
    assert (found.clip_norm, found.schedule) == (10.0, "constant")


def test_as_many_trials_share_a_gpu_as_fit_with_a_margin() -> None:
    gib = 2**30
    assert gpu_share(2 * gib, 80 * gib) == 1 / int(80 * gib / (1.15 * 2 * gib + CUDA_CONTEXT)) == 1 / 27
    assert gpu_share(20 * gib, 24 * gib) == 1
    with pytest.raises(InputError, match=r"needs 23.6 GiB, but only 16.0 GiB of the GPU's memory are free$"):
        gpu_share(20 * gib, 16 * gib)

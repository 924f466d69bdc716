"""The step on a GPU: `pytest -m gpu`. Without one all of this is skipped."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from san_core.cohort import pointwise
from san_core.cohort.graph import EagerStep, GraphedStep
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.folds import FoldedTraining
from san_core.shared_training import SharedTraining
from san_core.training import Training
from tests.san_core.cohort.cohorts import STEPS, Cohort, cohort, configs_of, predict_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

ENCODERS = pytest.mark.parametrize("encoder", ["lstm", "cnn"])


def _cohort(members: int = 3, *, working: torch.dtype | None = torch.bfloat16, **settings: object) -> Cohort:
    return cohort(configs_of(members, **settings), "cuda", dtype=torch.float32, working=working)


def _generator() -> torch.Generator:
    return torch.Generator("cuda").manual_seed(5)


def _graphed(made: Cohort, generator: torch.Generator) -> GraphedStep:
    return GraphedStep(made.step, generator, torch.cuda.graph_pool_handle())


def _train(made: Cohort, step: Callable[[], None], steps: int = 20) -> Tensor:
    for number in range(steps):
        made.step.buffers.step.fill_(number % STEPS)
        step()
    return made.network.weights.clone()


@pytest.fixture(params=[True, False], ids=["fused", "plain"])
def operations(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the fused kernels, and without."""
    with nullcontext() if request.param else pointwise.plain_operations():
        yield


@ENCODERS
@pytest.mark.usefixtures("operations")
def test_an_eager_step_waits_for_nothing(encoder: str) -> None:
    made, generator = _cohort(question_encoder=encoder, clip_norm=0.5), _generator()
    made.step.run(generator)
    made.step.buffers.step.zero_()
    torch.cuda.set_sync_debug_mode("error")
    try:
        made.step.run(generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@ENCODERS
@pytest.mark.usefixtures("operations")
def test_replays_do_what_eager_steps_do(encoder: str) -> None:
    eager, graphed = _cohort(question_encoder=encoder), _cohort(question_encoder=encoder)
    first, second = _generator(), _generator()
    replay = _graphed(graphed, second)
    assert torch.equal(graphed.network.weights, eager.network.weights), "capturing changed the weights"
    assert torch.equal(_train(graphed, replay), _train(eager, EagerStep(eager.step, first)))
    assert torch.equal(graphed.step.losses, eager.step.losses)


def test_fused_kernels_do_what_plain_operations_do() -> None:
    fused, plain = _cohort(working=None), _cohort(working=None)
    _train(fused, EagerStep(fused.step, _generator()))
    with pointwise.plain_operations():
        _train(plain, EagerStep(plain.step, _generator()))
    assert fused.step.losses.tolist() == pytest.approx(plain.step.losses.tolist(), rel=1e-4)
    # RMSprop divides by the root of what is almost 0 for some weights, so a few of them stray further.
    assert (fused.network.weights - plain.network.weights).norm() < 1e-3 * plain.network.weights.norm()


def test_hyperparameters_and_dropout_that_change_between_replays_take_effect() -> None:
    changed, other = _cohort(), _cohort(dropout=0.1, learning_rate=7e-3)
    replay, expected = _graphed(changed, generator := _generator()), EagerStep(other.step, _generator())
    changed.network.set_dropout([0.1] * 3)
    changed.optimizer.hyperparameters.learning_rate.fill_(7e-3)
    del generator
    assert torch.equal(_train(changed, replay, 3), _train(other, expected, 3))


def test_a_seed_set_anew_gives_the_same_numbers() -> None:
    made, generator = _cohort(), _generator()
    replay = _graphed(made, generator)
    start = [tensor.clone() for tensor in made.step.state]
    found = []
    for seed in (1, 2, 1):
        for tensor, value in zip(made.step.state, start, strict=True):
            tensor.copy_(value)
        generator.manual_seed(seed)
        found.append(_train(made, replay, 3))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


def test_evaluation_goes_on_when_the_graph_of_training_is_dropped() -> None:
    made, pool = _cohort(), torch.cuda.graph_pool_handle()
    training = GraphedStep(made.step, _generator(), pool)
    step = predict_step(made)
    evaluation = GraphedStep(step, _generator(), pool)
    _train(made, training, 3)
    del training
    torch.cuda.empty_cache()
    step.buffers.step.zero_()
    for _ in range(STEPS):
        evaluation()
    replayed = step.answers.clone()
    step.buffers.step.zero_()
    for _ in range(STEPS):
        step.run()
    assert torch.equal(replayed, step.answers)


def test_two_runs_give_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        made, generator = _cohort(7), _generator()
        runs.append(_train(made, _graphed(made, generator)))
    assert torch.equal(*runs)


@ENCODERS
def test_bfloat16_on_the_gpu_stays_near_double_precision_on_the_cpu(encoder: str) -> None:
    gpu = _cohort(dropout=0.0, question_encoder=encoder)
    exact = cohort(configs_of(3, dropout=0.0, question_encoder=encoder))
    _train(gpu, EagerStep(gpu.step, _generator()), 3)
    _train(exact, EagerStep(exact.step, None), 3)
    assert gpu.step.losses.tolist() == pytest.approx(exact.step.losses.tolist(), rel=0.03)


def test_float32_on_the_gpu_is_that_of_the_cpu_up_to_rounding() -> None:
    gpu = _cohort(working=None, dropout=0.0)
    exact = cohort(configs_of(3, dropout=0.0))
    _train(gpu, EagerStep(gpu.step, _generator()), 10)
    _train(exact, EagerStep(exact.step, None), 10)
    assert gpu.step.losses.tolist() == pytest.approx(exact.step.losses.tolist(), rel=1e-3)


OUT_OF_MEMORY = """
import torch
from tests.san_core.cohort.cohorts import cohort, configs_of
from san_core.cohort.graph import GraphedStep

made = cohort(configs_of(1), "cuda", dtype=torch.float32, working=torch.bfloat16)
run = made.step.run
made.step.run = lambda generator: (torch.empty(2**50, device="cuda"), run(generator))
try:
    GraphedStep(made.step, torch.Generator("cuda"), torch.cuda.graph_pool_handle())
except torch.OutOfMemoryError:
    print("out of memory")
"""


def test_out_of_memory_at_the_capture_leaves_the_gpu_to_a_fresh_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.strip() == "out of memory", done.stderr
    made = _cohort()
    _train(made, _graphed(made, _generator()), 3)


def test_training_on_the_gpu_is_that_on_the_cpu_up_to_rounding(
    tiny_config: TrainingConfig, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_config, dropout=0.0)
    gpu = Training(config, tiny_data)
    assert gpu.device.type == "cuda"
    found = [gpu.run_epoch() for _ in range(3)]
    monkeypatch.setattr("san_core.training.best_device", lambda: torch.device("cpu"))
    cpu = Training(replace(config, device_step="off"), tiny_data)
    expected = [cpu.run_epoch() for _ in range(3)]
    assert [each.loss for each in found] == pytest.approx([each.loss for each in expected], rel=1e-2)
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=0.1)


def test_training_on_the_gpu_goes_on_as_if_it_had_not_been_interrupted(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    whole, first, second = (Training(tiny_config, tiny_data) for _ in range(3))
    expected = [whole.run_epoch().loss for _ in range(3)]
    found = [first.run_epoch().loss]
    second.load_state_dict(first.state_dict())
    assert found + [second.run_epoch().loss for _ in range(2)] == expected


@pytest.mark.parametrize("together", [1, 3])
def test_features_that_stay_on_the_host_give_the_same_losses(
    together: int, tiny_config: TrainingConfig, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_config, questions_per_image=together, batch_size=7)
    training = Training(config, tiny_data)
    resident = [training.run_epoch().loss for _ in range(2)]
    monkeypatch.setattr("san_core.cohort.task.fits", lambda *_: False)
    prefetched = Training(config, tiny_data)
    assert [prefetched.run_epoch().loss for _ in range(2)] == resident


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_member_has_the_same_bits_in_any_slot_beside_any_neighbours(
    precision: str, tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    largest = replace(tiny_config, order_seed=7, precision=precision, embedding_size=24, clip_norm=0.5)
    configs = [replace(largest, seed=seed, embedding_size=24 - seed, learning_rate=1e-3 * seed) for seed in (1, 2, 3)]
    shared = SharedTraining(largest, 4, tiny_data)
    alone = shared.new_member(configs[0])
    expected = [shared.train_epoch([alone], width=4)[0].loss for _ in range(3)]
    for slot in range(3):
        others = [shared.new_member(config) for config in configs[1:]]
        member = shared.new_member(configs[0])
        members = [*others[:slot], member, *others[slot:]]
        found = [shared.train_epoch(members)[slot].loss]
        found.append(shared.train_epoch([member], width=4)[0].loss)  # its neighbours wait
        shared.train_epoch(others)
        restored = shared.restore_member(configs[0], shared.state_dict(member))
        found.append(shared.train_epoch([*others, restored])[2].loss)
        assert found == expected
        assert all(torch.equal(*rows) for rows in zip(restored.rows, alone.rows, strict=True))


def test_a_member_that_diverges_on_the_gpu_leaves_the_bits_of_the_others(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = replace(tiny_config, order_seed=7)
    shared = SharedTraining(config, 2, tiny_data)
    healthy, ill = (shared.new_member(replace(config, seed=seed)) for seed in (1, 2))
    expected = shared.train_epoch([healthy], width=2)[0].loss
    ill.rows.weights.mul_(torch.inf)
    again = shared.new_member(replace(config, seed=1))
    results = shared.train_epoch([ill, again])
    assert results[0].diverged == "the loss is nan"
    assert results[1].loss == expected
    assert torch.equal(again.rows.weights, healthy.rows.weights)


def test_one_member_is_trained_as_by_training_at_every_width(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    expected = Training(tiny_config, tiny_data).run_epoch().loss
    shared = SharedTraining(tiny_config, 8, tiny_data)
    for width in (1, 2, 4, 8):
        member = shared.new_member(tiny_config)
        assert shared.train_epoch([member], width)[0].loss == pytest.approx(expected, rel=1e-2)


def test_members_are_trained_on_folds_as_by_folded_training(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = replace(tiny_config, epochs=2, order_seed=7)
    shared, alone = SharedTraining(config, 2, tiny_data, folds=2), FoldedTraining(config, tiny_data, 2)
    members = [shared.new_member(config), shared.new_member(replace(config, seed=9))]
    for _ in range(4):
        result, expected = shared.train_epoch(members)[0], alone.run_epoch()
        assert (result.epoch, result.loss) == (expected.epoch, pytest.approx(expected.loss, rel=1e-2))
    assert alone.finished

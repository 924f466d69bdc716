import io
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from san_core.cohort.batches import epoch_batches
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData, Split
from san_core.errors import InputError
from san_core.evaluation import predict_split
from san_core.models.san import SAN
from san_core.training import EpochResult, Training, train_fn


def _change(config: TrainingConfig, **changes: float | str) -> TrainingConfig:
    return TrainingConfig.from_dict(config.to_dict() | changes)


def _train(
    config: TrainingConfig, data: PreparedData, **splits: tuple[str, ...] | str
) -> tuple[SAN, list[EpochResult]]:
    results: list[EpochResult] = []

    def report(result: EpochResult) -> bool:
        results.append(result)
        return True

    return train_fn(config, data, report, **splits), results  # type: ignore[arg-type]


def _figures(results: list[EpochResult]) -> list[tuple[int, float, float | None]]:
    return [(result.epoch, result.loss, result.score) for result in results]


def _change_folder(data: PreparedData, folder: Path, **changes: NDArray[np.integer] | Split) -> PreparedData:
    """A copy of prepared data with some of its arrays or splits replaced."""
    shutil.copytree(data.folder, folder)
    for name, change in changes.items():
        if isinstance(change, Split):
            change.save(folder, name)
        else:
            np.save(folder / f"{name}.npy", change)
    return PreparedData.open(folder)


def _questions_about(counts: list[int]) -> Split:
    """Image i has counts[i] questions; they are mixed."""
    images = np.random.default_rng(5).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int32)
    nothing = np.zeros_like(images)
    return Split(images, nothing, nothing, nothing[:, None])


COUNTS = {"even": [4] * 12, "uneven": [1, 7, 4, 0, 6, 2, 9, 3], "one image": [5], "one question": [1]}


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("batch_size", [1, 8, 1000])
@pytest.mark.parametrize("questions_per_image", [1, 4, 100])
def test_every_question_is_used_once_per_epoch(counts: list[int], batch_size: int, questions_per_image: int) -> None:
    split = _questions_about(counts)
    config = TrainingConfig(batch_size=batch_size, questions_per_image=questions_per_image)
    batches = epoch_batches(split, config, epoch=1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(split)))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_the_epochs_of_a_pass_divide_its_batches_among_them(parts: int) -> None:
    split = _questions_about([4] * 15)
    config = TrainingConfig(batch_size=8, questions_per_image=4)
    whole, second = (epoch_batches(split, config, number) for number in (1, 2))
    assert [batch.tolist() for batch in whole] != [batch.tolist() for batch in second]
    divided = _change(config, epochs_per_pass=parts)
    for number, expected in enumerate((whole, second)):
        found = [epoch_batches(split, divided, number * parts + part) for part in range(1, parts + 1)]
        assert [batch.tolist() for part in found for batch in part] == [batch.tolist() for batch in expected]
        assert {len(part) for part in found} <= {len(whole) // parts, -(-len(whole) // parts)}


@pytest.mark.parametrize("step", ["on", "off"])
def test_a_pass_in_several_epochs_trains_the_same_network(
    step: str, tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = _change(tiny_config, dropout=0.0, epochs=2, device_step=step)  # dropout draws anew for each epoch
    network, in_passes = _train(config, tiny_data)
    same, in_parts = _train(_change(config, epochs=6, epochs_per_pass=3), tiny_data)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), same.parameters(), strict=True))
    assert [result.epoch for result in in_parts] == [1, 2, 3, 4, 5, 6]
    assert [in_parts[2].score, in_parts[5].score] == [result.score for result in in_passes]
    means = [np.mean([result.loss for result in in_parts[first : first + 3]]) for first in (0, 3)]
    assert means == pytest.approx([result.loss for result in in_passes], rel=0.05)


@pytest.mark.parametrize("step", ["on", "off"])
def test_a_pass_has_a_batch_for_each_of_its_epochs(
    step: str, tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    with pytest.raises(InputError, match=r"epochs_per_pass must be a whole number <= \d+, the steps of a pass over"):
        Training(_change(tiny_config, epochs_per_pass=1000, device_step=step), tiny_data)


@pytest.mark.parametrize(("questions_per_image", "images"), [(1, range(14, 33)), (2, range(9, 17)), (4, [8])])
def test_questions_about_one_image_stay_together_in_groups(questions_per_image: int, images: range | list[int]) -> None:
    """32 questions of a batch are about 8 images when 4 stay together, and about many when none do."""
    split = _questions_about([4] * 100)
    config = TrainingConfig(batch_size=32, questions_per_image=questions_per_image)
    for batch in epoch_batches(split, config, epoch=1):
        if len(batch) == 32:
            assert len(np.unique(split.images[batch])) in images


def test_groups_of_an_image_with_many_questions_are_shuffled_apart_and_drawn_anew() -> None:
    split = _questions_about([12] * 50)
    config = TrainingConfig(batch_size=600, questions_per_image=4)
    orders = [epoch_batches(split, config, epoch)[0] for epoch in (1, 2)]
    groups = [[frozenset(rows) for rows in order.reshape(150, 4).tolist()] for order in orders]
    for drawn in groups:
        assert all(len(set(split.images[list(group)])) == 1 for group in drawn)
    same = set(groups[0]) & set(groups[1])
    assert len(same) < 15  # who is in a group with whom changes from epoch to epoch
    images = split.images[orders[0].reshape(150, 4)[:, 0]]
    assert (images[1:] != images[:-1]).mean() > 0.9


def test_epochs_follow_different_orders_and_seeds_decide_them() -> None:
    split = _questions_about([4] * 25)
    configs = [TrainingConfig(batch_size=100, seed=seed) for seed in (0, 1)]
    draws = [epoch_batches(split, configs[seed], epoch)[0] for seed, epoch in ((0, 1), (0, 2), (0, 1), (1, 1))]
    assert (draws[0] == draws[2]).all()
    assert all((draws[0] != other).mean() > 0.9 for other in (draws[1], draws[3]))


def test_same_seed_gives_the_same_figures(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    first, second = (_figures(_train(tiny_config, tiny_data)[1]) for _ in range(2))
    assert first == second
    assert [epoch for epoch, _, _ in first] == [1, 2, 3]


def test_other_seed_gives_other_figures(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    losses = [[r.loss for r in _train(_change(tiny_config, seed=seed), tiny_data)[1]] for seed in (0, 1)]
    assert all(a != b for a, b in zip(*losses, strict=True))


def test_random_numbers_drawn_by_others_change_nothing(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    undisturbed = Training(tiny_config, tiny_data)
    expected = [undisturbed.run_epoch() for _ in range(2)]
    disturbed = Training(tiny_config, tiny_data)
    found = []
    for _ in range(2):
        torch.rand(17)
        np.random.default_rng().random()
        found.append(disturbed.run_epoch())
    assert _figures(found) == _figures(expected)


@pytest.mark.parametrize("questions_per_image", [1, 4])
def test_run_that_was_put_aside_goes_on_as_if_it_had_not_been(
    questions_per_image: int, tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    config = _change(tiny_config, questions_per_image=questions_per_image)
    whole = Training(config, tiny_data)
    expected = [whole.run_epoch() for _ in range(3)]

    first = Training(config, tiny_data)
    results = [first.run_epoch()]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Training(config, tiny_data)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.epoch == 1
    while not second.finished:
        results.append(second.run_epoch())

    assert _figures(results) == _figures(expected)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name


def test_report_that_returns_false_ends_training(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    told: list[int] = []

    def report(result: EpochResult) -> bool:
        told.append(result.epoch)
        return result.epoch < 2

    train_fn(tiny_config, tiny_data, report)
    assert told == [1, 2]


def test_diverged_training_ends_and_says_so(
    tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    broken = np.load(tiny_data.folder / "features.npy")
    broken[:] = 0x7FC0  # NaN in bfloat16
    data = _change_folder(tiny_data, tmp_path / "broken", features=broken)
    _, results = _train(tiny_config, data)
    assert [(r.epoch, r.diverged) for r in results] == [(1, "the loss is nan")]


def test_training_that_knows_less_than_an_untrained_network_has_diverged(
    tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    _, results = _train(_change(tiny_config, learning_rate=9.0, momentum=0.0, epochs=5, seed=1), tiny_data)
    assert [r.diverged for r in results] == ["", "no better than always answering 'yes'"]
    score = results[-1].score
    answers = [question.answer for question in tiny_data.questions_of("validation")]
    assert score is not None
    assert score <= answers.count("yes") / len(answers)
    assert results[-1].loss > math.log(6)  # four colours, yes and no


def test_training_that_learns_slowly_has_not_diverged(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    _, results = _train(_change(tiny_config, learning_rate=1e-5, momentum=0.0, epochs=4), tiny_data)
    assert [r.diverged for r in results] == [""] * 4


def test_huge_step_size_is_survived(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    """The loss may be enormous or not finite, but an epoch's result comes of it."""
    _, results = _train(_change(tiny_config, learning_rate=9.9, momentum=0.99), tiny_data)
    sane = [result.loss for result in results if not result.diverged]
    assert results[-1].diverged or max(sane) > 10


def test_network_can_learn_the_squares(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    model, results = _train(_change(tiny_config, epochs=20), tiny_data)
    answers = predict_split(model, tiny_data, tiny_data.split("train"), "float32").answers
    right = [given == question.answer for given, question in zip(answers, tiny_data.questions_of("train"), strict=True)]
    assert sum(right) / len(right) > 0.95
    last = results[-1].score
    assert last is not None
    assert last > 0.85
    assert results[-1].loss < results[0].loss / 5
    assert all(result.seconds > 0 for result in results)


def test_precisions_agree(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    exact, rough, automatic = (
        [r.loss for r in _train(_change(tiny_config, precision=precision, dropout=0), tiny_data)[1]]
        for precision in ("float32", "bfloat16", "auto")
    )
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.05)
    assert automatic in (exact, rough)


def test_weights_are_float32_whatever_the_precision(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    model, _ = _train(_change(tiny_config, precision="bfloat16", epochs=1), tiny_data)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_accuracy_is_that_of_the_scored_split(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    model, results = _train(tiny_config, tiny_data, score_on="test")
    test = tiny_data.split("test")
    predicted = predict_split(model, tiny_data, test, tiny_config.precision)
    right = [p == q.answer for p, q in zip(predicted.answers, tiny_data.questions_of("test"), strict=True)]
    assert results[-1].score == pytest.approx(sum(right) / len(right))


def test_no_split_scored_gives_no_accuracy(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    _, results = _train(tiny_config, tiny_data, score_on=None)  # type: ignore[arg-type]
    assert [result.score for result in results] == [None, None, None]


def test_questions_whose_answer_is_unknown_teach_nothing_but_count_as_wrong(
    tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    """Training on a test split equals training on the same split without them; they stay in the score."""
    test = tiny_data.split("test")
    known = test.answers >= 0
    assert (len(known), sum(known)) == (48, 44)
    without = _change_folder(tiny_data, tmp_path / "without", test=test.where(known))
    model, found = _train(tiny_config, tiny_data, train_on=("train", "test"), score_on="test")
    _, expected = _train(tiny_config, without, train_on=("train", "test"), score_on="train")
    assert [r.loss for r in found] == [r.loss for r in expected]
    answers = predict_split(model, tiny_data, test, tiny_config.precision).answers
    right = [given == question.answer for given, question in zip(answers, tiny_data.questions_of("test"), strict=True)]
    assert not any(np.array(right)[~known])
    assert found[-1].score == pytest.approx(sum(right) / 48)


def test_splits_trained_on_are_joined(tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path) -> None:
    both = tiny_data.split("train") + tiny_data.split("validation")
    joined = _change_folder(tiny_data, tmp_path / "joined", train=both)
    _, found = _train(tiny_config, tiny_data, train_on=("train", "validation"), score_on="test")
    _, expected = _train(tiny_config, joined, score_on="test")
    assert _figures(found) == _figures(expected)


def test_loss_of_an_epoch_is_the_mean_over_its_questions(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    """With a step too small to matter, it is the first weights' cross entropy, worked out here in one batch."""
    still = _change(
        tiny_config, learning_rate=1e-30, dropout=0, batch_size=50
    )  # 128 questions: the last batch is small
    training = Training(still, tiny_data)
    split = tiny_data.split("train")
    batch = tiny_data.batch(split, np.arange(len(split))).to(training.device)
    with torch.no_grad():
        logits = training.model.eval()(*batch.inputs).double().cpu().numpy()
    likelihood = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(likelihood[np.arange(len(split)), split.answers]).mean()
    assert training.run_epoch().loss == pytest.approx(expected, rel=1e-4)


def test_one_step_is_rmsprop_with_the_configured_hyperparameters(
    tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    config = _change(tiny_config, alpha=0.8, eps=1e-3, momentum=0.3, learning_rate=0.01, dropout=0, batch_size=1000)
    training = Training(config, tiny_data)
    weight = training.model.classify.bias
    values = [weight.detach().cpu().double().numpy().copy()]
    square = buffer = np.zeros_like(values[0])
    for _ in range(2):  # one step each
        training.run_epoch()
        assert weight.grad is not None
        gradient = weight.grad.cpu().double().numpy()
        square = 0.8 * square + 0.2 * gradient**2
        buffer = 0.3 * buffer + gradient / (np.sqrt(square) + 1e-3)
        expected = values[-1] - 0.01 * buffer
        values.append(weight.detach().cpu().double().numpy().copy())
        np.testing.assert_allclose(values[-1], expected, rtol=1e-4, atol=1e-6)


def test_the_device_step_reaches_the_scores_of_the_other_up_to_rounding(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = _change(tiny_config, dropout=0.0)
    model, expected = _train(_change(config, device_step="off"), tiny_data)
    forced, found = _train(_change(config, device_step="on"), tiny_data)
    assert [each.loss for each in found] == pytest.approx([each.loss for each in expected], rel=1e-3)
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=0.05)
    for name, weight in model.state_dict().items():
        if name.endswith("score.bias"):
            continue  # softmax does not see it: its gradient is 0, up to rounding
        assert (forced.state_dict()[name] - weight).norm() <= 0.02 * weight.norm() + 1e-3, name


def test_training_with_the_device_step_goes_on_as_if_it_had_not_been_interrupted(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = _change(tiny_config, device_step="on")
    _, expected = _train(config, tiny_data)
    first = Training(config, tiny_data)
    results = [first.run_epoch()]
    second = Training(config, tiny_data)
    second.load_state_dict(first.state_dict())
    results += [second.run_epoch() for _ in range(2)]
    assert _figures(results) == _figures(expected)


def test_the_device_step_trains_no_image_encoder(tiny_config: TrainingConfig, tiny_pixels: PreparedData) -> None:
    Training(_change(tiny_config, device_step="auto"), tiny_pixels)
    with pytest.raises(InputError, match="device_step on trains on features of images, but the data hold pixels"):
        Training(_change(tiny_config, device_step="on"), tiny_pixels)


FORKED = """
import os, signal, sys
from pathlib import Path
import torch
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.evaluation import predict_split
from san_core.training import train_fn

torch.set_num_threads(4)
(torch.ones(2000, 500) @ torch.ones(500, 500)).tanh()  # starts the threads that a forked process does not have
child = os.fork()
if not child:
    signal.alarm(280)  # which ends it if it hangs
    data = PreparedData.open(Path(sys.argv[1]))
    network = train_fn(TrainingConfig(hidden_size=512, epochs=1), data)
    predict_split(network, data, data.split("validation"))
    assert torch.get_num_threads() == 4
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_trains(tiny_data: PreparedData) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", FORKED, str(tiny_data.folder)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], env=environment, timeout=300)


def test_feature_dropout_has_random_numbers_of_its_own(tiny_config: TrainingConfig, tiny_data: PreparedData) -> None:
    """The rest of a training meets the same random numbers with it and without, and the same ones after a break."""
    states, losses = [], []
    for share in (0.0, 0.5):
        training = Training(_change(tiny_config, device_step="off", feature_dropout=share), tiny_data)
        losses.append([training.run_epoch().loss for _ in range(2)])
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    assert losses[0][0] != losses[1][0]
    first, second = (Training(training.config, tiny_data) for _ in range(2))
    first.run_epoch()
    second.load_state_dict(first.state_dict())
    assert second.run_epoch().loss == losses[1][1]


@pytest.mark.parametrize("device_step", ["on", "off"])
def test_feature_dropout_drops_nothing_when_the_network_is_scored(
    device_step: str, tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    """A step too small to matter leaves the first weights, and their score."""
    config = _change(tiny_config, learning_rate=1e-30, device_step=device_step)
    expected, found = (Training(_change(config, feature_dropout=share), tiny_data).run_epoch() for share in (0, 0.9))
    assert found.score == expected.score
    assert found.loss != expected.loss


def test_feature_dropout_drops_channels_of_an_image_encoder_that_is_trained(
    tiny_config: TrainingConfig, tiny_pixels: PreparedData
) -> None:
    training = Training(_change(tiny_config, feature_dropout=0.5, dropout=0, batch_size=1000), tiny_pixels)
    without = Training(_change(tiny_config, dropout=0, batch_size=1000), tiny_pixels)
    training.run_epoch()
    without.run_epoch()
    dropped, unused = ((each.model.project.weight.grad == 0).all(dim=0) for each in (training, without))
    assert 0.3 < dropped[~unused].float().mean() < 0.7

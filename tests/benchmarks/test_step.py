import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmarks import step
from benchmarks.plain import PlainSAN, PlainStep
from benchmarks.shapes import SHAPES, Shape
from benchmarks.turns import median_ratio
from san_core.models.san import SAN
from san_core.optimizer import build_optimizer
from san_core.training import train_step
from tests.benchmarks.shapes import SMALL

PLAIN_NAMES = {"question_encoder.embedding": "embedding", "question_encoder.lstm": "lstm", "attention.hops": "hops"}


def _plain_name(name: str) -> str:
    for ours, plain in PLAIN_NAMES.items():
        name = name.replace(ours, plain)
    return name


def _copy_weights(model: SAN, plain: PlainSAN) -> None:
    plain.load_state_dict({_plain_name(name): value for name, value in model.state_dict().items()})


def _batch(shape: Shape) -> tuple[tuple[Tensor, ...], Tensor, Tensor, Tensor]:
    """Arguments of our network; features, words and answers of the plain one."""
    batch, targets = step.batch_of(shape)
    return batch.inputs, batch.images[batch.image_rows].float(), batch.tokens[batch.question_rows], targets


SHAPED = pytest.mark.parametrize(
    "shape", [SMALL, replace(SMALL, questions_per_image=3, texts=5)], ids=["all distinct", "shared"]
)


@SHAPED
def test_both_steps_move_the_weights_alike(shape: Shape) -> None:
    """In float32 without dropout, three steps from the same weights."""
    torch.manual_seed(0)
    model, plain = shape.network().train(), PlainStep(shape)
    _copy_weights(model, plain.model)
    optimizer = build_optimizer(model, shape.config)
    batch, targets = step.batch_of(shape)
    _, features, words, _ = _batch(shape)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    for _ in range(3):
        plain.model.zero_grad()
        expected = torch.nn.functional.cross_entropy(plain.model(features, words), targets)
        assert train_step(model, optimizer, batch, targets, shape.config).item() == pytest.approx(expected.item())
        plain(features, words, targets)
    theirs = plain.model.state_dict()
    for name, weight in model.state_dict().items():
        if not name.endswith("score.bias"):  # its gradient is 0 up to rounding, whose sign RMSprop makes a step of
            moved = (theirs[_plain_name(name)] - before[name]).norm()
            assert (weight - theirs[_plain_name(name)]).norm() < 0.01 * moved, name


@SHAPED
def test_bfloat16_gives_the_plain_networks_logits_up_to_its_rounding(shape: Shape) -> None:
    torch.manual_seed(0)
    model, plain = shape.network().eval(), PlainSAN(shape).eval()
    _copy_weights(model, plain)
    inputs, features, words, _ = _batch(shape)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(*inputs).float()
    torch.testing.assert_close(found, plain(features, words), rtol=0.05, atol=0.01)


def test_batch_holds_what_its_shape_says() -> None:
    for shape in (*SHAPES, SMALL):
        batch, targets = step.batch_of(shape)
        lengths = (batch.tokens[batch.question_rows] > 0).sum(dim=1)
        assert len(targets) == len(lengths) == len(batch.image_rows) == shape.config.batch_size
        assert (lengths.min(), lengths.max()) == (shape.shortest, shape.longest)
        assert set(batch.image_rows.bincount().tolist()) == {shape.questions_per_image}
        assert len(batch.images) == len(targets) // shape.questions_per_image
        assert len(batch.tokens.unique(dim=0)) == len(batch.tokens)
        assert (len(batch.tokens) == len(targets)) == (shape.texts is None)


def test_products_of_a_step_are_counted() -> None:
    shape = replace(SMALL, config=replace(SMALL.config, hops=1, batch_size=2), shortest=3, longest=3, answers=11)
    batch, _ = step.batch_of(shape)
    words = len(set(batch.tokens.flatten().tolist()))
    project = 2 * (2 * 4) * 7 * 8  # forward and its weights' gradient; a product's multiplication and addition are two
    hop = 3 * 2 * ((2 * 4) * 8 * 6 + 2 * 8 * 6 + 2 * (2 * 4) * 8)
    lstm = 3 * 2 * (words * 5 + 6 * 8) * 32
    classify = 3 * 2 * 2 * 8 * 11
    assert step.products(shape) == 2 * project + hop + lstm + classify


def test_ratio_is_the_median_of_the_rounds() -> None:
    assert median_ratio([2, 9, 40, 8], [1, 3, 10, 2]) == 3.5


@pytest.mark.long
@pytest.mark.rare
def test_json_tells_both_steps_rates(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(step, "SHAPES", [SMALL])
    monkeypatch.setattr(step, "MATRIX", 64)
    step.main(["--json", "--rounds", "2", "--threads", "1"])
    (row,) = json.loads(capsys.readouterr().out)
    assert list(row) == ["shape", "threads", "plain", "fast", "ratio", "bf16_share"]
    assert (row["shape"], row["threads"]) == ("small", 1)
    assert min(row["plain"], row["fast"], row["ratio"], row["bf16_share"]) > 0


@pytest.mark.long
@pytest.mark.rare
def test_task_that_fails_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "SHAPES", [replace(SMALL, answers=0)])
    with pytest.raises(RuntimeError, match="a process that was timed has ended"):
        step.main(["--json", "--rounds", "1", "--threads", "1"])

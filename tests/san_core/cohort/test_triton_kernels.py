"""The fused kernels beside the plain operations: in Triton's interpreter, and compiled for a GPU that is not there."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from san_core.cohort import pointwise

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture
def fresh_answer() -> Iterator[None]:
    """`has_triton` looks again."""
    pointwise.has_triton.cache_clear()
    yield
    pointwise.has_triton.cache_clear()


@pytest.mark.usefixtures("fresh_answer")
def test_the_fused_kernels_want_a_compiler_and_pythons_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "gcc")
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert pointwise.has_triton()
    pointwise.has_triton.cache_clear()
    monkeypatch.delenv("CC")
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not pointwise.has_triton()
    pointwise.has_triton.cache_clear()
    monkeypatch.setenv("CC", "gcc")
    (tmp_path / "Python.h").unlink()
    assert not pointwise.has_triton()


INTERPRETED = """
import torch
from san_core.cohort import fused, pointwise

torch.manual_seed(0)
same = lambda found, expected: torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

for members, images, questions, regions, size, hops in ((2, 3, 2, 5, 24, 2), (1, 4, 1, 9, 16, 1), (3, 2, 3, 4, 8, 3)):
    slots = images * questions
    projected_regions = torch.randn(members, images, regions, hops, size)
    projected_query, w_score = torch.randn(members, slots, size), torch.randn(members, hops, size)
    b_score = torch.randn(members, hops)
    mask = pointwise.Mask(
        torch.randint(0, 256, (images, questions, regions, size), dtype=torch.uint8),
        torch.tensor([100, 0, 255][:members], dtype=torch.int32),
    )
    for drops in (None, mask):
        operands = projected_regions[:, :, :, -1], projected_query, w_score[:, -1], b_score[:, -1], drops
        same(fused.attention_scores(*operands), pointwise.attention_scores(*operands))
        grad_scores = torch.randn(members, slots, regions)
        first, second = projected_regions.clone(), projected_regions.clone()
        others = projected_query, w_score[:, -1], drops
        found = fused.attention_scores_backward_(grad_scores, first[:, :, :, -1], *others)
        expected = pointwise.attention_scores_backward_(grad_scores, second[:, :, :, -1], *others)
        for one, other in zip((*found, first), (*expected, second)):
            same(one, other)
    hidden = 12
    grad, regions_ = torch.randn(members, images * regions, hidden), torch.rand(members, images * regions, hidden)
    looks = torch.rand(members * images, questions * hops, regions)
    grads = torch.randn(members * images, questions * hops, hidden)
    by_image = grad.view(members * images, regions, hidden) + looks.transpose(1, 2) @ grads
    expected = by_image.view_as(grad) * (1 - regions_ ** 2)
    same(fused.regions_backward_(grad.clone(), regions_, looks, grads), expected)

members, steps, rows, size = 2, 3, 5, 12
bias, is_word = torch.randn(members, 4 * size), torch.tensor([True, False, True, True, True])
for gates_from_hidden in (None, torch.randn(members, rows, 4 * size)):
    gates = torch.randn(members, steps, rows, 4 * size)
    states = torch.randn(2, members, steps + 1, rows, size)
    grad_hidden, grad_cell = torch.randn(2, members, rows, size)
    results = []
    for module in (fused, pointwise):
        own_gates, own_grad, own = gates.clone(), grad_cell.clone(), pointwise.CellStates(*states.clone())
        module.lstm_cell_(own_gates[:, 1], gates_from_hidden, bias, is_word, own, 1)
        activated = own_gates.clone()
        module.lstm_cell_backward_(own_gates[:, 1], grad_hidden, own_grad, own, 1)
        results.append((activated, own_gates, own_grad, *own))
    for one, other in zip(*results):
        same(one, other)

words = torch.tensor([3, 0, 1, 1, 6])
same(fused.one_hot(words, 7, torch.float32), pointwise.one_hot(words, 7, torch.float32))

from tests.san_core.cohort.cohorts import cohort, configs_of
for settings in ({"weight_decay": 0.01}, {"clip_norm": 0.1}):
    results = []
    for use in (True, False):
        made = cohort(configs_of(3, **settings), dtype=torch.float32, working=torch.bfloat16)
        active = torch.tensor([[True], [False], [True]])
        for _ in range(2):
            grads = torch.randn(made.network.weights.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
            if use:
                fused.rmsprop(made.optimizer, grads, made.optimizer._clip(grads), active)
            else:
                made.optimizer.step(grads, active)
        assert (made.network.working - made.network.weights).abs().max() < 0.01 * made.network.weights.abs().max()
        results.append((made.network.weights, made.optimizer.square_avg, made.optimizer.momentum_buffer))
    for one, other in zip(*results):
        same(one, other)
print("same")
"""


def test_interpreted_kernels_do_what_the_plain_operations_do() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    command = [sys.executable, "-c", INTERPRETED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.stdout.strip() == "same", done.stderr


COMPILED = """
import re

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from san_core.cohort import triton_kernels

FLOATS = {"scores", "grad_scores", "weights", "square_avg", "momentum_buffer"}
FLOATS |= {"learning_rate", "momentum", "alpha", "eps", "weight_decay", "scale"}
TYPES = {"random": "*u8", "thresholds": "*i32", "is_word": "*i1", "active": "*i1", "words": "*i64"}
SIZES = {"slots", "questions", "regions", "size", "images", "count", "hidden"}
SIZES |= {"vocabulary", "row_length", "decayed_from"}
CONSTANTS = {"DROPS": True, "HAS_HIDDEN": True, "CLIPS": True, "COPIES": True, "ROWS": 4, "SIZE": 64, "COLUMNS": 64}
CONSTANTS |= {"QUESTIONS": 2, "PAIRS": 2, "BLOCK": 1024}
# In these kernels the name is that of a pointer.
POINTERS = {"regions_backward_kernel": {"regions"}, "lstm_cell_kernel": {"hidden"}}


def kind(kernel, name):
    if name in CONSTANTS:
        return "constexpr"
    if name in TYPES or name in FLOATS:
        return TYPES.get(name, "*fp32")
    sizes = SIZES - POINTERS.get(kernel, set())
    return "i32" if name in sizes or name.endswith("_stride") or name == "next_state" else "*bf16"


for name in sorted(vars(triton_kernels)):
    if name.endswith("_kernel"):
        function = getattr(triton_kernels, name)
        signature = {argument: kind(name, argument) for argument in function.arg_names}
        constants = {(i,): CONSTANTS[a] for i, a in enumerate(function.arg_names) if a in CONSTANTS}
        source = ASTSource(function, signature, constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        assert not re.search(r"\\b(?<!sha)(atom|red)\\.", compiled.asm["ptx"]), name
        print(name, ".target sm_90" in compiled.asm["ptx"])
"""

KERNELS = ("lstm_cell_backward", "lstm_cell", "one_hot", "regions_backward", "rmsprop", "scores_backward", "scores")


def test_every_kernel_compiles_for_a_hopper_gpu_that_is_not_there_and_adds_without_atomics() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert sorted(done.stdout.split("\n")) == sorted(["", *(f"{name}_kernel True" for name in KERNELS)]), done.stderr

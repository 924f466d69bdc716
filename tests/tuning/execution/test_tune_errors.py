"""What is said of errors that ended what Ray Tune ran."""

import pytest
import torch

from san_core.hardware import is_out_of_memory
from tuning.execution.tune_errors import describe_error

CUDA_ERROR = """ray::CohortWorker.train() (pid=1)
torch.AcceleratorError: CUDA error: out of memory
CUDA kernel errors might be asynchronously reported at some other API call.
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."""


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(CUDA_ERROR),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_out_of_memory_is_known_by_any_of_its_names(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_other_errors_are_not_out_of_memory() -> None:
    assert not is_out_of_memory(ValueError("the memory of an elephant"))
    assert not is_out_of_memory(None)


def test_an_error_is_described_by_the_line_that_names_it() -> None:
    assert describe_error(RuntimeError(CUDA_ERROR)) == "torch.AcceleratorError: CUDA error: out of memory"
    assert describe_error(RuntimeError("first line\nlast line")) == "last line"
    assert describe_error(None) == "failed; search.log has the details"

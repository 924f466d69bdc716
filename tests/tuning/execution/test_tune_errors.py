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
    assert describe_error(RuntimeError("first line\nlast line")) == "first line last line"
    assert describe_error(None) == "failed; search.log has the details"


class _RaisedInAWorkerError(RuntimeError):
    """As Ray tells of it: the traceback as text, and what was raised as `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f'ray::SANWorker.train()\n  File "x.py", line 1\n{type(cause).__name__}: {cause}')
        self.cause = cause


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("the size is wrong", "ValueError: the size is wrong"),
        ("expected\n  x\n  ^", "ValueError: expected x ^"),
        ("cannot allocate so much memory here\n)", "ValueError: cannot allocate so much memory here"),
        ("a" * 300, f"ValueError: {'a' * 185}..."),
        ("", "ValueError:"),
    ],
)
def test_a_reason_is_the_message_of_the_exception(message: str, reason: str) -> None:
    assert describe_error(_RaisedInAWorkerError(ValueError(message))) == reason

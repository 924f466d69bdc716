import pytest
import torch

from san_core.errors import InputError
from san_core.hardware import explain_out_of_memory


def test_a_full_gpu_is_said_in_one_line() -> None:
    message = "^the GPU has too little free memory for the model; CUDA_VISIBLE_DEVICES= runs on the CPU$"
    with pytest.raises(InputError, match=message), explain_out_of_memory("the model"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def test_a_gpu_that_a_forked_process_cannot_use_is_said_in_one_line() -> None:
    with (
        pytest.raises(InputError, match="^this process was forked from one that uses the GPU"),
        explain_out_of_memory(""),
    ):
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, ...")
    with pytest.raises(RuntimeError, match="^something else$"), explain_out_of_memory("the model"):
        raise RuntimeError("something else")

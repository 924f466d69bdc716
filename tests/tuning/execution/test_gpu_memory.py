"""Told by a program called nvidia-smi that stands in for NVIDIA's."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tuning.execution import gpu_memory
from tuning.execution.gpu_memory import QUERY, shared_gpus_notice

H100 = "NVIDIA H100 80GB HBM3"
THREE = f"""0, GPU-aaaa-1, {H100}, 81559, 18842
1, GPU-bbbb-2, {H100}, 81559, 4
2, GPU-bbcc-3, NVIDIA L4, 23034, 20000
"""
FIRST = f"GPU 0 ({H100}): 61.2 of 79.6 GiB free"
THIRD = "GPU 2 (NVIDIA L4): 3.0 of 22.5 GiB free"
REST = "; other programs use the rest"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """nvidia_smi(script): what bash is to run under that name; it finds the arguments in $*."""

    def make(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return make


def _printing(text: str) -> str:
    return f"[ \"$*\" = '{' '.join(QUERY[1:])}' ] || exit 3\ncat <<'END'\n{text}END"


def test_gpus_that_other_programs_use_are_told_in_a_line(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi(_printing(THREE))
    assert shared_gpus_notice() == f"{FIRST}, {THIRD}{REST}"


def test_nothing_is_told_of_gpus_that_nobody_uses(nvidia_smi: Callable[[str], None]) -> None:
    """A driver alone may use some percent."""
    nvidia_smi(_printing(f"0, GPU-aaaa-1, {H100}, 81559, 4077\n"))
    assert shared_gpus_notice() == ""
    nvidia_smi(_printing(f"0, GPU-aaaa-1, {H100}, 81559, 4078\n"))
    assert shared_gpus_notice() == f"GPU 0 ({H100}): 75.7 of 79.6 GiB free{REST}"


@pytest.mark.parametrize(
    ("visible", "told"),
    [
        ("0", FIRST + REST),
        ("1", ""),
        ("2, 0", f"{THIRD}, {FIRST}{REST}"),
        ("GPU-bbcc-3", THIRD + REST),
        ("GPU-bbc,GPU-a", f"{THIRD}, {FIRST}{REST}"),
        ("0,7,2", FIRST + REST),
        ("", ""),
        ("-1", ""),
        ("MIG-aaaa", ""),
        ("GPU-none", ""),
    ],
)
def test_only_gpus_that_the_search_may_use_are_told_of(
    visible: str, told: str, nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(_printing(THREE))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert shared_gpus_notice() == told


@pytest.mark.parametrize(
    "script",
    [
        "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver'; exit 9",
        "echo 'No devices were found'",
        "echo '0, GPU-aaaa-1, NVIDIA GB10, [N/A], [N/A]'",
        f"echo '0, GPU-aaaa-1, {H100}, 81559, 18842'; exit 1",
        "echo '0, GPU-aaaa-1'",
        "printf '\\xff\\xfe'",
        "true",
    ],
)
def test_nothing_is_told_where_nvidia_smi_says_something_else(
    script: str, nvidia_smi: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    nvidia_smi(script)
    assert shared_gpus_notice() == ""
    assert capfd.readouterr() == ("", "")


def test_nothing_is_told_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shared_gpus_notice() == ""


def test_a_query_that_hangs_is_given_up(nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi("exec sleep 60")
    monkeypatch.setattr(gpu_memory, "SECONDS", 0.2)
    assert shared_gpus_notice() == ""

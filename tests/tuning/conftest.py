"""Run folders without a search."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from studies import EPOCHS

from tuning.run_folder import RunFolder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """make_run(name="run", **settings)"""

    def make(name: str = "run", **settings: Any) -> RunFolder:  # noqa: ANN401
        chosen = {"seed": 3, "sampler": "tpe", "pruner": "halving", "fixed": {"epochs": EPOCHS}, **settings}
        return RunFolder.create(tmp_path / name, chosen, {})

    return make

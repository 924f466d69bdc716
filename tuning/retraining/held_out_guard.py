"""Records for which models the test split of a search was used, and refuses to use it for a second one.

Whoever chooses among models by their test scores can no longer trust these scores.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.run_folder import RunFolder
from san_core.errors import InputError
from san_core.files import read_json, shown, write_json

_MODELS, _NETWORKS = "models", "networks"


def models_tested(run: RunFolder, *, besides: str | None = None) -> list[str]:
    """The model folders that test scores were shown of, including those that were never finished or are deleted.

    Args:
        run: the search.
        besides: key of networks whose test goes on; their model is left out.

    Raises:
        InputError: if the record cannot be read.
    """
    record = _read(run)
    own = record[_NETWORKS].get(besides)
    return [str(model) for model in record[_MODELS] if model != own]


def refuse_second_test(run: RunFolder, models: Sequence[str]) -> None:
    """Refuses to test a second model of the same search.

    Args:
        run: the search.
        models: the models that were tested before.

    Raises:
        InputError: if there are any; it names them.
    """
    if models:
        folders = [Path(model) for model in models]
        listed = ", ".join(f"{shown(each)}{'' if each.exists() else ', interrupted or gone'}" for each in folders)
        raise InputError(
            f"{run.shown} has used its test split before ({listed}): who chooses among models by test scores "
            "can no longer trust them; --on validation compares, --again tests all the same"
        )


def record_test(run: RunFolder, model: Path, *, networks: str, before: Sequence[str]) -> None:
    """Records that the test split is used for a model. Called before any score is shown, so that none is used unseen.

    Args:
        run: the search.
        model: the model folder.
        networks: key of the networks that are tested, see `KeptNetworks`.
        before: the models that were tested before.

    Raises:
        InputError: if the record cannot be written.
    """
    record = _read(run)
    changed = {_MODELS: [*before, str(model)], _NETWORKS: {**record[_NETWORKS], networks: str(model)}}
    if changed == record:
        return
    try:
        write_json(run.test_split_uses, changed)
    except OSError as error:
        raise InputError(
            f"cannot write {shown(run.test_split_uses)}, so no score is shown: {error.strerror}"
        ) from error


def _read(run: RunFolder) -> dict[str, Any]:
    """The record: the models, and by the key of their networks those whose networks were kept."""
    if not run.test_split_uses.exists():
        return {_MODELS: [], _NETWORKS: {}}
    record = {_NETWORKS: {}, **read_json(run.test_split_uses)}
    if not isinstance(record.get(_MODELS), list) or not isinstance(record[_NETWORKS], dict):
        raise InputError(f"{shown(run.test_split_uses)} is damaged: it lacks {_MODELS!r}")
    return record

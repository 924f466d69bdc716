"""Records for which models the test split of a search was used, and refuses to use it for a second one.

Whoever chooses among models by their test scores can no longer trust these scores.
"""

from pathlib import Path

from results.run_folder import RunFolder
from san_core.errors import InputError
from san_core.files import read_json, shown, write_json

_MODELS = "models"


def models_tested(run: RunFolder) -> list[str]:
    """The model folders that test scores were computed for, including those that were never finished or are deleted.

    Raises:
        InputError: if the record cannot be read.
    """
    if not run.test_split_uses.exists():
        return []
    models = read_json(run.test_split_uses).get(_MODELS)
    if not isinstance(models, list):
        raise InputError(f"{shown(run.test_split_uses)} is damaged: it lacks {_MODELS!r}")
    return [str(model) for model in models]


def refuse_second_test(run: RunFolder) -> None:
    """Refuses to test a second model of the same search.

    Raises:
        InputError: if the test split was used before; it names the models.
    """
    if models := models_tested(run):
        folders = [Path(model) for model in models]
        listed = ", ".join(f"{shown(each)}{'' if each.exists() else ', interrupted or gone'}" for each in folders)
        raise InputError(
            f"{run.shown} has used its test split before ({listed}): who chooses among models by test scores "
            "can no longer trust them; --on validation compares, --again tests all the same"
        )


def record_test(run: RunFolder, model: Path) -> None:
    """Records that the test split is used for a model. Called before it is used, so that no interruption can hide it.

    Raises:
        InputError: if the record cannot be written.
    """
    try:
        write_json(run.test_split_uses, {_MODELS: [*models_tested(run), str(model)]})
    except OSError as error:
        file = shown(run.test_split_uses)
        raise InputError(f"cannot write {file}, so nothing was tested: {error.strerror}") from error

"""Settings of trainings: those that the options of a search fix, and all those of one trial."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from results.preparations import without_data
from results.run_folder import SEED, SETTINGS_FILE
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.models.presets import preset


def training_settings(settings: Mapping[str, Any], trial: FrozenTrial, seed: int | None = None) -> dict[str, Any]:
    """Everything that a trial was trained with, by the field's name in `TrainingConfig`.

    Args:
        settings: the run's settings, from settings.json.
        trial: the trial.
        seed: seed of the training, and of its batches' order; None for the trial's own and the search's order.

    Raises:
        InputError: if the run folder lacks the fixed settings, or the trial its seed.
    """
    if seed is None and SEED not in trial.user_attrs:
        raise InputError(f"trial {trial.number} cannot be trained again: the journal lacks its seed")
    if "fixed" not in settings:
        raise InputError(f"{SETTINGS_FILE} is damaged: it lacks 'fixed'")
    seeds = {"seed": trial.user_attrs[SEED]} if seed is None else {"seed": seed, "order_seed": seed}
    return {**settings["fixed"], **without_data(trial.params), **seeds}


def chosen_settings(preset_name: str | None, assignments: Sequence[str], epochs: int | None) -> dict[str, Any]:
    """The training settings that `--preset`, `--set` and `--epochs` fix; the later of the three wins.

    Args:
        preset_name: name of a network of the paper, see `san_core.models.presets`; None for no preset.
        assignments: texts of the form SETTING=VALUE; if a setting is given twice, the last value counts.
        epochs: number of epochs of a trial that is not stopped early; None to leave it open.

    Raises:
        InputError: for a text of another form, an unknown setting, or a value outside its range.
    """
    problems = [f"--set takes SETTING=VALUE, but got {text!r}" for text in assignments if "=" not in text]
    if any(text.startswith("seed=") for text in assignments):
        problems.append("--set cannot fix seed: each trial has its own, which follows from --seed")
    if any(text.startswith("order_seed=") for text in assignments):
        problems.append("--set cannot fix order_seed: it follows from --seed")
    if problems:
        raise InputError("; ".join(problems))
    chosen: dict[str, Any] = preset(preset_name) if preset_name else {}
    for name, _, value in (text.partition("=") for text in assignments):
        chosen[name] = _parse_value(value)
    if epochs:
        chosen["epochs"] = epochs
    TrainingConfig.from_dict(chosen)
    return chosen


def _parse_value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def with_defaults(defaults: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The training settings that suit a data set, and those that are chosen instead.

    If other epochs are chosen, the step of the learning rate's schedule moves with them.

    Args:
        defaults: see `san_core.data.raw_dataset.RawDataset.training_defaults`.
        chosen: see `chosen_settings`.
    """
    defaults = dict(defaults)
    if "epochs" in chosen and {"epochs", "step_epochs"} <= defaults.keys():
        defaults["step_epochs"] = max(1, round(defaults["step_epochs"] * chosen["epochs"] / defaults["epochs"]))
    return {**defaults, **chosen}

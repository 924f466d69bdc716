"""Whether the settings that a run folder records are enough to go on with its search."""

from results.preparations import without_data
from results.run_folder import RunFolder
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.files import shown
from tuning.options.search_options import BOUNDS
from tuning.study.pruners import PRUNERS
from tuning.study.samplers import SAMPLERS

_NEEDED = (
    *("options", "data", "data_name", "data_fingerprint", "space", "space_definition", "baseline", "fixed", "metric"),
    *("metric_title", "seed", "sampler", "pruner", "baseline_first", "try_first", "prior", *BOUNDS, "confirm"),
    *("concurrent", "cpus_per_trial", "gpus_per_trial", "max_failures", "keep"),
)


def check_settings(run: RunFolder) -> None:
    """Checks that no setting which a resumed search needs is missing or damaged.

    Raises:
        InputError: if one is; the message names it.
    """
    for name in _NEEDED:
        run.setting(name)
    for name, accepted in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if run.setting(name) not in accepted:
            raise InputError(
                f"{shown(run.settings_file)} is damaged: {name!r} is {run.setting(name)!r}, accepted: "
                f"{', '.join(accepted)}"
            )
    if not run.setting("space_definition") or "epochs" not in run.setting("fixed"):
        raise InputError(f"{shown(run.settings_file)} is damaged: it has no space or no number of epochs")
    try:
        TrainingConfig.from_dict({**run.setting("fixed"), **without_data(run.setting("baseline"))})
    except InputError as error:
        raise InputError(f"{shown(run.settings_file)} is damaged: {error}") from error

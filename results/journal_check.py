"""Whether an entry of the journal is one that a search writes: a damaged one would only fail much later."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from san_core.files import can_be_written

_Check = Callable[[Any], bool]


def is_whole(value: object) -> bool:
    """Whether a value is a whole number >= 0 that 64 bits hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > 1e300  # NaN is one


def _is_text(value: object) -> bool:
    return isinstance(value, str) and can_be_written(value)


def _is_time(value: object) -> bool:
    try:
        return value is None or bool(datetime.fromisoformat(str(value)).timestamp())
    except (ValueError, OverflowError):
        return False


def _is_list(entry: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(entry, value))


def _is_object(entry: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(map(entry, value.values()))


def _are_attributes(value: object) -> bool:
    return isinstance(value, dict) and all(_is_attribute(name, entry) for name, entry in value.items())


def _is_any(value: object) -> bool:
    return not isinstance(value, str) or can_be_written(value)


def _is_job(value: object) -> bool:
    return isinstance(value, dict) and all(check(value.get(name)) for name, check in _JOB.items())


_JOB: Mapping[str, _Check] = {
    "trials": _is_list(is_whole),
    **dict.fromkeys(("first", "last", "due", "width"), is_whole),
    **dict.fromkeys(("started", "ended"), _is_time),
    "worker": _is_text,
}

_ATTRIBUTES: Mapping[str, _Check] = {
    **dict.fromkeys(("seed", "confirms", "duplicate_of", "repeats", "ended"), is_whole),
    "seconds": _is_number,
    **dict.fromkeys(("reason", "worker", "prior", "stopped_by"), _is_text),
    "resumed": _is_time,
    "fixed_params": _is_object(_is_any),
}
"""The names are those of `results.run_folder`, which imports this module."""

_TRIAL: Mapping[str, _Check] = {"trial_id": is_whole}
_STUDY: Mapping[str, _Check] = {"study_id": is_whole}

_ENTRIES: Mapping[int, Mapping[str, _Check]] = {
    0: {"study_name": _is_text, "directions": _is_list(lambda value: value in (1, 2))},
    1: _STUDY,
    2: {**_STUDY, "user_attr": _are_attributes},
    3: {**_STUDY, "system_attr": _are_attributes},
    4: {**_STUDY, "datetime_start": _is_time},
    5: {**_TRIAL, "param_name": _is_text, "param_value_internal": _is_number, "distribution": _is_text},
    6: {**_TRIAL, "state": lambda value: value in range(5), "values": lambda v: v is None or _is_list(_is_number)(v)},
    7: {**_TRIAL, "step": is_whole, "intermediate_value": _is_score},
    8: {**_TRIAL, "user_attr": _are_attributes},
    9: {**_TRIAL, "system_attr": _are_attributes},
}
"""What an entry with each of Optuna's operation codes must have."""

_OPTIONAL: Mapping[str, _Check] = {
    "state": lambda value: value in range(5),
    "value": lambda value: value is None or _is_number(value),
    "values": lambda value: value is None or _is_list(_is_number)(value),
    "datetime_complete": _is_time,
    "distributions": _is_object(_is_text),
    "params": _is_object(_is_number),
    "user_attrs": _are_attributes,
    "system_attrs": _are_attributes,
    "intermediate_values": _is_object(_is_score),
}
"""What an entry may have besides."""


def problem(log: object) -> str:
    """What is wrong with an entry of the journal, in words; empty for nothing."""
    if not isinstance(log, dict) or not is_whole(code := log.get("op_code")):
        return "it is no entry of a journal"
    needed = {"worker_id": _is_text, **_ENTRIES.get(int(code or 0), {})}
    wrong = [
        f"its {name} is {str(log.get(name))[:80]!r}"
        for name, check in {**_OPTIONAL, **needed}.items()
        if (name in log or name in needed) and not check(log.get(name))
    ]
    return next(iter(wrong), "")


def _is_attribute(name: str, value: object) -> bool:
    if name.startswith("job-"):
        return name[4:].isdigit() and _is_job(value)
    return _ATTRIBUTES.get(name, _is_any)(value)

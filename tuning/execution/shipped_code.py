"""The project's code travels with a search to the nodes of a cluster."""

import json
import os
from typing import Any

import results
import san_core
import search_spaces
import tuning

_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Variable in which Ray tells a driver that `ray job submit` started what the job was given."""


def code_environment() -> dict[str, Any]:
    """Ray's runtime environment for the workers of a search: the packages of this project as they are here.

    So a node needs what they import, but not the project itself, and one that has another version uses this one. It is
    a megabyte, which Ray sends to each node once. A job that brings modules of its own keeps those.
    """
    if "py_modules" in _environment_of_job():
        return {}
    return {"py_modules": [package.__path__[0] for package in (tuning, san_core, search_spaces, results)]}


def _environment_of_job() -> dict[str, Any]:
    """The runtime environment that this program's Ray job has; empty if it is no job."""
    try:
        found = json.loads(os.environ.get(_JOB, "{}")).get("runtime_env")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

"""Where Ray's sockets and logs go."""

import os
import re
from pathlib import Path

import pytest

from san_core.errors import InputError
from tuning.execution import ray_folder as module
from tuning.execution.ray_folder import folder_notice, ray_folder


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /tmp; no variable is set, and names may be as long as pytest's folders are."""
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "DEFAULT", tmp_path / "ray")
    monkeypatch.setattr(module, "_MOST_BYTES", len(str(tmp_path)) + 10)
    return tmp_path


def test_ray_keeps_to_its_own_folder_and_to_those_that_variables_name(
    tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ray_folder() == tmp / "ray"
    monkeypatch.setenv("TMPDIR", f"{tmp}/scratch")
    assert ray_folder() == tmp / "scratch" / "ray"
    monkeypatch.setenv("RAY_TMPDIR", f"{tmp}/named")
    assert ray_folder() == tmp / "named" / "ray"
    assert folder_notice(ray_folder()) == ""


def test_the_path_of_each_of_rays_sockets_fits() -> None:
    session = "session_2026-01-01_00-00-00_000000_4194304"
    longest = f"/{'t' * (module._MOST_BYTES - 1)}/ray/{session}/sockets/dash_TaskEventsHead"
    assert len(longest) == 107


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_sockets_that_would_not_fit_go_to_tmp_and_the_user_is_told(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"{tmp}/{'long' * 30}")
    assert ray_folder() == tmp / "ray"
    said = f"Ray's sockets and logs are in {tmp}/ray, because {variable} is longer than the {module._MOST_BYTES} bytes"
    assert folder_notice(ray_folder()).startswith(said)


def test_a_folder_that_ray_tmpdir_names_and_that_cannot_be_made_is_an_error(
    tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp / "file").touch()
    monkeypatch.setenv("RAY_TMPDIR", f"{tmp}/file")
    with pytest.raises(
        InputError, match=rf"RAY_TMPDIR is {tmp}/file, .* cannot write {tmp}/file/ray: Not a directory; acc"
    ):
        ray_folder()


def test_the_systems_folder_for_temporary_files_is_left_for_tmp_if_it_cannot_be_written(
    tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp / "file").touch()
    monkeypatch.setenv("TMPDIR", f"{tmp}/file")
    assert ray_folder() == tmp / "ray"
    assert "because TMPDIR cannot be written" in folder_notice(ray_folder())


def test_another_users_folder_is_left_for_one_of_ones_own(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = (tmp / "ray",)
    monkeypatch.setattr(os, "access", lambda path, _: path not in others)
    own = tmp / f"ray-{os.getuid()}"
    assert ray_folder() == own
    monkeypatch.setattr(os, "access", lambda *_: False)
    message = f"Ray can write neither {tmp}/ray (it cannot be written) nor {own} (it cannot be written); set RAY_TMPDIR"
    with pytest.raises(InputError, match=re.escape(message)):
        ray_folder()


def test_a_folder_of_ones_own_that_another_user_made_is_not_trusted(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.getuid()
    others = (tmp / "ray",)
    monkeypatch.setattr(os, "access", lambda path, _: path not in others)
    (tmp / f"ray-{user + 1}").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.raises(InputError, match=rf"ray-{user + 1} \(another user made it\)"):
        ray_folder()

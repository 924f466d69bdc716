"""`~` in the paths that commands and functions take."""

import re
from pathlib import Path

import pytest

import san_core
from san_core.command_line import path
from san_core.data.preparation import prepare
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.files import from_home


def test_a_wave_at_the_beginning_is_the_home_folder() -> None:
    assert path("~/pictures/a.png") == Path.home() / "pictures" / "a.png"
    assert from_home("a/~b") == "a/~b"
    assert from_home("s3://bucket/~x") == "s3://bucket/~x"


def test_functions_look_in_the_home_folder() -> None:
    home = re.escape(str(Path.home()))
    for call in (
        lambda: san_core.load("~/no-model"),
        lambda: PreparedData.open(Path("~/no-data")),
        lambda: prepare("easy-vqa", Path("~/..")),
    ):
        with pytest.raises(InputError, match=home):
            call()

"""What a person took for something else is called what it is."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from san_core import predict, prepare
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("-", "- is no file: standard input is not read; write it to a file first"),
        ("https://there.org/list.csv", "is an address, and nothing is downloaded here; download it first"),
        ("file:///there/list.csv", "is an address; accepted: the path alone, /there/list.csv"),
        ("pointer.csv", "pointer.csv is a Git LFS pointer, not the file itself; git lfs pull fetches that"),
        ("none.csv", "none.csv does not exist"),
    ],
)
def test_a_table_or_list(
    given: str, told: str, tiny_model: Path, tmp_path: Path, run_here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pointer.csv").write_text(POINTER)
    for command in (
        (predict.main, tiny_model, "--questions", given, "--images", "."),
        (prepare.main, "table", given, "--images", "."),
    ):
        done = run_here(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_folder_of_pictures(tiny_model: Path, tmp_path: Path, run_here: Run) -> None:
    (tmp_path / "list.csv").write_text("image,question\na,b\n")
    done = run_here(predict.main, tiny_model, "--questions", tmp_path / "list.csv", "--images", "s3://there/pictures")
    assert done.returncode == 2
    assert "image folder s3:/there/pictures is an address, and nothing is downloaded here" in done.stderr


@pytest.mark.parametrize("name", ["manifest.json", "features.npy", "train.npz", "train.parquet"])
def test_prepared_data(name: str, tiny_data: PreparedData, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_data.folder, tmp_path / "data"))
    (folder / name).write_text(POINTER)

    def use() -> None:
        data = PreparedData.open(folder)
        data.check()
        data.questions_of("train")

    with pytest.raises(InputError, match=f"{name} is a Git LFS pointer, not the file itself"):
        use()


def test_a_picture_on_the_command_line(
    tiny_model: Path, tiny_dataset: RawDataset, tmp_path: Path, run_here: Run
) -> None:
    shutil.make_archive(str(tmp_path / "pictures"), "zip", tiny_dataset.images["test/40"].parent)
    for given, told in (
        (tmp_path / "pictures.zip", "pictures.zip cannot be read: it is a ZIP archive; unpack it first"),
        ("http://there.org/a.png", "image http:/there.org/a.png is an address"),
        (tmp_path, "cannot be read: it is a folder; accepted: a file"),
    ):
        done = run_here(predict.main, tiny_model, given, "is it red?")
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr

"""A model as one file that runs with torch alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import san_core
from san_core import export
from san_core.checkpoint import save_model
from san_core.config import TrainingConfig
from san_core.data.images.reading import load_pixels
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from san_core.export import export_model
from san_core.training import build_model

ASK = """
import json, sys
import numpy as np, torch

assert "san_core" not in sys.modules
file, picture, question = sys.argv[1:]
extra = {"model.json": ""}
program = torch.export.load(file, extra_files=extra).module()
description = json.loads(extra["model.json"])
numbers = [description["words"].get(word, description["unknown_word"]) for word in question.split()]
numbers += [description["padding"]] * (description["question_words"] - len(numbers))
probabilities, attention = program(torch.from_numpy(np.load(picture))[None], torch.tensor([numbers]))
print(description["answers"][probabilities[0].argmax()], float(probabilities.max()), *attention.shape)
"""


def test_it_answers_in_a_program_that_has_torch_alone(
    tiny_model: Path,
    tiny_dataset: RawDataset,
    tmp_path: Path,
    run_here: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = run_here(export.main, tiny_model, tmp_path / "new" / "tiny.pt2", "--words", "9")
    assert (done.returncode, done.stdout) == (0, "")
    assert "tiny.pt2: probabilities differ from those of the model by at most " in done.stderr
    path, question = tiny_dataset.images["test/40"], "what colour is the zebra"
    np.save(tmp_path / "picture.npy", load_pixels(path, 64))
    command = [sys.executable, "-c", ASK, str(tmp_path / "new" / "tiny.pt2"), str(tmp_path / "picture.npy"), question]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    expected = san_core.load(tiny_model).ask(path, question, top=1).answers[0]
    assert printed[0] == expected.text
    assert float(printed[1]) == pytest.approx(expected.probability, abs=1e-3)
    assert printed[2:] == ["1", "2", "4"]


@pytest.mark.parametrize(("encoder", "attention", "hops"), [("lstm", "bounded", 1), ("cnn", "paper", 3)])
def test_every_kind_of_network_can_be_exported(
    encoder: str, attention: str, hops: int, tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    changed = {"question_encoder": encoder, "attention": attention, "hops": hops, "precision": "auto"}
    config = TrainingConfig.from_dict({**tiny_config.to_dict(), **changed})
    torch.manual_seed(1)
    save_model(tmp_path / "model", build_model(config, tiny_data), config, tiny_data, {})
    assert export_model(tmp_path / "model", tmp_path / "model.pt2", words=7) < 1e-4


def test_what_cannot_be_written_or_differs_is_told_in_one_line(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"cannot export to .*model.onnx: accepted is a name that ends in \.pt2$"):
        export_model(tiny_model, tmp_path / "model.onnx")
    (tmp_path / "there.pt2").touch()
    with pytest.raises(InputError, match=r"there.pt2 exists already; choose another name, or delete it$"):
        export_model(tiny_model, tmp_path / "there.pt2")
    with pytest.raises(InputError, match=r"cannot write .*/there.pt2/model.pt2: "):
        export_model(tiny_model, tmp_path / "there.pt2" / "model.pt2", words=2)
    with monkeypatch.context() as patch:
        patch.setattr(export, "_export", lambda *_: (_ for _ in ()).throw(RuntimeError("no such operator\nmore")))
        with pytest.raises(InputError, match=r"cannot be exported, since torch.export fails: no such operator$"):
            export_model(tiny_model, tmp_path / "model.pt2", words=2)
    monkeypatch.setattr(export, "_difference", lambda *_: 0.25)
    with pytest.raises(InputError, match=r"cannot be exported: its answers would differ by 0\.25$"):
        export_model(tiny_model, tmp_path / "model.pt2", words=2)
    assert not (tmp_path / "model.pt2").exists()


def test_the_description_has_all_words_and_answers(tiny_model: Path, tmp_path: Path) -> None:
    export_model(tiny_model, tmp_path / "model.pt2", words=3)
    extra = {"model.json": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    description, model = json.loads(extra["model.json"]), san_core.load(tiny_model)
    assert (description["answers"], description["image_size"]) == (model.answers, 64)
    assert [description["words"][word] for word in ["is", "it", "red"]] == model.words.encode("is it red?")

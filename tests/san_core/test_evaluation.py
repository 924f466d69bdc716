import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from san_core.checkpoint import load_model, save_model
from san_core.config import TrainingConfig
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.data.raw_dataset import Location, RawDataset, VQAFiles
from san_core.errors import InputError
from san_core.evaluation import (
    Predictions,
    evaluate,
    objective_metric,
    predict_split,
    usable_metrics,
    write_official_results,
    write_predictions,
)
from san_core.metrics import get_metric
from san_core.models.san import SAN
from tests.san_core.data_sets import answered, paint, question_entry, write_json

QUESTIONS = [
    Question("what?", "cup", "a", id=11, answer_type="other", question_type="what"),
    Question("is it?", "yes", "a", id=12, answer_type="yes/no", question_type="is"),
    Question("is it?", "no", "b", id=13, answer_type="yes/no", question_type="is"),
    Question("who?", "", "c", id=14),
]
PREDICTED = Predictions(["cup", "yes", "yes", "cup"], np.array([0.5, 0.9, 0.25, 0.125], dtype=np.float32))
ACCURACY = get_metric("accuracy")


@pytest.fixture(scope="module")
def several_people(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Ten answers to each question; two questions nobody answered."""
    folder = tmp_path_factory.mktemp("own")
    for image in range(6):
        paint(folder / f"{image}.jpg", image)
    people = ["yes"] * 6 + ["no"] * 4
    train = VQAFiles(
        write_json(folder / "q.json", "questions", [question_entry(i, i % 5) for i in range(10)]),
        write_json(folder / "a.json", "annotations", [answered(i, people) for i in range(10)]),
        folder,
        "{image_id}.jpg",
    )
    test = replace(
        train,
        questions=write_json(folder / "t.json", "questions", [question_entry(9_000_000_001, 5), question_entry(22, 5)]),
        annotations=None,
    )
    options = Options(encoder="small-cnn", image_size=16)
    return prepare("vqa", folder / "out", options, Location(train=train, test=test))


def test_network_gives_its_likeliest_answer_and_its_probability(tiny_data: PreparedData, tiny_network: SAN) -> None:
    split = tiny_data.split("test")
    found = predict_split(tiny_network, tiny_data, split, "float32")
    assert len(found.answers) == len(found.probabilities) == len(split) == 48
    device = next(tiny_network.parameters()).device
    tiny_network.eval()
    for row in (0, 5, 47):
        image = tiny_data.images[split.images[row]][None].to(device)
        words = tiny_data.questions[split.questions[row]][None].to(device)
        only = torch.zeros(1, dtype=torch.int64, device=device)
        with torch.inference_mode():
            shares = tiny_network(image, only, words, only)[0].float().softmax(dim=0)
        assert found.answers[row] == tiny_data.answers[int(shares.argmax())]
        assert found.probabilities[row] == pytest.approx(float(shares.max()), abs=1e-4)


def test_of_equally_probable_answers_all_take_the_first(
    tiny_data: PreparedData, tiny_network: SAN, tiny_config: TrainingConfig, tiny_dataset: RawDataset, tmp_path: Path
) -> None:
    """A test run and whoever asks the model get the same answer; ties are not rare in bfloat16."""
    network = deepcopy(tiny_network)
    with torch.no_grad():
        network.classify.weight.zero_()
        network.classify.bias[:] = torch.tensor([-99.0, 1.0, 2.0, 2.0, 1.0, 2.0])
    found = predict_split(network, tiny_data, tiny_data.split("test"))
    assert set(found.answers) == {tiny_data.answers[2]}
    save_model(tmp_path / "model", network, tiny_config, tiny_data, {})
    model = load_model(tmp_path / "model")
    for question in tiny_dataset.test[:4]:
        for top in (1, 6):
            reply = model.ask(tiny_dataset.images[question.image], question.text, top=top)
            assert [a.text for a in reply.answers] == [tiny_data.answers[n] for n in (2, 3, 5, 1, 4, 0)][:top]


def test_objective_metric_is_the_main_metric_of_the_data(tiny_data: PreparedData, several_people: PreparedData) -> None:
    assert objective_metric(tiny_data).name == "accuracy"
    assert objective_metric(several_people).name == "vqa"
    assert objective_metric(several_people, "accuracy").name == "accuracy"


def test_vqa_accuracy_is_refused_where_one_person_answered(tiny_data: PreparedData) -> None:
    with pytest.raises(InputError, match="metric vqa needs several people's answers to a question, but tiny has none"):
        objective_metric(tiny_data, "vqa")


@pytest.mark.parametrize(
    ("answers", "fits"),
    [([("cup",), ("cup",)], False), ([(), ("cup", "mug")], True), ([("cup", "cup"), ()], True), ([(), ()], False)],
)
def test_vqa_accuracy_fits_where_several_people_answered_any_question(
    answers: list[tuple[str, ...]], fits: bool, tiny_data: PreparedData
) -> None:
    data = PreparedData(tiny_data.folder, {**tiny_data.manifest, "metrics": ["vqa", "accuracy"]})
    data._questions_of["validation"] = [Question("what?", "cup", "a", answers=each) for each in answers]
    if fits:
        assert objective_metric(data).name == "vqa"
        return
    with pytest.raises(InputError, match="metric vqa needs several people's answers"):
        objective_metric(data)


def test_unknown_metric_names_the_known_ones(tiny_data: PreparedData) -> None:
    with pytest.raises(InputError, match="'bleu'.*accuracy, vqa, wups@0.9, wups@0.0"):
        objective_metric(tiny_data, "bleu")


def test_metric_that_cannot_be_computed_is_left_out_with_its_reason(
    tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from san_core.metrics import wups

    monkeypatch.setenv("SAN_WORDNET", str(tmp_path))
    wups.nouns.cache_clear()
    manifest = {**tiny_data.manifest, "metrics": ["accuracy", "wups@0.9", "vqa"]}
    usable, reasons = usable_metrics(PreparedData(tiny_data.folder, manifest))
    wups.nouns.cache_clear()
    assert [metric.name for metric in usable] == ["accuracy"]
    assert len(reasons) == 2
    assert reasons[0].startswith("wups@0.9 is left out: WUPS needs WordNet's files")
    assert reasons[1].startswith("vqa is left out: metric vqa needs several people's answers")


def test_predictions_file_has_a_row_for_each_question(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", PREDICTED, QUESTIONS, [ACCURACY])
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert len(rows) == 4
    assert rows[2] == {
        "id": "13",
        "image": "b",
        "question": "is it?",
        "answer": "no",
        "answer_type": "yes/no",
        "question_type": "is",
        "predicted": "yes",
        "probability": 0.25,
        "accuracy": 0.0,
    }
    assert [row["accuracy"] for row in rows] == [1, 1, 0, 0]


def test_official_results_are_what_the_evaluation_server_takes(several_people: PreparedData, tmp_path: Path) -> None:
    questions = several_people.questions_of("unanswered")
    predictions = Predictions(["yes", "où"], np.ones(2, dtype=np.float32))
    path = tmp_path / "results.json"
    write_official_results(path, predictions, questions)
    expected = [{"question_id": 9_000_000_001, "answer": "yes"}, {"question_id": 22, "answer": "où"}]
    assert json.loads(path.read_text(encoding="utf-8")) == expected


def test_scores_are_told_for_all_questions_and_for_each_type() -> None:
    scores = evaluate(PREDICTED, QUESTIONS, [ACCURACY])
    rows = {(score.kind, score.group): (score.questions, score.mean) for score in scores}
    assert rows == {
        ("all", "all"): (4, 0.5),
        ("answer type", "yes/no"): (2, 0.5),
        ("answer type", "other"): (1, 1.0),
        ("question type", "is"): (2, 0.5),
        ("question type", "what"): (1, 1.0),
    }
    assert {score.metric for score in scores} == {"accuracy"}


def test_answers_and_questions_must_be_as_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        write_official_results(tmp_path / "r.json", replace(PREDICTED, answers=["cup"]), QUESTIONS)
    with pytest.raises(ValueError, match="4 questions"):
        evaluate(replace(PREDICTED, answers=["cup"]), QUESTIONS, [ACCURACY])

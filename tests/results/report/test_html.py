"""The report in a real browser."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from results.report.attention_examples import load_attention_examples
from results.report.comparison import comparison_page, reasons_not_to_compare, snapshots_by_name
from results.report.files import write_report
from results.report.html import html_report
from results.run_folder import SEARCH, RunFolder
from results.snapshot import load_snapshot
from san_core.files import read_json, write_json
from tests.browser import By, webdriver
from tests.results.cohorts import successive_halving
from tests.results.journals import MakeRun, MakeSnapshot, complete, failed, fresh, stopped
from tests.results.large import many_trials

PHONE, DESK = 390, 1280


@pytest.fixture
def run(make_run: MakeRun) -> RunFolder:
    again = [fresh(0, 0.5), fresh(0, 0.51), fresh(3, 0.6), fresh(3, 0.61)]
    made = make_run(many_trials(30), again, command="python -m tuning.search" + " --set hidden_size=64" * 9)
    made.attention_examples.mkdir()
    Image.new("RGB", (8, 8), "red").save(made.attention_examples / "00.jpg")
    item = {
        "question": "what is <b>red</b>?",
        "answer": "shape",
        "right": True,
        "answers": [["shape", 0.75], ["dot", 0.25]],
        "picture": "00.jpg",
        "hops": ["00.jpg"],
    }
    write_json(made.attention_examples / "gallery.json", {"note": "Trial 3.", "items": [item]})
    return made


def show(browser: webdriver.Chrome, path: Path, width: int) -> list[str]:
    """Opens a page, scrolls through it until every plot is drawn; returns what the network was asked for."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)  # forgets the last page's
    browser.get(path.as_uri())
    for canvas in browser.find_elements(By.CSS_SELECTOR, "[data-plot]"):
        browser.execute_script("arguments[0].scrollIntoView()", canvas)
        wait_until(lambda canvas=canvas: canvas.find_elements(By.CSS_SELECTOR, "svg.main-svg"))
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("data:", "blob:"))]


def wait_until(ready: Any, seconds: float = 600) -> None:  # noqa: ANN401 - anything that is true in the end
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "the page was not ready in time"
        time.sleep(0.05)


def errors(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_report_opens_offline_at_any_width(browser: webdriver.Chrome, run: RunFolder, width: int) -> None:
    write_report(load_snapshot(run))
    asked = show(browser, run.report_page, width)

    assert errors(browser) == []
    assert asked == [run.report_page.as_uri()]
    sections = [section.get_attribute("id") for section in browser.find_elements(By.TAG_NAME, "section")]
    assert sections == ["glance", "plots", "slices", "seeds", "gallery", "trials", "compute", "setup"]
    keys = {canvas.get_attribute("data-plot") for canvas in browser.find_elements(By.CSS_SELECTOR, "[data-plot]")}
    slices = {f"slice-{name}" for name in ("learning_rate", "momentum", "dropout", "embedding_size")}
    assert keys == {"history", "curves", "importance", "cost", "parallel", "timeline", "seeds", *slices}
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    image = browser.find_element(By.CSS_SELECTOR, "#gallery img")
    assert browser.execute_script("return arguments[0].naturalWidth", image) == 8
    assert "what is <b>red</b>?" in browser.find_element(By.ID, "gallery").text


def test_the_timeline_has_the_numbers_of_jobs_in_their_bars(browser: webdriver.Chrome, make_run: MakeRun) -> None:
    trials, jobs = successive_halving()
    run = make_run(trials, jobs=jobs, cohort=16)
    write_report(load_snapshot(run))
    show(browser, run.report_page, DESK)

    assert errors(browser) == []
    numbers = browser.find_elements(By.CSS_SELECTOR, "[data-plot=timeline] .bartext")
    assert sorted(int(number.text) for number in numbers) == [job.number for job in jobs]


def test_the_report_follows_the_readers_theme(browser: webdriver.Chrome, run: RunFolder) -> None:
    write_report(load_snapshot(run))
    colors: dict[str, str] = {}
    fill = "const e = document.querySelector('[data-plot=history] .xtitle'); return e && getComputedStyle(e).fill"
    for theme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        if theme == "light":
            show(browser, run.report_page, DESK)
        seen = list(colors.values())
        wait_until(lambda seen=seen: browser.execute_script(fill) not in [*seen, None])  # it is drawn again
        body = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
        colors |= {theme: browser.execute_script(fill), f"{theme} page": body}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert colors == {
        "light": "rgb(23, 26, 31)",
        "light page": "rgba(246, 247, 249, 1)",
        "dark": "rgb(232, 234, 238)",
        "dark page": "rgba(16, 19, 24, 1)",
    }


def test_the_trials_can_be_sorted(browser: webdriver.Chrome, run: RunFolder) -> None:
    write_report(load_snapshot(run))
    show(browser, run.report_page, DESK)
    heading = browser.find_element(By.XPATH, "//th/button[text()='dropout']")
    column = browser.execute_script("return arguments[0].parentElement.cellIndex", heading)
    script = "return [...document.querySelectorAll('.sortable tbody tr')].map(r => +r.cells[arguments[0]].dataset.v)"
    for reverse in (False, True):
        browser.execute_script("arguments[0].click()", heading)
        values = browser.execute_script(script, column)
        assert values == sorted(values, reverse=reverse)
        assert len(values) == 30


def test_several_runs_are_compared(browser: webdriver.Chrome, make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run([complete(0.5), complete(0.7)], [fresh(1, 0.60), fresh(1, 0.62)])
    first.path.rename(first.path.with_name("first"))
    second = make_run([complete(0.5), complete(0.8)], sampler="gp")
    snapshots = snapshots_by_name([load_snapshot(RunFolder(first.path.with_name("first"))), load_snapshot(second)])
    place = tmp_path / "comparison.html"
    place.write_text(comparison_page(snapshots, place), encoding="utf-8")

    asked = show(browser, place, PHONE)

    assert (errors(browser), asked) == ([], [place.as_uri()])
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#glance tbody tr")]
    # deviation 0.01414, over sqrt(2), times 12.706: 12.71 points
    assert rows[0].startswith("first easy_vqa san tpe median 2 (2 complete) accuracy 70.00 % (trial 1) 61.00 % ± 12.71")
    assert rows[1].startswith("demo easy_vqa san gp median 2 (2 complete) accuracy 80.00 % (trial 1)")
    links = [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, ".verdicts a")]
    assert links == [snapshot.folder.report_page.as_uri() for snapshot in snapshots.values()]
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_runs_on_different_data_are_not_comparable(make_snapshot: MakeSnapshot) -> None:
    first = make_snapshot([complete(0.5)])
    first.folder.path.rename(first.folder.path.with_name("first"))
    moved = load_snapshot(RunFolder(first.folder.path.with_name("first")))
    second = make_snapshot([complete(0.5)], data_fingerprint="other", metric_title="WUPS@0.9")

    assert reasons_not_to_compare(snapshots_by_name([moved, second])) == [
        "These runs were scored by different metrics (first: accuracy, demo: WUPS@0.9): "
        "their scores cannot be compared.",
        "These runs were scored on different data (first: 0123abcd, demo: other): their scores cannot be compared.",
    ]
    assert reasons_not_to_compare(snapshots_by_name([moved])) == []


def test_every_row_has_the_command_that_reproduces_it(make_run: MakeRun) -> None:
    run = make_run([complete(0.5), failed(why="<script>alert(1)</script>")])
    text = html_report(load_snapshot(run))

    assert f"<code>python -m tuning.retrain {run.path} --trial 1 --check</code>" in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_text_cannot_end_the_data_of_the_plots(make_run: MakeRun) -> None:
    run = make_run([complete(0.5), complete(0.6)])
    plain = html_report(load_snapshot(run)).count("</script>")
    write_json(run.settings_file, run.settings | {"metric_title": "</script>"})

    assert html_report(load_snapshot(run)).count("</script>") == plain


def test_the_report_says_what_stopped_the_search(make_run: MakeRun) -> None:
    run = make_run([complete(0.5), stopped(0.6), stopped(0.4)])
    run.study(SEARCH).set_user_attr("stopped_by", "budget of 30 min used up")

    report = html_report(load_snapshot(run))
    assert "3 trials run (1 complete, 0 pruned, 2 stopped, 0 failed, 0 running)" in report
    why = "budget of 30 min used up. It stopped 2 trials, to go on when the search is resumed with more."
    assert f"The search ended: {why}" in report


@pytest.mark.parametrize(
    "changed",
    [{}, *({name: None} for name in ("answers", "hops")), {"answers": [["shape"]]}, {"answers": [["shape", "x"]]}],
    ids=str,
)
def test_a_damaged_gallery_is_told_of(changed: dict[str, object], run: RunFolder) -> None:
    index = read_json(run.attention_examples_file)
    index["items"][0] |= changed
    write_json(run.attention_examples_file, index)
    if not changed:
        (run.attention_examples / "00.jpg").unlink()

    assert load_attention_examples(run).items == []
    assert load_attention_examples(run).note.startswith("The gallery cannot be read: ")


def test_a_report_can_be_made_before_the_first_trial(browser: webdriver.Chrome, make_run: MakeRun) -> None:
    run = make_run([])
    write_report(load_snapshot(run))
    show(browser, run.report_page, DESK)

    assert errors(browser) == []
    assert "No trial was started" in browser.find_element(By.TAG_NAME, "main").text


def test_a_thousand_trials_are_quickly_made_and_opened(browser: webdriver.Chrome, make_run: MakeRun) -> None:
    """Times are those of the CPU, so that a loaded machine does not change them."""
    run = make_run(many_trials(1000))
    started = time.process_time()
    write_report(load_snapshot(run))
    made = time.process_time() - started
    size = {"width": DESK, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.get(run.report_page.as_uri())
    history = browser.find_element(By.CSS_SELECTOR, "[data-plot=history]")
    browser.execute_script("arguments[0].scrollIntoView()", history)  # it is drawn when it is seen
    wait_until(lambda: history.find_elements(By.CSS_SELECTOR, "svg.main-svg"))
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    opened = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    assert (made < 20, 0 < opened < 6) == (True, True), f"made in {made:.1f} s, opened in {opened:.1f} s"


def test_a_long_table_is_sorted_as_a_whole_and_shown_in_parts(browser: webdriver.Chrome, make_run: MakeRun) -> None:
    run = make_run(many_trials(450))
    write_report(load_snapshot(run))
    show(browser, run.report_page, DESK)
    script = "return [...document.querySelectorAll('.sortable tbody tr')].map(r => +r.cells[1].dataset.v)"
    wait_until(lambda: browser.execute_script("return document.querySelectorAll('.sortable tbody tr').length") == 200)
    heading = browser.find_element(By.XPATH, "//th/button[text()='trial']")
    browser.execute_script("arguments[0].click()", heading)
    wait_until(lambda: browser.execute_script(script) == list(range(200)))
    later = browser.find_element(By.CSS_SELECTOR, ".pager button[data-turn='1']")
    for shown in (range(200, 400), range(400, 450)):
        browser.execute_script("arguments[0].click()", later)
        assert browser.execute_script(script) == list(shown)
    assert "401 to 450 of 450" in browser.find_element(By.CSS_SELECTOR, ".pager").text
    assert not later.is_enabled()
    assert errors(browser) == []


@pytest.mark.parametrize("paper", [703, 725], ids=["A4", "Letter"])
def test_on_paper_nothing_is_cut_off(browser: webdriver.Chrome, run: RunFolder, paper: int) -> None:
    """Widths of the papers without their margins, in pixels."""
    write_report(load_snapshot(run))
    show(browser, run.report_page, DESK)
    size = {"width": paper, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        browser.execute_script("dispatchEvent(new Event('beforeprint'))")
        script = """return [...document.querySelectorAll('.main-svg, table, .card, code, img')]
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
        assert browser.execute_script(script) == []
        overflow = "return [...document.querySelectorAll('.scroll')].map(e => getComputedStyle(e).overflow)"
        assert set(browser.execute_script(overflow)) == {"visible"}
        kept = "return getComputedStyle(document.querySelector('.gallery .card')).breakInside"
        assert browser.execute_script(kept) == "avoid"
        printed = """return [...document.querySelectorAll('.useful, .wasted, .bar')]
            .filter(e => getComputedStyle(e).printColorAdjust != 'exact').map(e => e.outerHTML.slice(0, 80))"""
        assert browser.execute_script("return document.querySelectorAll('.useful, .wasted').length") > 0
        assert browser.execute_script(printed) == []  # browsers leave out backgrounds otherwise
        browser.execute_script("dispatchEvent(new Event('afterprint'))")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_report_of_thousands_of_trials_is_small_and_opens_at_once(
    browser: webdriver.Chrome, make_run: MakeRun
) -> None:
    run = make_run(many_trials(5000))
    write_report(load_snapshot(run))
    assert run.report_page.stat().st_size < 5e6
    show(browser, run.report_page, DESK)
    assert errors(browser) == []
    assert len(browser.find_elements(By.CSS_SELECTOR, ".sortable tbody tr")) == 200  # thousands take seconds

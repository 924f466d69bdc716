"""The page in a real browser."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import san_core
from san_core.data.raw_dataset import RawDataset
from tests.browser import By, webdriver
from tests.san_core.demo_page.pages import PATIENCE, Page, served

PHONE, DESK = 390, 1280
QUESTION = "what colour is it?"


@pytest.fixture(scope="module")
def page(browser: webdriver.Chrome, tiny_model: Path) -> Iterator[Page]:  # noqa: ARG001 - marks the tests
    with served(tiny_model) as page:
        yield page
    assert page.ended == (130, "interrupted\n")  # also while a browser has the page


@pytest.fixture(params=[DESK, PHONE])
def opened(browser: webdriver.Chrome, page: Page, request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """The browser with the page; at the end the page has asked nobody else and logged nothing."""
    size = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": request.param == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)  # forgets the last page's
    browser.get(page.address)
    yield browser
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert page.address in asked
    assert [url for url in asked if not url.startswith((page.address, "data:", f"blob:{page.address}"))] == []


def _wait(ready: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it waits for
    end = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert time.monotonic() < end, "the page was not ready in time"
        time.sleep(0.05)
    return found


def _type(browser: webdriver.Chrome, question: str) -> None:
    field = browser.find_element(By.ID, "question")
    field.clear()
    field.send_keys(question)


def _ask(browser: webdriver.Chrome, title: str) -> None:
    browser.find_element(By.ID, "ask").click()
    _wait(lambda: [e for e in browser.find_elements(By.CSS_SELECTOR, "#reply h2") if e.text == title])


def _is_drawn(browser: webdriver.Chrome, selector: str) -> bool:
    images = browser.find_elements(By.CSS_SELECTOR, selector)
    return bool(images) and all(browser.execute_script("return arguments[0].naturalWidth", e) > 0 for e in images)


def _problem(browser: webdriver.Chrome) -> str:
    return str(_wait(lambda: browser.find_elements(By.CSS_SELECTOR, "#reply .problem"))[0].text)


def test_an_upload_is_answered_with_bars_and_maps(
    opened: webdriver.Chrome, tiny_model: Path, tiny_dataset: RawDataset
) -> None:
    picture = tiny_dataset.images["test/41"]
    opened.find_element(By.ID, "file").send_keys(str(picture))
    _wait(lambda: _is_drawn(opened, "#picture"))
    _type(opened, QUESTION)
    _ask(opened, QUESTION)

    shown = [row.text.split() for row in opened.find_elements(By.CSS_SELECTOR, ".answers li")]
    reply = san_core.load(tiny_model).ask(picture, QUESTION)
    assert shown == [[a.text, f"{100 * a.probability:.1f}", "%"] for a in reply.answers]
    row, bar = (opened.find_element(By.CSS_SELECTOR, f".answers li:first-child{part}") for part in ("", " .bar"))
    assert bar.size["width"] / row.size["width"] == pytest.approx(reply.answers[0].probability, abs=0.01)
    _wait(lambda: _is_drawn(opened, ".hops img"))
    assert len(opened.find_elements(By.CSS_SELECTOR, ".hops .heat")) == 2


def test_the_slider_sets_the_strength_of_the_maps(opened: webdriver.Chrome) -> None:
    opened.find_element(By.CSS_SELECTOR, "[data-example]").click()
    heat = _wait(lambda: opened.find_elements(By.CSS_SELECTOR, ".hops .heat"))[0]
    assert float(heat.value_of_css_property("opacity")) == pytest.approx(0.6)
    slider = opened.find_element(By.CSS_SELECTOR, "#strength input")
    opened.execute_script("arguments[0].value = 25; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert float(heat.value_of_css_property("opacity")) == pytest.approx(0.25)


def test_a_click_on_an_example_asks_it(opened: webdriver.Chrome) -> None:
    buttons = opened.find_elements(By.CSS_SELECTOR, "[data-example]")
    question = buttons[-1].text
    buttons[-1].click()
    _wait(lambda: [e for e in opened.find_elements(By.CSS_SELECTOR, "#reply h2") if e.text == question])
    assert "Right answer: " in opened.find_element(By.ID, "reply").text
    assert opened.find_element(By.ID, "question").get_attribute("value") == question
    assert _is_drawn(opened, "#picture, .examples img")


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_picture_can_be_pasted_and_dropped(opened: webdriver.Chrome, event: str) -> None:
    script = """
        const canvas = Object.assign(document.createElement("canvas"), { width: 80, height: 40 });
        canvas.toBlob((blob) => {
          const data = new DataTransfer();
          data.items.add(new File([blob], "mine.png", { type: "image/png" }));
          const paste = new ClipboardEvent("paste", { clipboardData: data });
          document.dispatchEvent(arguments[0] === "paste" ? paste : new DragEvent("drop", { dataTransfer: data }));
        });
    """
    opened.execute_script(script, event)
    _wait(lambda: _is_drawn(opened, "#picture"))
    _type(opened, "is it <b>red</b>?")
    _ask(opened, "is it <b>red</b>?")
    assert "does not know this word: b" in opened.find_element(By.ID, "reply").text


def test_what_is_wrong_is_told_in_a_line(opened: webdriver.Chrome, tmp_path: Path) -> None:
    opened.find_element(By.ID, "ask").click()
    assert _problem(opened) == "Choose a picture first."
    opened.find_element(By.CSS_SELECTOR, "[data-example]").click()
    _wait(lambda: opened.find_elements(By.CSS_SELECTOR, "#reply h2"))
    _type(opened, " ")
    opened.find_element(By.ID, "ask").click()
    assert _problem(opened) == "Type a question first."
    (tmp_path / "bad.png").write_text("no picture")
    opened.find_element(By.ID, "file").send_keys(str(tmp_path / "bad.png"))
    _wait(lambda: "bad.png" in _problem(opened))
    assert _problem(opened) == "Image bad.png cannot be read: it is in no format known here"

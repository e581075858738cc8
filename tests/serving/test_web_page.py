"""The page in a real browser, against a live server. Needs Chromium, playwright and axe-playwright-python."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foveate.engine import engine as engine_module
from foveate.serving.keys import Keys, hash_key
from foveate.serving.settings import Settings
from tests.serving import live
from tests.serving.live import Live, pdf, png
from tests.serving.web_server import MARKUP, Script, scripted

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
KEY = "a key of the tests"
WAIT = 60_000  # milliseconds; a busy machine is slow, and nothing here waits for time to pass

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium"),
    pytest.mark.filterwarnings("default"),  # playwright's own
]


@pytest.fixture(scope="module")
def network() -> tuple[Any, Script]:
    return scripted()


@pytest.fixture(scope="module")
def server(network: tuple[Any, Script]) -> Iterator[Live]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "choose", network[1].choose)
        settings = Settings(drawing_processes=1, max_bytes=300_000)
        with live.serve(network[0], settings) as running:
            yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def script(network: tuple[Any, Script]) -> Iterator[Script]:
    """The script, which may be made to halt; free again at the end."""
    yield network[1]
    if network[1].stalled is not None:
        network[1].stalled.set()
        network[1].stalled = None


class Visit:
    """A browser's window on the page; complaints in its console fail the test."""

    def __init__(self, chromium: Any, address: str, **context: Any) -> None:
        self.context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}} | context)
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.expected = ""  # in complaints that are no fault
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(address)
        self.page.wait_for_selector("#samples button", state="attached")

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not (self.expected and self.expected in message.text):
            self.complaints.append(message.text)

    def take(self, name: str, data: bytes, kind: str = "image/png") -> None:
        self.page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})

    def read(self) -> None:
        self.page.click("#read:enabled")
        self.page.wait_for_selector("#saves", state="visible")

    def lit(self) -> list[str]:
        """What is lit: numbers of blocks, as "text 1" or "box 1"."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll(".lit")].map(
                (one) => `${one.matches(".box") ? "box" : "text"} ${one.dataset.block}`).sort()"""
        )
        return found

    def wait(self, selector: str, words: str) -> None:
        """Until it says these words."""
        self.page.locator(selector).filter(has_text=words).first.wait_for()

    def text(self, selector: str) -> str:
        found: str = self.page.inner_text(selector)
        return found


@pytest.fixture
def visit(chromium: Any, server: Live) -> Iterator[Visit]:
    visiting = Visit(chromium, server.url)
    yield visiting
    visiting.context.close()
    assert visiting.complaints == []


def serious(page: Any) -> list[str]:
    """axe's serious and critical violations, each with where it is."""
    axe = pytest.importorskip("axe_playwright_python.base")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(source)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {[node['target'] for node in violation['nodes']][:3]}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


def test_a_dropped_file_streams_and_hover_links_text_and_box(visit: Visit, script: Script) -> None:
    script.stalled = threading.Event()
    page = visit.page
    drop = """async (bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
      for (const type of ["dragenter", "dragover", "drop"]) {
        const told = {dataTransfer: data, bubbles: true, cancelable: true};
        document.body.dispatchEvent(new DragEvent(type, told));
      }
    }"""
    page.evaluate(drop, list(png(512, 512)))
    page.wait_for_selector("#read:enabled")
    assert visit.text("#file-name") == "dropped.png"
    assert visit.text("#cost") == "64 vision tokens for 1 page", "told before anything is read"
    page.click("#read")
    page.wait_for_selector("#blocks h3")  # the network halts in the middle of the page
    assert page.get_attribute("#answer", "aria-busy") == "true"
    assert page.is_visible("#stop") and not page.is_visible("#saves")
    script.stalled.set()
    page.wait_for_selector("#saves", state="visible")
    assert page.get_attribute("#answer", "aria-busy") == "false"
    assert [item.inner_text() for item in page.query_selector_all("#blocks h3")] == ["Pages"]
    assert page.locator(".box").count() == 3
    page.hover("#blocks .block >> nth=1")
    assert visit.lit() == ["box 1", "text 1"]
    page.hover(".box >> nth=2")
    assert visit.lit() == ["box 2", "text 2"]
    page.hover("#theme")
    assert visit.lit() == []
    page.click(".box >> nth=0")
    assert page.evaluate("document.activeElement.dataset.block") == "0"
    page.keyboard.press("ArrowDown")
    assert visit.lit() == ["box 1", "text 1"], "the keyboard does what the pointer does"


def test_words_in_doubt_and_the_meter(visit: Visit) -> None:
    visit.take("page.png", png(512, 512))
    visit.read()
    page = visit.page
    assert page.locator("mark.doubt").all_inner_texts() == ["picture", "picture"]
    assert page.get_attribute("mark.doubt >> nth=0", "title") == "20 % sure"
    page.uncheck("#show-doubts")
    assert page.evaluate("getComputedStyle(document.querySelector('.doubt')).textDecorationLine") == "none"
    tokens = page.evaluate("Number(document.getElementById('meter-sums').textContent.match(/[0-9]+/)[0])")
    assert visit.text("#meter-ratio") == f"{tokens / 64:.1f} ×"


def test_what_a_model_wrote_never_becomes_markup(visit: Visit) -> None:
    visit.page.on("dialog", lambda _: visit.complaints.append("a script has run"))
    visit.take("page.png", png(512, 512))
    visit.read()
    page = visit.page
    assert page.locator("#blocks img").count() == 0
    page.check("input[value=markdown]", force=True)
    assert "<img src=x" not in page.inner_html("#markdown") and "# Pages" in visit.text("#markdown")
    page.check("input[value=html]", force=True)
    frame = page.frame_locator("#html")
    assert frame.locator("h1").inner_text() == "Pages"
    assert frame.locator("img").count() == 0
    assert page.get_attribute("#html", "sandbox") == ""
    visit.expected = "TrustedHTML"
    blocked = page.evaluate(
        "() => { try { document.body.innerHTML += '<p>'; return false } catch { return true } }"
    )
    assert blocked, "the policy forbids text to become markup"


def test_modes_prompts_and_pages_change_the_price(visit: Visit) -> None:
    page = visit.page
    visit.take("book.pdf", pdf(3), "application/pdf")
    page.wait_for_selector("#read:enabled")
    assert visit.text("#cost") == "192 vision tokens for 3 pages"
    page.check("input[value=large]", force=True)
    assert visit.text("#cost") == "1,200 vision tokens for 3 pages"
    page.fill("#pages", "2-3")
    visit.wait("#cost", "800 vision tokens for 2 pages")
    visit.expected = "400"
    page.fill("#pages", "9")
    visit.wait("#pages-problem", "no page 9")
    assert page.is_disabled("#read")
    page.fill("#pages", "2")
    page.wait_for_selector("#read:enabled")
    page.select_option("#prompt", "locate")
    page.click("#read")
    assert page.evaluate("document.activeElement.id") == "reference", "the prompt needs a reference"
    page.fill("#reference", "the total")
    visit.read()
    with page.expect_download() as download:
        page.click("[data-save=json]")
    (read,) = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["pages"]
    assert (read["number"], read["mode"], read["prompt"]) == (2, "large", "locate")
    assert visit.text("#paper-note").endswith("Large") and visit.text("#paper-title") == "Page 2"


def test_downloads_and_history(visit: Visit) -> None:
    page = visit.page
    visit.take("page.png", png(512, 512))
    visit.read()
    saved = {}
    for kind in ("md", "json", "html"):
        with page.expect_download() as download:
            page.click(f"[data-save={kind}]")
        assert download.value.suggested_filename == f"page.{kind}"
        saved[kind] = Path(download.value.path()).read_text(encoding="utf-8")
    assert saved["md"].startswith("# Pages\n") and saved["html"].startswith("<!DOCTYPE html>")
    assert json.loads(saved["json"])["pages"][0]["raw"] == MARKUP
    page.wait_for_selector("#history-count", state="visible")
    page.reload()
    page.wait_for_selector("#history-count", state="visible")
    page.click("#history-open")
    page.click("#records >> text=Open")
    page.wait_for_selector("#blocks .block")
    assert page.locator(".box").count() == 3 and page.locator("mark.doubt").count() == 2
    with page.expect_download() as download:
        page.click("[data-save=md]")
    assert Path(download.value.path()).read_text(encoding="utf-8") == saved["md"]
    page.click("#history-open")
    page.click("#history-clear")
    page.wait_for_selector("#history-count", state="hidden")
    assert page.locator("#records button").count() == 0


def test_errors_say_how_to_go_on(visit: Visit, server: Live) -> None:
    page = visit.page
    visit.expected = "Failed to load resource"
    visit.take("letter.docx", b"PK\3\4" + b"0" * 2000)
    page.wait_for_selector("#problem p")
    assert "convert it to one of these" in visit.text("#problem") and page.is_visible("#welcome")
    assert page.is_disabled("#read") and page.locator("#problem button").count() == 0
    visit.take("huge.png", b"\x89PNG\r\n\x1a\n" + b"0" * 400_000)
    visit.wait("#problem", "this server takes")
    visit.take("page.png", png())
    page.wait_for_selector("#read:enabled")
    assert visit.text("#problem") == ""
    server.service.gate.closed = True
    try:
        page.click("#read")
        page.wait_for_selector("#problem button")
        assert "about to stop" in visit.text("#problem")
        assert visit.text("#problem button").startswith("Try again in ")
    finally:
        server.service.gate.closed = False
    page.route("**/v1/page/read", lambda route: route.abort())
    page.click("#read")
    visit.wait("#problem", "does not answer")
    page.unroute("**/v1/page/read")
    page.click("#problem button:enabled")
    page.wait_for_selector("#saves", state="visible")


def test_a_reading_can_be_stopped(visit: Visit, script: Script, server: Live) -> None:
    script.stalled = threading.Event()
    visit.take("page.png", png(512, 512))
    visit.page.click("#read:enabled")
    live.wait_for(lambda: server.service.gate.running == 1)
    visit.page.keyboard.press("Escape")
    visit.page.wait_for_selector("#stop", state="hidden")
    script.stalled.set()
    live.wait_for(lambda: server.service.gate.running == 0)
    assert visit.text("#read") == "Read again" and visit.text("#problem") == ""


def test_a_key_is_asked_for_and_kept(chromium: Any, network: tuple[Any, Script]) -> None:
    keys = Keys((("me", hash_key(KEY)),))
    with live.serve(network[0], Settings(keys=keys, drawing_processes=1)) as server:
        visit = Visit(chromium, server.url)
        visit.expected = "401"
        page = visit.page
        page.wait_for_selector("#key[open]")
        assert serious(page) == []
        page.fill("#key-value", "a wrong key")
        page.keyboard.press("Enter")
        visit.take("page.png", png())
        page.wait_for_selector("#key[open]")
        assert visit.text("#key-problem") == "The server does not know this key."
        page.fill("#key-value", KEY)
        page.keyboard.press("Enter")
        visit.take("page.png", png())
        page.wait_for_selector("#read:enabled")
        page.reload()
        page.wait_for_selector("#samples button")
        assert not page.is_visible("#key")
        visit.take("page.png", png())
        page.wait_for_selector("#read:enabled")
        visit.context.close()
        assert visit.complaints == []


def test_memory_fades_and_is_read_back(visit: Visit) -> None:
    pytest.importorskip("uharfbuzz")
    page = visit.page
    page.focus("#tab-read")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#memory-sheet img")
    assert page.evaluate("document.activeElement.id") == "tab-fade"
    sides = []
    for age in range(6):
        page.fill("#age", str(age))
        image = page.query_selector("#memory-sheet img")
        sides.append(image and image.evaluate("async (one) => (await one.decode(), one.naturalWidth)"))
    assert sides == [None, 1280, 1024, 640, 512, None]
    assert page.get_attribute("#age", "aria-valuetext") == "Gone, 0 tokens"
    page.click("#fade")
    page.wait_for_selector("#fade:enabled")
    rows = page.locator("#ledger tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows[1:]] == [
        ["Large", "400"],
        ["Base", "256"],
        ["Small", "100"],
        ["Tiny", "64"],
        ["Gone", "0"],
    ]
    assert all("100 %" in row for row in rows[1:5]), "the script says the words of the sample, and more"
    page.fill("#age", "4")
    assert page.locator("#recalled ins").all_inner_texts() == ["Pages", "Mode Tokens Tiny 64"]
    assert visit.text("#fade-score") == "11 of 11 words"
    page.fill("#memory", "")
    page.wait_for_selector("#fade:disabled")


def test_words_are_compared_in_order(visit: Visit) -> None:
    def compare(written: str, read: str) -> Any:
        script = "async (words) => (await import('./web/compare.js')).compare(...words)"
        return visit.page.evaluate(script, [written, read])

    found = compare("one two three", "one  three two")
    assert (found["kept"], found["all"]) == (2, 3)
    assert compare("one two", "one 2 two")["parts"] == [
        ["same", "one"],
        ["same", " "],
        ["wrong", "2"],
        ["same", " "],
        ["same", "two"],
    ]
    assert compare("", "")["share"] == 1 and compare("a", "")["share"] == 0
    assert compare("cafe\u0301", "caf\u00e9")["kept"] == 1, "the same letters, composed otherwise"
    long = "word " * 3000
    assert compare(long, long)["share"] == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium: Any, server: Live, scheme: str) -> None:
    visit = Visit(chromium, server.url, color_scheme=scheme, bypass_csp=True)
    page = visit.page
    assert serious(page) == []
    paper = page.evaluate("getComputedStyle(document.body).getPropertyValue('--ground')").strip()
    assert paper == ("#efece4" if scheme == "light" else "#0e1719")
    visit.take("page.png", png(512, 512))
    visit.read()
    assert serious(page) == []
    page.hover("#blocks .block >> nth=1")
    assert serious(page) == []
    page.click("#history-open")
    page.wait_for_selector("#records li")
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.click("#tab-fade")
    page.wait_for_selector("#memory-sheet img")
    assert serious(page) == []
    visit.context.close()


def test_a_phone_shows_all_of_it(chromium: Any, server: Live) -> None:
    visit = Visit(
        chromium,
        server.url,
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page = visit.page
    fits = "() => document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    visit.take("page.png", png(512, 512))
    visit.read()
    assert page.evaluate(fits) and serious(page) == []
    page.tap(".box >> nth=1")
    assert visit.lit() == ["box 1", "text 1"]
    page.click("#tab-fade")
    page.wait_for_selector("#memory-sheet img")
    assert page.evaluate(fits) and serious(page) == []
    visit.context.close()
    assert visit.complaints == []


def test_the_theme_is_chosen_and_kept(visit: Visit) -> None:
    page = visit.page
    page.click("#theme")
    page.click("#theme")
    assert visit.text("#theme") == "Theme: dark"
    page.reload()
    page.wait_for_selector("#samples button")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert visit.text("#theme") == "Theme: dark"

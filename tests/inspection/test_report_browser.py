"""The page of a report in a real browser: one Chromium, without a window, for the whole module.

``CHROME`` and ``CHROMEDRIVER`` say where they are; otherwise they are looked for on the PATH.
"""

import json
import os
import re
import shutil
import time
from functools import cache
from importlib.resources import files as files_of

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="the page needs jinja2, which is not installed")
pytest.importorskip("matplotlib", reason="the page needs matplotlib, which is not installed")
webdriver = pytest.importorskip(
    "selenium.webdriver", reason="the browser is driven by selenium, which is not installed"
)

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from skinfluence.inspection.report.contents import Contents, Section, Table  # noqa: E402
from skinfluence.inspection.report.page import page, snippet  # noqa: E402
from skinfluence.inspection.tables import are_numbers, written  # noqa: E402
from tests.inspection.made_up_report import HOSTILE, contents, hostile_contents  # noqa: E402

SCRIPT = files_of("skinfluence.inspection.report").joinpath("report.js")
MANY = 100_000
HOSTILE_STYLE = "* {color: red !important; font-size: 40px} table, h2, dl {display: none}"
CONTRAST = """
const part = (value) => (value /= 255) <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
const color = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (at) => { for (; at; at = at.parentElement) {
  const found = color(getComputedStyle(at).backgroundColor);
  if ((found[3] ?? 1) === 1) return found; } return [255, 255, 255]; };
const worst = [];
for (const element of document.querySelectorAll(".ski-report *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const style = getComputedStyle(element), opaque = element.checkVisibility();
  if (!own || !opaque || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
  const ink = element.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(color(ink)), light(ground(element))].sort((x, y) => y - x);
  worst.push([(a + .05) / (b + .05), element.outerHTML.slice(0, 90), ink]);
}
worst.sort((a, b) => a[0] - b[0]);
return [worst.length, worst[0]];
"""


def found(variable, *names):
    """Return where a program is, or None."""
    return os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chrome = found("CHROME", "chromium", "chromium-browser", "google-chrome", "chrome")
    driver = found("CHROMEDRIVER", "chromedriver")
    if chrome is None or driver is None:
        pytest.skip(
            "no chromium and chromedriver on the PATH, nor in CHROME and CHROMEDRIVER: "
            "apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chrome
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=Service(driver))
    chromium.set_script_timeout(20)
    chromium.get("about:blank")
    yield chromium
    chromium.quit()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a function that writes a page once and returns its address."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def address(name, make):
        if name not in made:
            path = folder / f"{name}.html"
            path.write_text(make(), encoding="utf-8")
            made[name] = path.as_uri()
        return made[name]

    return address


def notebook(style="", ground="#ffffff"):
    """Return another page with two reports in it."""
    return (
        f"<!doctype html><meta charset=utf-8><style>{style}</style>"
        f"<body style='background: {ground}'><p id=outside>Not ours</p>"
        f"{'<hr>'.join(two_snippets())}</body>"
    )


@cache
def two_snippets():
    return snippet(contents()), snippet(contents(300, seed=1))


def long_table(n):
    """Return a report of labels alone."""
    return Contents("Labels", "", tuple(s for s in contents(n).sections if s.name == "labels"))


MADE = {
    "page": lambda: page(contents()),
    "many": lambda: page(long_table(MANY)),
    "hostile": lambda: page(hostile_contents()),
    "light": notebook,
    "dark": lambda: notebook(HOSTILE_STYLE, "#111111"),
}


@pytest.fixture
def opened(browser, files):
    """Return a function that opens a page as some reader has it; nothing else is asked for."""

    def call(name, *, width=1200, height=900, scheme="light", scripts=True):
        command = browser.execute_cdp_cmd
        command("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        feature = {"name": "prefers-color-scheme", "value": scheme}
        command("Emulation.setEmulatedMedia", {"features": [feature]})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        command("Emulation.setDeviceMetricsOverride", size)
        browser.get(files(name, MADE[name]))
        if scripts:
            settled(browser)
        return browser

    browser.get_log("performance")
    yield call
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] == "Network.requestWillBeSent"
    ]
    pages = [each for each in asked if not each.startswith("data:image/png;")]
    assert len(pages) == 1 and pages[0].startswith("file:///"), pages


def settled(browser):
    """Wait for what the page does after this: two frames."""
    browser.execute_async_script(
        "const frame = requestAnimationFrame; frame(() => frame(() => arguments[0]()))"
    )


LABELS = (
    "const figure = document.querySelector('#labels .table'), box = figure.querySelector('.box');"
)


def shown(browser, column=0):
    """Return the cells of a column of the long table that are in sight."""
    settled(browser)
    return browser.execute_script(
        LABELS
        + """
        const {top, bottom} = box.getBoundingClientRect();
        const head = box.querySelector('thead').offsetHeight;
        return [...box.querySelectorAll('tbody tr[aria-rowindex]')].filter((row) => {
          const at = row.getBoundingClientRect();
          return at.top >= top + head - 2 && at.bottom <= bottom + 2;
        }).map((row) => row.cells[arguments[0]].textContent)""",
        column,
    )


def click(browser, name):
    browser.execute_script(
        LABELS
        + """[...figure.querySelectorAll('th button')]
        .find((button) => button.firstChild.data === arguments[0]).click()""",
        name,
    )


def state(browser):
    """Return what is said of the long table: how it is sorted, and how many rows there are."""
    return browser.execute_script(
        LABELS
        + """return [[...figure.querySelectorAll('[aria-sort]')].map((head) =>
        [head.querySelector('button').firstChild.data, head.ariaSort]),
        figure.querySelector('.count').textContent, figure.querySelector('table').ariaRowCount]"""
    )


def labels(n=426):
    """Return the columns of the long table."""
    return long_table(n).sections[0].tables[0].columns


def rows_with(columns, *words):
    """Return the labels of the rows in whose cells all words occur, as they are written."""
    texts = []
    for values in columns.values():
        there = [each for each in values if each is not None]
        cells = iter(written(there) if are_numbers(there) else there)
        texts.append(["" if each is None else next(cells) for each in values])
    lines = ["\n".join(line) for line in zip(*texts, strict=True)]
    found = zip(columns["row"], lines, strict=True)
    return [str(row) for row, line in found if all(word in line for word in words)]


def scroll_to(browser, top):
    browser.execute_script(LABELS + "box.scrollTop = arguments[0]", top)


def test_a_table_is_sorted_up_down_and_back(opened):
    browser, columns = opened("page"), labels()
    texture = np.array(columns["mean texture"], dtype=float)
    missing = np.flatnonzero(np.isnan(texture))
    assert 20 < len(missing) < 100
    # by what is written, ties as they were
    keys = np.where(np.isnan(texture), np.inf, np.round(texture, 1))
    up = np.argsort(keys, kind="stable")
    down = np.argsort(np.where(np.isnan(texture), np.inf, -np.round(texture, 1)), kind="stable")
    row = np.array(columns["row"])
    for order, sort in ((up, "ascending"), (down, "descending"), (np.arange(426), None)):
        click(browser, "mean texture")
        assert state(browser)[0] == ([["mean texture", sort]] if sort else [])
        first = shown(browser)
        assert len(first) > 15
        assert first == [str(each) for each in row[order][: len(first)]]
        scroll_to(browser, 1e7)
        last = shown(browser)
        assert len(last) > 15
        assert last == [str(each) for each in row[order][-len(last) :]]
        if sort:
            assert set(shown(browser, 6)) == {"\N{EN DASH}"}


def test_texts_are_sorted_as_people_do(opened):
    """By the collator, whose order a key has for ASCII: signs, case, numbers, zeros, accents."""
    browser = opened("page")
    click(browser, "patient")
    assert shown(browser, 4)[:12] == [f"patient {each}" for each in range(12)]
    click(browser, "given")  # another column: the first is forgotten
    assert state(browser)[0] == [["given", "ascending"]]
    script = re.search(
        r"const number = .*?(?=/\*\* All rows in the order)", SCRIPT.read_text(), re.DOTALL
    )[0]
    disagreements = browser.execute_script(
        "const collator = new Intl.Collator('en', {numeric: true});"
        + script
        + r"""
        const parts = ["a", "B", "b", "7", "07", "70", " ", "-", "_", ".", "(", "~", "$", "", "é"];
        parts.push("\u0301");
        const texts = [];
        for (const x of parts) for (const y of parts) for (const z of parts) texts.push(x + y + z);
        const keys = keysOf({texts}), wrong = [];
        const order = texts.map((_, at) => at).sort((a, b) => keys[a] - keys[b]);
        for (let i = 1; i < order.length; i++) {
          const [a, b] = [order[i - 1], order[i]], is = collator.compare(texts[a], texts[b]);
          if (is > 0 || (keys[a] === keys[b]) !== (is === 0)) wrong.push([texts[a], texts[b]]);
        }
        return wrong.slice(0, 5)"""
    )
    assert disagreements == []


def test_a_table_is_filtered(opened):
    browser = opened("page")
    field = browser.find_element("css selector", "#labels input")
    field.send_keys("BENIGN  tient 12")
    rows = rows_with(labels(), "benign", "tient", "12")
    assert 20 < len(rows) < 200
    assert state(browser)[1:] == [f"{len(rows)} of 426 rows", str(len(rows) + 1)]
    assert shown(browser)[:15] == rows[:15]
    click(browser, "row")
    assert shown(browser)[:15] == sorted(rows, key=int)[:15]
    field.send_keys(" no such row")
    assert state(browser)[1:] == ["0 of 426 rows", "1"] and shown(browser) == []
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE)
    assert state(browser)[1:] == ["426 rows", "427"]


def test_everything_is_done_by_keyboard(opened):
    browser = opened("page")

    def press(*keys):
        browser.switch_to.active_element.send_keys(*keys)
        settled(browser)
        return browser.execute_script(
            "const at = document.activeElement, style = getComputedStyle(at);"
            "return [at.ariaLabel ?? at.textContent, at.tagName, style.outlineStyle, "
            "style.outlineWidth]"
        )

    browser.execute_script("document.querySelector('#groups').focus()")
    names = []
    while "Labels, the most suspect first" not in (names[-1][0] if names else ""):
        names.append(press(Keys.TAB))
        assert names[-1][2:] == ["solid", "2px"], names[-1]
        assert len(names) < 12
    assert [each[1] for each in names[-6:]] == ["INPUT", "DIV", *["BUTTON"] * 3, "INPUT"]
    press("patient 77")
    assert state(browser)[1] == f"{len(rows_with(labels(), 'patient', '77'))} of 426 rows"
    press(Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE)
    assert state(browser)[1] == "426 rows"
    assert press(Keys.TAB)[1] == "DIV"
    first = shown(browser)
    press(Keys.PAGE_DOWN)
    time.sleep(0.4)  # it glides
    below = shown(browser)
    assert below and not set(below[5:]) & set(first)
    press(Keys.END)
    time.sleep(0.4)
    assert shown(browser)[-1] == str(labels()["row"][-1])
    press(Keys.TAB)
    assert press(Keys.TAB)[0].startswith("label quality")
    press(Keys.ENTER)
    press(Keys.SPACE)
    assert state(browser)[0] == [["label quality", "descending"]]
    quality = np.array(labels()["label quality"])
    assert shown(browser)[0] == str(labels()["row"][int(quality.argmax())])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_light_and_dark(opened, scheme):
    browser = opened("page", scheme=scheme)
    n, (worst, *where) = browser.execute_script(CONTRAST)
    assert n > 300
    assert worst >= 4.5, where
    ground = browser.execute_script(
        "return getComputedStyle(document.querySelector('.ski-report')).backgroundColor"
    )
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_a_narrow_screen_is_not_scrolled_sideways(opened, name):
    browser = opened(name, width=360)
    browser.execute_script(
        "for (const each of document.querySelectorAll('details')) each.open = true"
    )
    settled(browser)
    assert browser.execute_script(
        """const beyond = [...document.querySelectorAll('.ski-report *')].filter((element) =>
          !element.closest('.box, svg, .whole')
          && element.getBoundingClientRect().right > innerWidth + 1);
        return [document.documentElement.scrollWidth <= 360,
          beyond.map((each) => each.outerHTML.slice(0, 99))]"""
    ) == [True, []]


def test_everything_has_an_accessible_name(opened):
    browser = opened("page")
    browser.execute_script(
        "for (const each of document.querySelectorAll('details')) each.open = true"
    )
    browser.execute_cdp_cmd("Accessibility.enable", {})
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {}
    for node in nodes:
        if not node["ignored"]:
            role = node["role"]["value"]
            named.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    roles = (
        "button",
        "searchbox",
        "table",
        "region",
        "image",
        "link",
        "navigation",
        "columnheader",
    )
    assert all(named.get(role) and all(named[role]) for role in roles), named
    assert (
        len(named["image"]) == 3
        and "Bars of the 20 rows that move the mean loss most." in named["image"]
    )
    assert all(name.startswith("Filter: ") for name in named["searchbox"])
    assert len(named["table"]) == 13
    assert not any("↕" in name for name in named["button"] + named["columnheader"])


def test_without_scripts_there_is_all_but_the_further_rows(opened):
    browser = opened("page", scripts=False)
    text = browser.find_element("css selector", "body").text
    for section in contents().sections:
        assert section.title in text
        assert all(finding.title in text and finding.code in text for finding in section.findings)
    assert "50 of 426 rows; JavaScript shows all" in text
    rows = browser.find_elements("css selector", "#labels tbody tr")
    assert len(rows) == 50
    assert rows[0].text.split()[0] == str(labels()["row"][0])
    assert browser.find_elements("css selector", "input, th button") == []
    bars = browser.find_elements("css selector", "#overall .bar")
    assert len(bars) == 20 and all(each.is_displayed() for each in bars)


def test_what_looks_like_code_is_text(opened):
    browser = opened("hostile")
    assert browser.execute_script("return [document.images.length, document.title]") == [
        0,
        HOSTILE[0],
    ]
    tags = browser.execute_script(
        "return [...new Set([...document.querySelectorAll('body *')].map((e) => e.localName))]"
    )
    assert "img" not in tags and "title" not in tags
    assert browser.execute_script("return document.scripts.length") == 1
    written = [each.replace("\x00", "\ufffd").replace("\ud83d", "?") for each in HOSTILE]
    cells = browser.execute_script(
        """return [...document.querySelectorAll('.table')].slice(0, 2).map((figure) =>
        [...figure.querySelectorAll('tbody tr[aria-rowindex]')].map(
          (row) => row.cells[0].textContent))"""
    )
    first, second = ([each.replace("\x00", "\ufffd") for each in column] for column in cells)
    assert [each.replace("\ufffd", "") for each in first] == [
        each.replace("\ufffd", "") for each in written
    ]
    assert len(second) > 20
    assert {each.replace("\ufffd", "") for each in second} == {
        each.replace("\ufffd", "") for each in written
    }
    heads = browser.execute_script("return [...document.querySelectorAll('.table')][0].innerText")
    assert all(each in heads for each in written[:4])


IN_SNIPPETS = """
return [...document.querySelectorAll('.ski-host')].map((host) => {
  const root = host.shadowRoot, report = root.querySelector('.ski-report');
  const look = (name) => { const style = getComputedStyle(root.querySelector(name));
    return [style.color, style.fontSize, style.display]; };
  const ids = [...root.querySelectorAll('[id]')].map((element) => element.id);
  return {theme: report.dataset.theme,
    cell: look('tbody td'), table: look('table'), head: look('h2'),
    ground: getComputedStyle(report).backgroundColor, ids, children: host.childNodes.length,
    referred: [...root.querySelectorAll('[clip-path], use')].every((element) => root.getElementById(
      (element.getAttribute('clip-path') ?? element.getAttribute('href')).match(/#([^)]+)/)[1]))};
});
"""


def test_two_snippets_and_a_hostile_page_leave_each_other_alone(opened):
    browser = opened("dark")
    reports = browser.execute_script(IN_SNIPPETS)
    assert len(reports) == 2
    for report in reports:
        assert report["theme"] == "dark" and report["ground"] == "rgb(20, 23, 26)"
        assert report["cell"] == ["rgb(228, 232, 235)", "13.062px", "table-cell"]
        assert report["table"][2] == "table" and report["head"][2] == "block"
        assert report["children"] == 0 and report["referred"]
        assert len(set(report["ids"])) == len(report["ids"]) > 20
    assert not set(reports[0]["ids"]) & set(reports[1]["ids"])
    outside = "const style = getComputedStyle(document.querySelector('#outside'));"
    assert browser.execute_script(outside + "return [style.color, style.fontSize]") == [
        "rgb(255, 0, 0)",
        "40px",
    ]
    counts = browser.execute_script(
        """const hosts = [...document.querySelectorAll('.ski-host')];
        const [one, other] = hosts.map((host) => host.shadowRoot);
        const input = one.querySelector('input');
        input.value = 'harms'; input.dispatchEvent(new Event('input'));
        return [one, other].map((root) => root.querySelector('.count').textContent)"""
    )
    assert counts[0] != "20 rows" and counts[1] == "20 rows"


def test_a_snippet_follows_the_page_it_is_in(opened):
    """Whatever the system prefers; addresses do not reach into a shadow root, and links work."""
    browser = opened("light", scheme="dark")
    assert [each["theme"] for each in browser.execute_script(IN_SNIPPETS)] == ["light", "light"]
    browser.execute_script("document.body.style.background = '#222'")
    time.sleep(0.3)
    assert [each["theme"] for each in browser.execute_script(IN_SNIPPETS)] == ["dark", "dark"]
    top = browser.execute_script(
        """const root = document.querySelector('.ski-host').shadowRoot;
        const links = [...root.querySelectorAll('nav a')];
        links.find((each) => each.textContent === 'Groups').click();
        return root.activeElement.querySelector('h3').textContent
          + Math.round(root.activeElement.getBoundingClientRect().top)"""
    )
    assert top.startswith("Groups") and 0 <= int(top.removeprefix("Groups")) < 30


def test_a_hundred_thousand_rows_are_as_smooth_as_a_hundred(opened, files, record_property):
    files("many", MADE["many"])
    began = time.perf_counter()
    browser = opened("many")
    seconds = {"load": time.perf_counter() - began}
    timed = (
        LABELS
        + """const began = performance.now(); %s; box.querySelector('tbody').offsetHeight;
        return (performance.now() - began) / 1e3"""
    )

    def took(what):
        return browser.execute_script(timed % what)

    sort = "[...figure.querySelectorAll('th button')][%d].click()"
    for name, at in (("numbers", 1), ("two texts", 2), ("different texts", 4)):
        seconds[f"first sort, {name}"] = took(sort % at)
        seconds[f"sort, {name}"] = took(sort % at)
    patients = shown(browser, 4)
    assert patients[:3] == ["patient 99999", "patient 99998", "patient 99997"]
    search = (
        "const input = figure.querySelector('input');"
        "input.value = '%s'; input.dispatchEvent(new Event('input'))"
    )
    seconds["first filter"] = took(search % "benign")
    seconds["filter"] = min(took(search % "9999") for _ in range(3))
    assert state(browser)[1] == f"{len(rows_with(labels(MANY), '9999'))} of 100,000 rows"
    took(search % "")
    seconds["scroll"] = took("box.scrollTop = 1e9")
    assert shown(browser, 4)[-1] == "patient 0"
    rows = browser.execute_script("return document.querySelectorAll('#labels tr').length")
    assert rows < 100
    print({name: round(value, 3) for name, value in seconds.items()})
    for name, value in seconds.items():
        record_property(name, value)
    # under .3 where nobody else computes; what is quadratic takes minutes
    assert all(value < 10.0 for value in seconds.values()), seconds


def test_a_long_text_is_cut_and_shown_whole_on_demand(opened):
    story = "Once upon a time <b>there</b> was a row.\n" * 40
    table = Table("Stories", {"row": [*range(300)], "text": [story, "short", *["mid " * 20] * 298]})
    MADE["long"] = lambda: page(Contents("t", "", (Section("s", "s", tables=(table,)),)))
    browser = opened("long")
    long = browser.find_element("css selector", "button.long")
    assert long.size["height"] < 80
    heights = browser.execute_script(
        "return [...new Set([...document.querySelectorAll('tbody tr[aria-rowindex]')]"
        ".map((row) => Math.round(row.getBoundingClientRect().height)))]"
    )
    assert len(heights) == 1  # so that rows out of sight have their room
    long.send_keys(Keys.ENTER)
    whole = browser.find_element("css selector", ".whole")
    assert whole.is_displayed() and whole.get_property("textContent") == story
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not whole.is_displayed()


def test_that_a_table_has_more_is_seen(opened):
    """A short one is shown whole; of a long one it is said which rows are in sight."""
    browser = opened("page", width=620)
    whole, beyond, right = browser.execute_script(
        """const [box] = document.querySelectorAll('#overall .box');
        return [box.scrollHeight <= box.clientHeight + 1, box.parentElement.className,
          getComputedStyle(box.parentElement, '::before').opacity]"""
    )
    assert whole and beyond == "frame right" and right == "1"
    said = (
        LABELS + "return [figure.querySelector('.seen').textContent, box.parentElement.className]"
    )

    def rows():
        first, last = browser.execute_script(said)[0].removeprefix("rows ").split("\N{EN DASH}")
        return int(first), int(last.split()[0]), last.split(" ", 1)[1]

    first, last, of = rows()
    assert (first, of) == (1, "of 426; scroll for more") and abs(last - len(shown(browser))) <= 1
    assert browser.execute_script(said)[1] == "frame right below"
    scroll_to(browser, 1e7)
    settled(browser)
    assert rows()[1] == 426
    assert browser.execute_script(said)[1] == "frame right"


def test_on_paper_all_is_unfolded(opened):
    browser = opened("page")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    unfolded = "return [document.querySelectorAll('details:not([open])').length, "
    rows = "document.querySelectorAll('#labels tbody tr[aria-rowindex]').length]"
    assert browser.execute_script(unfolded + rows) == [0, 200]
    assert state(browser)[1] == "200 of 426 rows"
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    folded, n = browser.execute_script(unfolded + rows)
    assert folded > 3 and n < 100 and state(browser)[1] == "426 rows"

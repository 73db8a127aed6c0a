"""The page of a report as text: what is in it, what is escaped, how large it is."""

import re
import subprocess
import sys
from collections import Counter
from functools import cache
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="the page needs jinja2, which is not installed")
pytest.importorskip("matplotlib", reason="the page needs matplotlib, which is not installed")

import matplotlib

from skinfluence.inspection.displays import Display, InfluenceDisplay, LeaveOneOutDisplay
from skinfluence.inspection.displays.base import HELPS
from skinfluence.inspection.report.contents import Contents, Picture, Section, Table
from skinfluence.inspection.report.figures import LARGEST, svg
from skinfluence.inspection.report.findings import Finding
from skinfluence.inspection.report.page import FIRST_ROWS, page, snippet
from skinfluence.inspection.tables import are_numbers, written
from tests.inspection.made_up_report import FINDINGS, HOSTILE, contents, hostile_contents

DASH = "\N{EN DASH}"
HERE = files("skinfluence.inspection.report")
STYLE, SCRIPT = (
    HERE.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "report.js")
)


class Reader(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts = Counter(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.attributes += attributes

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, name):
        return [value for key, value in self.attributes if key == name]


@cache
def of(make, seed=0):
    """Return the page or the snippet of the made-up report."""
    return make(contents(seed=seed))


@pytest.fixture
def html():
    return of(page)


def sections(*sections):
    return Contents("A report", "", sections)


def of_table(table):
    """Return the page of a table without the parts that every page has."""
    whole = page(sections(Section("s", "s", tables=(table,))))
    return whole.split("</style>")[1].rsplit("<script>", 1)[0]


def first_cells(html):
    """Return the cells of the rows of a page, as HTML."""
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.DOTALL)[1]
    return [
        re.findall(r"<td[^>]*>(.*?)(?=<td|$)", row, re.DOTALL) for row in body.split("<tr>")[1:]
    ]


# ----------------------------------------------------------------------------------- what is in it


def test_nothing_is_asked_of_anybody(html):
    for text in (html, of(snippet)):
        assert not re.search(r"https?://|//[a-z]+\.|@import|@font-face|url\((?!#|&quot;#)", text)
        assert not Reader(text).tags.keys() & {"link", "img", "iframe", "object", "embed", "base"}
    assert (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
    ) in html


def test_everything_of_the_contents_is_there(html):
    text = " ".join(" ".join(Reader(html.split("</style>")[1]).texts).split())
    made = contents()
    for section in made.sections:
        for part in (section, *section.parts):
            for each in (part.title, part.lead, *part.text, *part.facts, *part.facts.values()):
                assert " ".join(each.split()) in text
            for table in part.tables:
                assert table.name in text and all(name in text for name in table.columns)
            for picture in part.pictures:
                assert f'aria-label="{picture.name}"' in html
    assert made.title in text and made.subtitle in text
    assert html.count('<details class="part"') == 5 and html.count("open><summary>") == 1
    assert html.count("<nav") == 1
    assert "<nav" not in page(sections(*(Section(c, c) for c in "abcd")))
    assert "<nav" in page(sections(*(Section(c, c) for c in "abcde")))


def test_found_is_first_by_severity_and_every_finding_is_listed():
    html = page(sections(Section("Findings", "findings", findings=FINDINGS)))
    body = html.split("</style>")[1]
    order = re.findall(r'class="code">(SKI\d+)', body)
    assert order == ["SKI001", "SKI004", "SKI005", "SKI002", "SKI003", "SKI006", "SKI007"]
    words = re.findall(r'class="tag[^"]*">(?:<svg.*?</svg>)?([a-z ]+)<', body, re.DOTALL)
    assert words == ["high", "medium", "low", "not found", "not found", "not looked for", "ignored"]
    shapes = re.findall(r'class="tag \w+"><svg[^>]*>\s*<(.*?)/>', body, re.DOTALL)
    assert len(set(shapes)) == 3
    for finding in FINDINGS:
        assert finding.anchor not in body
        assert finding.text in unescape(body) and finding.advice in unescape(body)
    assert all(f"<bdi>{row}</bdi>" in body for finding in FINDINGS for row in finding.rows)
    assert "and 22 more" in body


def test_numbers_are_written_as_elsewhere_and_texts_in_full():
    long = "word " * 100
    html = of_table(
        Table(
            "All kinds",
            {
                "number": [0.12345, -2.0, np.nan, None],
                "whole": np.array([1, 20, 300, 4000]),
                "text": [long, "", None, "a  b\nc"],
                "mixed": [1.5, "x", True, (1, "y")],
                3: [float("inf"), -1.0, 2.0, 0.25],
            },
            bar="number",
            blue=-1,
        )
    )
    cells = first_cells(html)
    bar = '<i class="bar {}" style=--v:{}></i>'
    assert [row[0] for row in cells] == [
        "0.12" + bar.format("red", "0.12"),
        "-2.00" + bar.format("blue", "-2.00"),
        DASH,
        DASH,
    ]
    assert [row[1] for row in cells] == ["1", "20", "300", "4000"]
    assert [row[2] for row in cells] == [long, "", DASH, "a  b\nc"]
    assert [row[3] for row in cells] == ["1.5", "x", "True", "(1, &#39;y&#39;)"]
    assert [row[4] for row in cells] == ["inf", "-1.00", "2.00", "0.25"]
    assert "--low:-2;--high:0.12" in html and 'data-blue="-1"' in html
    assert html.count('<td class="n m">') == 2 and html.count("<td class=m>") == 1


def test_missing_values_of_pandas_are_missing():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "number": pandas.array([1, None], dtype="Int64"),
            "time": pandas.to_datetime(["2026-01-02", None]),
            "kind": pandas.Categorical(["x", None]),
        }
    )
    assert first_cells(of_table(Table("t", {name: list(frame[name]) for name in frame}))) == [
        ["1", "2026-01-02 00:00:00", "x"],
        [DASH, DASH, DASH],
    ]


@pytest.mark.parametrize("n", [0, 1, FIRST_ROWS, FIRST_ROWS + 1, 1234])
def test_the_first_rows_stand_in_the_page_and_the_others_once(n):
    html = of_table(Table("t", {"number": [*range(n)], "text": [f"cell{at}." for at in range(n)]}))
    assert len(first_cells(html)) == min(n, FIRST_ROWS)
    assert all(html.count(f"cell{at}.") == 1 for at in range(n))
    words = {0: "0 rows", 1: "1 row", 50: "50 rows", 51: "50 of 51 rows; JavaScript shows all"}
    assert f">{words.get(n, '50 of 1,234 rows; JavaScript shows all')}</p>" in html
    assert ("application/json" in html) == (n > FIRST_ROWS)


def test_a_table_without_columns_and_an_empty_report_are_pages():
    assert "0 rows" in of_table(Table("t", {}))
    assert "<h1>A report</h1>" in page(sections())
    assert "<h2>A report</h2>" in snippet(sections())


# --------------------------------------------------------------------------------- what is escaped


@pytest.mark.parametrize("make", [page, snippet])
def test_what_looks_like_code_is_text(make):
    html = make(hostile_contents())
    read = Reader(html)
    plain = Reader(of(make))
    assert set(read.tags) <= set(plain.tags) | {"image"}
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    n_json = len(HOSTILE)  # the tables of 300 rows
    assert read.tags["script"] == 1 + n_json
    assert html.count("</script") == 1 + n_json
    assert "<!--" not in html.split("</style>")[1].rsplit("<script>", 1)[0]
    data = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert len(data) == n_json and not any("<" in each for each in data)
    text = "".join(read.texts)
    assert all(each.replace("\ud83d", "?") in text for each in HOSTILE)
    assert "49" not in re.sub(
        r"<svg.*?</svg>", "", html.split("</style>")[1].rsplit("<script>", 1)[0], flags=re.S
    )
    html.encode("utf-8")  # half a character would not


def test_style_and_script_end_nothing_and_are_shipped():
    assert "</style" not in STYLE and "</script" not in SCRIPT and "<!--" not in SCRIPT
    assert "{{" not in STYLE and HERE.joinpath("template.html").is_file()


def test_every_selector_is_our_own():
    rules = re.sub(r"/\*.*?\*/", "", STYLE, flags=re.DOTALL)
    heads = re.findall(r"(?:^|(?<=[{};]))\s*([^{};]+?)\s*\{", rules)
    selectors = [
        part.strip()
        for head in heads
        if not head.startswith("@")
        for part in re.split(r",(?![^(]*\))", head)
    ]
    assert len(selectors) > 80
    ours = re.compile(r"\.ski-report\b|\.ski-host$|:host$")
    assert [each for each in selectors if not ours.match(each)] == []


# ---------------------------------------------------------------------------- how large, how often


@pytest.mark.parametrize("n", [426, 20_000])
def test_size(n):
    """At most 300 KiB and 150 bytes a row, beside the text of the cells of the long table."""
    columns = next(s for s in contents(n).sections if s.name == "labels").tables[0].columns
    known = [[each for each in values if each is not None] for values in columns.values()]
    texts = [
        text for values in known for text in (written(values) if are_numbers(values) else values)
    ]
    html = page(contents(n))
    assert len(html.encode()) < 300 * 1024 + 150 * n + sum(map(len, texts))
    assert len(html.encode()) < 240 * 1024 + 30 * n + sum(map(len, texts))  # as it is


def test_wide_tables_keep_to_the_budget():
    """With 40 columns of numbers, a byte a cell beside its digits, but for the first rows."""
    n = 3000
    digits = {f"x{at}": (np.arange(n) + 1000.5) for at in range(40)}
    html = of_table(Table("wide", digits))
    assert len(html.encode()) < 40 * n * len("1000.5") + 150 * n + 20_000


def test_the_same_contents_are_the_same_page_whatever_the_style(html):
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"text.color": "red", "font.size": 30, "axes.facecolor": "pink"}):
        chosen = dict(matplotlib.rcParams)
        assert page(contents()) == html
        assert dict(matplotlib.rcParams) == chosen
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_ids_are_unique_in_a_page_and_in_a_page_with_two_snippets(html):
    one, other = of(snippet), of(snippet, seed=1)
    for text in (html, one + other):
        read = Reader(text)
        ids = read.values("id")
        assert len(ids) > 20 and max(Counter(ids).values()) == 1
        referred = re.findall(
            r'(?:="#|url\(#|aria-labelledby=")([\w-]+)', text.rsplit("<script>", 1)[0]
        )
        assert len(referred) > 20 and set(referred) <= set(ids)
    assert 'id="check"' in html  # an address that people can write


# ---------------------------------------------------------------------------------------- pictures


def dots(n):
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=(1, n))
    return LeaveOneOutDisplay(predicted, predicted, "loss", "newton")


def test_a_picture_has_a_name_and_the_colours_of_the_page():
    drawn = svg(Picture(dots(30), 'What "it" <shows>'), "p")
    assert drawn.startswith(
        '<svg role="img" aria-label="What &quot;it&quot; &lt;shows&gt;" viewBox="'
    )
    assert "predicted change of loss (newton)</text>" in drawn
    assert "currentColor" in drawn and f"var(--blue,{HELPS})" in drawn
    assert not re.search(r"#(..)\1\1\b|DejaVu|<style|<metadata|<!--|xmlns|\bclass=\"", drawn)
    assert drawn == svg(Picture(dots(30), 'What "it" <shows>'), "p")
    ids = re.findall(r' id="([^"]+)"', drawn)
    assert ids and all(each.startswith("p-") for each in ids)


def test_greys_are_the_ink_of_the_page_more_or_less_opaque():
    class Greys(Display):
        def _draw(self, ax):
            ax.axis("off")
            ax.plot([0, 1], color="0.8")
            ax.plot([1, 0], color="black", alpha=0.5)
            ax.plot([1, 1], color=(0.5, 0.5, 0.5, 0.5))
            ax.bar([0], [1], hatch="/", color="0.9")
            ax.text(0.5, 0.5, "white", color="white", fontfamily="serif", fontweight="bold")

        def frame(self):
            raise NotImplementedError

    drawn = svg(Picture(Greys(), "greys"), "p")
    strokes = re.findall(r"stroke:currentColor;[^\"]*?stroke-opacity:([\d.]+)", drawn)
    assert [float(each) for each in strokes[:3]] == pytest.approx([0.2, 0.5, 0.25], abs=0.01)
    assert re.search(r'<text style="[^"]*fill:var\(--paper,#fff\)[^"]*"[^>]*>white</text>', drawn)
    assert "font-weight:700" in drawn
    referred = set(re.findall(r"(?:\"#|url\(#)([\w-]+)", drawn))
    assert "fill:url(#p-" in drawn and referred == set(re.findall(r' id="([\w-]+)"', drawn))


def test_many_points_are_pixels():
    few, many = svg(Picture(dots(100), "few"), "p"), svg(Picture(dots(5000), "many"), "p")
    assert "<image" not in few and "<use" in few
    assert many.count("<image") == 1 and 'href="data:image/png;base64,' in many
    assert len(many) < LARGEST and "predicted change of loss" in many
    some = [svg(Picture(dots(300), "some"), "p", largest=most) for most in (LARGEST, 20_000)]
    assert "<image" not in some[0] and "<image" in some[1] and len(some[1]) < len(some[0])


def test_labels_of_bars_are_text():
    whole = np.array(HOSTILE[:-1], dtype=object)
    drawn = svg(Picture(InfluenceDisplay(np.ones(len(whole)), whole, "loss", "$x$"), "bars"), "p")
    texts = "".join(Reader(drawn).texts)
    assert "<script>alert(1)</script>" in texts and "$x$" in texts
    assert "שלום" in texts and "🦋" in texts
    assert set(Reader(drawn).tags) <= {
        "svg",
        "g",
        "path",
        "text",
        "tspan",
        "use",
        "defs",
        "clippath",
        "rect",
    }


# ------------------------------------------------------------------------------------- the colours


def luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


COLORS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", STYLE)
}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("ground", ["paper", "panel", "wash"])
def test_contrast(ground, dark):
    for name in ("ink", "muted", "accent", "high", "medium", "low"):
        assert contrast(COLORS[name][dark], COLORS[ground][dark]) >= 4.5, name
    for name in ("blue", "red"):  # of bars and points
        assert contrast(COLORS[name][dark], COLORS[ground][dark]) >= 3.0, name
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


def test_all_colours_are_in_light_and_dark():
    named = set(re.findall(r"var\(--(\w+)\)", STYLE)) - {
        "font",
        "mono",
        "low",
        "high",
        "span",
        "v",
        "tone",
    }
    assert named <= set(COLORS)
    rest = re.sub(r"light-dark\([^)]*\)", "", STYLE)
    assert not re.findall(r"#[0-9a-f]{3,6}\b", rest)


# --------------------------------------------------------------------------------- what is missing

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from skinfluence.inspection.report.contents import Contents, Picture, Section
from skinfluence.inspection.report.page import page, snippet
from skinfluence.inspection import LeaveOneOutDisplay
import numpy as np
one = np.ones((1, 1))
picture = Picture(LeaveOneOutDisplay(one, one, "loss", "newton"), "p")
for make in (page, snippet):
    try:
        make(Contents("t", "", (Section("s", "s", pictures=(picture,)),)))
    except ImportError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (
            "jinja2",
            "A report as HTML needs jinja2, which is not installed: pip install "
            "'skinfluence[report]'.",
        ),
        (
            "matplotlib",
            "Plots need matplotlib, which is not installed: pip install 'skinfluence[plot]'.",
        ),
    ],
)
def test_a_missing_package_is_named(package, message):
    command = [sys.executable, "-c", WITHOUT, package]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert result.stdout.splitlines() == [message] * 2, result.stderr


def test_a_finding_of_unknown_severity_is_last():
    findings = (Finding("B", "b", "found"), Finding("A", "a", "found", "low"))
    html = page(sections(Section("s", "s", findings=findings)))
    assert re.findall(r'class="code">(\w)', html) == ["A", "B"]


def test_half_a_character_and_wide_gaps_are_drawn():
    labels = np.array(["name \udce9", "other"], dtype=object)
    drawn = svg(Picture(InfluenceDisplay(np.array([0.4, -0.1]), labels, "loss", "t"), "bars"), "p")
    assert ">name ?</" in drawn
    assert re.search("harms\u00a0{4} ?helps", drawn)

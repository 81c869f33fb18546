"""The page in Debian's Chromium: what is drawn, what works, and that nothing from outside runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_inferopt.domain.text import printable
from pytest_inferopt.reporters._arms import LABEL_LIMIT
from pytest_inferopt.reporters.html import Html, _with_short_curves

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DRAWN_MS = 60_000  # of patience; what is waited for takes a second or two
CHART_ELEMENTS = {"svg", "g", "path", "text", "line", "defs", "clipPath", "rect"}
CONTROLS = {"FORM", "DIV", "LABEL", "SPAN", "SELECT", "OPTION"}
PWNED = "window.__pwned=1"
HOSTILE = (
    # Markup that ends what it stands in, or brings code of its own.
    f"<script>{PWNED}</script>",
    f"</script><script>{PWNED}</script>",
    f"</SCRIPT ><script>{PWNED}//",
    f"<!--<script>{PWNED}</script>-->",
    "<!--<script>",
    f"]]><script>{PWNED}</script>",
    f"<img src=x onerror={PWNED}>",
    f"<svg onload={PWNED}>",
    f"<svg><script>{PWNED}</script></svg>",
    f"<iframe srcdoc='<script>parent.{PWNED}</script>'>",
    f"<body onload={PWNED}>",
    f"<details open ontoggle={PWNED}>",
    f"<style>@import 'x';</style><link rel=stylesheet href=x onerror={PWNED}>",
    f'<meta http-equiv="refresh" content="0;javascript:{PWNED}">',
    "<base href='https://example.org/'>",
    "<form action='https://example.org/'><input name=a>",
    f"<a href='javascript:{PWNED}'>a</a>",
    f"<math><mtext><table><mglyph><style><!--</style><img src=x onerror={PWNED}>",
    f"<noscript><p title='</noscript><img src=x onerror={PWNED}>'>",
    f"</title><script>{PWNED}</script>",
    f"</style><script>{PWNED}</script>",
    f"</textarea></template><script>{PWNED}</script>",
    f"<template><script>{PWNED}</script></template>",
    # Out of an attribute.
    f'" onmouseover="{PWNED}" x="',
    f"' autofocus onfocus='{PWNED}",
    f"x` onclick=`{PWNED}`",
    f"javascript:{PWNED}",
    f"data:text/html,<script>{PWNED}</script>",
    "#content",
    # Escapes that a second reading would undo.
    f"&lt;script&gt;{PWNED}&lt;/script&gt;",
    "&amp;lt;b&amp;gt; &#60;b&#62; &nbsp",
    f"\\u003cscript\\u003e{PWNED}",
    f"%3Cscript%3E{PWNED}%3C/script%3E",
    # Templates and expressions.
    "{{ 7*7 }} {% raw %} {# #} ${7*7} #{7*7}",
    "{{ ''.__class__.__mro__ }}",
    f"datum.arm'); {PWNED}; ('",
    f"signal('a') + ({PWNED})",
    "data('pareto')[0].arm",
    "a.b['c'] \\. \\[0\\]",
    # Names that a program may take for its own.
    "__proto__",
    "constructor",
    "toString",
    "null",
    "NaN",
    "=HYPERLINK('https://example.org')",
    # What turns, hides, splits or fills the line.
    "\u202egnp.exe\u2066\u200b\ufeff",
    "\x00\x1b[31m\x07\r\n\x7f\x85\u2028\u2029",
    "  ",
    "long " + "x" * 3000,
    "\U0001f600\u0301\u0301\u0301 \u4f60\u597d \u05d0\u05d1 \u0627\u0628",
)
# Each page loads the charts' library anew, so that ten names share one.
GROUPS = [HOSTILE[start : start + 10] for start in range(0, len(HOSTILE), 10)]


@pytest.fixture(scope="module")
def chromium():
    """One browser for the module. Where there is none the tests are skipped, and fail in CI, which installs it."""
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is not there: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A page that is looked at, with all that it said, asked for and opened."""

    def __init__(self, context, path):
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def drawn(self):
        """Wait for all charts, and give how many were drawn and how many could not be."""
        from playwright.sync_api import expect

        expect(self.page.locator(".plot:not([data-state=drawn], [data-state=failed])")).to_have_count(
            0, timeout=DRAWN_MS
        )
        return [self.page.locator(f".plot[data-state={state}]").count() for state in ("drawn", "failed")]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """`written(report)`: the file of the report's page."""

    def written(report):
        path = tmp_path_factory.mktemp("page") / "report.html"
        path.write_text(Html().render(report), encoding="utf-8")
        return path

    return written


@pytest.fixture(scope="module")
def full(written, reports):
    """The page of the report that has everything."""
    return written(reports.full())


@pytest.fixture(scope="module")
def wide(written, reports):
    """A page with names that have no place to break."""
    return written(reports.report(*reports.hostile("x" * 300).results, *reports.full().results))


@pytest.fixture
def visit(chromium):
    """`visit(path, **context)`: opens the page in a fresh context."""
    contexts = []

    def visit(path, **context):
        contexts.append(chromium.new_context(**context))
        return Visit(contexts[-1], path)

    yield visit
    for context in contexts:
        context.close()


def texts(page, selector):
    """The shown text of each element, spaces made one."""
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def column(page, number):
    """A column of the overview, without the details."""
    return [text.split()[0] for text in texts(page, f"#overview + .scroll tbody tr > :nth-child({number})")]


def several(reports):
    """Three models, whose names, speed-ups and sizes have three different orders; the last one was not measured."""
    quick, slow = (
        reports.result(
            reports.variant(speedup={1: reports.speedup(1, times, times, times)}, size_bytes=size), name=name
        )
        for name, times, size in (("beta 10", 9.0, 500_000), ("alpha", 10.0, 20_000_000))
    )
    return reports.report(quick, slow, reports.result(reports.lost_variant(), name="beta 9"))


def test_every_chart_is_drawn_and_the_page_asks_for_nothing_and_says_nothing(visit, full):
    seen = visit(full)
    assert seen.drawn() == [17, 0]
    marks = {
        key: seen.page.locator(f'[data-model="model-1"][data-chart="{key}"] svg {mark}').count()
        for key, mark in {
            "pareto": ".mark-symbol path", "speedup": ".mark-symbol path", "latency": ".mark-line path",
            "throughput": ".mark-line path", "quantiles": ".mark-line path", "warmup": ".mark-line path",
            "sizes": ".mark-rect path", "distributions": ".mark-line path", "replicates": ".mark-symbol path",
            "operators": ".mark-rect path",
        }.items()
    }  # fmt: skip
    # Twelve replicates of each of three cells.
    # Pareto: three models and one outline; speed-up: two batches of one variant, one of the other.
    assert marks == {
        "pareto": 4, "speedup": 3, "latency": 4, "throughput": 4, "quantiles": 4, "warmup": 4, "sizes": 3,
        "distributions": 2, "replicates": 36, "operators": 3,
    }  # fmt: skip
    assert (seen.said, [url for url in seen.asked if not url.endswith("/report.html")]) == ([], [])


def test_a_policy_violation_would_be_noticed(visit, full):
    seen = visit(full)
    seen.page.evaluate(
        "const script = document.createElement('script'); script.textContent = 'window.__pwned = 1';"
        "document.head.append(script); document.head.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/'}))"
    )
    seen.page.wait_for_timeout(100)
    assert seen.page.evaluate("window.__pwned") is None
    assert [text for text in seen.said if "Content Security Policy" in text]


def test_the_curves_come_out_of_the_reports_json(visit, full):
    seen = visit(full)
    seen.drawn()
    path = seen.page.locator('[data-model="model-1"][data-chart="quantiles"] svg .mark-line path').first
    # 101 quantiles drawn as steps, each of two segments.
    assert path.get_attribute("d").count("L") == 200


def test_the_batch_size_of_a_distribution_can_be_chosen(visit, full):
    seen = visit(full)
    seen.drawn()
    chart = seen.page.locator('[data-model="model-1"][data-chart="quantiles"]')
    line = chart.locator("svg .mark-line path").last
    before = line.get_attribute("d")
    chart.get_by_label("Batch size").select_option("32")
    assert line.get_attribute("d") != before
    assert seen.said == []


def test_the_cell_of_the_baselines_distribution_can_be_chosen_and_begins_with_the_slowest(visit, full):
    seen = visit(full)
    seen.drawn()
    chart = seen.page.locator('[data-model="model-1"][data-chart="distributions"]')
    line = chart.locator("svg .mark-line path").last
    before = line.get_attribute("d")
    picker = chart.get_by_label("Cell")
    names = ["onnx at batch 1", "onnx at batch 32", "int8 at batch 1"]
    assert (picker.locator("option").all_text_contents(), picker.input_value()) == (names, "2")
    picker.select_option(label="onnx at batch 32")
    assert line.get_attribute("d") != before
    assert seen.said == []


def test_a_replicate_stands_on_its_side_of_what_is_allowed(visit, full):
    seen = visit(full)
    seen.drawn()
    chart = seen.page.locator('[data-model="model-1"][data-chart="replicates"]')
    allowed = chart.locator("svg .role-mark.mark-rule line").nth(3).bounding_box()["x"]
    dots = [dot.bounding_box()["x"] for dot in chart.locator("svg .mark-symbol path").all()]
    assert [x > allowed for x in dots] == [False] * 24 + [True] * 12


def test_the_operators_are_named_and_drawn_to_both_sides(visit, full):
    seen = visit(full)
    seen.drawn()
    chart = seen.page.locator('[data-model="model-1"][data-chart="operators"]')
    said = chart.locator("svg text").all_text_contents()
    assert [text for text in said if "ms (" in text] == ["+0.021 ms (70 %)", "+0.012 ms (40 %)", "-0.003 ms (-10 %)"]
    assert {"MatMul /dense/MatMul", "3 × Relu", "Softmax /out/Softmax"} <= set(said)
    bars = [bar.bounding_box() for bar in chart.locator("svg .mark-rect path").all()]
    assert bars[2]["x"] < bars[0]["x"] == bars[1]["x"]


def test_a_click_on_a_head_sorts_by_figures_or_names_and_what_was_not_measured_stands_last(visit, written, reports):
    page = visit(written(several(reports))).page
    head = page.locator("#overview + .scroll thead").get_by_role("button")
    orders = {}
    for name, number in (("Model", 1), ("Speed-up", 4), ("Size", 7)):
        for way in ("ascending", "descending"):
            head.get_by_text(name, exact=True).click()
            sorted_heads = page.locator("#overview + .scroll th[aria-sort]")
            assert (sorted_heads.count(), sorted_heads.get_attribute("aria-sort")) == (1, way)
            orders[name, way] = texts(page, "#overview + .scroll tbody th")
            assert column(page, number)
    assert orders == {
        ("Model", "ascending"): ["alpha", "beta 9", "beta 10"],
        ("Model", "descending"): ["beta 10", "beta 9", "alpha"],
        ("Speed-up", "ascending"): ["beta 10", "alpha", "beta 9"],
        ("Speed-up", "descending"): ["alpha", "beta 10", "beta 9"],
        ("Size", "ascending"): ["beta 10", "alpha", "beta 9"],
        ("Size", "descending"): ["alpha", "beta 10", "beta 9"],
    }


def test_a_table_is_sorted_by_keyboard_too(visit, written, reports):
    page = visit(written(several(reports))).page
    page.locator("#overview + .scroll thead button").first.focus()
    page.keyboard.press("Enter")
    assert texts(page, "#overview + .scroll tbody th") == ["alpha", "beta 9", "beta 10"]
    assert page.locator("#said").text_content() == "Sorted by Model, ascending."


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_the_page_follows_the_systems_colours_until_the_reader_chooses_and_keeps_the_choice(visit, full, scheme, other):
    page = visit(full, color_scheme=scheme).page
    colors = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 21, 27)"}
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == colors[scheme]
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate(background) == colors[other]
    page.reload()
    assert page.evaluate(background) == colors[other]
    assert page.get_by_role("button", name="Dark colours").get_attribute("aria-pressed") == str(other == "dark").lower()


def test_the_charts_change_their_colours_with_the_page_and_without_being_drawn_again(visit, full):
    seen = visit(full, color_scheme="light")
    seen.drawn()
    bars = "[...document.querySelectorAll('.sizes svg .mark-rect path')].map((bar) => getComputedStyle(bar).fill)"
    light = seen.page.evaluate(bars)
    seen.page.get_by_role("button", name="Dark colours").click()
    dark = seen.page.evaluate(bars)
    assert (light[1], dark[1]) == ("rgb(0, 114, 178)", "rgb(79, 176, 238)")
    assert len(set(light)) == len(set(dark)) == 3


def test_the_theme_can_be_chosen_where_storage_is_refused(visit, full):
    seen = visit(full, color_scheme="light")
    seen.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    seen.page.reload()
    seen.page.get_by_role("button", name="Dark colours").click()
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
    assert (seen.drawn(), seen.said) == ([17, 0], [])


def test_a_printed_page_is_light_and_has_no_folds_and_cuts_no_table(visit, full):
    page = visit(full, color_scheme="dark", viewport={"width": 690, "height": 970}).page  # A4 within its margins
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("details[open]").count() > 0
    too_wide = "[...document.querySelectorAll('table')].filter((table) => table.getBoundingClientRect().right > 690)"
    assert page.evaluate(f"{too_wide}.map((table) => table.caption.textContent)") == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_does_not_scroll_sideways_and_wide_tables_do(visit, wide, width):
    seen = visit(wide, viewport={"width": width, "height": 800})
    seen.drawn()
    seen.page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    table = "[...document.querySelectorAll('.scroll')].some((box) => box.scrollWidth > box.clientWidth)"
    assert seen.page.evaluate(table)


def test_the_tables_read_without_javascript(visit, full):
    page = visit(full, java_script_enabled=False).page
    assert page.locator("h1").inner_text().startswith("Not passed")
    assert "onnx Pareto front passed, best 9.8 MB 23.8 %" in " ".join(page.locator("main").inner_text().split())
    assert texts(page, "noscript p")[0] == "The charts need JavaScript; the tables hold the same figures."
    assert page.get_by_role("button").count() == 0


def test_i106_the_tooltip_of_a_mark_is_text_too(visit, written, reports):
    seen = visit(written(reports.hostile(f"<img src=x onerror={PWNED}>")))
    seen.drawn()
    seen.page.locator(
        '[data-model="model-1"][data-chart="sizes"] svg .mark-text text'
    ).first.scroll_into_view_if_needed()
    seen.page.locator('[data-model="model-1"][data-chart="pareto"] svg .mark-symbol path').last.hover(force=True)
    tooltip = seen.page.locator("#vg-tooltip-element.visible")
    assert f"<img src=x onerror={PWNED}" in tooltip.inner_text()
    assert tooltip.locator("img").count() == 0
    assert (seen.page.evaluate("window.__pwned"), seen.said) == (None, [])


def test_the_reports_json_can_be_taken_out(visit, full, reports):
    page = visit(full).page
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    from pytest_inferopt.domain.report import parse_report

    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename == "report.json"
    carried = _with_short_curves(reports.full().to_dict())
    assert parse_report(saved, where="download") == parse_report(json.dumps(carried), where="page")


def test_there_are_fifty_hostile_names():
    assert len(set(HOSTILE)) == 50


def elements(page):
    """The names of the page's elements, in their order."""
    return page.evaluate("[...document.querySelectorAll('*')].map((element) => element.tagName)")


def planted(reports, names):
    """A report with a model for each name, which stands in every place that text from outside can reach.

    These models have the charts that show a metric's name. One more has all charts, and all names as variants.
    """
    crowd = reports.result(*(reports.variant(name) for name in names), name="crowd")
    results = (few_charts(reports.hostile(name).results[0]) for name in names)
    return reports.hostile(names[0]).model_copy(update={"results": (crowd, *results)})


def few_charts(result):
    """The result with so few figures that it has the charts of its gate, Pareto, latency and size, and no more."""
    none = {"p50_ms": None, "p99_ms": None, "throughput_rows_per_second": None, "quantiles_ms": (), "warmup_ms": ()}

    def stripped(variant):
        latency = {1: variant.latency[1].model_copy(update=none)} if variant.latency else {}
        return variant.model_copy(update={"latency": latency, "speedup": {}})

    variants = {name: stripped(variant) for name, variant in result.variants.items()}
    return result.model_copy(update={"original": stripped(result.original), "variants": variants, "context": ()})


@pytest.fixture(scope="module")
def harmless(written, reports):
    """The page of names that mean nothing to a browser."""
    return written(planted(reports, [f"plain {number}" for number in range(10)]))


@pytest.mark.parametrize("names", GROUPS, ids=[f"{10 * at + 1}-{10 * at + 10}" for at in range(len(GROUPS))])
def test_i106_hostile_names_are_text_only(visit, written, harmless, reports, names):
    path = written(planted(reports, names))
    # Without scripts a browser also parses what stands in noscript; no name adds an element or takes one away.
    quiet, plain = visit(path, java_script_enabled=False), visit(harmless, java_script_enabled=False)
    assert elements(quiet.page) == elements(plain.page)
    seen = visit(path)
    assert seen.drawn() == [7 + 6 * len(names), 0]
    assert (seen.page.evaluate("window.__pwned"), seen.said) == (None, [])
    assert [url for url in seen.asked if not url.endswith("/report.html")] == []
    inside = set(seen.page.evaluate("[...document.querySelectorAll('.plot *')].map((e) => e.tagName)"))
    assert inside <= CHART_ELEMENTS | CONTROLS
    heads = seen.page.locator("section.model h2").all_text_contents()
    assert heads == ["crowd", *(printable(name, limit=1000) for name in names)]
    labels = [printable(name, limit=LABEL_LIMIT) for name in names]
    assert seen.page.locator("section[aria-labelledby=model-1] .legend li").all_text_contents()[1:] == labels
    # A long one is cut to its room.
    drawn = seen.page.locator('[data-model="model-1"][data-chart="pareto"] svg .role-mark.mark-text text')
    shown = [text.removesuffix("…") for text in drawn.all_text_contents()[1 : 1 + len(names)]]
    assert [label[: len(text)] for label, text in zip(labels, shown, strict=True)] == shown

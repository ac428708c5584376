"""A run as one HTML page that needs nothing else. Pure but for `write`."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from ansible_collections.campus.jupyterhub.tests.faults.checker import Verdict
from ansible_collections.campus.jupyterhub.tests.faults.report import Report, aim_words, cells
from ansible_collections.campus.jupyterhub.tests.faults.timeline import Chart, draw

STYLE = Path(__file__).with_name("page.css")
WIDE, NARROW = 1240.0, 800.0
"""Widths of the whole timeline and of one fault's, in pixels."""

AROUND_SECONDS = 3.0
LEGEND = """
<p class="legend"><i class="new"></i>answer, new connection<i class="kept"></i>answer, kept connection
<i class="failed"></i>failed request<i class="open"></i>websocket open<i class="away"></i>websocket away
<i class="fault"></i>broken<i class="after"></i>set right, not yet whole</p>
"""


def mark(good: bool) -> str:
    """The class of what went well, and of what did not."""
    return "good" if good else "bad"


def paragraphs(texts: list[str]) -> str:
    """What is wrong, a paragraph each."""
    return "".join(f'<p class="bad">{escape(text)}</p>' for text in texts)


def head(report: Report) -> str:
    """Title, what it was run on, and the timeline of all of it."""
    held = report.judgement.held
    failed = sum(record.is_request and bool(record.reason) for record in report.log)
    began = report.as_json()["began"].replace("T", " ").replace("Z", " UTC")
    chart = Chart(report.origin, report.end, WIDE, report.origin)
    badge = "every budget was held" if held else "not every budget was held"
    return (
        f'<h1>Proof under fire <span class="{mark(held)}">{badge}</span></h1>'
        f"<p>{len(report.windows)} faults, {report.requests} requests of students at work, {failed} of them failed. "
        f"The {report.form} form, {began}, {escape(report.machine)}.</p>{LEGEND}"
        f"<figure>{draw(chart, report.log, report.windows)}</figure>"
        f"{paragraphs([str(violation) for violation in report.judgement.violations])}"
    )


def section(report: Report, number: int, verdict: Verdict) -> str:
    """One fault: what was done, what the students saw, what it cost."""
    window = verdict.window
    chart = Chart(window.begin - AROUND_SECONDS, window.end + AROUND_SECONDS, NARROW, report.origin)
    near = [record for record in report.log if record.at <= chart.end]
    rows = "".join(
        f'<tr class="{mark(row.held)}"><th>{escape(row.measure)}'
        f"{''.join(f'<td>{cell}' for cell in cells(row))}<td class={aim_words(row).split()[0]}>{aim_words(row)}"
        for row in verdict.rows
    )
    reasons = "".join(f"<li>{count} &times; {escape(reason)}" for reason, count in verdict.reasons.items())
    badge = f'<span class="{mark(verdict.held)}">{"held" if verdict.held else "not held"}</span>'
    return (
        f"<section><h2>{number}. {escape(window.name)} {badge}</h2>"
        f"<p>{escape(window.done)}. {verdict.requests} requests, slowest answer {verdict.slowest:.2f} s.</p>"
        f"{paragraphs([str(violation) for violation in verdict.violations])}"
        f"<div><figure>{draw(chart, near, report.windows, numbered=False)}</figure>"
        f"<table><tr><th><th>measured<th>budget<th>aim<th>{rows}</table></div><ul>{reasons}</ul></section>"
    )


def page(report: Report) -> str:
    """The whole page."""
    start = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Proof under fire</title><style>{STYLE.read_text(encoding='utf-8')}</style><main>"
    )
    sections = [section(report, number, verdict) for number, verdict in enumerate(report.judgement.verdicts, 1)]
    return "".join([start, head(report), *sections, "</main></html>\n"])


def write(report: Report, folder: Path) -> Path:
    """Leave report.json, report.md and report.html in a folder; returns the last."""
    path = folder / "report.html"
    (folder / "report.json").write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(report.markdown(), encoding="utf-8")
    path.write_text(page(report), encoding="utf-8")
    return path

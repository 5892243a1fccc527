"""The report on a graded folder: scores.csv, junit.xml, a page for each student, a summary page.

Names and messages come from students, so everything is escaped for the format it goes into. Nothing in the report
depends on when or where it was made: the same seed and submissions give the same bytes.
"""

import csv
import hashlib
import html
import importlib.metadata
import io
import os
import platform
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from common.grading.picture import got_beside_expected
from common.np import host as np
from common.svg import BLUE, GREEN, INK, LINE, MUTED, ORANGE, PINK, Drawing

HEADER = ["student", "notebook", "exercise", "status", "points", "max_points", "message"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins with one of these
COLORS = {
    "pass": GREEN,
    "partial": "#7fcfb4",
    "fail": ORANGE,
    "error": PINK,
    "timeout": BLUE,
    "crashed": INK,
    "missing": LINE,
    "infra": "#f0e442",
}
MARKER = '<meta name="generator" content="common.grading">'  # a folder with this in index.html may be replaced
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, Verdana, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 0; }
a { color: #005a9c; } .quiet { color: #595959; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
th { font-weight: 600; } td.number, th.number { text-align: right; white-space: nowrap; }
td.name { min-width: 9rem; max-width: 22rem; }
.status { display: inline-block; min-width: 4.6rem; padding: 0 .5rem; border-radius: .8rem; font-size: .85rem;
  text-align: center; border: 2px solid; background: #fff; color: #1a1a1a; }
.card { border: 1px solid #ddd; border-left-width: .5rem; border-radius: .4rem; padding: .8rem 1rem; margin: .9rem 0; }
.head { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: baseline; }
.head .points { margin-left: auto; font-weight: 600; white-space: nowrap; }
.card p { margin: .5rem 0 0; overflow-wrap: anywhere; } .card svg { margin-top: .7rem; }
.cases { list-style: none; padding: 0; margin: .5rem 0 0; font-size: .92rem; }
code { background: #f3f3f3; padding: 0 .25em; border-radius: .2em; }
.alarm { border: 3px solid #b00020; background: #fdecee; padding: .8rem 1rem; border-radius: .4rem; margin: 1rem 0; }
@media print { .card { break-inside: avoid; } }
"""


class ReportError(ValueError):
    """A place where a report cannot be written; the text says what to do."""


def check_place(out, submissions):
    """Raise a ReportError if a report cannot go to ``out``: before the work, not after it."""
    out, submissions = Path(out), Path(submissions).resolve()
    if out.resolve() == submissions or submissions in out.resolve().parents:
        raise ReportError(f"{out} is inside the submissions; choose another folder for the report")
    if out.resolve() in submissions.parents:
        raise ReportError(f"{out} contains the submissions; choose another folder for the report")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ReportError(f"{out} exists and is not a folder")
    if out.is_dir() and any(out.iterdir()) and not _is_report(out):
        raise ReportError(f"{out} exists and contains something other than a report; choose another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise ReportError(f"a report cannot be written to {out}: {error.strerror}") from None


def _is_report(folder):
    index = folder / "index.html"
    return index.is_file() and MARKER in index.read_text(encoding="utf-8", errors="replace")[:500]


def write(out, rows, seed, isolation):
    """Write the whole report to the folder ``out``, or nothing; an older report there is replaced."""
    out = Path(out)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        partial.chmod(0o755)
        (partial / "students").mkdir()
        _text(partial / "scores.csv", scores(rows))
        _text(partial / "junit.xml", junit(rows))
        pages = page_names(rows)
        for student, name in pages.items():
            mine = [row for row in rows if row.student == student]
            _text(partial / "students" / name, student_page(student, mine))
        _text(partial / "index.html", index_page(rows, pages, seed, isolation))
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
            os.replace(out, old / "report")
            os.replace(partial, out)
            shutil.rmtree(old)
        else:
            os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _text(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")


def scores(rows):
    """Return scores.csv as text."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        exercise = row.exercise
        values = [row.student, row.notebook, exercise.number, row.status, row.shown_points]
        writer.writerow([_cell(value) for value in [*values, f"{exercise.points:g}", row.message]])
    return file.getvalue()


def _cell(value):
    """Return a value as one line that no spreadsheet mistakes for a formula."""
    guard = "'" if value.startswith(FORMULA) else ""
    return guard + _printable(value)


def _printable(text):
    """Return text without control characters and other invisible characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def _for_xml(text):
    """Return text without the characters that XML forbids."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def junit(rows):
    """Return junit.xml as text."""
    suites = ET.Element("testsuites", name="exercises")
    groups = {}
    for row in rows:
        groups.setdefault((row.student, row.notebook), []).append(row)
    for (student, notebook), group in groups.items():
        failures = sum(row.status in ("partial", "fail", "missing") for row in group)
        errors = sum(row.status in ("error", "timeout", "crashed", "infra") for row in group)
        counts = {"tests": str(len(group)), "failures": str(failures), "errors": str(errors)}
        suite = ET.SubElement(suites, "testsuite", name=_for_xml(f"{student}: {notebook}"), **counts)
        for row in group:
            name = f"{row.exercise.number} {row.exercise.title}"
            case = ET.SubElement(suite, "testcase", classname=_for_xml(f"{student}.{notebook}"), name=_for_xml(name))
            if row.status != "pass":
                kind = "failure" if row.status in ("partial", "fail", "missing") else "error"
                said = _for_xml(f"{row.shown_points or 'no'} of {row.exercise.points:g} points. {row.message}")
                ET.SubElement(case, kind, type=row.status, message=said)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def page_names(rows):
    """Return a file name for each student's page: safe characters, and different names on every file system."""
    names, taken = {}, set()
    for student in dict.fromkeys(row.student for row in rows):
        safe = re.sub(r"[^A-Za-z0-9_-]+", "_", student)[:60]
        if safe != student or safe.lower() in taken or not safe.strip("_-"):
            safe += "-" + hashlib.sha256(student.encode("utf-8", "replace")).hexdigest()[:8]
        taken.add(safe.lower())
        names[student] = safe + ".html"
    return names


def _escape(text):
    return html.escape(_printable(str(text)), quote=True)


def _message(text):
    """Return a message as HTML; text in backticks becomes code."""
    pieces = _escape(text).split("`")
    if len(pieces) % 2 == 0:  # an unpaired backtick
        return "`".join(pieces)
    return "".join(f"<code>{piece}</code>" if k % 2 else piece for k, piece in enumerate(pieces))


def _page(title, body):
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARKER}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _status(status):
    return f'<span class="status" style="border-color:{COLORS[status]}">{status}</span>'


def _total(rows):
    """Return (points, of how many), without the exercises that the grader failed to grade."""
    points = sum(row.points for row in rows if row.points is not None)
    return round(points, 2), sum(row.exercise.points for row in rows if row.points is not None)


def student_page(student, rows):
    """Return a student's feedback page."""
    points, most = _total(rows)
    parts = [f"<h1>{_escape(student)}</h1>", f"<p><strong>{points:g} of {most:g} points</strong></p>"]
    if any(row.points is None for row in rows):
        parts.append("<p class='quiet'>Exercises marked infra are not graded yet and are not counted here.</p>")
    for notebook in dict.fromkeys(row.notebook for row in rows):
        parts.append(f"<h2>{_escape(notebook)}</h2>")
        parts += [_card(row) for row in rows if row.notebook == notebook]
    return _page(f"{student}: exercises", "\n".join(parts))


def _card(row):
    exercise = row.exercise
    points = (
        f"{row.shown_points} of {exercise.points:g}"
        if row.points is not None
        else f"not graded, of {exercise.points:g}"
    )
    head = (
        f'<div class="head"><h3>Exercise {exercise.number}: {_escape(exercise.title)}</h3> {_status(row.status)} '
        f'<span class="points">{points}</span></div>'
    )
    parts = [head]
    if row.message:
        parts.append(f"<p>{_message(row.message)}</p>")
    if row.cases and row.status != "pass" and not (row.wrong and row.wrong.unsolved):
        items = "".join(f"<li>{'✓' if right else '✗'} {_escape(label)}</li>" for label, right in row.cases)
        parts.append(f'<ul class="cases">{items}</ul>')
    if row.wrong and row.wrong.what:
        parts.append(_picture(row.wrong))
    if row.status not in ("pass", "infra"):
        parts.append(f'<p class="quiet">Read again: {_escape(exercise.section)}.</p>')
    return (
        f'<section class="card" style="border-left-color:{COLORS[row.status]}">\n' + "\n".join(parts) + "\n</section>"
    )


def _picture(verdict):
    """Return got beside expected, or nothing where there is nothing to draw."""
    try:
        with np.errstate(all="ignore"):
            return got_beside_expected(verdict.what, verdict.got, verdict.expected) or ""
    except Exception:  # a student's value that the picture was not made for
        return ""


def versions():
    """Return the versions of what graded, in words."""
    found = [f"Python {platform.python_version()}"]
    for name in ("numpy", "nbval", "pytest", "ipykernel"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def index_page(rows, pages, seed, isolation):
    """Return the summary page."""
    students = list(pages)
    parts = ["<h1>Exercises</h1>"]
    if isolation.missing:
        said = _escape(" ".join(isolation.missing))
        parts.append(f'<div class="alarm" role="alert"><strong>Not isolated.</strong> {said}</div>')
    failed = sorted({row.student for row in rows if row.status == "infra"})
    if failed:
        names = ", ".join(map(_escape, failed))
        parts.append(
            f'<div class="alarm" role="alert"><strong>The grader failed for {names}.</strong> '
            "Their rows say what to do; no points were given or taken.</div>"
        )
    parts.append(
        f"<p>{len(students)} student{'s' * (len(students) != 1)}. "
        '<a href="scores.csv">scores.csv</a>, <a href="junit.xml">junit.xml</a>.</p>'
    )
    notebooks = sorted({row.notebook for row in rows})
    if len(notebooks) > 1:
        parts.append(_totals(rows, pages, notebooks))
    for notebook in notebooks:
        mine = [row for row in rows if row.notebook == notebook]
        parts += [f"<h2>{_escape(notebook)}</h2>", scores_picture(mine), _table(mine, pages)]
    parts.append(
        f'<p class="quiet">Seed {_escape(seed)}: with <code>--seed {_escape(seed)}</code> the same submissions get the '
        f"same rows. {_escape(isolation.words if not isolation.missing else 'Not isolated, see above.')} "
        f"{_escape(versions())}.</p>"
    )
    return _page("Exercises: summary", "\n".join(parts))


def _totals(rows, pages, notebooks):
    """Return a table of every student's points, by notebook and in total."""
    head = "".join(f'<th class="number">{_escape(notebook)}</th>' for notebook in notebooks)
    lines = []
    for student, page in pages.items():
        mine = [row for row in rows if row.student == student]
        cells = ""
        for notebook in notebooks:
            there = [row for row in mine if row.notebook == notebook]
            points, of = _total(there)
            cells += f'<td class="number">{f"{points:g} of {of:g}" if there else "–"}</td>'
        points, of = _total(mine)
        cells += f'<td class="number"><strong>{points:g}</strong> of {of:g}</td>'
        lines.append(f'<tr><td class="name"><a href="students/{_escape(page)}">{_escape(student)}</a></td>{cells}</tr>')
    return (
        f'<div class="wide"><table><thead><tr><th>student</th>{head}<th class="number">total</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _table(rows, pages):
    numbers = list(dict.fromkeys(row.exercise.number for row in rows))
    most = {row.exercise.number: row.exercise.points for row in rows}
    head = "".join(
        f'<th class="number">{number}<br><span class="quiet">of {most[number]:g}</span></th>' for number in numbers
    )
    lines = []
    for student, page in pages.items():
        mine = {row.exercise.number: row for row in rows if row.student == student}
        if not mine:
            continue
        points, of = _total(mine.values())
        cells = ""
        for number in numbers:
            row = mine[number]
            cells += (
                f'<td class="number" style="border-bottom:4px solid {COLORS[row.status]}" title="{row.status}">'
                f"{row.shown_points or '–'}{_status_in_words(row.status)}</td>"
            )
        link = f'<a href="students/{_escape(page)}">{_escape(student)}</a>'
        lines.append(
            f'<tr><td class="name">{link}</td>{cells}<td class="number"><strong>{points:g}</strong> of {of:g}</td></tr>'
        )
    return (
        f'<div class="wide"><table><thead><tr><th>student</th>{head}<th class="number">total</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _status_in_words(status):
    """Return the status in words, where the points do not tell."""
    return "" if status in ("pass", "partial", "fail") else f'<br><span class="quiet">{status}</span>'


def scores_picture(rows):
    """Return an SVG: for each exercise a bar that shows how many students passed, passed partly, failed and so on."""
    groups = {}
    for row in rows:
        groups.setdefault(row.exercise.number, []).append(row)
    used = [status for status in COLORS if any(row.status == status for row in rows)]
    left, width, step, top = 370, 430, 30, 44
    height = top + step * len(groups) + 16
    drawing = Drawing(left + width + 130, height, "How many students passed each exercise")
    x = left
    for status in used:
        drawing.rect(x, 12, 14, 14, fill=COLORS[status], stroke=MUTED)
        drawing.text(x + 20, 24, status, size=12)
        x += 34 + 7.5 * len(status)
    for k, (number, group) in enumerate(groups.items()):
        y = top + step * k
        title = f"{number} {group[0].exercise.title}"
        drawing.text(left - 10, y + 16, title if len(title) <= 52 else title[:51] + "…", size=12, anchor="end")
        x = left
        for status in used:
            count = sum(row.status == status for row in group)
            if not count:
                continue
            part = width * count / len(group)
            drawing.rect(x, y, part, 22, fill=COLORS[status], stroke="#ffffff", title=f"{count} {status}")
            if part > 18:
                dark = status in ("timeout", "crashed", "fail", "pass")
                drawing.text(x + part / 2, y + 16, count, size=12, anchor="middle", color="#ffffff" if dark else INK)
            x += part
        known = [row.points for row in group if row.points is not None]
        mean = sum(known) / len(known) if known else None
        label = f"mean {mean:.2g} of {group[0].exercise.points:g}" if known else "not graded"
        drawing.text(left + width + 8, y + 16, label, size=11, color=MUTED)
    return str(drawing)

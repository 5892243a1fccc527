"""The pages of a report: feedback for each student, and a summary. They follow the reader's light or dark theme.

Names and messages come from students, so everything is escaped. A page needs no script and no other file.
"""

import html
import importlib.metadata
import platform
import unicodedata

from common.language import language, say
from common.svg import BLUE, GREEN, INK, LINE, MUTED, ORANGE, PINK, Drawing, breadth, contrast

UNSOLVED = "not solved yet"  # how an answer that is still as released is shown; its status is fail
COLORS = {
    "pass": GREEN,
    "partial": "#7fcfb4",
    "fail": ORANGE,
    UNSOLVED: "#ffffff",
    "error": PINK,
    "timeout": BLUE,
    "crashed": INK,
    "missing": LINE,
    "infra": "#f0e442",
}
DARK_COLORS = {"crashed": "#f2f2f2"}  # where the color is too close to a dark page's
MARKS = {"right": "✓", "wrong": "✗", "not ended": "…", "not run": "–"}
MARKER = '<meta name="generator" content="common.grading">'  # a folder with this in index.html may be replaced
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --muted: #595959; --line: #ddd; --link: #005a9c;
  --code: #f3f3f3; --alarm: #b00020; --alarm-paper: #fdecee; }
body { font: 16px/1.5 system-ui, Verdana, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; overflow-wrap: anywhere; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 0; }
a { color: var(--link); } .quiet { color: var(--muted); font-size: .9rem; } nav { margin-bottom: 1.2rem; }
.wide { overflow-x: auto; } .wide svg { min-width: var(--least); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); font-size: .9rem; padding-bottom: .3rem; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } .number { text-align: right; white-space: nowrap; }
th.name { min-width: 8rem; max-width: 14rem; font-weight: 400; overflow-wrap: anywhere; }
td.mark { border-bottom: 4px solid var(--status); line-height: 1.25; } td.mark.unsolved { border-bottom-style: dotted; }
td.mark .quiet { display: inline-block; white-space: normal; max-width: 5em; }
th:first-child { position: sticky; left: 0; background: var(--paper); }
.status { display: inline-block; min-width: 4.6rem; padding: 0 .5rem; border-radius: .8rem; font-size: .85rem;
  text-align: center; border: 2px solid var(--status); white-space: nowrap; }
.card { border: 1px solid var(--line); border-left: .5rem solid var(--status); border-radius: .4rem;
  padding: .8rem 1rem; margin: .9rem 0; }
.unsolved { --status: var(--muted); } .status.unsolved, .card.unsolved { border-style: dashed; }
.card.unsolved { border-left-width: 2px; } .status.unsolved { color: var(--muted); }
.head { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: baseline; }
.head .points { margin-left: auto; font-weight: 600; white-space: nowrap; }
.card p { margin: .5rem 0 0; overflow-wrap: anywhere; } .card .wide { margin-top: .7rem; }
.cases { list-style: none; padding: 0; margin: .5rem 0 0; font-size: .92rem; }
.cases span { display: inline-block; min-width: 6.2em; color: var(--muted); } .cases .wrong { color: inherit; }
code { background: var(--code); padding: 0 .25em; border-radius: .2em; }
.notices li { overflow-wrap: anywhere; }
.alarm { border: 3px solid var(--alarm); background: var(--alarm-paper); padding: .8rem 1rem; border-radius: .4rem;
  margin: 1rem 0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --muted: #a8a8a8; --line: #44484d;
  --link: #8ab8ff; --code: #2a2d31; --alarm: #ff8a95; --alarm-paper: #3a1a1f; } }
@media print { .card { break-inside: avoid; } }
"""


def printable(text):
    """Return text without control characters and other invisible characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def _escape(text):
    return html.escape(printable(str(text)), quote=True)


def _message(text):
    """Return a message as HTML; text in backticks becomes code."""
    pieces = _escape(text).split("`")
    if len(pieces) % 2 == 0:  # an unpaired backtick
        return "`".join(pieces)
    return "".join(f"<code>{piece}</code>" if k % 2 else piece for k, piece in enumerate(pieces))


def _page(title, body):
    return (
        f'<!DOCTYPE html>\n<html lang="{language()}">\n<head>\n<meta charset="utf-8">\n{MARKER}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_escape(title)}</title>\n<style>{STYLE}{_style_of_colors()}</style>\n</head>\n<body>\n{body}\n"
        "</body>\n</html>\n"
    )


def _style_of_colors():
    """Return a style for each status, so that a dark page may have other colors."""

    def rules(colors):
        return "".join(f".{_class(look)} {{ --status: {color}; }}\n" for look, color in colors.items())

    plain = {look: color for look, color in COLORS.items() if look != UNSOLVED}
    return f"{rules(plain)}@media (prefers-color-scheme: dark) {{ {rules(DARK_COLORS)}}}\n"


def _class(look):
    return "unsolved" if look == UNSOLVED else look


def look(row):
    """Return how a row is shown: its status, or that it is not solved yet."""
    return UNSOLVED if row.unsolved else row.status


def _status(row):
    return f'<span class="status {_class(look(row))}">{say(look(row))}</span>'


def _total(rows):
    """Return (points, of how many), without the exercises that the grader failed to grade."""
    points = sum(row.points for row in rows if row.points is not None)
    return round(points, 2), sum(row.exercise.points for row in rows if row.points is not None)


def student_page(student, rows, notices=()):
    """Return a student's feedback page. Args: notices, sentences about files of the student that were not graded."""
    points, most = _total(rows)
    parts = [f'<nav><a href="../index.html">{say("All students")}</a></nav>', f"<h1>{_name(student)}</h1>"]
    parts.append(f"<p><strong>{say('{points:g} of {most:g} points', points=points, most=most)}</strong></p>")
    if any(row.points is None for row in rows):
        said = say("Exercises marked infra are not graded yet and are not counted here.")
        parts.append(f'<p class="quiet">{said}</p>')
    parts.append(_list_of_notices(notices))
    for notebook in dict.fromkeys(row.notebook for row in rows):
        parts.append(f"<h2>{_escape(notebook)}</h2>")
        parts += [_card(row) for row in rows if row.notebook == notebook]
    return _page(say("{student}: exercises", student=student), "\n".join(filter(None, parts)))


def _name(student):
    """Return a name as HTML; letters that have a twin, such as u and a mark above it, are spelled out as well."""
    plain = ascii(student)[1:-1]
    combined = unicodedata.normalize("NFC", student) != student
    return _escape(student) + (f' <span class="quiet">({_escape(plain)})</span>' if combined else "")


def _list_of_notices(notices):
    items = "".join(f"<li>{_escape(notice)}</li>" for notice in notices)
    return f'<ul class="notices">{items}</ul>' if items else ""


def _card(row):
    exercise = row.exercise
    points = _of(row.points, exercise.points) if row.points is not None else say("not graded")
    headline = say("Exercise {number}: {title}", number=exercise.number, title=say(exercise.title))
    parts = [
        f'<div class="head"><h3>{_escape(headline)}</h3> {_status(row)} <span class="points">{points}</span></div>'
    ]
    if row.said:
        parts.append(f"<p>{_message(row.said)}</p>")
    if any(mark != "right" for _, mark in row.cases):
        items = "".join(
            f'<li><span class="{mark.split()[0]}">{MARKS[mark]} {say(mark)}</span> {_escape(label)}</li>'
            for label, mark in row.cases
        )
        parts.append(f'<ul class="cases">{items}</ul>')
    if row.picture:
        parts.append(_scrolling(row.picture, say("Exercise {number}, picture", number=exercise.number)))
    if row.notes:
        parts.append(f'<p class="quiet">{_message(row.notes)}</p>')
    if row.status not in ("pass", "infra"):
        again = say("Read again: {section}.", section=say(exercise.section))
        parts.append(f'<p class="quiet">{_escape(again)}</p>')
    return f'<section class="card {_class(look(row))}">\n' + "\n".join(parts) + "\n</section>"


def _of(points, most):
    """Return points in words, of how many."""
    return say("{points:g} of {most:g}", points=points, most=most)


def _scrolling(content, label):
    """Return content in a frame of its own, which scrolls on a narrow page, by the keyboard as well."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{_escape(label)}">{content}</div>'


def versions():
    """Return the versions of what graded, in words."""
    found = [f"Python {platform.python_version()}"]
    for name in ("numpy", "nbval", "pytest", "ipykernel"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def index_page(rows, pages, seed, isolation, notices=()):
    """Return the summary page."""
    students = list(pages)
    parts = [f"<h1>{say('Exercises')}</h1>"]
    if isolation.missing:
        said = _escape(" ".join(map(say, isolation.missing)))
        parts.append(f'<div class="alarm" role="alert"><strong>{say("Not isolated.")}</strong> {said}</div>')
    failed = sorted({row.student for row in rows if row.status == "infra"})
    if failed:
        names = ", ".join(map(_name, failed))
        parts.append(
            f'<div class="alarm" role="alert"><strong>{say("Not graded: {names}.", names=names)}</strong> '
            f"{say('Their rows say why, and what to do; no points were given or taken.')}</div>"
        )
    parts.append(
        f"<p>{say('1 student.') if len(students) == 1 else say('{count} students.', count=len(students))} "
        '<a href="scores.csv">scores.csv</a>, <a href="junit.xml">junit.xml</a>.</p>'
    )
    if notices:
        several = say("{count} things to look at", count=len(notices))
        count = say("1 thing to look at") if len(notices) == 1 else several
        parts.append(f"<h2>{count}</h2>{_list_of_notices(notices)}")
    notebooks = sorted({row.notebook for row in rows})
    if len(notebooks) > 1:
        parts.append(_totals(rows, pages, notebooks))
    for notebook in notebooks:
        mine = [row for row in rows if row.notebook == notebook]
        picture = _scrolling(
            scores_picture(mine), say("{notebook}: how many students passed each exercise", notebook=notebook)
        )
        parts += [f"<h2>{_escape(notebook)}</h2>", picture, _table(mine, pages, notebook)]
    again = say(
        "Seed {seed}: with {option} the same submissions get the same rows.",
        seed=_escape(seed),
        option=f"<code>--seed {_escape(seed)}</code>",
    )
    isolated = say(isolation.words) if not isolation.missing else say("Not isolated, see above.")
    parts.append(f'<p class="quiet">{again} {_escape(isolated)} {_escape(versions())}.</p>')
    return _page(say("Exercises: summary"), "\n".join(parts))


def _totals(rows, pages, notebooks):
    """Return a table of every student's points, by notebook and in total."""
    by_student = {}
    for row in rows:
        by_student.setdefault(row.student, []).append(row)
    lines = []
    for student, page in pages.items():
        mine = by_student[student]
        marks = []
        for notebook in notebooks:
            there = [row for row in mine if row.notebook == notebook]
            points, of = _total(there)
            marks.append(f'<td class="number">{_of(points, of) if there else "–"}</td>')
        lines.append(_line(student, page, marks, mine))
    heads = [f'<th scope="col" class="number">{_escape(notebook)}</th>' for notebook in notebooks]
    return _whole_table(say("Points in all notebooks"), heads, lines)


def _table(rows, pages, notebook):
    """Return a table of every student's points, by exercise."""
    numbers = list(dict.fromkeys(row.exercise.number for row in rows))
    most = {row.exercise.number: row.exercise.points for row in rows}
    by_student = {}
    for row in rows:
        by_student.setdefault(row.student, {})[row.exercise.number] = row
    lines = []
    for student, page in pages.items():
        if student in by_student:
            mine = [by_student[student][number] for number in numbers]
            lines.append(_line(student, page, map(_mark, mine), mine))
    heads = [
        f'<th scope="col" class="number">{number}<br><span class="quiet">{say("of {most:g}", most=points)}</span></th>'
        for number, points in most.items()
    ]
    return _whole_table(say("Points in {notebook}", notebook=notebook), heads, lines)


def _mark(row):
    """Return the points of a row, and in words how it is, where the points do not tell."""
    words = "" if row.status == "pass" else f'<br><span class="quiet">{say(look(row))}</span>'
    return f'<td class="number mark {_class(look(row))}">{row.shown_points or "–"}{words}</td>'


def _line(student, page, marks, rows):
    points, of = _total(rows)
    link = f'<th scope="row" class="name"><a href="students/{_escape(page)}">{_name(student)}</a></th>'
    return f'<tr>{link}<td class="number">{_total_in_words(points, of)}</td>{"".join(marks)}</tr>'


def _total_in_words(points, most):
    """Return points of how many as HTML, the points in bold."""
    return say("{points} of {most:g}", points=f"<strong>{points:g}</strong>", most=most)


def _whole_table(title, heads, lines):
    heads = [f'<th scope="col">{say("student")}</th><th scope="col" class="number">{say("total")}</th>', *heads]
    head = f"<tr>{''.join(heads)}</tr>"
    body = f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody>"
    return _scrolling(f"<table><caption>{_escape(title)}</caption>{body}</table>", title)


def scores_picture(rows):
    """Return an SVG: for each exercise a bar that shows how many students passed, passed partly, failed and so on."""
    groups = {}
    for row in rows:
        groups.setdefault(row.exercise.number, []).append(row)
    used = [status for status in COLORS if any(look(row) == status for row in rows)]
    left, width, step, top = 370, 430, 30, 44
    height = top + step * len(groups) + 16
    drawing = Drawing(left + width + 130, height, say("How many students passed each exercise"))
    x = 10
    for status in used:
        drawing.rect(x, 12, 14, 14, fill=COLORS[status], stroke=MUTED)
        drawing.text(x + 20, 24, say(status), size=12)
        x += 34 + 7.5 * breadth(say(status))
    for k, (number, group) in enumerate(groups.items()):
        y = top + step * k
        title = f"{number} {say(group[0].exercise.title)}"
        most = 52 if breadth(title) == len(title) else 30  # letters
        drawing.text(left - 10, y + 16, title if len(title) <= most else title[: most - 1] + "…", size=12, anchor="end")
        x = left
        for status in used:
            count = sum(look(row) == status for row in group)
            if not count:
                continue
            part = width * count / len(group)
            edge = MUTED if status == UNSOLVED else "#ffffff"
            drawing.rect(x, y, part, 22, fill=COLORS[status], stroke=edge, title=f"{count} {say(status)}")
            if part > 18:
                color = max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, COLORS[status]))
                drawing.text(x + part / 2, y + 16, count, size=12, anchor="middle", color=color)
            x += part
        known = [row.points for row in group if row.points is not None]
        label = say("not graded")
        if known:
            label = say("mean {mean:.2g} of {most:g}", mean=sum(known) / len(known), most=group[0].exercise.points)
        drawing.text(left + width + 8, y + 16, label, size=11, color=MUTED)
    return str(drawing)

"""The grid of exercises in JupyterLab: what is stored can be read before anything has run, and its links lead on."""

import re

import pytest

from common.grading.exercise import exercises, find

pytestmark = pytest.mark.timeout(600)  # JupyterLab starts and two pages open
NUMBER = "8.2.7"
COUNT = sum(len(exercises(chapter)) for chapter in (7, 8))
IN_SIGHT = """heading => [...document.querySelectorAll('h2')].some(h => h.textContent.includes(heading)
    && h.getBoundingClientRect().top >= 0 && h.getBoundingClientRect().bottom <= innerHeight)"""


def grid_of(lab):
    """Open the first notebook; return its grid."""
    lab.open("00_start_here")
    grid = lab.page.locator(".jp-OutputArea-output", has_text=f"of {COUNT} solved")
    grid.scroll_into_view_if_needed()
    return grid


def test_a_number_leads_to_its_exercise(lab):
    """A notebook that is not open yet opens at its top; one that is open scrolls to the task."""
    from playwright.sync_api import TimeoutError

    page, grid = lab.page, grid_of(lab)
    assert grid.locator("a", has_text=re.compile(r"^○ \d+\.\d+\.\d+$")).count() == COUNT
    link = grid.locator("a", has_text=f"○ {NUMBER}")
    link.click()
    page.locator("h1", has_text="8.2 Exercises").wait_for()
    for left in reversed(range(5)):  # while a notebook loads, JupyterLab makes its menus anew, and an open one closes
        page.get_by_role("menuitem", name="Tabs", exact=True).click()
        try:
            page.locator(".lm-Menu-item", has_text="00_start_here.ipynb").first.click(timeout=5000)
            break
        except TimeoutError:
            if not left:
                raise
            page.keyboard.press("Escape")
    link.click()
    page.wait_for_function(IN_SIGHT, arg=f"Exercise {NUMBER}: {find(NUMBER).title}")
    lab.shot("exercise")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_grid_can_be_read_in_both_themes_and_on_a_narrow_page(lab, theme):
    page, grid = lab.page, grid_of(lab)
    if theme == "JupyterLab Dark":
        page.get_by_role("menuitem", name="Settings", exact=True).click()
        page.locator(".lm-Menu-item", has_text="Theme").first.hover()
        page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{theme}$")).click()
        page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    lab.shot("wide", grid)
    page.set_viewport_size({"width": 400, "height": 1000})
    assert grid.evaluate("e => e.scrollWidth <= e.clientWidth"), "the grid is wider than a narrow page"
    lab.shot("narrow", grid)

"""JupyterLab on a free port of this machine, serving a copy of the course, and a page of headless Chromium on it."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from ch08.web import write_explorer
from tests.notebooks import address

SIZES = {"phone": (360, 740), "tablet": (768, 1024), "desk": (1440, 1000)}
SHOTS = address.ROOT / "runs" / "browser"  # screenshots; git ignores runs/
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TOKEN = "attention"  # guards nothing: the server is reached from this machine only, and serves a copy
SECONDS = 120  # for a page to open or a notebook to run

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    # Every cell in the page, also those below the screen.
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin.jupyterlab-settings": {"autosave": False},
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """A copy of the course, so that nothing that the browser does changes this one."""
    folder = tmp_path_factory.mktemp("lab") / "course"
    ignored = shutil.ignore_patterns("__pycache__", ".git", ".venv*", "runs", ".ci", ".hypothesis", "*.egg-info")
    for name in ("notebooks", "common", "dataset", "ch07", "ch08"):
        shutil.copytree(address.ROOT / name, folder / name, ignore=ignored)
    return folder


def environment(folder):
    """A home of its own: no settings of the person who runs the tests, none left behind."""
    for name, content in SETTINGS.items():
        path = folder / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_", "MPLBACKEND"))}
    return env | {
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }


def lab_command():
    """The command of `make lab`, with this Python, for a process that runs in the root of the course."""
    makefile = (address.ROOT / "Makefile").read_text(encoding="utf-8")
    (arguments,) = re.findall(r"^\t\$\(PY\) (-m jupyter lab .*) \$\(ARGS\)$", makefile, re.M)
    return [sys.executable, *shlex.split(arguments)]


@pytest.fixture(scope="session")
def server(course, tmp_path_factory):
    """The address of a running JupyterLab, started as `make lab` starts it."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*lab_command(), "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    command += [
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.extension_manager=readonly",
    ]
    SHOTS.mkdir(parents=True, exist_ok=True)
    with open(SHOTS / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=course, env=environment(home), stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(url, process):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{(SHOTS / 'server.log').read_text()[-2000:]}", pytrace=False)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium with a fresh profile that reaches this machine only."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e '.[browser]'")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=executable,
            args=FLAGS,
            viewport={"width": 1200, "height": 1000},
        )
        context.set_default_timeout(1000 * SECONDS)  # a busy machine is slow and not wrong
        context.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), lambda route: route.abort())
        yield context
        context.close()


@pytest.fixture(scope="session")
def explorer_site(tmp_path_factory):
    """The path of the explorer's first page, index.html; sentences.html lies beside it, the Korean ones in ko/."""
    return write_explorer(tmp_path_factory.mktemp("explorer"))


@pytest.fixture
def open_page(explorer_site, browser):
    """Open a page of the explorer from the disk at a size; whatever goes wrong in it fails the test."""
    pages, errors = [], []

    def opened(size=SIZES["desk"], file="index.html", **media):
        page = browser.new_page()
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.set_viewport_size(dict(width=size[0], height=size[1]))
        page.emulate_media(**media)
        page.goto((explorer_site.parent / file).as_uri())
        page.locator("#picture svg").wait_for(timeout=1000 * SECONDS)
        return page

    opened.errors = errors
    yield opened
    for page in pages:
        page.close()
    assert errors == []


def news(page, words):
    """Wait until the explorer's line of news says something, and return it."""
    line = page.locator("#news", has_text=words)
    line.wait_for()
    return line.inner_text()


def walk_with_keys(page, needed, said):
    """Reach all that is needed (ids, or names of groups) with Tab, then go to the next step with an arrow.

    Args: said, what the page says of step 1.
    """
    reached = []
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name || ''"))
    assert set(needed) - set(reached) == set(), "not reached"
    page.locator("#answer input").first.focus()
    page.keyboard.press("ArrowRight")
    assert said in page.locator("#said").inner_text()
    assert page.evaluate("document.activeElement.value") == "1", "the focus stays where it is"


def flaws(page):
    """What on a page of the explorer is too small for a finger, or has a contrast below 4.5."""
    small = """() => [...document.querySelectorAll('button, select, .token, #text, .pair')]
        .filter((e) => e.checkVisibility())
        .map((e) => [e.outerHTML.slice(0, 60), e.getBoundingClientRect()])
        .filter(([, box]) => box.width < 28 || box.height < 32).map(([html]) => html)"""
    faint = """() => {
        const two = (value) => Number(value).toString(16).padStart(2, '0');
        const rgb = (color) => '#' + color.match(/\\d+/g).slice(0, 3).map(two).join('');
        const says = (e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        const ground = (e) => {
            const color = getComputedStyle(e).backgroundColor;
            return /, 0\\)$/.test(color) && e.parentElement ? ground(e.parentElement) : rgb(color);
        };
        return [...document.querySelectorAll('main *')]
            .filter((e) => !e.closest('svg, :disabled') && says(e))
            .map((e) => [contrast(rgb(getComputedStyle(e).color), ground(e)), e.outerHTML.slice(0, 80)])
            .filter(([ratio]) => ratio < 4.5);
    }"""
    return page.evaluate(small) + page.evaluate(faint)


@pytest.fixture(scope="session")
def axe():
    """axe-core, the checker of accessibility."""
    module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    return module.Axe()


def serious(axe, page, contrast=True):
    """What axe-core calls serious or critical on the open page: rule and element.

    Args: contrast, whether it also measures the contrast of every piece of text, which takes four fifths of the time.
    """
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": contrast}}}
    options["preload"] = False  # it would ask for style sheets in a way that a page opened as a file may not
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in axe.run(page, options=options).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.fixture
def lab(server, browser, course, request):
    """A page of JupyterLab; see the class Lab."""
    page = browser.new_page()
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    yield Lab(page, server, course, name)
    page.screenshot(path=SHOTS / f"{name}-last.png")
    page.close()


class Lab:
    """One page of JupyterLab with a notebook in it."""

    def __init__(self, page, server, course, name):
        self.page, self.server, self.course, self.name = page, server, course, name

    def enter(self):
        """Open the address that JupyterLab printed when it started."""
        log = (SHOTS / "server.log").read_text(encoding="utf-8")
        (path, *_) = re.findall(rf"{re.escape(self.server)}(/\S*)\?token=", log)
        self._go(path)

    def current_tab(self):
        """The name on the tab in front."""
        return self.page.locator("#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current").inner_text().strip()

    def open(self, notebook):
        """Open notebooks/<notebook>.ipynb, alone on the page."""
        assert (self.course / "notebooks" / f"{notebook}.ipynb").is_file(), f"there is no notebook {notebook}"
        self._go(f"/doc/tree/notebooks/{notebook}.ipynb")

    def _go(self, path):
        """Open a path of the server that shows a notebook, and wait for the notebook and its kernel."""
        self.page.goto(f"{self.server}{path}?token={TOKEN}", timeout=1000 * SECONDS)
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=1000 * SECONDS)
        # Before that the entries of the menu Run ask which kernel to start.
        self.page.get_by_text(re.compile(r"^Python 3.* \| Idle$")).first.wait_for(timeout=1000 * SECONDS)

    def run_all(self):
        """Choose Run > Run All Cells and wait until every cell has run. Fails if one shows an error."""
        page = self.page
        self.choose("Edit", "Clear Outputs of All Cells")  # with the stored ones gone, a number means: has run
        page.wait_for_function("() => !document.querySelector('.jp-CodeCell .jp-OutputArea-output')")
        self.choose("Run", "Run All Cells")
        page.wait_for_function(
            """() => {
                const ran = cell => /\\[\\d+\\]/.test(cell.querySelector('.jp-InputPrompt').textContent);
                const printed = [...document.querySelectorAll('.jp-OutputArea-output')].map(e => e.textContent);
                const failed = printed.some(text => text.includes('Traceback (most recent call last)'));
                return failed || [...document.querySelectorAll('.jp-CodeCell')].every(ran);
            }""",
            timeout=1000 * SECONDS,
        )
        errors = page.locator(".jp-OutputArea-output", has_text="Traceback (most recent call last)")
        assert errors.count() == 0, errors.first.inner_text()

    def save(self, path):
        """Save the notebook and wait until its file, which is `path`, has changed."""
        before = path.read_bytes()
        self.page.locator(".jp-Notebook .jp-CodeCell").first.click()
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + SECONDS
        while path.read_bytes() == before:
            assert time.monotonic() < end, f"{path.name} was not saved"
            self.page.wait_for_timeout(100)  # milliseconds

    def stop_kernels(self):
        """End every kernel of the server, as a restart of it does."""
        for kernel in self._ask("GET", "/api/kernels"):
            self._ask("DELETE", f"/api/kernels/{kernel['id']}")

    def _ask(self, method, path):
        """What the server's interface answers, read as JSON; None where it answers nothing."""
        request = urllib.request.Request(f"{self.server}{path}", method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read() or "null")

    def choose(self, menu, entry):
        """Click an entry of the menu bar."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def shot(self, what, locator=None):
        """Keep a screenshot, of an element or of the page."""
        path = SHOTS / f"{self.name}-{what}.png"
        (locator or self.page).screenshot(path=path)
        return path

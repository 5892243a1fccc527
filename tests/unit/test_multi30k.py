"""Fetching Multi30k: from a local server with a sample of our own, and what is there after everything that can fail."""

import functools
import gzip
import hashlib
import http.server
import threading

import pytest

from dataset import multi30k

SAMPLE = {
    f"{split}.{language}.gz": gzip.compress("\n".join(f"{split} {language} {k}" for k in range(2000)).encode(), mtime=0)
    for split in multi30k.SPLITS
    for language in multi30k.LANGUAGES
}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in SAMPLE.items()}
FIRST = "train.de.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves a dict of files, with ranges or without, and can break off."""

    def __init__(self, server, *args):
        self.behavior = server
        super().__init__(*args)

    def do_GET(self):
        name = self.path.rsplit("/", 1)[1]
        wanted = self.headers.get("Range")
        self.behavior.asked.append((name, wanted))
        content = self.behavior.files.get(name)
        if content is None:
            self.send_error(404, "Not Found")
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.behavior.ranges else 0
        if begin >= len(content):
            self.send_error(416, "Range Not Satisfiable")
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin : self.behavior.stop_at])
        self.behavior.stop_at = None

    def log_message(self, *args):
        pass


class Behavior:
    """What the server has and does: files; ranges, whether it can send a part; stop_at, where it breaks off once."""

    def __init__(self):
        self.files, self.ranges, self.stop_at, self.asked = dict(SAMPLE), True, None, []


@pytest.fixture
def server():
    behavior = Behavior()
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, behavior))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    behavior.address = f"http://127.0.0.1:{httpd.server_port}/raw/"
    yield behavior
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def fetch(tmp_path, server):
    return functools.partial(multi30k.fetch, tmp_path / "new" / "data", address=server.address, sha256=SHA256)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_are_fetched_once(tmp_path, server, fetch):
    shown = []
    assert fetch(show=lambda *progress: shown.append(progress)) == list(SAMPLE)
    assert files(tmp_path / "new" / "data") == SAMPLE
    size = len(SAMPLE[FIRST])
    assert shown[0] == (FIRST, size, size)
    server.asked.clear()
    assert fetch() == []
    assert server.asked == []
    (tmp_path / "new" / "data" / FIRST).write_bytes(b"damaged")
    assert fetch() == [FIRST]
    assert files(tmp_path / "new" / "data") == SAMPLE


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_resumed(tmp_path, server, fetch, ranges):
    server.stop_at, server.ranges = 100, ranges
    with pytest.raises(
        OSError, match=r"train\.de\.gz: the connection ended after 100 of \d+ bytes; run the command again"
    ):
        fetch()
    assert files(tmp_path / "new" / "data") == {FIRST + ".part": SAMPLE[FIRST][:100]}  # never under its own name
    fetch()
    assert files(tmp_path / "new" / "data") == SAMPLE
    assert server.asked[:2] == [(FIRST, None), (FIRST, "bytes=100-")]


def test_a_part_that_is_complete_or_too_long_is_not_an_obstacle(tmp_path, server, fetch):
    part = tmp_path / "new" / "data" / (FIRST + ".part")
    for content in (SAMPLE[FIRST], SAMPLE[FIRST] + b"more"):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        fetch()
        assert files(part.parent) == SAMPLE
        (part.parent / FIRST).unlink()


def test_other_contents_are_not_kept(tmp_path, server, fetch):
    server.files[FIRST] = b"something else"
    with pytest.raises(ValueError, match=r"train\.de\.gz: SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}; .*damaged"):
        fetch()
    assert files(tmp_path / "new" / "data") == {}


def test_a_file_that_the_server_lacks(server, fetch):
    del server.files[FIRST]
    with pytest.raises(OSError, match=r"train\.de\.gz: the server answers 404 Not Found; try again later"):
        fetch()


def test_without_a_connection_the_error_says_what_to_do(tmp_path):
    with pytest.raises(OSError, match=r"cannot be fetched \(.*\)\. Check the connection .*use --from DIR"):
        multi30k.fetch(tmp_path, address="http://127.0.0.1:1/", sha256=SHA256)


def test_from_a_folder(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "data"
    source.mkdir()
    for name, content in SAMPLE.items():
        (source / name).write_bytes(content)
    assert multi30k.fetch(folder, source, sha256=SHA256) == list(SAMPLE)
    assert files(folder) == SAMPLE
    assert multi30k.load("val", folder)[1][:2] == ["val en 0", "val en 1"]
    assert multi30k.load("val", folder, ("en", "de"))[0][1] == "val en 1"
    (source / FIRST).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"train\.de\.gz is not there; --from takes a folder with train\.de\.gz"
    ):
        multi30k.fetch(tmp_path / "other", source, sha256=SHA256)


def test_the_loader_says_how_to_get_the_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fetch Multi30k with `python -m dataset\.multi30k`"):
        multi30k.load("train", tmp_path)
    with pytest.raises(ValueError, match="unknown split 'dev': choose one of train, val, test_2016_flickr"):
        multi30k.load("dev", tmp_path)


def test_the_program_says_what_the_data_are_for(tmp_path, server, monkeypatch, capsys):
    monkeypatch.setattr(multi30k, "SHA256", SHA256)
    multi30k.main(["--to", str(tmp_path / "data"), "--address", server.address])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == multi30k.TERMS
    assert lines[1] == f"{FIRST}: {len(SAMPLE[FIRST]):,} bytes"
    assert lines[-1] == f"6 files brought, 0 were there: {tmp_path / 'data'}"
    server.files[FIRST] = b"something else"
    with pytest.raises(SystemExit) as ended:
        multi30k.main(["--to", str(tmp_path / "other"), "--address", server.address])
    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_git_ignores_where_the_files_land(root):
    assert multi30k.FOLDER == root / "runs" / "multi30k"
    assert "runs/" in (root / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_real_files_where_they_are():
    if not (multi30k.FOLDER / FIRST).is_file():
        pytest.skip("Multi30k is not here: python -m dataset.multi30k")
    assert {name: multi30k._digest(multi30k.FOLDER / name) for name in multi30k.SHA256} == multi30k.SHA256
    for split, count in multi30k.SPLITS.items():
        assert [len(lines) for lines in multi30k.load(split)] == [count, count]

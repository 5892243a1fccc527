"""Multi30k, German and English: `python -m dataset.multi30k [--from DIR] [--to DIR]` fetches it, `load` reads it.

29,000 pairs for training, 1,014 for validation and 1,000 for testing (2016): captions of photographs and their
translations. The data are for research and education, not for commercial use, and so are weights and results made from
them; the captions come under the terms of Flickr30k. They are not part of this repository: the files land in
`runs/multi30k/`, which git ignores. Nothing is fetched unless this program is run.

Source: Elliott, Frank, Sima'an and Specia 2016, "Multi30K: Multilingual English-German Image Descriptions";
https://github.com/multi30k/dataset, task 1, raw.
"""

import argparse
import hashlib
import os
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from dataset.words import read_pairs

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
FOLDER = Path(__file__).resolve().parents[1] / "runs" / "multi30k"
SPLITS = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}  # pairs
LANGUAGES = ("de", "en")
SHA256 = {
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
}
TERMS = "Multi30k is for research and education, not for commercial use; so is what you make from it."

_BLOCK = 1 << 16  # bytes at a time


def load(split="train", folder=FOLDER, languages=LANGUAGES):
    """The pairs of a split: a list of sentences in each of the two languages, in the order of the files.

    Args: split, one of SPLITS; folder, where the files are; languages, which side comes first.
    Raises: ValueError for an unknown split and for a fault in a file; FileNotFoundError where the files are missing,
    with the command that fetches them.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    paths = [Path(folder) / f"{split}.{language}.gz" for language in languages]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is not there: fetch Multi30k with `python -m dataset.multi30k`, run in "
                f"{Path(__file__).resolve().parents[1]} (with `--from DIR` if you have its files)"
            )
    return read_pairs(*paths)


def fetch(folder=FOLDER, source=None, address=ADDRESS, sha256=None, show=None):
    """Bring all files into a folder, those that are missing or not right; a broken download is resumed.

    A file appears under its name only when it is complete and its SHA-256 is right; until then it ends in `.part`.

    Args: source, a folder that has the files, or None: they are fetched from `address`; sha256,
    {file name: its SHA-256}, by default that of Multi30k; show, a function (name, bytes so far, bytes in all or None).
    Returns: the names of the files that were brought.
    Raises: OSError, with what to do, where the address does not answer or the folder cannot be written;
    FileNotFoundError for a file that `source` lacks; ValueError for contents that are not those of Multi30k.
    """
    folder, sha256 = Path(folder), SHA256 if sha256 is None else sha256
    folder.mkdir(parents=True, exist_ok=True)
    brought = []
    for name, digest in sha256.items():
        path = folder / name
        if path.is_file() and _digest(path) == digest:
            continue
        part = path.with_name(name + ".part")
        if source is not None:
            _copy(Path(source) / name, part)
        else:
            _download(address + name, part, show or (lambda *_: None))
        if _digest(part) != digest:
            found = _digest(part)
            part.unlink()
            raise ValueError(
                f"{Path(source) / name if source is not None else address + name}: SHA-256 {found}, expected {digest}; "
                "the file is damaged or another version. Nothing was kept; try again"
            )
        os.replace(part, path)
        brought.append(name)
    return brought


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(path, part):
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; --from takes a folder with {', '.join(SHA256)}")
    part.write_bytes(path.read_bytes())


def _download(url, part, show):
    """Fetch a file, going on where an earlier attempt ended."""
    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    name = url.rsplit("/", 1)[1]
    try:
        with _open(request, part) as answer:
            if answer.status != 206:  # the server sends all of it, not the rest
                done = 0
            length = answer.headers.get("Content-Length")
            total = None if length is None else done + int(length)
            with open(part, "ab" if done else "wb") as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    done += len(block)
                    show(name, done, total)
    except urllib.error.HTTPError as error:
        raise OSError(f"{url}: the server answers {error.code} {error.reason}; try again later") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise OSError(
            f"{url} cannot be fetched ({reason}). Check the connection and run the command again: it goes on where it "
            "ended. Without a connection, bring the files from another machine and use --from DIR"
        ) from None
    if total is not None and done < total:
        raise OSError(f"{url}: the connection ended after {done} of {total} bytes; run the command again to go on")


def _open(request, part):
    try:
        return urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # there is nothing after the part that is here: it is complete, or not of this file
            raise
        part.unlink()
        request.remove_header("Range")
        return urllib.request.urlopen(request, timeout=30)


def _progress():
    """Return a function that shows how much of a file is here: over its own line on a terminal, else once a file."""
    terminal = sys.stdout.isatty()

    def show(name, done, total):
        if terminal:
            print(f"\r{name}: {done:,}{f' of {total:,}' if total else ''} bytes ", end="", flush=True)
        if done == total:
            print("" if terminal else f"{name}: {done:,} bytes", flush=True)

    return show


def main(argv=None):
    """Fetch the files; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset.multi30k", description=f"Fetch Multi30k, German and English (1.3 MB). {TERMS}"
    )
    parser.add_argument("--from", dest="source", type=Path, metavar="DIR", help="take the files from a folder")
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="DIR", help="where to put them (runs/multi30k)")
    parser.add_argument("--address", default=ADDRESS, help="where to fetch them")
    args = parser.parse_args(argv)
    print(TERMS)
    try:
        brought = fetch(args.to, args.source, args.address, show=_progress())
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"{len(brought)} files brought, {len(SHA256) - len(brought)} were there: {args.to}")


if __name__ == "__main__":
    main()

"""Parameters in .npz files: round trips, refusals that name file and array, and saves that are cut off."""

import copy
import errno
import io
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.transformer import Transformer
from common.base_model import BaseModel, named_params
from common.npz import check_writable, load_arrays, narrow, save_arrays

V, D, H = 7, 3, 5


def make(model_class=Seq2seq, dtype=np.float32, seed=1):
    return model_class(V, D, H, dtype=dtype, rng=seed)


def snapshot(model):
    return [p.copy() for p in model.params]


def assert_params(model, expected):
    for name, p, e in zip(model.param_names, model.params, expected, strict=True):
        np.testing.assert_array_equal(p, e, err_msg=name)


# --- round trips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [Seq2seq, PeekySeq2seq, AttentionSeq2seq])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_saved_comes_back_into_the_same_arrays(tmp_path, model_class, dtype):
    model, other = make(model_class, dtype), make(model_class, dtype, seed=2)
    arrays = list(other.params)
    path = model.save_params(tmp_path / "weights.npz")
    assert path == tmp_path / "weights.npz"
    other.load_params(path)
    assert_params(other, model.params)
    assert all(a is b for a, b in zip(arrays, other.params, strict=True))
    with np.load(path) as file:
        assert file.files == model.param_names
        assert all(file[name].dtype == dtype for name in file.files)


@pytest.mark.parametrize("model_class", [Seq2seq, AttentionSeq2seq])
def test_default_name_is_that_of_the_class(tmp_path, monkeypatch, model_class):
    monkeypatch.chdir(tmp_path)
    model, other = make(model_class), make(model_class, seed=2)
    assert str(model.save_params()) == f"{model_class.__name__}.npz"
    other.load_params()
    assert_params(other, model.params)
    assert [p.name for p in tmp_path.iterdir()] == [f"{model_class.__name__}.npz"]


@pytest.mark.parametrize(("dtype", "error"), [("float16", 1e-3), ("float32", 0), (np.float32, 0)])
def test_smaller_numbers_on_request(tmp_path, dtype, error):
    model, other = make(), make(seed=2)
    path = model.save_params(tmp_path / "w.npz", dtype=dtype)
    with np.load(path) as file:
        assert all(file[name].dtype == dtype for name in file.files)
    other.load_params(path)
    for p, q in zip(model.params, other.params, strict=True):
        assert q.dtype == np.float32
        np.testing.assert_allclose(q, p, rtol=error, atol=error)


def test_a_float64_model_reads_a_float32_file_and_vice_versa(tmp_path):
    model, precise = make(), make(dtype=np.float64, seed=2)
    precise.load_params(model.save_params(tmp_path / "a.npz"))
    assert_params(precise, model.params)
    assert all(p.dtype == np.float64 for p in precise.params)
    other = make(seed=3)
    other.load_params(precise.save_params(tmp_path / "b.npz"))
    assert_params(other, model.params)


def test_any_file_name_is_taken_as_it_is_and_folders_are_made(tmp_path):
    model, other = make(), make(seed=2)
    for name in ("weights.pkl", "weights", "new/folder/w.npz"):
        path = model.save_params(str(tmp_path / name))
        assert path.is_file()
        other.load_params(str(path))
        assert_params(other, model.params)


def test_a_saved_file_has_the_rights_of_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    path = make().save_params(tmp_path / "w.npz")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_custom_names(tmp_path):
    class Mine(BaseModel):
        def __init__(self, seed, names=None):
            super().__init__()
            rng = np.random.default_rng(seed)
            self.params = [rng.standard_normal(3), rng.standard_normal((2, 2))]
            if names:
                self.param_names = names

    for names in (None, ("W", "b")):
        one, two = Mine(1, names), Mine(2, names)
        assert one.param_names == (list(names) if names else ["param_0", "param_1"])
        two.load_params(one.save_params(tmp_path / "w.npz"))
        assert_params(two, one.params)
    for names in (("W", "W"), ("W",), ("a", "b", "c")):
        with pytest.raises(ValueError, match="Mine: 2 params need as many different names"):
            Mine(1, names).save_params(tmp_path / "x.npz")
        assert not (tmp_path / "x.npz").exists()


# --- refusals ----------------------------------------------------------------------------------------------


def refuse(model, path, *parts, error=ValueError):
    """Loading must fail with a message that has all the parts, and change nothing."""
    before = snapshot(model)
    with pytest.raises(error) as caught:
        model.load_params(path)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert_params(model, before)


def arrays_of(model):
    return dict(zip(model.param_names, snapshot(model), strict=True))


@pytest.mark.parametrize("tied", [True, "all"])
def test_tied_weights_are_saved_once(tmp_path, tied):
    """They are the largest arrays of a small translator. A file that has them twice is read as well."""
    model = Transformer(9, 9, 8, 16, layers=1, heads=2, tied=tied, rng=0)
    path = model.save_params(tmp_path / "once.npz")
    names = set(np.load(path).files)
    assert len(names) == len({id(p) for p in model.params}) < len(model.params)
    save_arrays(tmp_path / "twice.npz", named_params(model))
    for file in ("once.npz", "twice.npz"):
        other = Transformer(9, 9, 8, 16, layers=1, heads=2, tied=tied, rng=1)
        other.load_params(tmp_path / file)
        assert all((a == b).all() for a, b in zip(model.params, other.params, strict=True))
        assert other.decoder.affine.params[0] is other.decoder.embed.params[0]


def test_a_missing_file_is_named_with_what_makes_it(tmp_path, monkeypatch):
    path = tmp_path / "none.npz"
    refuse(make(), path, str(path), "save_params()", error=FileNotFoundError)
    refuse(make(), tmp_path, str(tmp_path), error=FileNotFoundError)
    monkeypatch.chdir(tmp_path)
    refuse(make(), None, str(tmp_path / "Seq2seq.npz"), error=FileNotFoundError)


def test_pickles_are_refused_unread(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    path = tmp_path / "w.npz"
    path.write_bytes(pickle.dumps(Trap()))
    refuse(make(), path, str(path), "is a pickle")
    arrays = arrays_of(make())
    arrays["encoder.lstm.b"] = np.array([Trap()], dtype=object)
    np.savez(path, **arrays)
    refuse(make(), path, str(path), "cannot be read", "'encoder.lstm.b' holds pickled objects")
    (tmp_path / "w.npy").write_bytes(b"\x93NUMPY")
    refuse(make(), tmp_path / "w.npy", "is not an .npz file")
    assert not (tmp_path / "sprung").exists()


def test_the_pickle_of_the_book_is_refused_by_name(tmp_path):
    path = tmp_path / "Seq2seq.pkl"
    path.write_bytes(pickle.dumps([np.zeros(3)]))
    refuse(make(), path, "Seq2seq.pkl is a pickle", "never pickles")


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path, share):
    path = make().save_params(tmp_path / "w.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refuse(make(seed=2), path, str(path))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.7])
def test_a_damaged_file(tmp_path, compressed, place):
    path = tmp_path / "w.npz"
    arrays = {name: np.random.default_rng(0).standard_normal(a.shape) for name, a in arrays_of(make()).items()}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    for k in range(start, start + 64):
        data[k] ^= 0xFF
    path.write_bytes(bytes(data))
    refuse(make(seed=2), path, str(path))


def test_something_else_in_a_zip_file(tmp_path):
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name in make().param_names:
            file.writestr(name, "no array")
    refuse(make(), path, "'encoder.embed.W' is not an array")


def test_text_is_refused(tmp_path):
    path = tmp_path / "w.npz"
    path.write_text("PKthis is only a text")
    refuse(make(), path, str(path))


@pytest.mark.parametrize("name", ["encoder.embed.W", "decoder.lstm.Wh", "decoder.affine.b"])
def test_a_missing_an_additional_and_a_misshapen_array_are_named(tmp_path, name):
    model, path = make(), tmp_path / "w.npz"
    arrays = arrays_of(model)
    save_arrays(path, {n: a for n, a in arrays.items() if n != name})
    refuse(model, path, str(path), "Seq2seq", f"has no array {name!r}")
    save_arrays(path, {**arrays, "more": np.zeros(3)})
    refuse(model, path, str(path), "has an array that the model has not: 'more'")
    wrong = np.zeros((*arrays[name].shape, 2))
    save_arrays(path, {**arrays, name: wrong})
    refuse(model, path, f"{name!r} is {wrong.shape} in the file and {arrays[name].shape} in the model")


def test_the_file_of_another_model(tmp_path):
    path = make(PeekySeq2seq).save_params(tmp_path / "w.npz")
    refuse(make(), path, "'decoder.lstm.Wx' is (8, 20) in the file and (3, 20) in the model")


def test_numbers_too_large_for_float16(tmp_path):
    model, path = make(), tmp_path / "w.npz"
    model.save_params(path)
    old = path.read_bytes()
    model.params[6][2, 1] = 7e4
    with pytest.raises(ValueError, match=r"'decoder.lstm.Wh' has numbers too large for float16; save it as float32"):
        model.save_params(path, dtype="float16")
    assert path.read_bytes() == old
    model.save_params(path, dtype="float32")


def test_infinities_and_nan_are_not_an_overflow():
    given = np.array([np.inf, -np.inf, np.nan, 1.0])
    np.testing.assert_array_equal(narrow("w", given, "float16"), given)


@pytest.mark.parametrize("dtype", ["int8", int, "bool"])
def test_only_float_types(tmp_path, dtype):
    with pytest.raises(ValueError, match="must be a float type"):
        make().save_params(tmp_path / "w.npz", dtype=dtype)


def test_objects_are_not_saved(tmp_path):
    with pytest.raises(TypeError, match="'w' is an array of objects"):
        save_arrays(tmp_path / "w.npz", {"w": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []


def test_load_arrays_gives_what_save_arrays_took(tmp_path):
    arrays = {"a.b": np.arange(6).reshape(2, 3), "c": np.array(1.5), "d": np.array(["x", "yz"]), "e": np.zeros((0, 2))}
    save_arrays(tmp_path / "w.npz", arrays)
    loaded = load_arrays(tmp_path / "w.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


# --- interrupted saves -------------------------------------------------------------------------------------


class DiskFull(Exception):
    pass


@pytest.mark.parametrize("error", [DiskFull, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("moment", ["write_array", "fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error, moment):
    model, path = make(), tmp_path / "w.npz"
    model.save_params(path)
    old = path.read_bytes()

    def fail(*args, **kwargs):
        if moment == "write_array":
            args[0].write(b"half of an array")
        raise error

    monkeypatch.setattr(np.lib.format if moment == "write_array" else os, moment, fail)
    with pytest.raises(error):
        make(seed=2).save_params(path)
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which this system has not")
@pytest.mark.parametrize("moment", ["half written", "before the move"])
def test_a_process_killed_while_saving_leaves_the_old_file(tmp_path, root, moment):
    path = make().save_params(tmp_path / "w.npz")
    old = path.read_bytes()
    script = f"""
import os, signal
import numpy
from ch07.seq2seq import Seq2seq

def die(*args, **kwargs):
    if {moment == "half written"}:
        args[0].write(b"half of an array" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)

if {moment == "half written"}:
    numpy.lib.format.write_array = die
else:
    os.replace = die
Seq2seq({V}, {D}, {H}, rng=2).save_params({str(path)!r})
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, timeout=600)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert path.read_bytes() == old
    other = make(seed=3)
    other.load_params(path)
    assert_params(other, make().params)
    (left,) = [p for p in tmp_path.iterdir() if p != path]  # nobody was there to remove it
    assert left.name.startswith(".w.npz.")
    assert left.name.endswith(".tmp")
    make(seed=2).save_params(path)
    assert list(tmp_path.iterdir()) == [path]


def test_saving_over_a_broken_file_repairs_it(tmp_path):
    path = tmp_path / "w.npz"
    path.write_bytes(b"PK broken")
    model, other = make(), make(seed=2)
    model.save_params(path)
    other.load_params(path)
    assert_params(other, model.params)


def test_temporary_files_of_processes_that_live_are_left_alone(tmp_path):
    path = tmp_path / "w.npz"
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        alive = tmp_path / f".w.npz.{other.pid}-0123abcd.tmp"
        gone = tmp_path / ".w.npz.999999999-0123abcd.tmp"
        of_another_target = tmp_path / ".v.npz.999999999-0123abcd.tmp"
        mine_of_long_ago = tmp_path / f".w.npz.{os.getpid()}-0123abcd.tmp"
        for file in (alive, gone, of_another_target, mine_of_long_ago):
            file.write_bytes(b"x")
        make().save_params(path)
        assert sorted(tmp_path.iterdir()) == sorted([path, alive, of_another_target])
    finally:
        other.communicate(b"\n")


def test_two_threads_may_save_to_one_path(tmp_path):
    models = [make(seed=k) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda model: [model.save_params(tmp_path / "w.npz") for _ in range(20)], models))
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]
    other = make(seed=9)
    other.load_params(tmp_path / "w.npz")
    assert any(np.array_equal(other.params[0], model.params[0]) for model in models)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "w.npz"
    link.symlink_to(tmp_path / "disk" / "real.npz")
    make().save_params(link)
    assert link.is_symlink()
    assert (tmp_path / "disk" / "real.npz").is_file()


def test_a_message_says_that_nothing_can_be_written(tmp_path, monkeypatch):
    model, path = make(), tmp_path / "w.npz"
    model.save_params(path)
    old = path.read_bytes()
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    for target, error, part in (
        (tmp_path / "folder", IsADirectoryError, "it is a folder; give the name of a file"),
        (tmp_path / "file" / "w.npz", (NotADirectoryError, FileExistsError), "a file is in the way"),
        (tmp_path / "file" / "more" / "w.npz", (NotADirectoryError, FileExistsError), "a file is in the way"),
        (tmp_path / ("n" * 300), OSError, "File name too long"),
    ):
        with pytest.raises(error) as caught:
            model.save_params(target)
        assert str(caught.value).startswith(f"{target} cannot be written: ")
        assert part in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder", "w.npz"]
    for code, error in ((errno.ENOSPC, OSError), (errno.EROFS, OSError), (errno.EACCES, PermissionError)):
        for moment in ("write_array", "fsync", "replace"):
            with monkeypatch.context() as patch:

                def fail(*args, code=code):
                    raise OSError(code, os.strerror(code))

                patch.setattr(np.lib.format if moment == "write_array" else os, moment, lambda *args, **kw: fail())
                with pytest.raises(error) as caught:
                    make(seed=2).save_params(path)
            assert str(caught.value) == f"{path} cannot be written: {os.strerror(code)}"
            assert caught.value.errno == code
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 3


def test_the_longest_name_that_a_file_may_have(tmp_path):
    path = make().save_params(tmp_path / ("n" * 251 + ".npz"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs limits for the size of files")
def test_a_disk_that_is_full(tmp_path, root):
    path = make().save_params(tmp_path / "w.npz")
    old = path.read_bytes()
    script = f"""
import resource, signal
from ch07.seq2seq import Seq2seq
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Seq2seq({V}, {D}, {H}).save_params({str(path)!r})
except OSError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=600)
    assert run.stderr == ""
    assert run.stdout == f"{path} cannot be written: {os.strerror(errno.EFBIG)}\n"
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


# --- before a long run -------------------------------------------------------------------------------------


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path, monkeypatch):
    check_writable(tmp_path / "runs" / "new", 1000)
    check_writable(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    check_writable("runs")
    check_writable(".")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    for folder, size, part in (
        (tmp_path / "file", 0, "it is a file, not a folder"),
        (tmp_path / "file" / "runs", 0, "a file is in the way"),
        (tmp_path / ("n" * 300), 0, "File name too long"),
        (tmp_path / "runs", 2**62, "4611686018.4 GB are needed and"),
    ):
        with pytest.raises(OSError, match=re.escape(part)) as caught:
            check_writable(folder, size)
        assert str(caught.value).startswith(f"{folder} cannot be written: ")

    def refuse_all(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse_all)
    with pytest.raises(OSError, match=f"cannot be written: {os.strerror(errno.EROFS)}"):
        check_writable(tmp_path / "runs")
    monkeypatch.undo()
    monkeypatch.setattr(Path, "write_bytes", refuse_all)
    with pytest.raises(OSError, match=f"cannot be written: {os.strerror(errno.EROFS)}"):
        check_writable(tmp_path / "runs" / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    try:
        for attempt in (lambda: check_writable(tmp_path), lambda: make().save_params(tmp_path / "w.npz")):
            with pytest.raises(PermissionError, match="cannot be written: Permission denied"):
                attempt()
    finally:
        tmp_path.chmod(0o755)


# --- vocabulary --------------------------------------------------------------------------------------------


def test_the_vocabulary_is_stored_taken_over_and_compared(tmp_path):
    tokens = ["<pad>", "_", "a", "Ж", "日本", "", " "]
    model, other = make(), make(seed=2)
    assert model.vocab is None
    model.vocab = tokens
    path = model.save_params(tmp_path / "w.npz")
    other.load_params(path)
    assert other.vocab == model.vocab == tuple(tokens)
    assert_params(other, model.params)
    other.load_params(path)  # the same vocabulary
    other.vocab = [*tokens[:3], "b", *tokens[4:]]
    refuse(other, path, str(path), "id 3 is 'Ж' in the file and 'b' here")
    other.vocab = tokens[:5]
    refuse(other, path, "its vocabulary has 7 tokens and the one here 5")
    assert other.vocab == tuple(tokens[:5])
    half = model.save_params(tmp_path / "half.npz", dtype="float16")
    make(seed=3).load_params(half)


def test_a_file_without_a_vocabulary_fits_a_model_that_has_one(tmp_path, root):
    path, model = make().save_params(tmp_path / "w.npz"), make(seed=2)
    model.vocab = list("abcdefg")
    model.load_params(path)
    assert model.vocab == tuple("abcdefg")
    shipped = load_arrays(root / "ch08/pretrained/attention/weights.npz")
    (V, D), H = shipped["encoder.embed.W"].shape, len(shipped["encoder.lstm.Wh"])
    AttentionSeq2seq(V, D, H).load_params(root / "ch08/pretrained/attention/weights.npz")


def test_a_vocabulary_that_no_file_can_hold(tmp_path):
    model = make()
    for wrong in ("abc", {"a": 0}, [1, 2], ["a", None]):
        with pytest.raises(TypeError, match="vocab must be the list of all tokens"):
            model.vocab = wrong
    with pytest.raises(ValueError, match="ends with a zero character"):
        model.vocab = ["a", "b\0"]
    assert model.vocab is None
    save_arrays(tmp_path / "w.npz", arrays_of(model) | {"__vocab__": np.zeros(3)})
    refuse(model, tmp_path / "w.npz", "the vocabulary in it is not a list of tokens")


def test_no_parameter_may_have_the_name_of_the_vocabulary(tmp_path):
    class Mine(BaseModel):
        def __init__(self):
            self.params, self.param_names = [np.zeros(2)], ["__vocab__"]

    with pytest.raises(ValueError, match="other than '__vocab__'"):
        Mine().save_params(tmp_path / "w.npz")


@pytest.mark.parametrize("name", ["file", "args", "allow_pickle", "kwds", "a/b", "x.npy"])
def test_arrays_may_have_any_name(tmp_path, name):
    save_arrays(tmp_path / "w.npz", {name: np.arange(3)})
    assert list(load_arrays(tmp_path / "w.npz")) == [name]


# --- all or nothing ----------------------------------------------------------------------------------------

LAST = "decoder.affine.b"


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        (np.zeros(V, complex), "'decoder.affine.b' holds complex128 in the file, and must hold floats"),
        (np.array(["x"] * V), "'decoder.affine.b' holds <U1"),
        (np.zeros(V, int), "'decoder.affine.b' holds int64"),
        (np.zeros(V, bool), "'decoder.affine.b' holds bool"),
        (np.zeros(V, [("a", float)]), "'decoder.affine.b' holds records"),
        (np.full(V, 1e300), "'decoder.affine.b' has numbers too large for float32"),
        (np.zeros(V + 1), "'decoder.affine.b' is (8,) in the file and (7,) in the model"),
        (np.zeros((1, V)), "'decoder.affine.b' is (1, 7) in the file and (7,) in the model"),
    ],
)
def test_a_last_array_that_does_not_fit_changes_nothing(tmp_path, wrong, part):
    path = tmp_path / "w.npz"
    save_arrays(path, arrays_of(make(seed=2)) | {LAST: wrong})
    refuse(make(), path, str(path), part)


def test_infinities_and_nan_are_loaded_as_they_were_saved(tmp_path):
    model, other = make(dtype=np.float64), make(seed=2)
    model.params[-1][:3] = np.inf, -np.inf, np.nan
    other.load_params(model.save_params(tmp_path / "w.npz"))
    np.testing.assert_array_equal(other.params[-1], model.params[-1])


def test_a_file_with_numbered_arrays_of_a_custom_model_is_still_read(tmp_path):
    model, other = make(), make(seed=2)
    save_arrays(tmp_path / "w.npz", {f"param_{k}": p for k, p in enumerate(model.params)})
    other.load_params(tmp_path / "w.npz")
    assert_params(other, model.params)


# --- files that claim too much -----------------------------------------------------------------------------


def write_claim(path, arrays, name, shape, data=b"", method=zipfile.ZIP_STORED, file_size=None):
    """Write arrays to a file and one more whose header says it has ``shape``, whatever follows it.

    file_size: what the table of contents says of it, if not the truth.
    """
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", method) as file:
        for other, array in arrays.items():
            with file.open(f"{other}.npy", "w") as member:
                np.lib.format.write_array(member, array)
        with file.open(f"{name}.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            member.write(data)
        if file_size is not None:
            file.getinfo(f"{name}.npy").file_size = file_size


@pytest.mark.parametrize("shape", [(10**11,), (2**62, 4), (300_000, 300_000), (-1, -7), (V - 1,)])
def test_a_header_that_claims_more_or_less_than_there_is(tmp_path, shape):
    path, arrays = tmp_path / "w.npz", arrays_of(make())
    del arrays[LAST]
    write_claim(path, arrays, LAST, shape, bytes(4 * V))
    refuse(make(seed=2), path, str(path), f"{LAST!r} is said to be {shape}", "28 bytes")
    with pytest.raises(ValueError, match="is said to be"):
        load_arrays(path)


def test_a_small_file_that_unpacks_to_two_gigabytes_is_refused_unread(tmp_path):
    path, name = tmp_path / "bomb.npz", "encoder.embed.W"
    write_claim(path, {}, name, (2**29,), bytes(2**20), zipfile.ZIP_DEFLATED, file_size=128 + 4 * 2**29)
    assert path.stat().st_size < 1e4
    tracemalloc.start()
    try:
        refuse(make(), path, str(path), "would take 2.1 GB")
        with pytest.raises(ValueError, match=r"would take 2\.1 GB, and at most 1\.1 GB are expected"):
            load_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_a_compressed_array_of_another_shape_is_refused_unread(tmp_path):
    path, arrays = tmp_path / "w.npz", arrays_of(make())
    del arrays[LAST]
    write_claim(path, arrays, LAST, (2**24,), bytes(2**26), zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        refuse(make(), path, "'decoder.affine.b' is (16777216,) in the file and (7,) in the model")
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_overlapping_arrays_are_refused(tmp_path):
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as file:
        data = io.BytesIO()
        np.save(data, np.zeros(10_000))
        file.writestr("a.npy", data.getvalue())
        again = copy.copy(file.getinfo("a.npy"))
        for k in range(50):  # 51 names for the same bytes
            file.filelist.append(copy.copy(again))
            file.filelist[-1].filename = f"{k}.npy"
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_arrays(path)


def test_a_duplicate_array(tmp_path):
    path = tmp_path / "w.npz"
    data = io.BytesIO()
    np.save(data, np.zeros(3))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", data.getvalue())
        file.writestr("a", data.getvalue())
    with pytest.raises(ValueError, match="'a' is in it twice"):
        load_arrays(path)


def attempt(call):
    """Return (result, None), or (None, message) of a ValueError."""
    try:
        return call(), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("how", ["flip", "cut"])
def test_damage_anywhere_is_noticed_or_changes_nothing(tmp_path, compressed, how):
    rng, path = np.random.default_rng(1), tmp_path / "w.npz"
    model = make()
    model.vocab = list("abcdefg")
    model.save_params(path)
    if compressed:
        np.savez_compressed(path, **load_arrays(path))
    data, right = path.read_bytes(), load_arrays(path)
    edges = [*range(60), *range(len(data) - 800, len(data))]  # headers and the table of contents
    places = [*rng.choice(edges, 100, replace=False), *rng.integers(0, len(data), 100)]
    refused = 0
    for place in map(int, places):
        if how == "flip":
            path.write_bytes(data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :])
        else:
            path.write_bytes(data[:place])
        other = make(seed=2)
        before = snapshot(other)
        arrays, error = attempt(lambda: load_arrays(path))
        assert error is None or str(path) in error
        if error is None:
            assert arrays.keys() == right.keys()
            assert all(np.array_equal(arrays[name], right[name]) for name in right)
        _, error = attempt(lambda other=other: other.load_params(path))
        assert error is None or str(path) in error
        assert_params(other, before if error else model.params)
        refused += error is not None
    assert refused > (100 if how == "flip" else 195)

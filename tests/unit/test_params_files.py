"""Parameters in .npz files: round trips, refusals that name file and array, and saves that are cut off."""

import os
import pickle
import signal
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from common.base_model import BaseModel
from common.npz import load_arrays, narrow, save_arrays

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


def test_a_float64_model_reads_a_float32_file_and_the_other_way_round(tmp_path):
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


def test_names_of_ones_own(tmp_path):
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


def test_infinities_and_nan_are_no_overflow():
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
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, timeout=60)
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

"""Small helpers for training and evaluating."""

import inspect
import math
import sys
from contextlib import contextmanager

from common.metrics import perplexity
from common.np import errstate, np, to_cpu, to_gpu
from common.optimizer import same_memory
from common.parallel import DataParallel, inner_layers

__all__ = ["clip_grads", "echo", "eval_perplexity", "eval_seq2seq", "to_cpu", "to_gpu"]

# What stands for a character where the output cannot show it; others become a question mark.
_PLAIN_SIGNS = {"☑": "[v]", "☒": "[x]", "×": "x", "→": "->", "…": "...", "–": "-", "—": "-", "−": "-", "·": "."}


def echo(*parts, sep=" ", end="\n", file=None, flush=False):
    """Print as ``print`` does, on any output: characters that the stream cannot encode are replaced.

    Redirected output on Windows is encoded in the code page of the country, which has no ☑; ``print`` then ends the
    program with a UnicodeEncodeError. Args: as for ``print``.
    """
    file = sys.stdout if file is None else file
    if file is None:  # a program without a console
        return
    text = sep.join(map(str, parts)) + end
    try:
        file.write(text)
    except UnicodeEncodeError as error:
        file.write("".join(_encodable(char, error.encoding) for char in text))
    if flush:
        file.flush()


def _encodable(char, encoding):
    """Return the character, or what stands for it where the encoding does not have it."""
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN_SIGNS.get(char, "?")
    return char


def clip_grads(grads, max_norm):
    """Scale the gradients in place so that their joint Euclidean norm is at most ``max_norm``.

    An array that is listed twice counts and is scaled once. Where weights are tied, call
    ``common.optimizer.merge_tied`` first.

    Args: grads, a list of arrays; max_norm, a positive number. Returns: the norm before scaling, a float.
    Raises: ValueError if max_norm is not positive; FloatingPointError if a gradient is infinite or NaN, because no
    scale would make it a direction to go. In both cases no gradient has changed.
    Source: Pascanu et al. 2013, algorithm 1.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grads: max_norm must be positive, got {max_norm}")
    indices = [group[0] for group in same_memory(grads, check=False)]
    norms = [_norm(grads[k]) for k in indices]
    for k, norm in zip(indices, norms, strict=True):
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"clip_grads: grads[{k}] {grads[k].shape} has elements that are infinite or NaN; "
                "try a smaller learning rate"
            )
    norm = math.hypot(*norms)
    rate = max_norm / (norm + 1e-6)
    if rate < 1:
        for k in indices:
            grads[k] *= rate
    return norm


def _norm(x):
    """Return the Euclidean norm of an array, a float; NaN or infinite only if an element is."""
    flat = x.reshape(-1)
    if x.dtype.itemsize >= 4:
        with errstate(over="ignore"):
            square = float(np.dot(flat, flat))
        if 1e-30 < square < math.inf:
            return math.sqrt(square)
    # The squares do not fit into the dtype, or x is 0: take the largest element out first.
    largest = float(np.abs(flat).max()) if x.size else 0.0
    if largest == 0 or not math.isfinite(largest):
        return largest
    flat = flat.astype(np.float64) / largest
    return largest * math.sqrt(float(np.dot(flat, flat)))


def eval_seq2seq(model, question, correct, id_to_char, verbose=False, is_reverse=False):
    """Let the model answer one question and compare.

    Args: question (1, T) ids; correct (1, T_dec + 1) or (T_dec + 1,) ids with the start mark first; id_to_char, a dict;
    verbose, print question, truth and answer; is_reverse, the question was reversed, so it is printed backward.
    Returns: 1 if every character is right, else 0.
    """
    start_id, *correct = (int(i) for i in to_cpu(correct).reshape(-1))
    guess = [int(i) for i in model.generate(to_gpu(question), start_id, len(correct))]
    if verbose:
        ids = [int(i) for i in to_cpu(question).reshape(-1)]
        if is_reverse:
            ids = ids[::-1]
        asked, truth, answer = ("".join(id_to_char[i] for i in row) for row in (ids, correct, guess))
        echo("Q", asked)
        echo("T", truth)
        echo("☑" if guess == correct else "☒", answer)
        echo("---")
    return 1 if guess == correct else 0


def eval_perplexity(model, corpus, batch_size=10, time_size=35):
    """Return the perplexity of a language model on a corpus: exp of the mean loss per token.

    The corpus is cut into ``batch_size`` rows of equal length, which are read side by side, ``time_size`` tokens at a
    time; a stateful model goes on where the piece before ended. Its state is reset before and after, and its dropout
    is off meanwhile. Tokens that fill no whole piece are left out.

    Args: model, whose forward(xs, ts) returns the mean loss, xs and ts (batch_size, time_size) ids; if forward takes
    ``train_flg``, it is given False. corpus (L,) ids, L > batch_size * time_size.
    Raises: ValueError if the corpus is not a row of ids or is too short. Source: the book, section 6.4.
    """
    corpus = np.asarray(corpus)
    if corpus.ndim != 1 or corpus.dtype.kind not in "iu":
        raise ValueError(f"eval_perplexity: the corpus must be (L,) ids, got {corpus.dtype} {corpus.shape}")
    if batch_size < 1 or time_size < 1:
        raise ValueError(f"eval_perplexity: batch_size {batch_size} and time_size {time_size} must be at least 1")
    pieces = (len(corpus) - 1) // (batch_size * time_size)
    if pieces < 1:
        raise ValueError(
            f"eval_perplexity: a corpus of {len(corpus)} ids is too short for batch_size {batch_size} and time_size "
            f"{time_size}: it needs {batch_size * time_size + 1}; make one of the two smaller"
        )
    if isinstance(model, DataParallel):
        model = model.model
    options = {"train_flg": False} if "train_flg" in inspect.signature(model.forward).parameters else {}
    row_length = (len(corpus) - 1) // batch_size
    places = row_length * np.arange(batch_size)[:, None] + np.arange(time_size)  # (batch_size, time_size)
    echo("evaluating perplexity ...")
    total = 0.0
    with _dropout_off(model), _progress() as show:
        _reset_state(model)
        for k in range(pieces):
            xs, ts = corpus[places + k * time_size], corpus[places + k * time_size + 1]
            total += float(model.forward(xs, ts, **options))
            show(k + 1, pieces)
        _reset_state(model)
    return perplexity(total / pieces)


def _reset_state(model):
    if hasattr(model, "reset_state"):
        model.reset_state()


@contextmanager
def _dropout_off(model):
    """Within the block, every layer that behaves differently in training is in the mode for using the model."""
    flags = [(layer, layer.train_flg) for layer in inner_layers(model) if hasattr(layer, "train_flg")]
    try:
        for layer, _ in flags:
            layer.train_flg = False
        yield
    finally:
        for layer, flag in flags:
            layer.train_flg = flag


@contextmanager
def _progress():
    """Yield a function (done, total) that shows how far the work is.

    On a terminal it writes over its own line; elsewhere, as in a file, there is one line when all is done.
    """
    terminal = sys.stdout is not None and sys.stdout.isatty()
    begun = False

    def show(done, total):
        nonlocal begun
        if terminal:
            begun = True
            echo(f"\r{done} / {total}", end="", flush=True)
        elif done == total:
            echo(f"{done} / {total}")

    try:
        yield show
    finally:
        if begun:
            echo()

"""The attention explorer with the course's models in it: ``from ch08.explorer import explorer``.

The models that the course ships lie in ``ch08/pretrained/``, one ``<name>.npz`` for each of ``ch08.train.MODELS``.
"""

from pathlib import Path

from ch08.train import MODELS
from common.np import np, to_cpu
from common.npz import load_arrays
from common.widgets import AttentionExplorer, Captions
from dataset import dates, sequence

PRETRAINED = Path(__file__).resolve().parent / "pretrained"
NAMES = {"seq2seq": "plain", "peeky": "peeky", "attention": "attention"}  # as the explorer's menu shows them
EXAMPLE = "september 27, 1994"
CAPTIONS = Captions(
    label="date",
    example=EXAMPLE,
    about="type a date and see what the model answers and where it looks",
    nothing_to_read=f"There is nothing to read yet. Type a date, such as {EXAMPLE}.",
    no_truth="is not a date in a form that the data contains",
    no_source="this place of the answer is always a hyphen, whatever the question",
)


def load_pretrained(name, folder=PRETRAINED, dtype=np.float32):
    """Return a model with the weights of ``folder/<name>.npz``; its sizes are read from the file.

    Args: name, one of seq2seq, peeky, attention; dtype to compute in.
    Raises: KeyError for another name; FileNotFoundError that says how to train the model; ValueError if the file holds
    another kind of model.
    """
    model_class, path = MODELS[name], Path(folder) / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist. To train this model: python -m ch08.train --model {name} --out runs/ch08; "
            f"then load_pretrained({name!r}, 'runs/ch08')"
        )
    arrays = load_arrays(path)
    try:
        V, D = arrays["encoder.embed.W"].shape
        H, _ = arrays["encoder.lstm.Wh"].shape
    except (KeyError, ValueError):
        raise ValueError(f"{path} holds no {model_class.__name__}: its arrays are {', '.join(arrays)}") from None
    model = model_class(V, D, H, dtype=dtype)
    model.load_params(path)
    return model


def available(folder=PRETRAINED):
    """Return the names of the models whose weights are in ``folder``."""
    return [name for name in NAMES if (Path(folder) / f"{name}.npz").is_file()]


def reader(vocab, trim=True, reverse=True, answer_length=10):
    """Return decode(model, text) -> (answer, confidence (10,), attention weights (10, len(text)) or None).

    Args: vocab, of the data the models learned; trim, the models read questions without their padding; reverse, they
    read them from the last character to the first. The weights come back in reading order.
    """
    start_id = vocab.char_to_id[sequence.START]

    def decode(model, text):
        text = text.rstrip(sequence.PAD)
        ids = vocab.encode(text, len(text) if trim else None)
        xs = np.asarray(ids[::-1] if reverse else ids)[None]  # (1, T)
        answer, confidence, weights = model.greedy_decode(xs, start_id, answer_length, with_details=True)
        answer = "".join(vocab.id_to_char[int(i)] for i in to_cpu(answer)[0])
        if weights is not None:
            weights = to_cpu(weights)[0]
            weights = (weights[:, ::-1] if reverse else weights)[:, : len(text)]
        return answer, to_cpu(confidence)[0], weights

    return decode


def explorer(models=None, *, folder=PRETRAINED, trim=True, reverse=True, **options):
    """Return an AttentionExplorer for dates.

    Args:
        models: a dict name -> model, such as one you have just trained; None for those in ``folder``.
        trim, reverse: how the models read a question, see ``reader``.
        options: for AttentionExplorer, such as text, model (a name in its menu, or seq2seq, peeky, attention), step,
            gold.

    Raises: FileNotFoundError if models is None and ``folder`` has no weights at all.
    """
    if models is None:
        found = available(folder)
        missing = [name for name in NAMES if name not in found]
        if not found:
            raise FileNotFoundError(
                f"{folder} has no weights ({', '.join(f'{n}.npz' for n in NAMES)}). To train a model: "
                f"python -m ch08.train --out runs/ch08; then explorer(folder='runs/ch08')"
            )
        # in float64 every machine draws the same picture, to the last digit shown
        models = {NAMES[name]: load_pretrained(name, folder, np.float64) for name in found}
        if missing:
            options.setdefault(
                "note",
                f"Without weights, so not in the menu: {', '.join(missing)}. To train one: "
                f"python -m ch08.train --model {missing[0]}; then explorer(folder='runs/ch08').",
            )
        if "model" in options:
            options["model"] = NAMES.get(options["model"], options["model"])
    vocab = sequence.load("date.txt").vocab
    decode = reader(vocab, trim, reverse)
    return AttentionExplorer(
        models,
        lambda model, tokens: decode(model, "".join(tokens)),
        vocabulary=vocab.char_to_id.keys() - {sequence.START},
        max_length=dates.QUESTION_WIDTH,
        captions=CAPTIONS,
        gold_mask=lambda tokens: dates.gold_mask("".join(tokens), len(tokens)),
        truth=lambda tokens: dates.to_iso("".join(tokens)),
        **{"text": EXAMPLE} | options,
    )

"""The attention explorer with the course's models in it: ``from ch08.explorer import explorer``.

The models that the course ships lie in ``ch08/pretrained/<system>/weights.npz``, under the names of ``ch08.train``.
"""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from ch08.recipes import SYSTEMS
from ch08.score_layers import DotScore
from common.language import say
from common.np import np, to_cpu
from common.npz import load_arrays
from common.parallel import replica
from common.widgets import AttentionExplorer, Captions, Reasons
from dataset import dates, sequence

PRETRAINED = Path(__file__).resolve().parent / "pretrained"
# As the explorer's menu shows them.
NAMES = {"seq2seq": "plain"} | {
    name: name
    for name in (
        *("peeky", "attention", "aligned", "guided", "bidirectional", "input-feeding", "same-step"),
        *("deep", "general", "additive"),
    )
}
FIRST = "attention"  # the model that the explorer shows at first
EXAMPLE = "september 27, 1994"
# The page on the web offers these: every form of the training questions, and forms that none of them has.
EXAMPLES = (
    EXAMPLE,
    "TUESDAY, SEPTEMBER 25, 1984",
    "Jun 17, 2013",
    "2/10/93",
    "september 7, 1994",
    "27 september 1994",
    "1994/9/27",
)
NEW_FORM = "no training question has this form"
NO_WEIGHTS = "Without weights, so not in the menu: {names}. To train one: python -m ch08.train {first}; then {call}."
ONLY_DOT = "only a score that is a dot product is taken apart here"
CAPTIONS = Captions(
    label="date",
    example=EXAMPLE,
    about="type a date and see what the model answers and where it looks",
    nothing_to_read=f"There is nothing to read yet. Type a date, such as {EXAMPLE}.",
    no_truth="is not a date in a form that the data contains",
    no_source="this place of the answer is always a hyphen, whatever the question",
)


@functools.cache
def _dates():
    return sequence.load("date.txt")


def load_pretrained(name, folder=PRETRAINED, dtype=np.float32):
    """Return a model with the weights of ``folder/<name>/weights.npz``; its sizes are read from the file.

    Args: name, one of ``ch08.recipes.SYSTEMS``; dtype to compute in.
    Raises: KeyError for another name; FileNotFoundError that says how to train the model; ValueError if the file holds
    another kind of model, or one that learned other characters.
    """
    if name not in SYSTEMS:
        raise KeyError(f"there is no system {name!r}; there are {', '.join(SYSTEMS)}")
    path = Path(folder) / name / "weights.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist. To train this model: python -m ch08.train {name}; "
            f"then load_pretrained({name!r}, 'runs/ch08')"
        )
    sizes = sizes_in(load_arrays(path), f"{path} does not hold {name}")
    model = SYSTEMS[name].model(_dates(), rng=0, dtype=dtype, **sizes)
    model.vocab = list(_dates().vocab.char_to_id)
    model.load_params(path)
    return model


def sizes_in(arrays, problem):
    """Return {"wordvec_size": D, "hidden_size": H} of a model with an encoder and a decoder, from its arrays by name.

    Raises: ValueError that begins with ``problem`` if they are not those of such a model.
    """
    try:
        _, D = arrays["encoder.embed.W"].shape
        name = next(n for n in arrays if n.startswith("decoder.") and n.endswith(("Wh", "feed_forward.affine2.W")))
        H, _ = arrays[name].shape
    except (KeyError, StopIteration, ValueError):
        raise ValueError(f"{problem}: its arrays are {', '.join(arrays)}") from None
    return dict(wordvec_size=D, hidden_size=H)


def available(folder=PRETRAINED):
    """Return the names of the models for the explorer's menu whose weights are in ``folder``."""
    return [name for name in NAMES if (Path(folder) / name / "weights.npz").is_file()]


class Shipped(Mapping):
    """Models by their names in a menu; each is loaded when it is first asked for.

    Args: systems, {name in the menu: name of the system}; load, a function from the latter to the model.
    """

    def __init__(self, systems, load):
        self.systems, self._load, self._loaded = systems, load, {}

    def __getitem__(self, name):
        if name not in self._loaded:
            self._loaded[name] = self._load(self.systems[name])
        return self._loaded[name]

    def __iter__(self):
        return iter(self.systems)

    def __len__(self):
        return len(self.systems)

    def __contains__(self, name):  # Mapping's own would load the model
        return name in self.systems


def reader(vocab, trim=True, reverse=True, answer_length=10):
    """Return decode(model, text) -> (answer, confidence (10,), attention weights (10, len(text)) or None).

    Args: vocab, of the data the models learned; trim, the models read questions without their padding; reverse, they
    read them from the last character to the first. The weights come back in reading order.
    """
    start_id = vocab.char_to_id[sequence.START]

    def decode(model, text):
        text = text.rstrip(sequence.PAD)
        if not text:
            raise ValueError("there is nothing to read: the date is empty")
        ids = vocab.encode(text, len(text) if trim else None)
        xs = np.asarray(ids[::-1] if reverse else ids)[None]  # (1, T)
        answer, confidence, weights = model.greedy_decode(xs, start_id, answer_length, with_details=True)
        answer = "".join(vocab.id_to_char[int(i)] for i in to_cpu(answer)[0])
        if weights is not None:
            weights = to_cpu(weights)[0]
            weights = (weights[:, ::-1] if reverse else weights)[:, : len(text)]
        return answer, to_cpu(confidence)[0], weights

    return decode


def explain(vocab, trim=True, reverse=True):
    """Return reasons(model, tokens, step) -> the Reasons of a step, from 0, padding included. Args: as for ``reader``.

    It raises ValueError for a model that does not look with the dot product of a state of the encoder, hs, and the
    decoder's h, after the step or, as in Bahdanau's order, before it.
    """

    def reasons(model, tokens, step):
        decoder = getattr(model, "decoder", None)
        for owner in (decoder, getattr(getattr(decoder, "steps", None), "step", None)):
            score = getattr(getattr(owner, "attention", None), "score", None)
            if isinstance(score, DotScore):
                break
        else:
            raise ValueError(ONLY_DOT)
        ids = vocab.encode("".join(tokens), len(tokens) if trim else None)
        model, written = replica(model), np.array([vocab.char_to_id[sequence.START]])
        state = model.start(np.asarray(ids[::-1] if reverse else ids)[None])  # (1, T)
        for _ in range(step + 1):
            before = state
            logits, state, weights = model.step(written, before)
            written = logits.argmax(axis=1)  # (1,)
        hs = state[0][0]  # (T, H)
        asked = [Reasons(to_cpu(score.scale * h * hs), to_cpu(hs)) for h in (state[1][0], before[1][0])]
        errors = [abs(found.compute()[2] - to_cpu(weights)[0]).max() for found in asked]
        found = asked[int(errors[1] < errors[0])]
        if min(errors) > 1e-4:
            raise ValueError("how this model comes to its weights cannot be read from its state")
        return Reasons(found.terms[::-1], found.hs[::-1]) if reverse else found

    return reasons


def right_answer(text):
    """Return the right answer to a date, also in the forms of 8.7 that no training question has.

    These have other separators, the year or the day first, or four digits after slashes. Where all is written in
    numbers, the day comes first only if it cannot be a month. Raises: ValueError for anything else.
    """
    try:
        return dates.to_iso(text)
    except ValueError:
        words = re.findall(r"[^\W\d]+|\d+", text)
    names, numbers = [w for w in words if not w.isdigit()], [w for w in words if w.isdigit()]
    numbers.sort(key=lambda number: len(number) == 4)  # the year comes last
    if not names and len(numbers) == 3:
        month, day, year = map(int, numbers)
        if month > 12:
            month, day = day, month
        if len(numbers[2]) == 2:
            return dates.to_iso(f"{month}/{day}/{numbers[2]}")
        if 1 <= month <= 12:
            names, numbers = [dates.MONTHS[month - 1]], [day, year]
    return dates.to_iso(" ".join([", ".join(names), *(f"{int(number)}," for number in numbers)]).rstrip(","))


def remark(text):
    """Return what is to be said of a date in a form that no training question has, or ""."""
    try:
        dates.to_iso(text)
    except ValueError:
        return say(NEW_FORM)
    return ""


def explorer(models=None, *, folder=PRETRAINED, trim=True, reverse=True, **options):
    """Return an AttentionExplorer for dates.

    Args:
        models: a dict name -> model, such as one you have just trained; None for those in ``folder``.
        trim, reverse: how the models read a question, see ``reader``.
        options: for AttentionExplorer, such as text, model (a name in its menu, or one of ``NAMES``), step, gold,
            column, why, and beside: a second model, whose heatmap of the same date is shown beside the first one's.

    Two models on one question, with the gold alignment:

        explorer(text="september 7, 1994", model="attention", beside="guided", gold=True, step=8)

    Raises: FileNotFoundError if models is None and ``folder`` has no weights at all.
    """
    if models is None:
        found = available(folder)
        missing = [name for name in NAMES if name not in found]
        if not found:
            raise FileNotFoundError(
                f"{folder} has no weights ({', '.join(f'{n}/weights.npz' for n in NAMES)}). To train a model: "
                f"python -m ch08.train; then explorer(folder='runs/ch08')"
            )
        # in float64 every machine draws the same picture, to the last digit shown
        load = functools.partial(load_pretrained, folder=folder, dtype=np.float64)
        models = Shipped({NAMES[name]: name for name in found}, load)
        if missing:
            options.setdefault(
                "note",
                say(NO_WEIGHTS, names=", ".join(missing), first=missing[0], call="explorer(folder='runs/ch08')"),
            )
        if NAMES[FIRST] in models:
            options.setdefault("model", FIRST)
        for which in {"model", "beside"} & options.keys():
            options[which] = NAMES.get(options[which], options[which])
    vocab = _dates().vocab
    decode = reader(vocab, trim, reverse)
    return AttentionExplorer(
        models,
        lambda model, tokens: decode(model, "".join(tokens)),
        vocabulary=vocab.char_to_id.keys() - {sequence.START},
        max_length=dates.QUESTION_WIDTH,
        captions=CAPTIONS,
        gold_mask=lambda tokens: dates.gold_mask("".join(tokens), len(tokens)),
        truth=lambda tokens: right_answer("".join(tokens)),
        remark=lambda tokens: remark("".join(tokens)),
        explain=explain(vocab, trim, reverse),
        **{"text": EXAMPLE} | options,
    )

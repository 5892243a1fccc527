"""The explorers of translations and of a Transformer's heads, with the course's translators of our sentences in them.

    from ch08.translation_explorer import heads_explorer, translation_explorer
    translation_explorer()
    heads_explorer()

The weights that the course ships lie in ``ch08/pretrained/<system>/weights.npz``, under the names of ``ch08.train``.
"""

import functools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from ch08.explorer import NO_WEIGHTS, PRETRAINED, Shipped, sizes_in
from ch08.recipes import SYSTEMS
from ch08.recipes.translation import sentence_tokens
from ch08.transformer import Transformer
from ch08.translator import Translator, vocabularies
from common import subwords
from common.base_model import VOCAB
from common.language import say
from common.np import host, np, to_cpu
from common.npz import load_arrays
from common.parallel import replica
from common.widgets import Alternative, Captions, HeadsExplorer, HeadWeights, Reading, SentenceExplorer
from dataset import sentences, words

# system: (languages of source and target, its name in the explorer's menu)
TRANSLATORS = {
    "plain-words": ("de-en", "German, without attention"),
    "plain-words-unsmoothed": ("de-en", "German, without attention and label smoothing"),
    "luong": ("de-en", "German, Luong"),
    "bahdanau": ("de-en", "German, Bahdanau"),
    "bahdanau-guided": ("de-en", "German, Bahdanau, told where to look"),
    "transformer": ("de-en", "German, Transformer"),
    "gnmt": ("de-en", "German, GNMT"),
    "plain-words-ko": ("ko-en", "Korean, without attention"),
    "luong-ko": ("ko-en", "Korean, Luong"),
    "bahdanau-ko": ("ko-en", "Korean, Bahdanau"),
    "transformer-ko": ("ko-en", "Korean, Transformer"),
    "multi30k-luong": ("de-en", "German, Luong, captions of photographs"),
    "multi30k-notes": ("de-en", "German, Bahdanau, captions of photographs"),
    "multi30k-transformer": ("de-en", "German, Transformer, captions of photographs"),
    "multi30k-gnmt": ("de-en", "German, GNMT, captions of photographs"),
}
PHOTOGRAPHS = tuple(name for name in TRANSLATORS if name.startswith("multi30k-"))  # they learned from Multi30k
NAMES = {system: name for system, (_, name) in TRANSLATORS.items()}
FIRST = "bahdanau"  # the model that the explorer shows at first
LANGUAGES = {"de": "German", "ko": "Korean", "en": "English"}
OF_PHOTOGRAPHS = "German of photographs"
# A sentence with a word that none of ours has, in each language; it follows the examples.
UNKNOWN = {
    "de": "Der Roboter hat die Lehrerin angerufen.",
    "ko": "로봇이 교사에게 전화했어요.",
    "en": "The robot called the teacher.",
}
CAPTIONS_OF_PHOTOGRAPHS = (
    "Ein Mann in einem roten Hemd fährt mit dem Fahrrad durch die Stadt.",
    "Zwei Kinder spielen am Strand mit einem Hund.",
    "Eine Frau mit Sonnenbrille sitzt auf einer Bank und liest ein Buch.",
    "Drei junge Männer spielen auf der Straße Gitarre.",
    "Ein Fußballspieler in einem weißen Trikot schießt den Ball.",
    "Ein kleines Mädchen springt in ein Schwimmbecken.",
    "Mehrere Leute stehen vor einem großen Gebäude und warten auf den Bus.",
    "Ein schwarzer Hund läuft durch den Schnee.",
)
EXAMPLES = 10  # before that one, from the test sentences
LONGEST = 40  # words; ours have at most 20
NO_GOLD = "our sentences have no gold alignment for this one"
OTHER_TRANSLATION = "the gold alignment belongs to the right translation, and this is another one"
CAPTIONS = Captions(
    token="word",
    separator=" ",
    label="sentence",
    example="Der Mann liest einen Brief.",
    about="type a German or Korean sentence and see its translations and where the model looks",
    nothing_to_read="There is nothing to read yet. Type a sentence, or press “another example”.",
    no_truth="is not one of our sentences",
    no_source="nothing in the sentence goes with it",
    marks=frozenset({words.PAD, words.START, words.END}),  # an unknown word is a word
    write=lambda tokens: words.detokenize(subwords.join(tokens)),
)

HEADS_CAPTIONS = replace(CAPTIONS, about="type a sentence and see what each head of each layer looks at")


def load_translator(name, folder=PRETRAINED, dtype=np.float32):
    """Return a Translator with the weights of ``folder/<name>/weights.npz``.

    Its sizes and both vocabularies are read from the file. Args: name, a key of ``TRANSLATORS``; dtype to compute in.
    Raises: KeyError for another name; FileNotFoundError that says how to train the model; ValueError if the file holds
    another kind of model, or does not hold two vocabularies of words.
    """
    if name not in TRANSLATORS:
        raise KeyError(f"there is no translator {name!r}; there are {', '.join(TRANSLATORS)}")
    path = Path(folder) / name / "weights.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist. To train this model: python -m ch08.train {name}; "
            f"then load_translator({name!r}, 'runs/ch08')"
        )
    arrays = load_arrays(path)
    tokens = arrays.pop(VOCAB, None)
    sizes = sizes_in(arrays, f"{path} does not hold {name}")
    if tokens is None:
        raise ValueError(f"{path} holds no vocabulary, so nobody knows which words its numbers stand for")
    languages = TRANSLATORS[name][0].split("-")
    try:
        source, target = vocabularies(SimpleNamespace(vocab=tokens.tolist()), languages)
    except ValueError:
        raise ValueError(f"{path} does not hold {name}: its vocabulary is not that of two languages") from None
    task = SimpleNamespace(source_vocab=source, target_vocab=target)
    model = SYSTEMS[name].model(task, rng=0, dtype=dtype, **sizes)
    model.load_params(path)
    if name not in PHOTOGRAPHS:
        return Translator(model, source, target, tokenize=sentence_tokens)
    if not any(token.startswith(subwords.CONTINUES) for token in tokens.tolist()):
        return Translator(model, source, target)

    def tokenize(text):
        return subwords.cut(words.tokenize(text, source.language), source.word_to_id)

    return Translator(model, source, target, tokenize=tokenize, join=subwords.join)


def available(folder=PRETRAINED):
    """Return the names of the translators whose weights are in ``folder``."""
    return [name for name in TRANSLATORS if (Path(folder) / name / "weights.npz").is_file()]


_splits = functools.cache(sentences.load)


@functools.cache
def _known(pair):
    """Return {words of a sentence: its Example}, for all sentences of two languages."""
    return {tuple(sentence_tokens(example.source)): example for split in _splits(pair) for example in split}


@functools.cache
def examples(pair):
    """Return sentences to show, a tuple; those of two languages at one place say the same.

    The last one has a word that none of our sentences has.
    """
    test = _splits(pair).test
    return (*(example.source for example in test[:: max(len(test) // EXAMPLES, 1)][:EXAMPLES]), UNKNOWN[pair[:2]])


def _example(pair, tokens):
    """Return our Example whose sentence the tokens are, marks included. Raises: ValueError if there is none."""
    example = _known(pair).get(tuple(tokens[1:-1]))
    if example is None:
        raise ValueError(NO_GOLD)
    return example


def right_translation(pair, tokens):
    """Return the translation of one of our sentences, as a model writes it. Raises: ValueError for another sentence."""
    return words.detokenize(sentence_tokens(_example(pair, tokens).target))


def gold_mask(pair, tokens, answer):
    """Return the gold alignment, bool (len(answer), len(tokens)), marks included.

    Raises: ValueError for a sentence that is not ours, and for another translation than ours.
    """
    example = _example(pair, tokens)
    written = [token for token in answer if token not in CAPTIONS.marks]
    if written != sentence_tokens(example.target):
        raise ValueError(OTHER_TRANSLATION)
    mask = host.zeros((len(answer), len(tokens)), bool)
    mask[: len(written), 1:-1] = sentences.gold_mask(example)
    return mask


def search(translator, tokens, beam_size):
    """Return the Alternatives that a beam finds. Args: tokens, with the start and the end mark around them."""
    [found] = translator.translate([tokens[1:-1]], beam_size, n_best=beam_size)
    alternatives = []
    for answer in found:
        end = [words.END] * (len(answer.probs) - len(answer.tokens))
        alternatives.append(Alternative([*answer.tokens, *end], answer.probs, answer.weights, answer.score))
    return alternatives


def unknown(translator, tokens):
    """Return the places of the tokens that a translator does not know."""
    return tuple(i for i, token in enumerate(tokens) if token not in translator.source_vocab.word_to_id)


@functools.cache
def _reading(pair, tokenize):
    return Reading(
        language=LANGUAGES.get(pair[:2], pair[:2]),
        tokenize=lambda text: [words.START, *tokenize(text), words.END],
        examples=examples(pair),
        max_length=LONGEST,
        truth=functools.partial(right_translation, pair),
        gold_mask=functools.partial(gold_mask, pair),
    )


def _reading_of_photographs(translator):
    return Reading(
        language=OF_PHOTOGRAPHS,  # no other model reads these tokens
        tokenize=lambda text: [words.START, *translator.tokenize(text), words.END],
        examples=CAPTIONS_OF_PHOTOGRAPHS,
        max_length=LONGEST,
    )


def translation_explorer(models=None, *, folder=PRETRAINED, **options):
    """Return a SentenceExplorer for translations of our sentences.

    Args:
        models: a dict name -> Translator, such as ``task.translator(model)`` of one that you have just trained; None
            for those in ``folder``.
        options: for SentenceExplorer, such as text, model (a name in its menu, or one of ``NAMES``), step, gold,
            column, beam, alternative, and beside: a second model, whose heatmap of the same sentence is shown beside.

    Two models on one sentence, with the gold alignment:

        translation_explorer(text="Der Mann liest einen Brief.", model="bahdanau", beside="luong", gold=True)

    Raises: FileNotFoundError if models is None and ``folder`` has no weights at all; ValueError for a model whose
    languages our sentences do not have.
    """
    if models is None:
        found = available(folder)
        missing = [name for name in TRANSLATORS if name not in found and name not in PHOTOGRAPHS]
        if not found:
            raise FileNotFoundError(
                f"{folder} has no weights ({', '.join(f'{n}/weights.npz' for n in TRANSLATORS)}). To train a model: "
                f"python -m ch08.train {FIRST}; then translation_explorer(folder='runs/ch08')"
            )
        # in float64 every machine draws the same picture, to the last digit shown
        load = functools.partial(load_translator, folder=folder, dtype=np.float64)
        models = Shipped({NAMES[name]: name for name in found}, load)
        if missing:
            options.setdefault(
                "note",
                say(
                    NO_WEIGHTS,
                    names=", ".join(missing),
                    first=missing[0],
                    call="translation_explorer(folder='runs/ch08')",
                ),
            )
        if NAMES[FIRST] in models:
            options.setdefault("model", FIRST)
        for which in {"model", "beside"} & options.keys():
            options[which] = NAMES.get(options[which], options[which])
        kinds = {name: (TRANSLATORS[system][0], sentence_tokens) for name, system in models.systems.items()}
        photographs = {NAMES[name] for name in PHOTOGRAPHS}
    else:
        kinds = {name: (_pair(model), model.tokenize) for name, model in models.items()}
        photographs = ()

    def reading(name):
        """The sentences of a language are read when it is first chosen, and so is a model's vocabulary."""
        if name in photographs:
            return _reading_of_photographs(models[name])
        return _reading(*kinds[name])

    return SentenceExplorer(
        models,
        search,
        reading=reading,
        unknown=unknown,
        captions=CAPTIONS,
        **options,
    )


def _pair(translator):
    return f"{translator.source_vocab.language}-{translator.target_vocab.language}"


def read_heads(translator, tokens):
    """Return (the answer's tokens, {kind: HeadWeights}) of a Transformer: where all its heads look.

    The model writes its own translation (greedy); then one forward pass without dropout reads the sentence and that
    translation. In the decoder, query t is the step that writes token t; its keys are the start mark and the tokens
    before t. Args: tokens, with the start and the end mark around them.
    """
    [[answer]] = translator.translate([tokens[1:-1]])
    end = [words.END] * (len(answer.probs) - len(answer.tokens))
    written = [*answer.tokens, *end]
    read = [words.START, *written[:-1]]
    # an unknown word is read as such, even where the translation shows another in its place
    known = [words.UNKNOWN if t - 1 in answer.unknown else token for t, token in enumerate(read)]
    model = replica(translator.model).eval()
    hs_enc, mask = model.encoder.forward(np.asarray(translator.source_vocab.encode(tokens[1:-1]))[None])
    model.decoder.forward(np.asarray(translator.target_vocab.encode(known, marks=False))[None], hs_enc, mask)

    def stacked(attentions):
        return host.stack([to_cpu(attention.weights)[0] for attention in attentions])  # (L, M, T_q, T_k)

    encoder, decoder = model.encoder.layers, model.decoder.layers
    return written, {
        "encoder": HeadWeights(stacked(layer.attention for layer in encoder), tokens, tokens),
        "decoder": HeadWeights(stacked(layer.attention for layer in decoder), written, read),
        "cross": HeadWeights(stacked(layer.cross_attention for layer in decoder), written, tokens),
    }


def heads_explorer(model="transformer", text=None, folder=PRETRAINED, **options):
    """Return a HeadsExplorer: what each head of each layer of a Transformer looks at when it translates a sentence.

    Args:
        model: the name of a Transformer among ``TRANSLATORS``, or a Translator, such as ``task.translator(model)`` of
            one that you have just trained.
        text: the sentence in the box at first; None for one of our test sentences.
        options: for HeadsExplorer, such as kind ("encoder", "decoder", "cross"), layer, head (a number or "mean"),
            row, column.

        heads_explorer(text="Der Mann liest einen Brief.", kind="cross", layer=2, head="mean")

    Raises: as ``load_translator``; ValueError for a model that is not a Transformer, and for languages that our
    sentences do not have.
    """
    translator = model
    if not isinstance(model, Translator):
        # in float64 every machine draws the same picture, to the last digit shown
        translator = load_translator(model, folder, dtype=np.float64)
    if not isinstance(translator.model, Transformer):
        name = type(translator.model).__name__
        raise ValueError(f"heads_explorer: {model!r} is a {name}, which has no heads; it shows a Transformer")
    if isinstance(model, str) and model in PHOTOGRAPHS:
        reading = _reading_of_photographs(translator)
    else:
        reading = _reading(_pair(translator), translator.tokenize)
    return HeadsExplorer(
        functools.partial(read_heads, translator),
        reading=reading,
        captions=HEADS_CAPTIONS,
        text=text,
        unknown=functools.partial(unknown, translator),
        **options,
    )

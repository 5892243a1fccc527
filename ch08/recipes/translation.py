"""Translating: the task, and what every translation recipe needs.

    corpus = sentence_corpus("de-en")     # or multi30k_corpus(), or file_corpus("pairs.tsv")
    task = Translation(corpus, batch_size=64)

A sentence is read and written with a start and an end mark around it. Its gold links, where a corpus has them, say
which words of a translation go with which words of the sentence.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from ch08.alignment import alignment_error_rate
from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.translator import Translator, joined
from common import subwords
from common.decoding import forced_log_probs
from common.metrics import bleu, exact_match, perplexity
from common.np import host, np, to_cpu
from common.parallel import replica
from common.plots import attention_heatmap
from common.training.batch import Batch
from common.training.recipe import Recipe, System
from common.training.task import content_hash
from dataset import multi30k, sentences, words


class Side(NamedTuple):
    """Sentences as lists of tokens, their translations, and the gold links of each pair, or None."""

    source: list
    target: list
    links: list | None = None


class Corpus(NamedTuple):
    """Sentences and translations to learn from, to look at meanwhile, and to test with; the two languages.

    tokenize: a function from a text of the source language to tokens, as the sentences were cut; None for
    ``dataset.words.tokenize``. pieces: None, or the sub-words of either language, two lists, that the tokens are.
    """

    name: str
    languages: tuple
    train: Side
    valid: Side
    test: Side
    tokenize: Callable | None = None
    pieces: tuple | None = None

    def join(self, tokens):
        """Return the words that tokens of a sentence write, a list."""
        return subwords.join(tokens) if self.pieces else list(tokens)


def sentence_corpus(pair="de-en"):
    """Return our own sentences as a Corpus. Args: pair, as for ``dataset.sentences.load``."""
    splits = sentences.load(pair)
    sides = [
        Side(
            [sentence_tokens(example.source) for example in split],
            [sentence_tokens(example.target) for example in split],
            [example.links for example in split],
        )
        for split in splits
    ]
    return Corpus(f"sentences {pair}", tuple(pair.split("-")), *sides, tokenize=sentence_tokens)


def sentence_tokens(text):
    """Return the words and marks of one of our own sentences, in lower case; links count these."""
    return [token.lower() for token in sentences.tokens(text)]


def multi30k_corpus(folder=multi30k.FOLDER):
    """Return Multi30k, German to English, as a Corpus."""
    sides = [_tokenized(*multi30k.load(split, folder), ("de", "en")) for split in multi30k.SPLITS]
    return Corpus("Multi30k de-en", ("de", "en"), *sides)


def file_corpus(path, languages=("de", "en"), share=0.05):
    """Return the sentence pairs of a file, ``sentence<tab>translation`` in each line, as a Corpus.

    Every twentieth pair (``share``) is kept for looking at meanwhile, and as many for the test; which ones depends on
    the number of pairs alone. Raises: as ``dataset.words.read_pairs``; ValueError for fewer than 10 pairs.
    """
    source, target = words.read_pairs(path)
    if len(source) < 10:
        raise ValueError(f"{path} has {len(source)} sentence pairs; at least 10 are needed to train and to test")
    order = host.random.default_rng(0).permutation(len(source))
    count = max(round(share * len(source)), 1)
    parts = order[2 * count :], order[:count], order[count : 2 * count]
    sides = [_tokenized([source[k] for k in rows], [target[k] for k in rows], languages) for rows in parts]
    return Corpus(str(path), tuple(languages), *sides)


def subword_corpus(corpus, size, joint=False):
    """Return a Corpus of words as one of sub-words, at most ``size`` in each language; they are learned from ``train``.

    Args: joint, learn one list for both languages together, of at most ``size``, so that they can share embeddings.
    Gold links count words, so it has none. Raises: as ``common.subwords.learn``.
    """
    if joint:
        pieces = 2 * (subwords.learn(corpus.train.source + corpus.train.target, size),)
    else:
        pieces = tuple(subwords.learn(getattr(corpus.train, name), size) for name in ("source", "target"))
    source, target = map(frozenset, pieces)
    sides = [
        Side([subwords.cut(x, source) for x in side.source], [subwords.cut(t, target) for t in side.target])
        for side in (corpus.train, corpus.valid, corpus.test)
    ]
    tokenize = corpus.tokenize or functools.partial(words.tokenize, language=corpus.languages[0])
    return Corpus(
        f"{corpus.name}, {size} {'joint ' if joint else ''}sub-words",
        corpus.languages,
        *sides,
        tokenize=lambda text: subwords.cut(tokenize(text), source),
        pieces=pieces,
    )


def _tokenized(source, target, languages):
    both = zip((source, target), languages, strict=True)
    return Side(*([words.tokenize(text, language) for text in texts] for texts, language in both))


class Translation:
    """Sentences and their translations as ids.

    Args:
        corpus: a Corpus.
        batch_size, seed: of the batches, whose rows have like lengths.
        min_count: how often a word must occur in the training sentences to be known; sub-words are known in any case.
        headline: what is measured first, "exact_match" or "bleu".
        beam_size: of the search in full measurements; 1 is greedy.
        replace_unknown: write, where the model wrote the mark for an unknown word, the word of the sentence that it
            looked at most (Luong et al. 2015, "Addressing the Rare Word Problem").
        labeled: the number of training pairs that come with their gold alignment.

    Attributes: source_vocab, target_vocab, each a ``dataset.words.WordVocab``.
    """

    def __init__(
        self,
        corpus,
        *,
        batch_size=128,
        seed=0,
        min_count=1,
        headline="exact_match",
        beam_size=1,
        replace_unknown=False,
        labeled=0,
    ):
        if labeled and corpus.train.links is None:
            raise ValueError(f"Translation: {corpus.name} has no gold links, so labeled must be 0, got {labeled}")
        self.corpus, self.batch_size, self.seed = corpus, batch_size, seed
        self.headline, self.beam_size, self.replace_unknown = headline, beam_size, replace_unknown
        self.labeled = labeled
        if corpus.pieces:
            vocabs = map(words.WordVocab, corpus.pieces, corpus.languages)
        else:
            both = zip((corpus.train.source, corpus.train.target), corpus.languages, strict=True)
            vocabs = (words.WordVocab.of(side, language, min_count) for side, language in both)
        self.source_vocab, self.target_vocab = vocabs
        self.xs, x_lengths = self.source_vocab.encode_all(corpus.train.source)
        self.ts, t_lengths = self.target_vocab.encode_all(corpus.train.target)
        self._lengths = host.stack((x_lengths, t_lengths), axis=1)
        self.max_length = int(1.5 * t_lengths.max())  # of a translation, in tokens
        self.settings = {
            "data": corpus.name,
            "content": content_hash(self.xs, self.ts, host.array(self.tokens)),
            "min_count": min_count,
            "headline": headline,
            "beam_size": beam_size,
            "replace_unknown": replace_unknown,
            "labeled": labeled,
        }

    @property
    def tokens(self):
        """The words of the source, then those of the target, each in the order of their ids and from ``<pad>`` on."""
        return joined(self.source_vocab, self.target_vocab)

    @property
    def test_size(self):
        """Test sentences."""
        return len(self.corpus.test.source)

    @property
    def steps_per_epoch(self):
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.xs) // self.batch_size)

    def batches(self, epoch):
        """Yield the Batches of an epoch, padded to the longest row of each: xs, ts and, where known, gold."""
        rng = host.random.default_rng([self.seed, epoch])
        for rows in words.length_batches(self._lengths, self.batch_size, rng):
            T_enc, T_dec = self._lengths[rows].max(axis=0)
            xs, ts = np.asarray(self.xs[rows, :T_enc]), np.asarray(self.ts[rows, :T_dec])
            gold = self._gold(rows, T_dec - 1, T_enc)
            yield Batch((ts[:, 1:] != words.PAD_ID).sum(), xs=xs, ts=ts, gold=gold)

    def _gold(self, rows, T_dec, T_enc):
        """Return the gold alignment of these training pairs, bool (N, T_dec, T_enc), or None if none has one."""
        labeled = host.flatnonzero(rows < self.labeled)
        if not len(labeled):
            return None
        gold = host.zeros((len(rows), T_dec, T_enc), bool)
        for n in labeled:
            for t, s in self.corpus.train.links[rows[n]]:
                gold[n, t, s + 1] = True  # the start mark stands at 0
        return np.asarray(gold)

    def measure(self, model, rows=None):
        """Return what the model reaches, the headline first.

        Args: rows, the number of validation sentences of a quick look, greedy, which returns the headline alone; None:
        all test sentences, by beam search if there is one, and more is returned.
        """
        if rows is not None:
            side = Side(*(part and part[:rows] for part in self.corpus.valid))
            return self._of_answers(side, self.translator(model).translate(side.source))
        side = self.corpus.test
        answers = self.translator(model).translate(side.source, self.beam_size)
        found = self._of_answers(side, answers)
        if side.links is not None and answers[0][0].weights is not None:
            found["alignment_error"] = self._alignment_error(model, side)
        found["perplexity"] = self.perplexity(model, side)
        if self.headline == "bleu":  # some published tables show this one
            found["own_words_perplexity"] = self.perplexity(model, side, own_tokens=True)
        return found

    def _of_answers(self, side, answers):
        guesses = [self.corpus.join(best.tokens) for best, *_ in answers]
        right = [self.corpus.join(tokens) for tokens in side.target]
        if self.headline == "bleu":
            return {"bleu": bleu(guesses, right).score}
        return {"exact_match": exact_match(guesses, right)}

    def encoded(self, side):
        """Return the ids of a Side, xs (N, T_enc) and ts (N, T_dec + 1), with their marks."""
        return self.source_vocab.encode_all(side.source)[0], self.target_vocab.encode_all(side.target)[0]

    def perplexity(self, model, side, own_tokens=False):
        """Return the perplexity of the right translations, with the right words fed in or with the model's own."""
        xs, ts = self.encoded(side)
        log_probs = forced_log_probs(model, np.asarray(xs), np.asarray(ts), own_tokens=own_tokens, pad_id=words.PAD_ID)
        return perplexity(-to_cpu(log_probs)[ts[:, 1:] != words.PAD_ID].mean())

    def _alignment_error(self, model, side):
        """Of the weights with which a model, given the right translations, looks at the words."""
        part, weights = replica(model).eval(), []
        xs, ts = self.encoded(side)
        for k in range(0, len(xs), 128):
            part.forward(np.asarray(xs[k : k + 128]), np.asarray(ts[k : k + 128]))
            weights.extend(to_cpu(part.decoder.weights))  # (T_dec, T_enc) of each row
        links = [[(t, s + 1) for t, s in pairs] for pairs in side.links]  # the start mark stands at 0
        return alignment_error_rate(weights, links)

    def translator(self, model):
        """Return a Translator with this task's vocabularies."""
        return Translator(
            model,
            self.source_vocab,
            self.target_vocab,
            tokenize=self.corpus.tokenize,
            join=self.corpus.join,
            replace_unknown=self.replace_unknown,
            max_length=self.max_length,
        )

    def examples(self, model, count=10):
        """Return lines for ``count`` test sentences: the sentence, the model's translation, the right one."""
        side = Side(*(part and part[:count] for part in self.corpus.test))
        answers = self.translator(model).translate(side.source)
        lines = []
        for source, [answer], target in zip(side.source, answers, side.target, strict=True):
            right = answer.tokens == target
            text, wanted = (words.detokenize(self.corpus.join(tokens)) for tokens in (source, target))
            wanted = "" if right else f"   (right: {wanted})"
            lines.append(f"{'right' if right else 'WRONG'}  {text}  ->  {answer.text}{wanted}")
        return lines

    def figures(self, model):
        """Return {"attention": the heatmap of the first test sentence} for a model with attention, else {}."""
        sentence = self.corpus.test.source[0]
        [[answer]] = self.translator(model).translate([sentence])
        if answer.weights is None:
            return {}
        tokens = answer.tokens or [" "]  # it ended at once: its end mark is drawn
        rows, columns = len(tokens), len(sentence)
        return {"attention": attention_heatmap(answer.weights[:rows, 1 : columns + 1], sentence, tokens)}


def translation_model(model_class, task, *, rng, dtype=np.float32, wordvec_size=256, hidden_size=256):
    """Return a new model for the two vocabularies of a task."""
    sizes = len(task.source_vocab), len(task.target_vocab), wordvec_size, hidden_size
    return model_class(*sizes, dtype=dtype, rng=rng)


def multi30k_task(data=None, *, batch_size, seed, pieces=None, joint=False, **options):
    """Return the task of translating Multi30k.

    Args: data, a file of your own pairs in its place; pieces, joint, of sub-words as for ``subword_corpus``, or
    pieces=None for words that occur at least twice; the rest as for Translation.
    """
    corpus = multi30k_corpus() if data is None else file_corpus(data)
    if pieces is not None:
        corpus = subword_corpus(corpus, pieces, joint)
    return Translation(corpus, batch_size=batch_size, seed=seed, min_count=2, headline="bleu", **options)


def prepare(model, task=None, *, scale=0.1):
    """Let the embeddings start at ``scale`` rather than at the book's 0.01."""
    for part in (model.encoder, model.decoder):
        W = part.embed.params[0]
        W *= scale / 0.01


NOTES = Recipe(epochs=10, learning_rate=0.001, warmup_steps=200, max_grad=1.0)
LUONG = Recipe(epochs=12, batch_size=64, learning_rate=0.002, warmup_steps=400)

SYSTEMS = {
    "multi30k-notes": System(
        "Multi30k, German to English, Bahdanau at the PyTorch notes' sizes",
        multi30k_task,
        functools.partial(
            translation_model, functools.partial(BahdanauSeq2seq, dropout=0.5), wordvec_size=256, hidden_size=512
        ),
        NOTES,
        prepare,
    ),
    "multi30k-luong": System(
        "Multi30k, German to English, Luong with input feeding, two readers and sub-words",
        functools.partial(multi30k_task, pieces=4000, beam_size=5),
        functools.partial(
            translation_model,
            functools.partial(
                LuongSeq2seq,
                score="general",
                input_feeding=True,
                bidirectional=True,
                dropout=0.4,
                label_smoothing=0.1,
            ),
            wordvec_size=192,
            hidden_size=320,
        ),
        LUONG,
        prepare,
    ),
}

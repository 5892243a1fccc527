"""A translation model with its two vocabularies: sentences in, sentences out.

translator = Translator(model, source_vocab, target_vocab)
[best], = translator.translate(["Ein Lehrer hat die Frau angerufen."])
best.text, best.weights                # words, and where each of them looked
"""

from typing import NamedTuple

from common.decoding import beam
from common.np import host, np
from dataset import words


class Answer(NamedTuple):
    """One translation, on the CPU.

    tokens: T words or sub-words and marks, without start and end. text: the same as a sentence. score: what a beam
    compares.
    probs (T + 1,): the probability that the model gave each token and the end mark, given those before it.
    weights (T + 1, S): where each of them looked, over the S tokens of the sentence with its start and end mark; None
    for a model without attention. unknown: the positions of words that were unknown to the target vocabulary.
    An answer that was cut off at the greatest length has no end mark: probs and weights then have T rows.
    """

    tokens: list
    text: str
    score: float
    probs: object
    weights: object
    unknown: tuple


class Translator:
    """Translate with a model.

    Args:
        model, with ``start`` and ``step``; source_vocab and target_vocab, two ``dataset.words.WordVocab``.
        tokenize: a function from a text to its tokens; None for that of the source vocabulary's language. join: a
            function from the tokens of a translation to its words; None where tokens are words.
        replace_unknown: write, where the model wrote the mark for an unknown word, the word of the sentence that it
            looked at most. Source: Luong et al. 2015, "Addressing the Rare Word Problem", where a model without
            attention is taught to point.
        max_length: of a translation, in tokens; None for twice the longest sentence of a call and 10 more.
    """

    def __init__(
        self,
        model,
        source_vocab,
        target_vocab,
        *,
        tokenize=None,
        join=None,
        replace_unknown=False,
        max_length=None,
    ):
        self.model, self.source_vocab, self.target_vocab = model, source_vocab, target_vocab
        self.tokenize = tokenize or (lambda text: words.tokenize(text, source_vocab.language))
        self.join = join or list
        self.replace_unknown, self.max_length = replace_unknown, max_length

    def translate(self, sentences, beam_size=1, n_best=1, length_penalty=0.6, coverage_penalty=0.0):
        """Return a list of ``n_best`` Answers, the best first, for each of N sentences, texts or lists of tokens.

        Args: beam_size, 1 is greedy; length_penalty and coverage_penalty, see ``common.decoding.beam``. The start and
        the end mark of a sentence are positions to cover like its words.
        Raises: ValueError for a sentence without words, with its position.
        """
        sentences = [self.tokenize(text) if isinstance(text, str) else list(text) for text in sentences]
        for k, sentence in enumerate(sentences):
            if not sentence:
                raise ValueError(f"translate: sentence {k} (the first is 0) has no words")
        xs, lengths = self.source_vocab.encode_all(sentences)
        found = beam(
            self.model,
            np.asarray(xs),
            words.START_ID,
            words.END_ID,
            self.max_length or 2 * int(lengths.max()) + 10,
            beam_size,
            length_penalty,
            n_best,
            coverage_penalty=coverage_penalty,
            pad_id=words.PAD_ID,
        )
        return [
            [self._answer(sentence, hypothesis) for hypothesis in hypotheses]
            for sentence, hypotheses in zip(sentences, found, strict=True)
        ]

    def _answer(self, sentence, hypothesis):
        ids = hypothesis.ids[: -1 if hypothesis.ids[-1] == words.END_ID else None]
        tokens = [self.target_vocab.id_to_word[int(i)] for i in ids]
        weights = hypothesis.weights
        if weights is not None:
            weights = weights[:, : len(sentence) + 2]  # what follows the end mark is padding
        unknown = tuple(t for t, i in enumerate(ids) if i == words.UNKNOWN_ID)
        if self.replace_unknown and weights is not None:
            for t in unknown:
                tokens[t] = sentence[int(weights[t, 1:-1].argmax())]
        return Answer(
            tokens,
            words.detokenize(self.join(tokens)),
            hypothesis.score,
            host.exp(hypothesis.log_probs),
            weights,
            unknown,
        )


def vocabularies(model, languages):
    """Return the source and the target vocabulary that a model's ``vocab`` holds one after the other.

    Args: model, or any object with ``vocab``, the tokens of both; languages, of source and target, such as
    ("de", "en"). Raises: ValueError if ``vocab`` is none or does not hold two vocabularies of words.
    """
    tokens = list(model.vocab or ())
    starts = [k for k, token in enumerate(tokens) if token == words.PAD]
    count = len(words.MARKS)
    if len(starts) != 2 or any(tuple(tokens[k : k + count]) != words.MARKS for k in starts):
        raise ValueError(f"{type(model).__name__}: its vocabulary does not consist of two, each from {words.PAD} on")
    parts = tokens[: starts[1]], tokens[starts[1] :]
    return tuple(
        words.WordVocab(part[count:], language, source="the weights' vocabulary")
        for part, language in zip(parts, languages, strict=True)
    )


def joined(source_vocab, target_vocab):
    """Return the tokens of two vocabularies one after the other, for a model's ``vocab``."""
    return [*source_vocab.char_to_id, *target_vocab.char_to_id]

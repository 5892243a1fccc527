"""Reading dates: the task, the recipes, and what ``python -m ch08.train NAME`` trains on it."""

import functools
from dataclasses import replace

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.alignment import alignment_score, gold_alignment
from ch08.attention_seq2seq import AttentionSeq2seq
from common.np import host, np
from common.training.recipe import Recipe, System
from common.training.task import Pairs
from dataset import sequence


class Dates(Pairs):
    """Questions and answers of a data file, and the noise that helps attention to learn dates.

    Args:
        data, split: as for ``dataset.sequence.load``.
        batch_size, seed, reverse, trim, padded: as for Pairs.
        noise: the share of separators that are unreliable, see ``noisy``.
        hide: the share of separators that are hidden from the attention, see ``mask``.
        explore: that of the other characters, in the first ``explore_steps`` batches.
        word_dropout: the share of the characters fed to the decoder that are replaced, see ``word_dropped``.
        labeled: the number of training questions that come with their gold alignment.
    """

    def __init__(
        self,
        data="date.txt",
        split="grouped",
        *,
        batch_size=128,
        seed=0,
        reverse=True,
        trim=True,
        padded=0.0,
        noise=0.0,
        hide=0.0,
        explore=0.0,
        explore_steps=0,
        word_dropout=0.0,
        labeled=0,
    ):
        super().__init__(
            sequence.load(data, split=split),
            name=str(data),
            batch_size=batch_size,
            seed=seed,
            reverse=reverse,
            trim=trim,
            padded=padded,
        )
        self.noise, self.hide, self.word_dropout = noise, hide, word_dropout
        self.explore, self.explore_steps = explore, explore_steps
        self.settings |= dict(split=split, noise=noise, hide=hide, explore=explore, explore_steps=explore_steps)
        self.settings |= dict(word_dropout=word_dropout, labeled=labeled)
        chars = list(self.vocab.char_to_id)
        self.separator = host.array([not c.isalnum() and c != sequence.START for c in chars])  # for every id
        self.letters = host.array([not c.isdigit() and c != sequence.START for c in chars])  # and separators
        self.gold = self._gold(labeled)

    def _gold(self, labeled):
        """Return the gold alignment of the first training questions, bool (labeled, T_dec, T)."""
        if labeled == 0:
            return host.zeros((0, self.answer_length, self.x_train.shape[1]), bool)
        rows = self.x_train[:labeled]
        try:
            return gold_alignment([self.text(row) for row in rows], rows.shape[1])
        except ValueError as error:
            raise ValueError(f"only dates tell where their digits come from, and this is not one: {error}") from None

    def batches(self, epoch):
        """Yield the Batches of an epoch: xs, ts and, where asked for, decoder_xs, mask and gold."""
        rng = self.epoch_rng(epoch)
        for step, (rows, width) in enumerate(self.draw(rng), 1):
            xs, ts = self.x_train[rows, :width], self.t_train[rows]
            gold = self._gold_of(rows, width)
            if self.noise:
                xs, origin = self.noisy(xs, rng)
                if gold is not None:
                    gold = host.take_along_axis(gold, origin[:, None], axis=2)
            others = self.explore if epoch == 1 and step <= self.explore_steps else 0.0
            mask = self.mask(xs, others, rng) if self.hide or others else None
            decoder_xs = self.word_dropped(ts, rng) if self.word_dropout else None
            yield self.batch(xs, ts, decoder_xs, mask=mask, gold=gold)

    def _gold_of(self, rows, width):
        """Return the gold alignment of these training rows, (N, T_dec, width), or None if none of them has one."""
        known = rows < len(self.gold)
        if not known.any():
            return None
        out = host.zeros((len(rows), self.answer_length, width), bool)
        out[known] = self.gold[rows[known], :, :width]
        return out

    def noisy(self, xs, rng):
        """Return a copy of questions xs (N, T) with unreliable separators, and the column each character came from.

        A share ``noise`` of what is neither letter, digit nor padding is gone or, one time in two, some other character
        that is not a digit. Slashes are never gone: without them the numbers on both sides would run together.
        """
        slash = self.vocab.char_to_id.get("/", -1)
        real = host.arange(xs.shape[1]) < self.lengths(xs)[:, None]
        hit = real & self.separator[xs] & (rng.uniform(size=xs.shape) < self.noise)
        gone = hit & (xs != slash) & (rng.uniform(size=xs.shape) < 0.5)
        swapped = hit & ~gone
        out = xs.copy()
        out[swapped] = rng.choice(host.flatnonzero(self.letters), swapped.sum())
        out[gone] = self.pad_id
        origin = host.argsort(gone, axis=1, kind="stable")  # what is gone becomes padding at the end
        return host.take_along_axis(out, origin, axis=1), origin

    def mask(self, xs, others, rng):
        """Return a mask (N, T) for the attention, False where a character of the questions xs (N, T) is hidden.

        Args: others, the random share to hide of what is not a separator.
        A question of which nothing would be left stays whole, as attention needs something to look at.
        """
        hidden = rng.random(xs.shape) < host.where(self.separator[xs], self.hide, others)
        hidden[hidden.all(axis=1)] = False
        return ~hidden

    def word_dropped(self, ts, rng):
        """Return what the decoder is fed while it learns to write ts[:, 1:]: a copy of ts[:, :-1], (N, T_dec).

        A share ``word_dropout`` of it, but never the start mark, is replaced by random letters or digits of the answers
        (for dates: by digits). Source: Bowman et al. 2016 (word dropout); there a mark for an unknown word is put in.
        """
        chars = host.unique(self.t_train[:, 1:])
        out = ts[:, :-1].copy()
        hit = rng.random(out.shape) < self.word_dropout
        hit[:, 0] = False
        out[hit] = rng.choice(chars[~self.separator[chars]], hit.sum())
        return out

    def measure(self, model, rows=None):
        """Return exact_match, and for a model with attention that reads dates the alignment's mass and hit."""
        xs = self.x_test[:rows]
        ids, _, weights = self.decode(model, xs, with_details=True)
        found = {"exact_match": self.exact_match(ids)}
        if weights is not None:
            try:
                score = alignment_score(weights, [self.text(row) for row in xs])
                found |= {"mass": score.mass, "hit": score.hit}
            except ValueError:  # the data are not dates, so there is no gold alignment
                pass
        return found


def date_model(model_class, task, *, rng, dtype=np.float32, wordvec_size=16, hidden_size=256):
    """Return a new model for the characters of a task."""
    return model_class(len(task.vocab), wordvec_size, hidden_size, dtype=dtype, rng=rng)


def prepare_fast(model, task=None):
    """Change a new model's first weights for the fast recipe, so that the attention has something to choose from.

    Dot-product attention can prefer one hidden state to another only once they differ. The book's embeddings (standard
    deviation 0.01) make all hidden states small and alike, and most of its first epochs go into growing them: here they
    start at 1.
    """
    for part in (model.encoder, model.decoder):
        W = part.embed.params[0]
        W *= 100


def prepare_aligned(model, task):
    """Change a new model's first weights as ``prepare_fast`` does, and let separators clear the encoder's memory.

    What a state has forgotten can only be fetched where it was read. The first number of every embedding is 1 for a
    separator and 0 otherwise. In all cells but two a 1 closes the forget gate and the input gate: nothing is kept,
    nothing added. The last two cells are counters. They keep what they have, only a separator adds to it, and so every
    state knows how many separators came before it. Training may change all of it.
    """
    prepare_fast(model)
    W = model.encoder.embed.params[0]  # (V, D)
    Wx, Wh, b = model.encoder.lstm.params  # (D, 4H), (H, 4H), (4H,)
    H = len(Wh)
    counters = slice(max(H - 2, 0), H)
    W[:, 0] = np.asarray(task.separator)
    f, g, i, o = Wx[0].reshape(4, H)  # what a separator adds to the gates, in the order f, g, i, o
    bf, _, bi, _ = b.reshape(4, H)
    g[:] = o[:] = 0
    f[:] = i[:] = -8  # sigmoid(-8) is 0.0003
    f[counters], bf[counters] = 0, 8  # always open
    i[counters], bi[counters] = 16, -8  # open at a separator only
    g[counters] = 3  # tanh(3) is 0.995: about 1 is added


def prepare_guided(model, task):
    """Change a new model's first weights as ``prepare_aligned`` does, and let the few labeled questions have a say."""
    prepare_aligned(model, task)
    model.alignment_loss.weight = 10.0


BOOK = Recipe(epochs=10)  # section 8.3 of the book
FAST = Recipe(
    epochs=1,
    batch_size=48,
    learning_rate=0.004,
    warmup_steps=150,
    weight_decay=0.1,
    beta2=0.99,  # so that the small gradients of the end are not measured against the large ones of the start
)
ALIGNED = replace(FAST, epochs=2, batch_size=72)

book_dates = functools.partial(Dates, trim=False)
noisy_dates = functools.partial(Dates, padded=0.1, noise=0.15)
# Hidden characters keep the attention from settling on a letter that two months share, before it can tell them apart:
# where a softmax gives all of its weight to one place, hardly a gradient gets through, and it stays there.
fast_dates = functools.partial(noisy_dates, explore=0.2, explore_steps=400)
aligned_dates = functools.partial(fast_dates, hide=0.97, explore_steps=150, word_dropout=0.2)
guided_dates = functools.partial(aligned_dates, labeled=450)

seq2seq = functools.partial(date_model, Seq2seq)
peeky = functools.partial(date_model, PeekySeq2seq)
attention = functools.partial(date_model, AttentionSeq2seq)

SYSTEMS = {
    "attention": System("attention over all hidden states", fast_dates, attention, FAST, prepare_fast),
    "aligned": System("attention kept off the separators, clearer", aligned_dates, attention, ALIGNED, prepare_aligned),
    "guided": System("aligned, told where to look 1 time in 100", guided_dates, attention, ALIGNED, prepare_guided),
    "peeky": System("one vector, seen at every step", noisy_dates, peeky, FAST, prepare_fast),
    "seq2seq": System("one vector, seen once", noisy_dates, seq2seq, FAST, prepare_fast),
    "attention-book": System("attention, the book's recipe", book_dates, attention, BOOK),
    "peeky-book": System("one vector, seen at every step, the book's recipe", book_dates, peeky, BOOK),
    "seq2seq-book": System("one vector, seen once, the book's recipe", book_dates, seq2seq, BOOK),
}

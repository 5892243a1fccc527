"""Sub-words: words cut into pieces, so that a few thousand of them write every word.

    pieces = subwords.learn(sentences, 4000)  # a list; needs the library tokenizers, once
    subwords.cut(["fußballspieler"], set(pieces))  # ["fußball", "##spieler"]
    subwords.join(["fußball", "##spieler"])  # ["fußballspieler"]

A piece that continues a word begins with ``##``. Cutting needs no more than the set of pieces: from the beginning of a
word the longest piece is cut off, then the longest of what is left.

Sources: Schuster and Nakajima 2012 (word pieces); Wu et al. 2016, section 4.1; Sennrich et al. 2016 (sub-words).
"""

CONTINUES = "##"


def learn(sentences, size):
    """Return a list of at most ``size`` pieces for sentences, lists of words: all letters, then the most useful pieces.

    Args: size, of the list; a vocabulary's marks come on top. Raises: ImportError that says what to install,
    if the library ``tokenizers`` is not there; ValueError if ``size`` is too small for the letters.
    """
    try:
        from tokenizers import Tokenizer
        from tokenizers.models import WordPiece
        from tokenizers.pre_tokenizers import WhitespaceSplit
        from tokenizers.trainers import WordPieceTrainer
    except ImportError:
        raise ImportError("learning sub-words needs the library tokenizers: pip install tokenizers") from None
    words = {word for sentence in sentences for word in sentence}
    letters = sorted({word[0] for word in words} | {CONTINUES + letter for word in words for letter in word[1:]})
    if len(letters) > size:
        raise ValueError(f"the sentences have {len(letters)} letters, which do not fit into {size} sub-words")
    tokenizer = Tokenizer(WordPiece())
    tokenizer.pre_tokenizer = WhitespaceSplit()
    # The library numbers letters in random order and lets the numbers decide between pairs that are equally frequent.
    # Special tokens keep the order in which they are given.
    trainer = WordPieceTrainer(
        vocab_size=size, special_tokens=letters, show_progress=False, continuing_subword_prefix=CONTINUES
    )
    tokenizer.train_from_iterator((" ".join(sentence) for sentence in sentences), trainer)
    found = tokenizer.get_vocab()
    return sorted(found, key=found.get)[:size]


def cut(words, pieces):
    """Return the pieces of words, a list. Args: pieces, a set or the keys of a dict.

    A word that cannot be written with the pieces, because of a letter that none of them has, stays whole.
    """
    return [piece for word in words for piece in _cut_word(word, pieces)]


def _cut_word(word, pieces):
    found, start = [], 0
    while start < len(word):
        prefix = CONTINUES if start else ""
        end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in pieces), None)
        if end is None:
            return [word]
        found.append(prefix + word[start:end])
        start = end
    return found


def join(pieces):
    """Return the words of pieces, a list. A piece that continues a word where none has begun begins one."""
    words = []
    for piece in pieces:
        if piece.startswith(CONTINUES) and len(piece) > len(CONTINUES):
            if words:
                words[-1] += piece[len(CONTINUES) :]
            else:
                words.append(piece[len(CONTINUES) :])
        else:
            words.append(piece)
    return words

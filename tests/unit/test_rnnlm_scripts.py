"""Language models and text generation in the style of the book's chapters 6 and 7.1, with our layers.

As in ``test_reader_scripts``, the scripts are written as readers write them, and each runs in a process of its own.
"""

import os
import shutil
import subprocess
import sys

import pytest

RNNLM = """
import sys
sys.path.append('..')
from common.time_layers import *
from common.base_model import BaseModel

class Rnnlm(BaseModel):
    def __init__(self, vocab_size=10000, wordvec_size=100, hidden_size=100):
        V, D, H = vocab_size, wordvec_size, hidden_size
        r = np.random.randn
        self.layers = [
            TimeEmbedding((r(V, D) / 100).astype('f')),
            TimeLSTM((r(D, 4 * H) / np.sqrt(D)).astype('f'), (r(H, 4 * H) / np.sqrt(H)).astype('f'),
                     np.zeros(4 * H).astype('f'), stateful=True),
            TimeAffine((r(H, V) / np.sqrt(H)).astype('f'), np.zeros(V).astype('f')),
        ]
        self.loss_layer = TimeSoftmaxWithLoss()
        self.lstm_layer = self.layers[1]
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads

    def predict(self, xs):
        for layer in self.layers:
            xs = layer.forward(xs)
        return xs

    def forward(self, xs, ts):
        return self.loss_layer.forward(self.predict(xs), ts)

    def backward(self, dout=1):
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout

    def reset_state(self):
        self.lstm_layer.reset_state()

class BetterRnnlm(BaseModel):
    '''Two LSTMs with dropout between the layers; the output shares its weight with the embedding.'''

    def __init__(self, vocab_size=10000, wordvec_size=650, hidden_size=650, dropout_ratio=0.5):
        V, D, H = vocab_size, wordvec_size, hidden_size
        r = np.random.randn
        W = (r(V, D) / 10).astype('f')
        def lstm(d):
            return TimeLSTM((r(d, 4 * H) / np.sqrt(d)).astype('f'), (r(H, 4 * H) / np.sqrt(H)).astype('f'),
                            np.zeros(4 * H).astype('f'), stateful=True)
        self.lstm_layers = [lstm(D), lstm(H)]
        self.drop_layers = [TimeDropout(dropout_ratio) for _ in range(3)]
        self.layers = [TimeEmbedding(W), self.drop_layers[0], self.lstm_layers[0], self.drop_layers[1],
                       self.lstm_layers[1], self.drop_layers[2], TimeAffine(W.T, np.zeros(V).astype('f'))]
        self.loss_layer = TimeSoftmaxWithLoss()
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads

    def predict(self, xs, train_flg=False):
        for layer in self.drop_layers:
            layer.train_flg = train_flg
        for layer in self.layers:
            xs = layer.forward(xs)
        return xs

    def forward(self, xs, ts, train_flg=True):
        return self.loss_layer.forward(self.predict(xs, train_flg), ts)

    def backward(self, dout=1):
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout

    def reset_state(self):
        for layer in self.lstm_layers:
            layer.reset_state()
"""

GEN = """
import sys
sys.path.append('..')
import numpy as np
from common.functions import softmax
from rnnlm import Rnnlm, BetterRnnlm

class Writer:
    def generate(self, start_id, skip_ids=None, sample_size=100):
        ids, x = [start_id], start_id
        while len(ids) < sample_size:
            score = self.predict(np.array(x).reshape(1, 1))
            p = softmax(score.flatten())
            sampled = np.random.choice(len(p), size=1, p=p)
            if skip_ids is None or sampled not in skip_ids:
                x = sampled
                ids.append(int(x[0]))
        return ids

class RnnlmGen(Writer, Rnnlm):
    def get_state(self):
        return self.lstm_layer.h, self.lstm_layer.c

    def set_state(self, state):
        self.lstm_layer.set_state(*state)

class BetterRnnlmGen(Writer, BetterRnnlm):
    def get_state(self):
        return [(layer.h, layer.c) for layer in self.lstm_layers]

    def set_state(self, states):
        for layer, state in zip(self.lstm_layers, states):
            layer.set_state(*state)
"""

GENERATE = """
import sys
sys.path.append('..')
import numpy as np
from common.optimizer import SGD, Adam
from common.util import clip_grads, eval_perplexity, to_gpu
from rnnlm import Rnnlm, BetterRnnlm
from rnnlm_gen import RnnlmGen, BetterRnnlmGen

np.random.seed(0)
words = 'you say goodbye and i say hello .'.split()
id_to_word = dict(enumerate(dict.fromkeys(words)))
word_to_id = {word: i for i, word in id_to_word.items()}
corpus = np.array([word_to_id[word] for word in words] * 60)
V, batch_size, time_size = len(word_to_id), 4, 10

for model_class, gen_class, steps in ((Rnnlm, RnnlmGen, 120), (BetterRnnlm, BetterRnnlmGen, 250)):
    options = {} if model_class is Rnnlm else {'dropout_ratio': 0.1}
    model, optimizer = model_class(V, 16, 16, **options), Adam(0.02)
    before = eval_perplexity(model, corpus)
    xs, ts = corpus[:-1], corpus[1:]
    jump, place = len(xs) // batch_size, 0
    for i in range(steps):
        batch_x, batch_t = np.empty((2, batch_size, time_size), dtype='i')
        for t in range(time_size):
            for k in range(batch_size):
                batch_x[k, t] = xs[(k * jump + place) % len(xs)]
                batch_t[k, t] = ts[(k * jump + place) % len(xs)]
            place += 1
        loss = model.forward(batch_x, batch_t)
        model.backward()
        clip_grads(model.grads, 0.25)
        optimizer.update(model.params, model.grads)
    model.reset_state()
    after = eval_perplexity(model, corpus)
    assert after < 1.5 < before, (before, after)
    if model_class is BetterRnnlm:
        assert np.shares_memory(model.layers[0].params[0], model.layers[-1].params[0])
    model.save_params('my_model.npz')

    writer = gen_class(V, 16, 16)
    writer.load_params('my_model.npz')
    assert eval_perplexity(writer, corpus) == after
    ids = writer.generate(word_to_id['you'], sample_size=40)
    text = ' '.join(id_to_word[i] for i in ids)
    assert text.count('you say goodbye and i say hello .') >= 1, text
    assert word_to_id['say'] not in writer.generate(0, [word_to_id['say']], 20)

    writer.reset_state()
    for word in 'you say goodbye and i say hello . you say goodbye'.split():
        score = writer.predict(np.array([[word_to_id[word]]]))
    state = writer.get_state()
    assert id_to_word[int(score.argmax())] == 'and'
    follow = [int(writer.predict(np.array([[word_to_id['and']]])).argmax())]
    writer.set_state(state)
    assert follow == [int(writer.predict(np.array([[word_to_id['and']]])).argmax())] == [word_to_id['i']]
print('OK')
"""


@pytest.fixture
def course(tmp_path, root):
    """A copy of what the scripts import, with the readers' files beside the course's."""
    shutil.copytree(root / "common", tmp_path / "common", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "ch07"
    folder.mkdir()
    for name, text in (("rnnlm", RNNLM), ("rnnlm_gen", GEN), ("generate_text", GENERATE)):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def test_text_generation_in_the_style_of_the_book(course):
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("ATTENTION_", "PYTHONPATH"))}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "cp949"}
    command = [sys.executable, "generate_text.py"]
    run = subprocess.run(command, cwd=course, env=environment, capture_output=True, timeout=600)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.decode("cp949").splitlines()
    assert lines[-1] == "OK"
    assert lines[:2] == ["evaluating perplexity ...", "1 / 1"]

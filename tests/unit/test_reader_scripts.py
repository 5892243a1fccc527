"""Scripts and notes of the book's readers run unchanged: from the root, from inside ch07/ and from inside ch08/.

They are written here in the style of such notes: star imports, `sys.path.append("..")`, encoders, decoders and models
of their own built from our layers. Each runs in a process of its own, in a copy of the rooms.
"""

import os
import shutil
import subprocess
import sys

import pytest

TRAIN_CH07 = """
import sys
sys.path.append('..')
import numpy as np
import matplotlib.pyplot as plt
from dataset import sequence
from common.optimizer import Adam
from common.trainer import Trainer
from common.util import eval_seq2seq
from seq2seq import Seq2seq
from peeky_seq2seq import PeekySeq2seq

np.random.seed(0)
(x_train, t_train), (x_test, t_test) = sequence.load_data('addition.txt', seed=1984)
char_to_id, id_to_char = sequence.get_vocab()
x_train, x_test = x_train[:, ::-1], x_test[:, ::-1]
vocab_size, wordvec_size, hidden_size, batch_size = len(char_to_id), 16, 16, 128

for model_class in (Seq2seq, PeekySeq2seq):
    model = model_class(vocab_size, wordvec_size, hidden_size)
    trainer = Trainer(model, Adam())
    acc_list = []
    for epoch in range(2):
        trainer.fit(x_train[:1000], t_train[:1000], max_epoch=1, batch_size=batch_size, max_grad=5.0, eval_interval=3)
        correct_num = 0
        for i in range(20):
            question, correct = x_test[[i]], t_test[[i]]
            verbose = i < 2
            correct_num += eval_seq2seq(model, question, correct, id_to_char, verbose, True)
        acc_list.append(float(correct_num) / 20)
    trainer.plot()
    plt.plot(np.arange(len(acc_list)), acc_list, marker='o')
    plt.ylim(0, 1.0)
    plt.show()
    print('OK', model_class.__name__)
"""

OWN_PEEKY_CH07 = """
import sys
sys.path.append('..')
from common.time_layers import *
from seq2seq import Seq2seq, Encoder

class MyPeekyDecoder:
    def __init__(self, vocab_size, wordvec_size, hidden_size):
        V, D, H = vocab_size, wordvec_size, hidden_size
        r = np.random.randn
        embed_W = (0.01 * r(V, D)).astype('f')
        lstm_Wx = (r(H + D, 4 * H) / np.sqrt(H + D)).astype('f')
        lstm_Wh = (r(H, 4 * H) / np.sqrt(H)).astype('f')
        affine_W = (r(H + H, V) / np.sqrt(H + H)).astype('f')
        self.embed = TimeEmbedding(embed_W)
        self.lstm = TimeLSTM(lstm_Wx, lstm_Wh, np.zeros(4 * H).astype('f'), stateful=True)
        self.affine = TimeAffine(affine_W, np.zeros(V).astype('f'))
        self.params, self.grads = [], []
        for part in (self.embed, self.lstm, self.affine):
            self.params += part.params
            self.grads += part.grads
        self.cache = None

    def forward(self, xs, h):
        (N, T), (_, H) = xs.shape, h.shape
        self.lstm.set_state(h)
        words = self.embed.forward(xs)
        again = np.repeat(h, T, axis=0).reshape(N, T, H)
        hs = self.lstm.forward(np.concatenate((again, words), axis=2))
        self.cache = H
        return self.affine.forward(np.concatenate((again, hs), axis=2))

    def backward(self, dscore):
        H = self.cache
        d = self.affine.backward(dscore)
        dx = self.lstm.backward(d[:, :, H:])
        self.embed.backward(dx[:, :, H:])
        return self.lstm.dh + np.sum(d[:, :, :H] + dx[:, :, :H], axis=1)

    def generate(self, h, start_id, sample_size):
        ids, char, H = [], start_id, h.shape[1]
        self.lstm.set_state(h)
        peek = h.reshape(1, 1, H)
        for _ in range(sample_size):
            x = np.array([char]).reshape((1, 1))
            out = np.concatenate((peek, self.embed.forward(x)), axis=2)
            out = np.concatenate((peek, self.lstm.forward(out)), axis=2)
            char = int(np.argmax(self.affine.forward(out).flatten()))
            ids.append(char)
        return ids

class MySeq2seq(Seq2seq):
    def __init__(self, vocab_size, wordvec_size, hidden_size):
        args = vocab_size, wordvec_size, hidden_size
        self.encoder = Encoder(*args)
        self.decoder = MyPeekyDecoder(*args)
        self.softmax = TimeSoftmaxWithLoss()
        self.params = self.encoder.params + self.decoder.params
        self.grads = self.encoder.grads + self.decoder.grads

from common.optimizer import Adam
from common.util import clip_grads, eval_seq2seq
np.random.seed(0)
model, optimizer = MySeq2seq(11, 4, 24), Adam(0.02)
xs = np.random.randint(0, 11, (8, 7))
ts = np.random.randint(0, 11, (8, 5))
ts[:, 0] = 1
for i in range(150):
    loss = model.forward(xs, ts)
    model.backward()
    clip_grads(model.grads, 5.0)
    optimizer.update(model.params, model.grads)
assert loss < 0.1, loss
names = {i: chr(97 + i) for i in range(11)}
assert sum(eval_seq2seq(model, xs[[i]], ts[[i]], names) for i in range(8)) == 8
model.save_params()
kept = model.generate(xs[:1], 1, 4)
other = MySeq2seq(11, 4, 24)
other.load_params('MySeq2seq.npz')
assert other.generate(xs[:1], 1, 4) == kept

from peeky_seq2seq import PeekySeq2seq
theirs = PeekySeq2seq(11, 4, 24)
for mine, p in zip(model.params, theirs.params):
    p[...] = mine
assert abs(theirs.forward(xs, ts) - model.forward(xs, ts)) < 1e-5
assert theirs.generate(xs[:1], 1, 4) == kept
print('OK')
"""

OWN_ATTENTION_CH08 = """
import sys
sys.path.append('..')
from common.time_layers import *
from common.base_model import BaseModel
from ch07.seq2seq import Encoder, Seq2seq
from ch08.attention_layer import TimeAttention

class MyEncoder(Encoder):
    def forward(self, xs):
        xs = self.embed.forward(xs)
        hs = self.lstm.forward(xs)
        return hs

    def backward(self, dhs):
        dout = self.lstm.backward(dhs)
        dout = self.embed.backward(dout)
        return dout

class MyDecoder:
    def __init__(self, vocab_size, wordvec_size, hidden_size):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rn = np.random.randn
        self.embed = TimeEmbedding((rn(V, D) / 100).astype('f'))
        self.lstm = TimeLSTM((rn(D, 4 * H) / np.sqrt(D)).astype('f'), (rn(H, 4 * H) / np.sqrt(H)).astype('f'),
                             np.zeros(4 * H).astype('f'), stateful=True)
        self.attention = TimeAttention()
        self.affine = TimeAffine((rn(2 * H, V) / np.sqrt(2 * H)).astype('f'), np.zeros(V).astype('f'))
        layers = [self.embed, self.lstm, self.attention, self.affine]
        self.params, self.grads = [], []
        for layer in layers:
            self.params += layer.params
            self.grads += layer.grads

    def forward(self, xs, enc_hs):
        self.lstm.set_state(enc_hs[:, -1])
        dec_hs = self.lstm.forward(self.embed.forward(xs))
        c = self.attention.forward(enc_hs, dec_hs)
        return self.affine.forward(np.concatenate((c, dec_hs), axis=2))

    def backward(self, dscore):
        dout = self.affine.backward(dscore)
        H = dout.shape[2] // 2
        dc, ddec_hs0 = dout[:, :, :H], dout[:, :, H:]
        denc_hs, ddec_hs1 = self.attention.backward(dc)
        dout = self.lstm.backward(ddec_hs0 + ddec_hs1)
        denc_hs[:, -1] += self.lstm.dh
        self.embed.backward(dout)
        return denc_hs

    def generate(self, enc_hs, start_id, sample_size):
        sampled, sample_id = [], start_id
        self.lstm.set_state(enc_hs[:, -1])
        for _ in range(sample_size):
            x = np.array([sample_id]).reshape((1, 1))
            dec_hs = self.lstm.forward(self.embed.forward(x))
            c = self.attention.forward(enc_hs, dec_hs)
            score = self.affine.forward(np.concatenate((c, dec_hs), axis=2))
            sample_id = np.argmax(score.flatten())
            sampled.append(sample_id)
        return sampled

class MyAttentionSeq2seq(Seq2seq):
    def __init__(self, vocab_size, wordvec_size, hidden_size):
        args = vocab_size, wordvec_size, hidden_size
        self.encoder, self.decoder = MyEncoder(*args), MyDecoder(*args)
        self.softmax = TimeSoftmaxWithLoss()
        self.params = self.encoder.params + self.decoder.params
        self.grads = self.encoder.grads + self.decoder.grads

from dataset import sequence
from common.optimizer import Adam
from common.trainer import Trainer
from common.util import eval_seq2seq
from attention_seq2seq import AttentionSeq2seq

np.random.seed(0)
(x_train, t_train), (x_test, t_test) = sequence.load_data('date.txt')
char_to_id, id_to_char = sequence.get_vocab()
x_train, x_test = x_train[:, ::-1], x_test[:, ::-1]
model = MyAttentionSeq2seq(len(char_to_id), 8, 16)
trainer = Trainer(model, Adam())
trainer.fit(x_train[:512], t_train[:512], max_epoch=2, batch_size=128, max_grad=5.0)
hits = sum(eval_seq2seq(model, x_test[[i]], t_test[[i]], id_to_char, i < 2, is_reverse=True) for i in range(5))
assert 0 <= hits <= 5

theirs = AttentionSeq2seq(len(char_to_id), 8, 16)
for mine, p in zip(model.params, theirs.params):
    p[...] = mine
for idx in range(3):
    x, t = x_test[[idx]], t_test[[idx]]
    assert abs(theirs.forward(x, t) - model.forward(x, t)) < 1e-5
    assert theirs.generate(x, int(t[0, 0]), 10) == model.generate(x, t[0, 0], 10)
    theirs.forward(x, t)
    d = np.array(theirs.decoder.attention.attention_weights)
    attention_map = d.reshape(d.shape[0], d.shape[2])[:, ::-1]
    assert attention_map.shape == (10, 29)
    assert np.allclose(attention_map.sum(axis=1), 1)
    row_labels = [id_to_char[i] for i in x[0][::-1]]
    column_labels = [id_to_char[i] for i in t[0][1:]]
    assert len(row_labels) == 29 and len(column_labels) == 10
print('OK')
"""

PLAY_CH08 = """
import sys
sys.path.append('..')
from common.np import *
from common.layers import Softmax
from attention_layer import WeightSum, AttentionWeight, Attention, TimeAttention

N, T, H = 10, 5, 4
hs, h = np.random.randn(N, T, H), np.random.randn(N, H)

class OwnAttentionWeight:
    def __init__(self):
        self.params, self.grads = [], []
        self.softmax = Softmax()

    def forward(self, hs, h):
        N, T, H = hs.shape
        hr = h.reshape(N, 1, H).repeat(T, axis=1)
        self.cache = (hs, hr)
        return self.softmax.forward(np.sum(hs * hr, axis=2))

    def backward(self, da):
        hs, hr = self.cache
        N, T, H = hs.shape
        dt = self.softmax.backward(da).reshape(N, T, 1).repeat(H, axis=2)
        return dt * hr, np.sum(dt * hs, axis=1)

one, two = AttentionWeight(), OwnAttentionWeight()
a = one.forward(hs, h)
assert a.shape == (N, T) and np.allclose(a, two.forward(hs, h))
da = np.random.randn(N, T)
for x, y in zip(one.backward(da), two.backward(da)):
    assert np.allclose(x, y)
c = WeightSum().forward(hs, a)
assert c.shape == (N, H)
attention = Attention()
assert np.allclose(attention.forward(hs, h), c) and attention.attention_weight.shape == (N, T)

# the layers for all steps, with the single steps inside, as the book builds them
class OwnTimeAttention:
    def forward(self, hs_enc, hs_dec):
        self.layers, self.attention_weights, out = [], [], np.empty_like(hs_dec)
        for t in range(hs_dec.shape[1]):
            layer = Attention()
            out[:, t, :] = layer.forward(hs_enc, hs_dec[:, t, :])
            self.layers.append(layer)
            self.attention_weights.append(layer.attention_weight)
        return out

    def backward(self, dout):
        dhs_enc, dhs_dec = 0, np.empty_like(dout)
        for t, layer in enumerate(self.layers):
            dhs, dh = layer.backward(dout[:, t, :])
            dhs_enc += dhs
            dhs_dec[:, t, :] = dh
        return dhs_enc, dhs_dec

hs_dec, dout = np.random.randn(N, 3, H), np.random.randn(N, 3, H)
one, two = TimeAttention(), OwnTimeAttention()
assert np.allclose(one.forward(hs, hs_dec), two.forward(hs, hs_dec))
for x, y in zip(one.backward(dout), two.backward(dout)):
    assert np.allclose(x, y)
assert np.allclose(one.attention_weights, two.attention_weights)
print('OK')
"""

FROM_ROOT = """
from common import config
config.GPU = False
from common.np import *
from common.time_layers import *
from common.layers import *
from common.functions import *
from common.optimizer import SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam
from common.base_model import BaseModel
from ch07.seq2seq import Seq2seq
from ch07.peeky_seq2seq import PeekySeq2seq
from ch08.attention_seq2seq import AttentionSeq2seq, AttentionEncoder, AttentionDecoder
from ch08.attention_layer import *
from dataset import sequence

assert GPU is False
np.random.seed(0)

# A language model as in chapters 5 and 6, from the same layers
class Rnnlm(BaseModel):
    def __init__(self, vocab_size=20, wordvec_size=6, hidden_size=8):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rn = np.random.randn
        self.layers = [
            TimeEmbedding((rn(V, D) / 100).astype('f')),
            TimeDropout(0.1),
            TimeLSTM((rn(D, 4 * H) / np.sqrt(D)).astype('f'), (rn(H, 4 * H) / np.sqrt(H)).astype('f'),
                     np.zeros(4 * H).astype('f'), stateful=True),
            TimeAffine((rn(H, V) / np.sqrt(H)).astype('f'), np.zeros(V).astype('f')),
        ]
        self.loss_layer = TimeSoftmaxWithLoss()
        self.lstm_layer = self.layers[2]
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads

    def forward(self, xs, ts):
        for layer in self.layers:
            xs = layer.forward(xs)
        return self.loss_layer.forward(xs, ts)

    def backward(self, dout=1):
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout

    def reset_state(self):
        self.lstm_layer.reset_state()

text = np.tile(np.arange(20), 30)
model, optimizer = Rnnlm(), Adam(0.02)
for i in range(100):
    a = i * 5 % 500
    xs = text[a : a + 40].reshape(4, 10)
    ts = text[a + 1 : a + 41].reshape(4, 10)
    loss = model.forward(xs, ts)
    model.backward()
    optimizer.update(model.params, model.grads)
assert loss < 1.0, loss
model.layers[1].train_flg = False
model.reset_state()
model.save_params()
model.load_params()

for model_class in (Seq2seq, PeekySeq2seq, AttentionSeq2seq):
    model = model_class(13, 4, 6)
    model.encoder.lstm.reset_state()
    loss = model.forward(np.zeros((2, 7), int), np.zeros((2, 5), int))
    model.backward()
    SGD(0.1).update(model.params, model.grads)
    assert len(model.generate(np.zeros((1, 7), int), 0, 4)) == 4
print('OK')
"""

SCRIPTS = {
    "ch07/train_seq2seq.py": TRAIN_CH07,
    "ch07/my_peeky.py": OWN_PEEKY_CH07,
    "ch08/my_attention.py": OWN_ATTENTION_CH08,
    "ch08/play.py": PLAY_CH08,
    "play.py": FROM_ROOT,
}


@pytest.fixture(scope="module")
def course(tmp_path_factory, root):
    """A copy of the rooms that scripts use, so that what they write is in nobody's way."""
    copy = tmp_path_factory.mktemp("course")
    for room in ("common", "dataset", "ch07", "ch08"):
        shutil.copytree(root / room, copy / room, ignore=shutil.ignore_patterns("__pycache__", "pretrained"))
    return copy


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_in_the_style_of_the_book_runs_unchanged(course, name):
    path = course / name
    path.write_text(SCRIPTS[name], encoding="utf-8")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("ATTENTION_", "PYTHONPATH"))}
    environment |= {"MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    command = [sys.executable, path.name]
    run = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].startswith("OK")

"""The same models in PyTorch eager on the CPU: ``nn.LSTM``, ``nn.LSTMCell`` in a loop, attention as two products."""

import math
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class AttentionSeq2seq(nn.Module):
    """The decoder starts from the last encoder state; dot-product attention, then one linear layer."""

    def __init__(self, vocab_size, wordvec_size, hidden_size):
        super().__init__()
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.embed_enc, self.embed_dec = nn.Embedding(V, D), nn.Embedding(V, D)
        self.lstm_enc = nn.LSTM(D, H, batch_first=True)
        self.lstm_dec = nn.LSTM(D, H, batch_first=True)
        self.affine = nn.Linear(2 * H, V)

    def forward(self, xs, ts):
        enc_hs, (h, c) = self.lstm_enc(self.embed_enc(xs))
        dec_hs, _ = self.lstm_dec(self.embed_dec(ts[:, :-1]), (h, torch.zeros_like(c)))
        context = attention(enc_hs, dec_hs)
        scores = self.affine(torch.cat((context, dec_hs), dim=2))  # (N, T_dec, V)
        return cross_entropy(scores, ts)

    @torch.inference_mode()
    def greedy(self, xs, start_id, length):
        """Write ``length`` tokens for every row of xs, each time the one with the largest logit."""
        enc_hs, (h, c) = self.lstm_enc(self.embed_enc(xs))
        c, ids, written = torch.zeros_like(c), torch.full((len(xs), 1), start_id), []
        for _ in range(length):
            hs, (h, c) = self.lstm_dec(self.embed_dec(ids), (h, c))
            logits = self.affine(torch.cat((attention(enc_hs, hs), hs), dim=2))  # (N, 1, V)
            ids = logits.argmax(dim=2)
            written.append(ids)
        return torch.cat(written, dim=1)


class BiAttentionSeq2seq(nn.Module):
    """An ``nn.LSTM`` that reads both ways; its halves are joined, those of the last states as well."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, combine="concat"):
        super().__init__()
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.combine = combine
        self.embed_enc, self.embed_dec = nn.Embedding(V, D), nn.Embedding(V, D)
        self.lstm_enc = nn.LSTM(D, H // 2 if combine == "concat" else H, batch_first=True, bidirectional=True)
        self.lstm_dec = nn.LSTM(D, H, batch_first=True)
        self.affine = nn.Linear(2 * H, V)

    def join(self, both):
        """Join (..., 2K), two halves side by side."""
        if self.combine == "concat":
            return both
        ahead, back = both.chunk(2, dim=-1)
        return ahead + back if self.combine == "sum" else (ahead + back) / 2

    def forward(self, xs, ts):
        hs, (last, _) = self.lstm_enc(self.embed_enc(xs))  # (N, T_enc, 2K) and (2, N, K)
        enc_hs, h = self.join(hs), self.join(torch.cat((last[0], last[1]), dim=1))[None]
        dec_hs, _ = self.lstm_dec(self.embed_dec(ts[:, :-1]), (h, torch.zeros_like(h)))
        logits = self.affine(torch.cat((attention(enc_hs, dec_hs), dec_hs), dim=2))
        return cross_entropy(logits, ts)


class InputFeedingSeq2seq(nn.Module):
    """The attentional vector of a step joins the input of the next: an ``nn.LSTMCell`` in a loop."""

    def __init__(self, vocab_size, wordvec_size, hidden_size):
        super().__init__()
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.embed_enc, self.embed_dec = nn.Embedding(V, D), nn.Embedding(V, D)
        self.lstm_enc = nn.LSTM(D, H, batch_first=True)
        self.cell = nn.LSTMCell(D + H, H)
        self.joined = nn.Linear(2 * H, H)
        self.affine = nn.Linear(H, V)

    def forward(self, xs, ts):
        enc_hs, (h, _) = self.lstm_enc(self.embed_enc(xs))
        h = h[0]
        c = fed = torch.zeros_like(h)
        outs = []
        for x in self.embed_dec(ts[:, :-1]).unbind(dim=1):
            h, c = self.cell(torch.cat((x, fed), dim=1), (h, c))
            context = attention(enc_hs, h[:, None])[:, 0]
            fed = torch.tanh(self.joined(torch.cat((context, h), dim=1)))
            outs.append(fed)
        return cross_entropy(self.affine(torch.stack(outs, dim=1)), ts)


class SameStepSeq2seq(nn.Module):
    """The context of a step joins the input of the same step: an ``nn.LSTMCell`` in a loop."""

    def __init__(self, vocab_size, wordvec_size, hidden_size):
        super().__init__()
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.embed_enc, self.embed_dec = nn.Embedding(V, D), nn.Embedding(V, D)
        self.lstm_enc = nn.LSTM(D, H, batch_first=True)
        self.cell = nn.LSTMCell(D + H, H)
        self.affine = nn.Linear(2 * H, V)

    def forward(self, xs, ts):
        enc_hs, (h, _) = self.lstm_enc(self.embed_enc(xs))
        h = h[0]
        c, outs = torch.zeros_like(h), []
        for x in self.embed_dec(ts[:, :-1]).unbind(dim=1):
            context = attention(enc_hs, h[:, None])[:, 0]
            h, c = self.cell(torch.cat((x, context), dim=1), (h, c))
            outs.append(torch.cat((context, h), dim=1))
        return cross_entropy(self.affine(torch.stack(outs, dim=1)), ts)


class DeepAttentionSeq2seq(nn.Module):
    """A stack of ``nn.LSTM`` in encoder and decoder; the context of the first decoder layer goes to all others."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, layers=4, residual=True):
        super().__init__()
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.residual = residual
        self.embed_enc, self.embed_dec = nn.Embedding(V, D), nn.Embedding(V, D)
        self.enc = nn.ModuleList(nn.LSTM(H if k else D, H, batch_first=True) for k in range(layers))
        self.dec = nn.ModuleList(nn.LSTM(2 * H if k else D, H, batch_first=True) for k in range(layers))
        self.affine = nn.Linear(2 * H, V)

    def forward(self, xs, ts):
        hs, first = self.embed_enc(xs), []
        for k, lstm in enumerate(self.enc):
            out, (h, c) = lstm(hs)
            hs = hs + out if self.residual and k else out
            first.append((h, torch.zeros_like(c)))
        enc_hs, (hs, _) = hs, self.dec[0](self.embed_dec(ts[:, :-1]), first[0])
        context = attention(enc_hs, hs)
        for lstm, state in zip(self.dec[1:], first[1:], strict=True):
            out, _ = lstm(torch.cat((hs, context), dim=2), state)
            hs = hs + out if self.residual else out
        return cross_entropy(self.affine(torch.cat((context, hs), dim=2)), ts)


class BahdanauSeq2seq(nn.Module):
    """Additive attention asked with the state before the step: an ``nn.GRUCell`` in a loop, keys and outputs at once.

    ``packed``: whether xs has padding (0) that the encoder must skip.
    """

    def __init__(self, source_vocab_size, target_vocab_size, wordvec_size, hidden_size, dropout=0.0):
        super().__init__()
        D, H = wordvec_size, hidden_size
        self.embed_enc, self.embed_dec = nn.Embedding(source_vocab_size, D), nn.Embedding(target_vocab_size, D)
        self.dropout = nn.Dropout(dropout)
        self.gru_enc = nn.GRU(D, H, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * H, H)
        self.keys, self.query, self.v = nn.Linear(2 * H, H), nn.Linear(H, H, bias=False), nn.Linear(H, 1, bias=False)
        self.cell = nn.GRUCell(D + 2 * H, H)
        self.affine = nn.Linear(3 * H + D, target_vocab_size)

    def encode(self, xs, packed=False):
        """Return hs (N, T, 2H), keys (N, T, H), the mask (N, T) and the first state h (N, H)."""
        mask, embedded = xs != 0, self.dropout(self.embed_enc(xs))
        if packed:
            embedded = pack_padded_sequence(embedded, mask.sum(dim=1), batch_first=True, enforce_sorted=False)
        hs, last = self.gru_enc(embedded)
        if packed:
            hs, _ = pad_packed_sequence(hs, batch_first=True)
        return hs, self.keys(hs), mask, torch.tanh(self.fc(torch.cat((last[0], last[1]), dim=1)))

    def step(self, x, h, hs, keys, mask):
        """Return what the output layer reads, (N, 3H + D), and the state after the step."""
        scores = self.v(torch.tanh(self.query(h)[:, None] + keys))[:, :, 0]  # (N, T)
        a = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=1)
        context = torch.bmm(a[:, None], hs)[:, 0]
        h = self.cell(torch.cat((x, context), dim=1), h)
        return torch.cat((h, context, x), dim=1), h

    def forward(self, xs, ts):
        hs, keys, mask, h = self.encode(xs)
        outs = []
        for x in self.dropout(self.embed_dec(ts[:, :-1])).unbind(dim=1):
            out, h = self.step(x, h, hs, keys, mask)
            outs.append(out)
        return cross_entropy(self.affine(torch.stack(outs, dim=1)), ts, padding=0)


class LuongSeq2seq(nn.Module):
    """The LSTM reads, then the attention is asked; with input feeding an ``nn.LSTMCell`` in a loop, else ``nn.LSTM``.

    A general score meets the hidden states once, not at every step. ``bidirectional``: two LSTMs of half the size read.
    """

    def __init__(
        self,
        source_vocab_size,
        target_vocab_size,
        wordvec_size,
        hidden_size,
        score,
        input_feeding=False,
        bidirectional=False,
        dropout=0.0,
    ):
        super().__init__()
        D, H = wordvec_size, hidden_size
        self.input_feeding = input_feeding
        self.embed_enc, self.embed_dec = nn.Embedding(source_vocab_size, D), nn.Embedding(target_vocab_size, D)
        self.dropout = nn.Dropout(dropout)
        H_enc = H // 2 if bidirectional else H
        self.lstm_enc = nn.LSTM(D, H_enc, batch_first=True, bidirectional=bidirectional)
        if input_feeding:
            self.cell = nn.LSTMCell(D + H, H)
        else:
            self.lstm_dec = nn.LSTM(D, H, batch_first=True)
        self.keys = nn.Linear(H, H, bias=False) if score == "general" else nn.Identity()
        self.joined = nn.Linear(2 * H, H)
        self.affine = nn.Linear(H, target_vocab_size)

    def attend(self, hs_dec, hs_enc, keys, mask):
        """Return the attentional states (N, T_dec, H)."""
        scores = torch.bmm(hs_dec, keys.transpose(1, 2)).masked_fill(~mask, -torch.inf)  # (N, T_dec, T_enc)
        context = torch.bmm(torch.softmax(scores, dim=2), hs_enc)
        return torch.tanh(self.joined(torch.cat((context, hs_dec), dim=2)))

    def forward(self, xs, ts):
        mask = (xs != 0)[:, None]  # (N, 1, T_enc)
        hs_enc, last = self.lstm_enc(self.dropout(self.embed_enc(xs)))
        h, c = (torch.cat(tuple(part), dim=1)[None] for part in last)  # of both readers side by side, if there are two
        keys, embedded = self.keys(hs_enc), self.dropout(self.embed_dec(ts[:, :-1]))
        if self.input_feeding:
            h, c, outs = h[0], c[0], []
            fed = torch.zeros_like(h)
            for x in embedded.unbind(dim=1):
                h, c = self.cell(torch.cat((x, fed), dim=1), (h, c))
                fed = self.attend(h[:, None], hs_enc, keys, mask)[:, 0]
                outs.append(fed)
            fed = torch.stack(outs, dim=1)
        else:
            fed = self.attend(self.lstm_dec(embedded, (h, c))[0], hs_enc, keys, mask)
        return cross_entropy(self.affine(self.dropout(fed)), ts, padding=0)


class GNMT(nn.Module):
    """Stacks of ``nn.LSTM``, the first of the encoder bidirectional; the decoder's bottom layer is an ``nn.LSTMCell``.

    That asks the additive attention with its state before the step, in a loop; above it all steps go at once.
    """

    def __init__(
        self,
        source_vocab_size,
        target_vocab_size,
        wordvec_size,
        hidden_size,
        layers=4,
        residual=True,
        dropout=0.0,
    ):
        super().__init__()
        D, H = wordvec_size, hidden_size
        M = 2 * H if layers == 1 else H  # the size of the hidden states that are attended to
        self.residual = residual
        self.embed_enc, self.embed_dec = nn.Embedding(source_vocab_size, D), nn.Embedding(target_vocab_size, D)
        self.dropout = nn.Dropout(dropout)
        self.enc = nn.ModuleList([nn.LSTM(D, H, batch_first=True, bidirectional=True)])
        self.enc.extend(nn.LSTM(2 * H if k == 1 else H, H, batch_first=True) for k in range(1, layers))
        self.keys, self.query, self.v = nn.Linear(M, H), nn.Linear(H, H, bias=False), nn.Linear(H, 1, bias=False)
        self.cell = nn.LSTMCell(D + M, H)
        self.dec = nn.ModuleList(nn.LSTM(H + M, H, batch_first=True) for _ in range(1, layers))
        self.affine = nn.Linear(H, target_vocab_size)

    def forward(self, xs, ts):
        mask, hs, states = xs != 0, self.embed_enc(xs), []
        for k, lstm in enumerate(self.enc):
            below, (hs, last) = hs, lstm(self.dropout(hs))
            hs = hs + below if self.residual and k >= 2 else hs
            states.append([array[-1:] for array in last])  # of two readers the one that ends at the first word
        keys, (h, c), outs = self.keys(hs), (array[0] for array in states[0]), []
        for x in self.dropout(self.embed_dec(ts[:, :-1])).unbind(dim=1):
            scores = self.v(torch.tanh(self.query(h)[:, None] + keys))[:, :, 0]  # (N, T_enc)
            a = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=1)
            context = torch.bmm(a[:, None], hs)[:, 0]
            h, c = self.cell(torch.cat((x, context), dim=1), (h, c))
            outs.append((h, context))
        hs, contexts = (torch.stack(arrays, dim=1) for arrays in zip(*outs, strict=True))
        for k, lstm in enumerate(self.dec, 1):
            below, (hs, _) = hs, lstm(torch.cat((self.dropout(hs), contexts), dim=2), states[k])
            hs = hs + below if self.residual and k >= 2 else hs
        return cross_entropy(self.affine(self.dropout(hs)), ts, padding=0)


class Transformer(nn.Module):
    """``nn.Transformer`` with pre-norm between embeddings with sinusoids and one linear layer; 0 is padding."""

    def __init__(self, source_vocab_size, target_vocab_size, wordvec_size, hidden_size, layers=3, heads=8, dropout=0.0):
        super().__init__()
        D, H = wordvec_size, hidden_size
        self.heads = heads
        self.embed_enc, self.embed_dec = nn.Embedding(source_vocab_size, D), nn.Embedding(target_vocab_size, D)
        angles = torch.arange(256)[:, None] * 10000 ** (-torch.arange(0, D, 2) / D)
        self.register_buffer("positions", torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1))
        self.dropout = nn.Dropout(dropout)
        self.stacks = nn.Transformer(D, heads, layers, layers, H, dropout, batch_first=True, norm_first=True)
        self.affine = nn.Linear(D, target_vocab_size)

    def embedded(self, embed, ids, start=0):
        """Return the first vectors of ids (N, T) that stand from position ``start`` on, (N, T, D)."""
        x = math.sqrt(embed.embedding_dim) * embed(ids) + self.positions[start : start + ids.shape[1]]
        return self.dropout(x)

    def forward(self, xs, ts):
        padding, T = xs == 0, ts.shape[1] - 1
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        hs = self.stacks(
            self.embedded(self.embed_enc, xs),
            self.embedded(self.embed_dec, ts[:, :-1]),
            tgt_mask=future,
            tgt_is_causal=True,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        return cross_entropy(self.affine(hs), ts, padding=0)

    @torch.inference_mode()
    def greedy(self, xs, start_id, length):
        """Write ``length`` words for every row of xs; keys and values of earlier words, and of xs, are kept."""
        padding = xs == 0
        hs_enc = self.stacks.encoder(self.embedded(self.embed_enc, xs), src_key_padding_mask=padding)
        layers, words = self.stacks.decoder.layers, ~padding[:, None, None]
        known = [self.key_value(layer.multihead_attn, hs_enc) for layer in layers]
        own = [None] * len(layers)
        ids, written = torch.full((len(xs), 1), start_id), []
        for t in range(length):
            x = self.embedded(self.embed_dec, ids, t)
            for k, layer in enumerate(layers):
                out = layer.norm1(x)
                new = self.key_value(layer.self_attn, out)
                own[k] = new if t == 0 else [torch.cat(pair, dim=2) for pair in zip(own[k], new, strict=True)]
                x = x + self.ask(layer.self_attn, out, *own[k])
                x = x + self.ask(layer.multihead_attn, layer.norm2(x), *known[k], words)
                x = x + layer.linear2(torch.relu(layer.linear1(layer.norm3(x))))
            ids = self.affine(self.stacks.decoder.norm(x)).argmax(dim=2)
            written.append(ids)
        return torch.cat(written, dim=1)

    def split(self, x):
        """Return x (N, T, D) as heads (N, M, T, K)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def key_value(self, attention, hs):
        """Return keys and values of hs (N, T, D), two (N, M, T, K), by the matrices of an ``nn.MultiheadAttention``."""
        D = hs.shape[2]
        both = nn.functional.linear(hs, attention.in_proj_weight[D:], attention.in_proj_bias[D:])
        return [self.split(part) for part in both.chunk(2, dim=2)]

    def ask(self, attention, h, keys, values, mask=None):
        """Return what the queries h (N, T, D) find."""
        D = h.shape[2]
        q = self.split(nn.functional.linear(h, attention.in_proj_weight[:D], attention.in_proj_bias[:D]))
        found = nn.functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        return attention.out_proj(found.transpose(1, 2).flatten(2))


class NTM(nn.Module):
    """A Neural Turing Machine with an ``nn.LSTMCell`` and a head each to read and to write, for the copy task.

    Both heads are addressed at once, the similarities are one batched product, a write is one (``torch.baddbmm``), the
    softmax of gamma log w sharpens (cheaper than powers and their sum), and all outputs are made at once.
    """

    def __init__(self, input_size, output_size, hidden_size, rows=128, width=20):
        super().__init__()
        H, R, W = hidden_size, rows, width
        self.cell = nn.LSTMCell(input_size + W, H)
        self.sizes = 3 * W, 2 + W, 4, 6  # keys and add; gates and erase; strengths and gammas; shifts
        self.heads = nn.Linear(H, sum(self.sizes))
        self.affine = nn.Linear(H + W, output_size)
        self.first_weights, self.first_reads = nn.Parameter(torch.zeros(2, R)), nn.Parameter(0.1 * torch.randn(1, W))
        self.register_buffer("first_memory", torch.full((R, W), 1e-6))
        with torch.no_grad():
            self.first_weights[:, 0] = 5

    def forward(self, xs, ts):
        """Return the mean loss of the copy, the second half of the steps."""
        N, W = len(xs), self.first_memory.shape[1]
        memory, reads = self.first_memory.expand(N, -1, -1), self.first_reads.expand(N, -1)
        weights = torch.softmax(self.first_weights, dim=1).expand(N, -1, -1)  # (N, 2, R)
        h = c = torch.zeros(N, self.cell.hidden_size, dtype=memory.dtype)
        outs = []
        for x in xs.unbind(dim=1):
            h, c = self.cell(torch.cat((x, reads), dim=1), (h, c))
            vectors, shares, numbers, shift = self.heads(h).split(self.sizes, dim=1)
            vectors, shares = torch.tanh(vectors), torch.sigmoid(shares)
            strength, gamma = nn.functional.softplus(numbers)[..., None].split(2, dim=1)  # each (N, 2, 1)
            shift = torch.softmax(shift.unflatten(1, (2, 3)), dim=2)
            weights = self.address(memory, weights, vectors, strength, shares[:, :2, None], shift, gamma)
            write = weights[:, 1, :, None]  # (N, R, 1)
            memory = torch.baddbmm(memory * (1 - write * shares[:, None, 2:]), write, vectors[:, None, 2 * W :])
            reads = torch.bmm(weights[:, :1], memory)[:, 0]
            outs.append(torch.cat((h, reads), dim=1))
        first = xs.shape[1] // 2 + 1
        logits = self.affine(torch.stack(outs[first:], dim=1))
        return nn.functional.binary_cross_entropy_with_logits(logits, ts[:, first:].to(logits.dtype))

    def address(self, memory, previous, vectors, strength, gate, shift, gamma, eps=1e-4):
        """Return the weightings of both heads, (N, 2, R)."""
        key = vectors[:, : 2 * memory.shape[2]].unflatten(1, (2, -1))
        key = key * (key.square().sum(dim=2, keepdim=True) + eps).rsqrt()
        lengths = (memory.square().sum(dim=2) + eps).rsqrt()[:, None]  # (N, 1, R)
        content = torch.softmax(strength * torch.bmm(key, memory.transpose(1, 2)) * lengths, dim=2)
        w = torch.lerp(previous, content, gate)
        back, stay, on = shift.split(1, dim=2)
        w = back * w.roll(-1, dims=2) + stay * w + on * w.roll(1, dims=2)
        return torch.softmax((1 + gamma) * w.clamp_min(1e-37).log(), dim=2)


def cross_entropy(logits, ts, padding=-100):
    """The mean loss of logits (N, T_dec, V) for what stands in ts (N, T_dec + 1) after the start mark."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), ts[:, 1:].flatten(), ignore_index=padding)


def dot(hs_enc, hs_dec):
    """Scores q k^T with q = hs_dec, k = hs_enc."""
    return hs_dec @ hs_enc.transpose(1, 2)  # (N, T_dec, T_enc)


def general(hs_enc, hs_dec, W):
    """Scores of Luong et al. 2015, "general"."""
    return dot(hs_enc, hs_dec @ W)


def additive(hs_enc, hs_dec, Wq, Wk, v):
    """Scores of Bahdanau et al. 2015, the straightforward way: a neuron of a pair is a number of a 4-D array."""
    return torch.tanh((hs_dec @ Wq)[:, :, None] + (hs_enc @ Wk)[:, None]) @ v


def attention(hs_enc, hs_dec, *params, score=dot):
    """softmax(scores) v with v = hs_enc."""
    a = torch.softmax(score(hs_enc, hs_dec, *params), dim=2)  # (N, T_dec, T_enc)
    return a @ hs_enc


def make_decode(xs, V, D, H, start_id, length):
    """Greedy decoding in batches of the size that is the fastest of four, and that size."""
    torch.manual_seed(0)
    model = AttentionSeq2seq(V, D, H).eval()
    xs = torch.from_numpy(xs)

    def decode(size):
        return [model.greedy(xs[k : k + size], start_id, length) for k in range(0, len(xs), size)]

    return fastest_size(decode, (128, 512, 1024, len(xs)))


def fastest_size(decode, sizes):
    """A call of ``decode`` with the fastest of some batch sizes, and that size."""
    seconds = {}
    for size in sizes:
        decode(size)
        start = time.perf_counter()
        decode(size)
        seconds[size] = time.perf_counter() - start
    best = min(seconds, key=seconds.get)
    return lambda: decode(best), best


def make_greedy(model, xs, start_id, length):
    """Greedy decoding of one batch."""
    model.eval()
    xs = torch.from_numpy(xs)
    return lambda: model.greedy(xs, start_id, length)


def make_beam(model, xs, *, beam_size, **options):
    """Beam search of xs (N, T) padded with 0, sentences of like length together, and the size of the batches."""
    model.eval()
    xs = torch.from_numpy(xs)
    lengths = (xs != 0).sum(dim=1)
    order = lengths.argsort(stable=True)

    def decode(size):
        found = [None] * len(xs)
        for rows in order.split(size):
            answers = beam(model, xs[rows, : lengths[rows].max()], beam_size=beam_size, **options)
            for row, answer in zip(rows.tolist(), answers, strict=True):
                found[row] = answer
        return found

    return fastest_size(decode, (32, 64, 128, 512))


@torch.inference_mode()
def beam(model, xs, *, start_id, end_id, max_length, beam_size, length_penalty=0.6):
    """Return for each row of xs the best answer, a list of ids, of those that the K beams of its beam end with.

    A hypothesis that is finished stays in the beam: it writes 0 with probability 1.
    """
    N, K = len(xs), beam_size
    hs, keys, mask, h = (array.repeat_interleave(K, dim=0) for array in model.encode(xs, packed=True))
    V = model.affine.out_features
    totals = torch.full((N, K), -torch.inf)
    totals[:, 0] = 0  # the K beams are still one
    ids, written = torch.full((N * K,), start_id), torch.empty((N * K, 0), dtype=torch.long)
    done, first = torch.zeros(N * K, dtype=torch.bool), K * torch.arange(N)[:, None]
    for _ in range(max_length):
        out, h = model.step(model.embed_dec(ids), h, hs, keys, mask)
        log_probs = torch.log_softmax(model.affine(out), dim=1)  # (N K, V)
        if done.any():
            log_probs[done] = -torch.inf
            log_probs[done, 0] = 0
        totals, best = (totals.view(-1, 1) + log_probs).view(N, K * V).topk(K)
        rows = (first + best // V).view(-1)
        ids = (best % V).view(-1)
        h, done = h.index_select(0, rows), done.index_select(0, rows) | (ids == end_id)
        written = torch.cat((written.index_select(0, rows), ids[:, None]), dim=1)
        if done.all():
            break
    lengths = (written != 0).sum(dim=1).view(N, K)
    best = (totals / ((5 + lengths) / 6) ** length_penalty).argmax(dim=1)
    return [[word for word in row if word] for row in written[first[:, 0] + best].tolist()]


ADAMS = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def make_step(model, xs, ts, max_grad, adam):
    """A training step on one batch with one of the three ways PyTorch offers to run Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, **ADAMS[adam])
    xs, ts = torch.from_numpy(xs), torch.from_numpy(ts)

    def step():
        optimizer.zero_grad()
        loss = model(xs, ts)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad)
        optimizer.step()
        return loss.item()

    return step


def fastest_step(make_model, xs, ts, max_grad, calls=8):
    """The step with the fastest Adam, and its name. PyTorch is measured at its best."""
    best = {}
    for adam in ADAMS:
        torch.manual_seed(0)
        step = make_step(make_model(), xs, ts, max_grad, adam)
        step(), step()
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        best[sorted(seconds)[calls // 2]] = (step, adam)
    return best[min(best)]


def make_attention(hs_enc, hs_dec, dout, *params, score=dot):
    """Attention forward and backward, gradients of both inputs and of the score's parameters."""
    dout = torch.from_numpy(dout)
    leaves = [torch.from_numpy(x).requires_grad_() for x in (hs_enc, hs_dec, *params)]

    def run():
        for leaf in leaves:
            leaf.grad = None
        attention(*leaves, score=score).backward(dout)

    return run


def make_self_attention(q, kv, dout, heads):
    """Causal attention in heads, forward and backward: gradients of queries, keys and values."""
    leaves = [torch.from_numpy(x).requires_grad_() for x in (q, kv)]
    dout = torch.from_numpy(dout)

    def run():
        for leaf in leaves:
            leaf.grad = None
        parts = [x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (leaves[0], *leaves[1].chunk(2, dim=2))]
        out = nn.functional.scaled_dot_product_attention(*parts, is_causal=True)
        out.transpose(1, 2).flatten(2).backward(dout)

    return run

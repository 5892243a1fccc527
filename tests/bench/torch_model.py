"""The same model in PyTorch eager on the CPU: ``nn.LSTM`` and attention as two matrix products."""

import time

import torch
from torch import nn


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
        return nn.functional.cross_entropy(scores.flatten(0, 1), ts[:, 1:].flatten())


def attention(hs_enc, hs_dec):
    """softmax(q k^T) v with q = hs_dec, k = v = hs_enc."""
    a = torch.softmax(hs_dec @ hs_enc.transpose(1, 2), dim=2)  # (N, T_dec, T_enc)
    return a @ hs_enc


ADAMS = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def make_step(xs, ts, V, D, H, max_grad, adam):
    """A training step on one batch with one of the three ways PyTorch offers to run Adam."""
    torch.manual_seed(0)
    model = AttentionSeq2seq(V, D, H)
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


def fastest_step(*args, calls=8):
    """The step with the fastest Adam, and its name. PyTorch is measured at its best."""
    best = {}
    for adam in ADAMS:
        step = make_step(*args, adam)
        step(), step()
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        best[sorted(seconds)[calls // 2]] = (step, adam)
    return best[min(best)]


def make_attention(hs_enc, hs_dec, dout):
    """Attention forward and backward, gradients of both inputs."""
    hs_enc, hs_dec, dout = (torch.from_numpy(x) for x in (hs_enc, hs_dec, dout))
    hs_enc.requires_grad_(), hs_dec.requires_grad_()

    def run():
        hs_enc.grad = hs_dec.grad = None
        attention(hs_enc, hs_dec).backward(dout)

    return run

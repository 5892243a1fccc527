"""Multi-head attention, the layers of the Transformer, and the whole beside PyTorch: outputs and all gradients."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from ch08.multi_head_attention import MultiHeadAttention, ScaledDotAttention, sinusoidal_positions
from ch08.transformer import DecoderLayer, EncoderLayer, Transformer
from tests.parity.torch_tools import DTYPES, check_layer, close, leaves

N, T, T_ENC, D, H, M = 3, 4, 5, 6, 7, 3
MASK = np.array([[True] * 5, [True, True, True, False, False], [True, False, False, False, False]])

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_norm = pytest.mark.parametrize("pre_norm", [True, False])


def shaken(layer, seed=5):
    """Move all parameters away from their first values: biases from 0, gamma from 1."""
    rng = np.random.default_rng(seed)
    for p in layer.params:
        p += (0.3 * rng.standard_normal(p.shape)).astype(p.dtype)
    return layer


def attention_weights(ours, name, theirs):
    """The weights of our MultiHeadAttention ``name`` under the names that PyTorch has for those of ``theirs``."""
    Wq, bq, Wkv, bkv = (ours[f"{name}{which}"] for which in ("query.W", "query.b", "key_value.W", "key_value.b"))
    return {
        f"{theirs}in_proj_weight": torch.cat((Wq.T, Wkv.T)),
        f"{theirs}in_proj_bias": torch.cat((bq, bkv)),
        f"{theirs}out_proj.weight": ours[f"{name}output.W"].T,
        f"{theirs}out_proj.bias": ours[f"{name}output.b"],
    }


def layer_weights(ours, name, theirs, parts):
    """The weights of our EncoderLayer or DecoderLayer ``name``; parts: its attentions and what PyTorch calls them."""
    out = {}
    for which, their_name in parts.items():
        out |= attention_weights(ours, f"{name}{which}.", f"{theirs}{their_name}.")
    for k, which in enumerate([*parts, "feed_forward"], start=1):
        out[f"{theirs}norm{k}.weight"] = ours[f"{name}around_{which}.norm.gamma"]
        out[f"{theirs}norm{k}.bias"] = ours[f"{name}around_{which}.norm.beta"]
    for k in (1, 2):
        out[f"{theirs}linear{k}.weight"] = ours[f"{name}feed_forward.affine{k}.W"].T
        out[f"{theirs}linear{k}.bias"] = ours[f"{name}feed_forward.affine{k}.b"]
    return out


ENCODER = {"attention": "self_attn"}
DECODER = {"attention": "self_attn", "cross_attention": "multihead_attn"}


def hides_the_future(T):
    return torch.ones(T, T, dtype=torch.bool).triu(1)


def padding(mask):
    return None if mask is None else ~mask


# --- attention -------------------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("mask", [None, MASK])
def test_cross_attention(rng, dtype, heads, mask):
    layer = shaken(MultiHeadAttention(D, heads, dtype=np.dtype(dtype), rng=1))
    theirs = nn.MultiheadAttention(D, heads, batch_first=True, dtype=getattr(torch, dtype))
    hs, h = (rng.standard_normal((N, n, D)).astype(dtype) for n in (T_ENC, T))
    seen = []

    def expression(hs, h, mask, *params):
        weights = attention_weights(dict(zip(layer.param_names, params, strict=True)), "", "")
        options = dict(key_padding_mask=padding(mask), average_attn_weights=False)
        out, a = functional_call(theirs, weights, (h, hs, hs), options)
        seen.append(a)
        return out

    check_layer(layer, expression, hs, h, mask)
    close("weights", layer.weights, seen[0])


@each_dtype
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [None, MASK])
def test_self_attention(rng, dtype, heads, causal, mask):
    layer = shaken(MultiHeadAttention(D, heads, causal=causal, dtype=np.dtype(dtype), rng=1))
    theirs = nn.MultiheadAttention(D, heads, batch_first=True, dtype=getattr(torch, dtype))
    hs = rng.standard_normal((N, T_ENC, D)).astype(dtype)

    def expression(hs, _, mask, *params):
        weights = attention_weights(dict(zip(layer.param_names, params, strict=True)), "", "")
        options = dict(key_padding_mask=padding(mask), attn_mask=hides_the_future(T_ENC) if causal else None)
        return functional_call(theirs, weights, (hs, hs, hs), options)[0]

    check_layer(layer, expression, hs, None, mask)


@each_dtype
@pytest.mark.parametrize("causal", [False, True])
def test_scaled_dot_product_attention(rng, dtype, causal):
    def split(x):
        return x.unflatten(2, (M, -1)).transpose(1, 2)

    def expression(q, kv):
        k, v = kv.chunk(2, dim=2)
        out = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=causal)
        return out.transpose(1, 2).flatten(2)

    q, kv = (rng.standard_normal((N, T, n * D)).astype(dtype) for n in (1, 2))
    check_layer(ScaledDotAttention(M, causal), expression, q, kv)


# --- layers ----------------------------------------------------------------------------------------------------


@each_dtype
@each_norm
@pytest.mark.parametrize("mask", [None, MASK])
def test_encoder_layer(rng, dtype, pre_norm, mask):
    layer = shaken(EncoderLayer(D, H, M, pre_norm, 0.0, np.dtype(dtype), rng))
    options = dict(dropout=0.0, batch_first=True, norm_first=pre_norm, dtype=getattr(torch, dtype))
    theirs = nn.TransformerEncoderLayer(D, M, H, **options)

    def expression(x, mask, *params):
        weights = layer_weights(dict(zip(layer.param_names, params, strict=True)), "", "", ENCODER)
        return functional_call(theirs, weights, (x,), dict(src_key_padding_mask=padding(mask)))

    check_layer(layer, expression, rng.standard_normal((N, T_ENC, D)).astype(dtype), mask)


@each_dtype
@each_norm
@pytest.mark.parametrize("mask", [None, MASK])
def test_decoder_layer(rng, dtype, pre_norm, mask):
    layer = shaken(DecoderLayer(D, H, M, pre_norm, 0.0, np.dtype(dtype), rng))
    options = dict(dropout=0.0, batch_first=True, norm_first=pre_norm, dtype=getattr(torch, dtype))
    theirs = nn.TransformerDecoderLayer(D, M, H, **options)

    def expression(hs_enc, x, mask, *params):
        weights = layer_weights(dict(zip(layer.param_names, params, strict=True)), "", "", DECODER)
        options = dict(tgt_mask=hides_the_future(T), memory_key_padding_mask=padding(mask))
        return functional_call(theirs, weights, (x, hs_enc), options)

    hs_enc, x = (rng.standard_normal((N, n, D)).astype(dtype) for n in (T_ENC, T))
    check_layer(layer, expression, hs_enc, x, mask)


# --- the whole -------------------------------------------------------------------------------------------------


def loss_of_torch(model, ours, xs, ts, pre_norm, positions, label_smoothing):
    """The loss of nn.Transformer with the weights ``ours``, a dict; embeddings and the output layer are outside it."""
    L = len(model.encoder.layers)
    dtype = ours["encoder.embed.W"].dtype
    norms = [nn.LayerNorm(D, dtype=dtype) if pre_norm else None for _ in range(2)]  # of post-norm there is none
    options = dict(dropout=0.0, batch_first=True, norm_first=pre_norm, dtype=dtype)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, M, H, **options), L, norms[0], False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(D, M, H, **options), L, norms[1])
    theirs = nn.Transformer(D, M, custom_encoder=encoder, custom_decoder=decoder, batch_first=True)
    weights = {}
    for side, parts in (("encoder", ENCODER), ("decoder", DECODER)):
        for k in range(L):
            weights |= layer_weights(ours, f"{side}.layers.{k}.", f"{side}.layers.{k}.", parts)
        if pre_norm:
            weights[f"{side}.norm.weight"] = ours[f"{side}.norm.gamma"]
            weights[f"{side}.norm.bias"] = ours[f"{side}.norm.beta"]
    assert weights.keys() == dict(theirs.named_parameters()).keys()

    def embedded(side, ids):
        x = F.embedding(ids, ours[f"{side}.embed.W"]) * D**0.5
        if positions == "learned":
            return x + ours[f"{side}.positions.W"][: ids.shape[1]]
        return x + torch.as_tensor(sinusoidal_positions(ids.shape[1], D)).to(x.dtype)

    xs, ts = torch.as_tensor(xs), torch.as_tensor(ts)
    options = dict(
        tgt_mask=hides_the_future(ts.shape[1] - 1), src_key_padding_mask=xs == 0, memory_key_padding_mask=xs == 0
    )
    out = functional_call(theirs, weights, (embedded("encoder", xs), embedded("decoder", ts[:, :-1])), options)
    W = ours["decoder.affine.W"]
    logits = F.linear(out, W if W.shape[1] == D else W.T, ours["decoder.affine.b"])
    return F.cross_entropy(logits.flatten(0, 1), ts[:, 1:].flatten(), ignore_index=0, label_smoothing=label_smoothing)


@each_dtype
@each_norm
@pytest.mark.parametrize(("positions", "tied"), [("sinusoidal", False), ("learned", True), ("sinusoidal", "all")])
def test_transformer(rng, dtype, pre_norm, positions, tied):
    V = 11  # neither D nor H, so that W (V, D) and W (D, V) are told apart
    options = dict(layers=2, heads=M, pre_norm=pre_norm, positions=positions, tied=tied, label_smoothing=0.1)
    model = shaken(Transformer(V, V, D, H, max_length=6, dtype=np.dtype(dtype), rng=2, **options))
    xs = np.where(MASK, rng.integers(1, V, MASK.shape), 0)
    ts = rng.integers(1, V, (N, 5))
    ts[1, 3:] = 0
    ours = dict(zip(model.param_names, leaves(model.params), strict=True))
    expected = loss_of_torch(model, ours, xs, ts, pre_norm, positions, 0.1)
    close("loss", model.forward(xs, ts), expected)
    model.backward(0.7)
    expected.backward(torch.tensor(0.7, dtype=expected.dtype))
    for (name, p), got in zip(ours.items(), model.grads, strict=True):
        close(name, got, p.grad)

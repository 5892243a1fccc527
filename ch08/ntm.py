"""NTM: a controller with a memory of its own, which attention reads and writes.

    one step:  (x_t, reads_(t-1)) -> controller -> out_t -> heads: key, strength, gate, shift, gamma; erase, add
      1. address   every head finds its weighting in M_(t-1), from its weighting before and what it says
      2. write     M_t = M_(t-1), of which the writing heads erase, and to which they then add
      3. read      reads_t = the rows of M_t, mixed by the weightings of the reading heads
    after all steps:  (out_t, reads_t) -> affine -> logits_t, one for each output bit

Everything but the weights is thrown away after a sequence: what a sequence says is in the memory, and what all
sequences have in common, the program that reads and writes it, is in the weights.

The order is that of the paper: r_t reads M_t, in which the write of the same step stands already. A writing head cannot
look into the memory that it is about to make, so it looks into M_(t-1); here the reading heads do so, too, and one pass
over the memory serves the addressing of all heads.

State: memory (N, R, W); weights (N, M, R), those of the reading heads first; reads (N, reading heads * W); h and c
(N, H) if the controller is an LSTM. Before the first step the memory is a constant or learned, the weightings and reads
are learned, h and c are 0.

Memory in training: backward needs M_t of every step, N R W numbers times T, and the weightings on their way from key to
head take as much again. For a batch of 32, 128 rows of width 20 and H = 100 these are 0.84 MB a step in float32, and
at most 1.0 MB with what waits for the end of backward (``common.unroll``): 41 MB for the 41 steps of a copy of 20. The
longest sequences that the tasks of ``ch08.recipes.memory`` train on have 112 steps. Without backward (``predict``) it
does not grow with T.

Sources: Graves, Wayne and Danihelka 2014; Collier and Beel 2018 for the first memory and what squashes which number.
"""

from itertools import accumulate

from ch08.ntm_layers import Add, Addressing, Erase, Read, Softplus, TimeSigmoidWithLoss
from ch08.score_layers import swap
from common.base_model import BaseModel, Composite
from common.functions import softmax
from common.init import init_affine, init_lstm
from common.layers import Sigmoid, Softmax, Tanh, cached, cast, check_dout
from common.np import default_rng, normal, np
from common.steps import LSTM
from common.unroll import Unroll

FIRST_NUMBER = 1e-6  # what stands everywhere in a constant first memory
FIRST_FOCUS = 5.0  # how far the logit of the first row stands out in the first weightings
CLOSED = -2.0  # a first bias of the gates: sigmoid(-2) is 0.12
FIRST_SHIFT = 2.0  # the first bias of a shift one row on, and less than 0 by as much for the other two: 0.96 of it


class NTM(BaseModel):
    """A Neural Turing Machine that reads vectors and writes bits.

    Args:
        input_size D, output_size B (bits), hidden_size H of the controller.
        rows R and width W of the memory; read_heads, write_heads.
        controller: "lstm" or "feedforward".
        first_memory: "constant", 1e-6 everywhere, or "learned".
        walking: whether the heads begin by going one row on in each step, or by all three shifts alike.
        first_gate: the first bias of the reading heads' gates; 0 lets half of each weighting come from the content.
        dtype: of the weights. rng: a NumPy Generator, a seed, or None for NumPy's global state.

    After ``forward``: ``weights`` (N, T, M, R), of all heads; ``read_weights`` and ``write_weights``, its two parts;
    ``memory`` (N, R, W) after the last step. ``start`` and ``step`` go step by step, and hand out the state.
    """

    def __init__(
        self,
        input_size,
        output_size,
        hidden_size,
        *,
        rows=128,
        width=20,
        read_heads=1,
        write_heads=1,
        controller="lstm",
        first_memory="constant",
        walking=True,
        first_gate=CLOSED,
        dtype=np.float32,
        rng=None,
    ):
        if controller not in CONTROLLERS:
            raise ValueError(f"NTM: controller must be one of {', '.join(CONTROLLERS)}, got {controller!r}")
        if read_heads < 1 or write_heads < 1:
            raise ValueError(f"NTM: it needs heads of both kinds, got {read_heads} to read and {write_heads} to write")
        D, B, H = input_size, output_size, hidden_size
        rng = None if rng is None else default_rng(rng)
        heads = read_heads, write_heads
        self.input_size, self.read_heads = D, read_heads
        self.controller_states = CONTROLLERS[controller].states
        self.hidden_size = H
        self.first = FirstState(rows, width, heads, first_memory, dtype, rng)
        core = CONTROLLERS[controller](D + read_heads * width, H, dtype, rng)
        self.steps = Unroll(
            NTMStep(core, H, width, heads, walking, first_gate, dtype, rng), states=3 + self.controller_states
        )
        self.affine = init_affine(H + read_heads * width, B, dtype, rng)
        self.loss = TimeSigmoidWithLoss()
        self.weights = self.memory = None

    @property
    def count(self):
        """The number of bits that the loss of the last forward call is a mean over."""
        return self.loss.count

    @property
    def read_weights(self):
        """The weightings of the reading heads in the last forward call, (N, T, reading heads, R)."""
        return self.weights[:, :, : self.read_heads]

    @property
    def write_weights(self):
        """The weightings of the writing heads in the last forward call, (N, T, writing heads, R)."""
        return self.weights[:, :, self.read_heads :]

    def forward(self, xs, ts, mask=None):
        """Return the mean loss per bit, in nats.

        Args: xs (N, T, D); ts (N, T, B) of 0 and 1; mask (N, T) bool, True for the steps whose bits count.
        """
        xs = _inputs(self, xs)
        outs, self.weights, self.memory, *_ = self.steps.forward(xs, *self.start(len(xs)))
        return self.loss.forward(self.affine.forward(outs), ts, mask)

    def backward(self, dout=1):
        """Back through the steps, to the first state. Return dxs (N, T, D)."""
        douts = self.affine.backward(self.loss.backward(dout))
        dxs, dmemory, dweights, dreads, *_ = self.steps.backward(douts, None)
        self.first.backward(dmemory, dweights, dreads)
        return dxs

    def start(self, rows):
        """Return the state before the first step of ``rows`` sequences: (memory, weights, reads) and maybe (h, c)."""
        zeros = (np.zeros((rows, self.hidden_size), self.affine.params[0].dtype) for _ in range(self.controller_states))
        return *self.first.forward(rows), *zeros

    def step(self, x, state):
        """Read one vector for every sequence, x (N, D).

        Returns: (logits (N, B), the state after it, weights (N, M, R)). The state is a tuple; to go on with another
        memory, put it in place of the first array.
        """
        (x,) = cast(self.affine.params[0].dtype, x)
        out, weights, *state = self.steps.step.forward(x, *state)
        return self.affine.forward(out), tuple(state), weights

    def predict(self, xs):
        """Return the logits (N, T, B) for xs (N, T, D); a bit is 1 where they are above 0.

        Step by step, so its memory does not grow with T.
        """
        xs = _inputs(self, xs)
        state, logits = self.start(len(xs)), []
        for t in range(xs.shape[1]):
            now, state, _ = self.step(xs[:, t], state)
            logits.append(now)
        return np.stack(logits, axis=1)


class NTMStep(Composite):
    """One step of the machine.

    Shapes: x (N, D); the state as above; out (N, H + reading heads * W) is what the output layer reads: what the
    controller put out, and what was read.
    """

    def __init__(self, controller, hidden_size, width, heads, walking, first_gate, dtype, rng):
        self.read_heads, write_heads = heads
        self.controller = controller
        self.heads = Heads(hidden_size, width, heads, walking, first_gate, dtype, rng)
        self.addressing = Addressing()
        self.erases = [Erase() for _ in range(write_heads)]
        self.adds = [Add() for _ in range(write_heads)]
        self.read = Read()
        self.cache = None

    def forward(self, x, memory, weights, reads, *state):
        """Return (out, weights, and the state after the step: memory, weights, reads and that of the controller)."""
        N, D = x.shape
        out, *state = self.controller.forward(np.concatenate((x, reads), axis=1), *state)
        addresses, erase, add = self.heads.forward(out)
        weights = self.addressing.forward(memory, weights, *addresses)  # 1. address, (N, M, R)
        writing = list(enumerate(range(self.read_heads, weights.shape[1])))  # number among the writers, among all heads
        for k, m in writing:  # 2. write: all erase, then all add
            memory = self.erases[k].forward(memory, weights[:, m], erase[:, k])
        for k, m in writing:
            memory = self.adds[k].forward(memory, weights[:, m], add[:, k])
        reads = self.read.forward(memory, weights[:, : self.read_heads]).reshape(N, -1)  # 3. read
        self.cache = (D, out.shape[1], writing, memory.shape, weights.shape)
        return np.concatenate((out, reads), axis=1), weights, memory, weights, reads, *state

    def backward(self, dout, dseen, dmemory, dweights, dreads, *dstate):
        """The step in reverse order. Memory, weightings and reads each went to several places: gradients are added.

        dseen: what a loss says of the weightings, or None. Return (dx, dmemory, dweights, dreads, *dstate).
        """
        D, H, writing, shape, weights_shape = cached(self)
        check_dout(self, dmemory, shape, "dmemory")
        check_dout(self, dweights, weights_shape, "dweights")
        dweights = dweights.copy() if dseen is None else dweights + dseen
        dreads = (dreads + dout[:, H:]).reshape(shape[0], self.read_heads, shape[2])
        dread_memory, dw = self.read.backward(dreads)  # 3. read
        dread_memory += dmemory
        dmemory = dread_memory
        dweights[:, : self.read_heads] += dw
        derase, dadd = (np.empty((shape[0], len(writing), shape[2]), dout.dtype) for _ in range(2))
        for k, m in reversed(writing):  # 2. write
            dmemory, dw, dadd[:, k] = self.adds[k].backward(dmemory)
            dweights[:, m] += dw
        for k, m in reversed(writing):
            dmemory, dw, derase[:, k] = self.erases[k].backward(dmemory)
            dweights[:, m] += dw
        dlooked_at, dweights, *daddresses = self.addressing.backward(dweights)  # 1. address
        dmemory += dlooked_at
        dcontrolled = self.heads.backward(daddresses, derase, dadd)
        dcontrolled += dout[:, :H]
        dboth, *dstate = self.controller.backward(dcontrolled, *dstate)
        return dboth[:, :D], dmemory, dweights, dboth[:, D:], *dstate


class Heads(Composite):
    """What the heads say, from what the controller put out: one affine map for all numbers of all heads.

    Each head says a key (tanh), a strength (softplus), a gate (sigmoid), shifts (softmax over 3) and gamma
    (1 + softplus); each writing head also what to erase (sigmoid) and to add (tanh). What is squashed in the same way
    stands side by side: keys and adds, gates and erases, strengths and gammas, shifts.

    The gates begin nearly closed. A new machine finds all contents alike, so an open gate would spread the weighting
    over all rows within a few steps, and what is written there could not be told apart. ``first_gate`` opens those of
    the heads that read: to go back to a row by its content they have to try it.
    And the heads begin by walking, one row on in each step: heads that begin by staying write one vector over another,
    and training may stay there.

    Shapes: out (N, H) -> (key (N, M, W), strength, gate (N, M), shift (N, M, 3), gamma (N, M)), as ``Addressing`` takes
    them, and erase and add (N, writing heads, W).
    """

    def __init__(self, hidden_size, width, heads, walking, first_gate, dtype, rng):
        M, writing, W = sum(heads), heads[1], width
        self.shape = M, writing, W
        sizes = (M + writing) * W, M + writing * W, 2 * M, 3 * M  # what is squashed in each of the four ways
        self.ends = list(accumulate(sizes[:-1]))
        self.affine = init_affine(hidden_size, sum(sizes), dtype, rng)
        b = self.affine.params[1]
        gates = b[self.ends[0] : self.ends[0] + M]
        gates[: heads[0]], gates[heads[0] :] = first_gate, CLOSED
        if walking:
            b[self.ends[2] :] = np.tile(np.array([-FIRST_SHIFT, -FIRST_SHIFT, FIRST_SHIFT], dtype), M)
        self.tanh, self.sigmoid, self.softplus, self.softmax = Tanh(), Sigmoid(), Softplus(), Softmax()

    def forward(self, out):
        """Return ((key, strength, gate, shift, gamma), erase, add)."""
        N, (M, writing, W) = len(out), self.shape
        vectors, shares, numbers, shift = np.split(self.affine.forward(out), self.ends, axis=1)
        vectors = self.tanh.forward(vectors).reshape(N, M + writing, W)
        shares = self.sigmoid.forward(shares)
        numbers = self.softplus.forward(numbers)
        shift = self.softmax.forward(shift.reshape(N, M, 3))
        addresses = vectors[:, :M], numbers[:, :M], shares[:, :M], shift, 1 + numbers[:, M:]
        return addresses, shares[:, M:].reshape(N, writing, W), vectors[:, M:]

    def backward(self, daddresses, derase, dadd):
        """Each squashing by its own rule, then the affine map. Return dout (N, H)."""
        dkey, dstrength, dgate, dshift, dgamma = daddresses
        N = len(dkey)
        dvectors = np.concatenate((dkey, dadd), axis=1).reshape(N, -1)
        dshares = np.concatenate((dgate, derase.reshape(N, -1)), axis=1)
        dnumbers = np.concatenate((dstrength, dgamma), axis=1)
        dz = (
            self.tanh.backward(dvectors),
            self.sigmoid.backward(dshares),
            self.softplus.backward(dnumbers),
            self.softmax.backward(dshift).reshape(N, -1),
        )
        return self.affine.backward(np.concatenate(dz, axis=1))


class LSTMController(Composite):
    """An LSTM that puts out its hidden state: forward(x, h, c) -> (h, h, c). Its forget gates begin open (bias 1)."""

    states = 2

    def __init__(self, input_size, hidden_size, dtype, rng):
        D, H = input_size, hidden_size
        Wx, Wh = normal(rng, (D, 4 * H), D**-0.5, dtype), normal(rng, (H, 4 * H), H**-0.5, dtype)
        b = np.zeros(4 * H, dtype)
        b[:H] = 1
        self.lstm = LSTM(Wx, Wh, b)

    def forward(self, x, h, c):
        """Return (out, h, c), each (N, H)."""
        h, c = self.lstm.forward(x, h, c)
        return h, h, c

    def backward(self, dout, dh, dc):
        """h went out and to the next step: its gradients are added. Return (dx, dh, dc)."""
        return self.lstm.backward(dout + dh, dc)


class FeedForwardController(Composite):
    """A layer without a state, tanh(x W + b): all that the machine remembers is in its memory."""

    states = 0

    def __init__(self, input_size, hidden_size, dtype, rng):
        self.affine = init_affine(input_size, hidden_size, dtype, rng)
        self.tanh = Tanh()

    def forward(self, x):
        """Return (out (N, H),): a tuple, as there is no state."""
        return (self.tanh.forward(self.affine.forward(x)),)

    def backward(self, dout):
        """Return (dx,)."""
        return (self.affine.backward(self.tanh.backward(dout)),)


CONTROLLERS = {"lstm": LSTMController, "feedforward": FeedForwardController}


class FirstState:
    """The memory, weightings and reads before the first step, alike for all sequences of a batch.

    On a memory of equal rows with equal weights, all rows would be written alike forever: there is nothing to tell
    them apart. So the first weightings begin with most of their weight on row 0, all of them; from there they learn.

    Params: logits (M, R) of the weightings, reads (reading heads, W), and for a learned memory that, (R, W).
    """

    def __init__(self, rows, width, heads, memory, dtype, rng):
        if memory not in ("constant", "learned"):
            raise ValueError(f'NTM: first_memory must be "constant" or "learned", got {memory!r}')
        logits = np.zeros((sum(heads), rows), dtype)
        logits[:, 0] = FIRST_FOCUS
        self.shape, self.dtype = (rows, width), dtype
        self.params = [logits, normal(rng, (heads[0], width), 0.1, dtype)]
        self.param_names = ["weights", "reads"]
        if memory == "learned":
            self.params.append(normal(rng, self.shape, 0.1, dtype))
            self.param_names.append("memory")
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def forward(self, N):
        """Return (memory (N, R, W), weights (N, M, R), reads (N, reading heads * W)) for N sequences."""
        logits, reads, *memory = self.params
        first = memory[0] if memory else np.full(self.shape, FIRST_NUMBER, self.dtype)
        weights = softmax(logits)
        self.cache = (N, weights)
        memory = swap(np.repeat(swap(first[None]), N, axis=0))  # columns lie together, as in ``outer``
        return memory, np.repeat(weights[None], N, axis=0), np.repeat(reads.reshape(1, -1), N, axis=0)

    def backward(self, dmemory, dweights, dreads):
        """All sequences began with the same: sum over the batch, then softmax's rule for the weightings."""
        N, weights = cached(self)
        check_dout(self, dweights, (N, *weights.shape), "dweights")
        dlogits, d_reads, *d_memory = self.grads
        dw = dweights.sum(axis=0)
        dlogits[...] = weights * (dw - (weights * dw).sum(axis=1, keepdims=True))
        d_reads[...] = dreads.sum(axis=0).reshape(d_reads.shape)
        if d_memory:
            np.sum(dmemory, axis=0, out=d_memory[0])


class PlainLSTM(BaseModel):
    """What the NTM is compared with: LSTMs, one on top of the other, with no memory but their cells.

    Args: input_size D, output_size B, hidden_size H; layers, of LSTMs; dtype and rng as for NTM.
    """

    def __init__(self, input_size, output_size, hidden_size, *, layers=1, dtype=np.float32, rng=None):
        if layers < 1:
            raise ValueError(f"PlainLSTM: layers must be at least 1, got {layers}")
        D, B, H = input_size, output_size, hidden_size
        rng = None if rng is None else default_rng(rng)
        self.input_size = D
        self.lstms = [init_lstm(H if k else D, H, dtype, rng) for k in range(layers)]
        for lstm in self.lstms:
            lstm.params[2][:H] = 1  # the forget gates begin open
        self.affine = init_affine(H, B, dtype, rng)
        self.loss = TimeSigmoidWithLoss()

    @property
    def count(self):
        """The number of bits that the loss of the last forward call is a mean over."""
        return self.loss.count

    def forward(self, xs, ts, mask=None):
        """Return the mean loss per bit, in nats. Args: as for NTM."""
        return self.loss.forward(self.predict(xs), ts, mask)

    def backward(self, dout=1):
        """Back through the layers. Return dxs (N, T, D)."""
        dhs = self.affine.backward(self.loss.backward(dout))
        for lstm in reversed(self.lstms):
            dhs = lstm.backward(dhs)
        return dhs

    def predict(self, xs):
        """Return the logits (N, T, B) for xs (N, T, D)."""
        hs = _inputs(self, xs)
        for lstm in self.lstms:
            hs = lstm.forward(hs)
        return self.affine.forward(hs)


def _inputs(model, xs):
    """Return xs in the dtype of the model's parameters, or raise a ValueError unless it is (N, T, D)."""
    D = model.input_size
    if xs.ndim != 3 or 0 in xs.shape or xs.shape[2] != D:
        raise ValueError(f"{type(model).__name__}: xs must be (N, T, {D}), N and T at least 1, got {xs.shape}")
    return cast(model.affine.params[0].dtype, xs)[0]

"""What training on many machines costs: formulas, and simulations that check them message by message.

Data parallel, R machines: each computes with its rows of the batch, then the gradients, n bytes, are summed over all
machines. In a ring (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations")
every machine sends 2 (R - 1) messages of n / R bytes to its neighbor. So the time hardly grows with R as long as the
bandwidth rules, and grows with R once the latency does.

Model parallel, the wavefront (Wu et al. 2016, section 3.1): every layer has a machine of its own, which waits for the
layer below and for its own step before.

``python -m common.scaling`` prints the table of ``common/training/MACHINES.md``; ``--help`` lists what it can be asked.
"""

import argparse
import math
from dataclasses import dataclass

from common.np import host
from common.util import echo

SIZES = (1, 8, 64, 512)  # machines
BUCKETS = 4
SMALL = 2  # all-reduces of a few bytes in a step: the loss with its count, and whether to stop


@dataclass(frozen=True)
class Network:
    """Links between machines: latency, seconds until the first byte of a message arrives; bandwidth, bytes a second."""

    latency: float
    bandwidth: float


@dataclass(frozen=True)
class Work:
    """A training step on one machine.

    fixed: seconds that do not depend on the rows, such as the optimizer's update; per_row: seconds for each row of the
    batch; nbytes: of all gradients.
    """

    fixed: float
    per_row: float
    nbytes: int


ETHERNET = Network(latency=50e-6, bandwidth=10e9 / 8)  # 10 Gbit/s
FABRIC = Network(latency=2e-6, bandwidth=100e9 / 8)  # 100 Gbit/s, InfiniBand or the like


# --- the ring --------------------------------------------------------------------------------------------------


def ring_messages(size):
    """Return the number of messages that each of ``size`` machines sends in one all-reduce."""
    return 2 * (size - 1)


def ring_bytes(size, nbytes):
    """Return the bytes that each machine sends in one all-reduce of ``nbytes``: less than twice as many."""
    return 2 * (size - 1) / size * nbytes


def ring_time(size, nbytes, network):
    """Return the seconds of one all-reduce of ``nbytes`` in a ring of ``size`` machines."""
    return ring_messages(size) * network.latency + ring_bytes(size, nbytes) / network.bandwidth


def small_time(size, network):
    """Return the seconds of one all-reduce of a few bytes, in log2 R rounds in which pairs exchange what they have."""
    return math.ceil(math.log2(size)) * network.latency


@dataclass
class Traffic:
    """What a simulated all-reduce has sent: messages and bytes of each machine, two lists; seconds until its end."""

    messages: list
    nbytes: list
    seconds: float


def simulate_ring(buffers, network, ready=None):
    """Sum the arrays (n,) of R machines in a ring, message by message; afterwards each holds the sum. Return Traffic.

    The arrays are cut into R chunks. Round by round machine r sends a chunk to machine r + 1: in the first R - 1 rounds
    that one adds it to its own, until every chunk is complete on one machine; in the others the complete chunks go
    around once more. A machine sends when it has what it must send and its last message is out.

    Args: buffers, a list of R arrays, changed in place; ready, for each machine the seconds after which it begins.
    """
    R = len(buffers)
    chunks = [host.array_split(buffer, R) for buffer in buffers]  # views
    clock = list(ready or [0.0] * R)  # when each machine has what it sends next
    traffic = Traffic([0] * R, [0] * R, max(clock))
    for turn in range(2 * (R - 1)):
        adding = turn < R - 1
        sent = []
        for r in range(R):
            chunk = (r - turn) % R if adding else (r + 1 - (turn - (R - 1))) % R
            message = chunks[r][chunk].copy()
            out = clock[r] + message.nbytes / network.bandwidth
            sent.append((chunk, message, out, out + network.latency))
            traffic.messages[r] += 1
            traffic.nbytes[r] += message.nbytes
        for r, (chunk, message, _, arrival) in enumerate(sent):
            receiver = (r + 1) % R
            target = chunks[receiver][chunk]
            target[...] = target + message if adding else message
            clock[receiver] = max(sent[receiver][2], arrival)
    traffic.seconds = max(clock)
    return traffic


# --- a training step -------------------------------------------------------------------------------------------


def communication_time(work, size, network):
    """Return the seconds that ``size`` machines spend sending in a training step."""
    return 0.0 if size == 1 else ring_time(size, work.nbytes, network) + SMALL * small_time(size, network)


def step_time(work, rows, size, network):
    """Return the seconds of a training step with a batch of ``rows`` on ``size`` machines."""
    return work.fixed + work.per_row * math.ceil(rows / size) + communication_time(work, size, network)


def least_rows(work, size, network):
    """Return the batch size below which ``size`` machines are slower than one.

    From fixed + per_row N = fixed + per_row N / R + C, with C the time of sending: N = C / (per_row (1 - 1 / R)).
    """
    return math.ceil(communication_time(work, size, network) / (work.per_row * (1 - 1 / size)))


def rows_for(share, work, size, network):
    """Return the batch size from which ``size`` machines have ``share``, in (0, 1), of ``size`` times the speed of one.

    From fixed + per_row N = share R (fixed + per_row N / R + C).
    """
    C = communication_time(work, size, network)
    return math.ceil((share * size * (work.fixed + C) - work.fixed) / (work.per_row * (1 - share)))


def bucket_time(work, rows, size, network, buckets):
    """Return the seconds of a step whose gradients are sent in equal buckets while the backward pass still runs.

    The backward pass is two thirds of the work on a row and finishes one bucket after the other; a bucket is sent when
    it is finished and the one before has been sent. More buckets hide more, and send more messages.
    """
    forward, backward = (work.per_row * math.ceil(rows / size) * part / 3 for part in (1, 2))
    sending = 0.0 if size == 1 else ring_time(size, work.nbytes / buckets, network)
    sent = 0.0
    for k in range(1, buckets + 1):
        sent = max(sent, forward + backward * k / buckets) + sending
    small = SMALL * small_time(size, network)
    return work.fixed + sent + small


# --- the wavefront ---------------------------------------------------------------------------------------------


def wavefront(layers, steps, *, both_ways=False, delay=0.0):
    """Simulate layers, one machine each, over time steps; a layer takes 1 for a step.

    A layer computes a step when it has computed the one before and the layer below has sent it that step.

    Args: both_ways, the lowest layer reads from both ends, on two machines, so no layer above can begin before it has
    ended; delay, that sending to the layer above takes.
    Returns: (start, idle): start (layers, steps), when each layer begins each step; idle, the share of the machines'
    time, from the first step to the last, in which they wait. Without both_ways and delay that is
    (layers - 1) / (steps + layers - 1).
    """
    start = host.zeros((layers, steps))
    for layer in range(layers):
        for t in range(steps):
            before = start[layer, t - 1] + 1 if t else 0.0
            below = 0.0
            if layer:
                last = steps - 1 if both_ways and layer == 1 else t
                below = start[layer - 1, last] + 1 + delay
            start[layer, t] = max(before, below)
    return start, 1 - steps / (start.max() + 1)


# --- the table -------------------------------------------------------------------------------------------------


def table(work, rows, network):
    """Return lines of text with a column for each of these, for each number of machines.

    The time of a step; the same with gradients in BUCKETS; how much faster than one machine the first is; the share of
    it spent sending; the batch sizes from which that many machines pay, and from which they are half as fast as they
    could be.
    """
    heads = "machines", "step", f"{BUCKETS} buckets", "faster", "sending", "pays from", "half from"
    lines = [f"{heads[0]:>8} {heads[1]:>10} {heads[2]:>10} {heads[3]:>7} {heads[4]:>8} {heads[5]:>10} {heads[6]:>10}"]
    one = step_time(work, rows, 1, network)
    for size in SIZES:
        time, sending = step_time(work, rows, size, network), communication_time(work, size, network)
        buckets = bucket_time(work, rows, size, network, BUCKETS)
        pays = "-" if size == 1 else f"{least_rows(work, size, network):,}"
        half = "-" if size == 1 else f"{rows_for(0.5, work, size, network):,}"
        lines.append(
            f"{size:8} {1000 * time:7.1f} ms {1000 * buckets:7.1f} ms {one / time:7.2f} {sending / time:8.1%} "
            f"{pays:>10} {half:>10}"
        )
    return lines


def main(argv=None):
    """Print the table for the numbers on the command line."""
    parser = argparse.ArgumentParser(prog="python -m common.scaling", description="What a training step costs.")
    parser.add_argument("--rows", type=int, default=512, help="rows in a batch (default: %(default)s)")
    parser.add_argument("--row", type=float, default=9.6, help="milliseconds for each row (default: %(default)s)")
    parser.add_argument(
        "--fixed", type=float, default=20.0, help="milliseconds whatever the rows (default: %(default)s)"
    )
    parser.add_argument("--parameters", type=float, default=4.65e6, help="of the model (default: %(default)s)")
    parser.add_argument("--latency", type=float, help="microseconds before a message arrives")
    parser.add_argument("--bandwidth", type=float, help="Gbit/s")
    args = parser.parse_args(argv)
    work = Work(args.fixed / 1000, args.row / 1000, int(4 * args.parameters))
    networks = {"10 Gbit/s, 50 us": ETHERNET, "100 Gbit/s, 2 us": FABRIC}
    if args.latency is not None or args.bandwidth is not None:
        latency, bandwidth = args.latency or 50.0, args.bandwidth or 10.0
        networks = {f"{bandwidth:g} Gbit/s, {latency:g} us": Network(latency / 1e6, bandwidth * 1e9 / 8)}
    for name, network in networks.items():
        echo(f"{name}, {args.rows} rows in a batch")
        echo("\n".join(table(work, args.rows, network)) + "\n")


if __name__ == "__main__":
    main()

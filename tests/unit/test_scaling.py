"""The formulas of training on many machines, against simulations and against numbers worked out by hand."""

import math

import numpy as np
import pytest

from common.scaling import (
    ETHERNET,
    FABRIC,
    SIZES,
    SMALL,
    Network,
    Work,
    bucket_time,
    communication_time,
    least_rows,
    main,
    ring_bytes,
    ring_messages,
    ring_time,
    rows_for,
    simulate_ring,
    small_time,
    step_time,
    table,
    wavefront,
)
from common.wavefront_figure import wavefront_figure

SLOW = Network(latency=3.0, bandwidth=2.0)  # in round numbers, to work out by hand
WORK = Work(fixed=0.02, per_row=0.0095, nbytes=20_000_000)


def test_the_ring_of_two_by_hand():
    """Two machines, 4 bytes each: 1 + 1 messages of 2 bytes, each 1 second on the line and 3 on its way."""
    buffers = [np.array([1, 2, 3, 4], np.int8), np.array([10, 20, 30, 40], np.int8)]
    traffic = simulate_ring(buffers, SLOW)
    assert [buffer.tolist() for buffer in buffers] == [[11, 22, 33, 44]] * 2
    assert (traffic.messages, traffic.nbytes, traffic.seconds) == ([2, 2], [4, 4], 8.0)
    assert (ring_messages(2), ring_bytes(2, 4), ring_time(2, 4, SLOW)) == (2, 4, 8.0)


@pytest.mark.parametrize("R", [1, 2, 3, 4, 7, 8, 64])
@pytest.mark.parametrize("network", [SLOW, ETHERNET, FABRIC])
def test_the_simulated_ring_sends_what_the_formula_says(rng, R, network):
    buffers = [rng.standard_normal(5 * R) for _ in range(R)]
    total = sum(buffers)
    nbytes = buffers[0].nbytes
    traffic = simulate_ring(buffers, network)
    for buffer in buffers:
        np.testing.assert_allclose(buffer, total, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(buffer, buffers[0])  # bit by bit
    assert traffic.messages == [ring_messages(R)] * R
    assert traffic.nbytes == pytest.approx([ring_bytes(R, nbytes)] * R)
    assert traffic.seconds == pytest.approx(ring_time(R, nbytes, network))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_arrays_that_cannot_be_cut_evenly_are_summed_as_well(n):
    buffers = [np.full(n, 10.0**r) for r in range(3)]
    traffic = simulate_ring(buffers, SLOW)
    assert all((buffer == 111).all() for buffer in buffers)
    assert sum(traffic.nbytes) == 2 * 2 * 8 * n  # every chunk goes 2 (R - 1) times over a line
    assert traffic.seconds >= ring_time(3, 8 * n, SLOW) * (1 - 1e-12)


def test_all_wait_for_a_machine_that_begins_late():
    late = simulate_ring([np.ones(8) for _ in range(4)], SLOW, ready=[0, 0, 50.0, 0])
    assert late.seconds == pytest.approx(50 + ring_time(4, 64, SLOW))


def test_a_step_is_computing_and_sending():
    assert communication_time(WORK, 1, SLOW) == 0
    assert step_time(WORK, 64, 1, SLOW) == pytest.approx(0.02 + 64 * 0.0095)
    assert small_time(8, SLOW) == 9.0  # three rounds
    sending = ring_time(8, WORK.nbytes, ETHERNET) + SMALL * small_time(8, ETHERNET)
    assert step_time(WORK, 60, 8, ETHERNET) == pytest.approx(0.02 + 8 * 0.0095 + sending)  # the largest part has 8 rows


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("network", [ETHERNET, FABRIC])
def test_the_batch_sizes_from_which_machines_pay(size, network):
    """Worked out again from the times of steps, for batches that all machines share evenly."""
    slow = Work(WORK.fixed, WORK.per_row / 100, WORK.nbytes)
    pays = least_rows(slow, size, network)
    above, below = math.ceil(pays / size + 1) * size, (math.floor(pays / size) - 1) * size
    assert step_time(slow, above, size, network) < step_time(slow, above, 1, network)
    assert below <= 0 or step_time(slow, below, size, network) > step_time(slow, below, 1, network)
    half = rows_for(0.5, slow, size, network)
    above, below = math.ceil(half / size + 1) * size, (math.floor(half / size) - 1) * size
    for rows, reached in ((above, True), (below, False)):
        speed = step_time(slow, rows, 1, network) / step_time(slow, rows, size, network)
        assert (speed >= 0.5 * size) == reached


def test_buckets_hide_sending_behind_the_backward_pass_until_latency_eats_it_up():
    assert bucket_time(WORK, 64, 8, ETHERNET, 1) == pytest.approx(step_time(WORK, 64, 8, ETHERNET))
    times = {buckets: bucket_time(WORK, 64, 8, ETHERNET, buckets) for buckets in (1, 2, 4, 8, 1000)}
    assert times[1] > times[2] > times[4]
    assert times[1000] > times[1]
    hidden = times[1] - min(times.values())
    assert hidden < min(ring_time(8, WORK.nbytes, ETHERNET), 2 / 3 * 8 * WORK.per_row)


# --- the wavefront ---------------------------------------------------------------------------------------------


def test_two_layers_and_three_steps_by_hand():
    start, idle = wavefront(2, 3)
    assert start.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert idle == 1 - 6 / 8


@pytest.mark.parametrize(("L", "T"), [(1, 1), (1, 9), (4, 1), (4, 16), (8, 30)])
def test_the_share_in_which_machines_wait(L, T):
    start, idle = wavefront(L, T)
    assert start.max() + 1 == T + L - 1
    assert idle == pytest.approx((L - 1) / (T + L - 1))


def test_a_layer_that_reads_from_both_ends_keeps_those_above_waiting():
    start, idle = wavefront(4, 16, both_ways=True)
    assert (start[0] == np.arange(16)).all()
    assert start[1, 0] == 16
    assert start.max() + 1 == 2 * 16 + 2
    assert idle == pytest.approx(1 - 16 / 34)


def test_sending_delays_each_layer():
    start, _ = wavefront(3, 5, delay=0.5)
    assert start[:, 0].tolist() == [0, 1.5, 3]


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_wavefront_is_drawn(both_ways):
    figure = wavefront_figure(4, 6, both_ways=both_ways)
    (ax,) = figure.axes
    assert len(ax.patches) == (4 + both_ways) * 6
    start, idle = wavefront(4, 6, both_ways=both_ways)
    assert {patch.get_x() for patch in ax.patches} == set(start.ravel().tolist())
    assert f"{idle:.0%}" in figure.alt_text


# --- the page --------------------------------------------------------------------------------------------------


def test_the_page_shows_what_the_program_prints(root, capsys):
    main([])
    page = (root / "common/training/MACHINES.md").read_text(encoding="utf-8")
    for block in capsys.readouterr().out.strip().split("\n\n"):
        assert "\n".join(f"    {line}" for line in block.splitlines()) in page


def test_the_program_takes_other_numbers(capsys):
    main(
        [
            "--rows",
            "128",
            "--row",
            "0.5",
            "--fixed",
            "3",
            "--parameters",
            "6e5",
            "--latency",
            "3e6",
            "--bandwidth",
            "16e-9",
        ]
    )
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "1.6e-08 Gbit/s, 3e+06 us, 128 rows in a batch"
    assert shown[1:] == [*table(Work(0.003, 0.0005, 2_400_000), 128, SLOW), ""]

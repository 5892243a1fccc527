"""The pictures of an LSTM show all of its numbers, in the drawing and in words."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from common.lstm_figure import GRADIENTS, STEP, VALUES, lstm_step_picture, lstm_time_picture
from common.svg import escape

VALUE_OF = {name: 0.1 + k / 100 for k, name in enumerate(VALUES)}
GRADIENT_OF = {name: -0.1 - k / 100 for k, name in enumerate(GRADIENTS)}
STEPS = [{name: 10 * t + k / 10 for k, name in enumerate(STEP)} for t in range(3)]


def texts(picture):
    return [element.text for element in ET.fromstring(picture.svg).iter("{http://www.w3.org/2000/svg}text")]


def shown(x):
    return f"{x:.3f}".replace("-", "−")


def test_a_step_shows_every_value_and_every_gradient():
    found = texts(lstm_step_picture(VALUE_OF, GRADIENT_OF))
    products = VALUE_OF["f"] * VALUE_OF["c_prev"], VALUE_OF["g"] * VALUE_OF["i"]
    for x in (*VALUE_OF.values(), *GRADIENT_OF.values(), *products):
        assert shown(x) in found
    assert found.count(shown(GRADIENT_OF["c"])) == 3  # before the branch and on both edges into the sum


def test_values_and_gradients_differ_by_more_than_color():
    svg = lstm_step_picture(VALUE_OF, GRADIENT_OF).svg
    for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        if element.text in {shown(x) for x in GRADIENT_OF.values()}:
            assert element.get("font-style") == "italic"
        elif element.text in {shown(x) for x in VALUE_OF.values()}:
            assert element.get("font-style") is None


def test_steps_show_all_numbers_of_every_step_and_take_arrays_of_one_number():
    picture = lstm_time_picture(STEPS)
    found = texts(picture)
    for step in STEPS:
        assert all(shown(x) in found for x in step.values())
    arrays = [{name: np.full((1, 1), x) for name, x in step.items()} for step in STEPS]
    assert lstm_time_picture(arrays).svg == picture.svg


@pytest.mark.parametrize("picture", [lstm_step_picture(VALUE_OF, GRADIENT_OF), lstm_time_picture(STEPS)])
def test_the_alternative_text_holds_the_numbers(picture):
    assert f'<img alt="{escape(picture.text)}"' in picture._repr_html_()
    assert ET.fromstring(picture.svg).get("aria-label") == picture.text == repr(picture)


def test_the_words_name_the_numbers():
    words = lstm_step_picture(VALUE_OF, GRADIENT_OF).text
    for name in ("f", "g", "i", "o", "c_prev", "x", "h_prev"):
        assert f"d{name} {shown(GRADIENT_OF[name])}" in words
    words = lstm_time_picture(STEPS).text
    for t, step in enumerate(STEPS):
        assert f"step {t} gets {shown(step['dhs'])} from above and sends back dh {shown(step['dh_prev'])}" in words


def test_errors_name_what_is_missing():
    without = {name: x for name, x in GRADIENT_OF.items() if name not in ("c_next", "zo")}
    with pytest.raises(ValueError, match="gradients lack zo, c_next"):
        lstm_step_picture(VALUE_OF, without)
    with pytest.raises(ValueError, match="values lack x"):
        lstm_step_picture({name: x for name, x in VALUE_OF.items() if name != "x"}, GRADIENT_OF)
    with pytest.raises(ValueError, match="step 1 lack dhs"):
        lstm_time_picture([STEPS[0], {name: x for name, x in STEPS[1].items() if name != "dhs"}])
    with pytest.raises(ValueError, match="no steps"):
        lstm_time_picture([])

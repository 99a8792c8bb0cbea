import re

from dclm_spark.html_pages.curves import loss_curve


def test_the_first_and_last_losses_lie_at_the_edges_of_the_drawing():
    drawing = loss_curve([(0, 4.0), (100, 2.0)], [(50, 3.0)])
    assert 'points="56.0,56.0 804.0,364.0"' in drawing
    assert '<circle class="heldout" r="3" cx="430.0" cy="210.0"/>' in drawing
    # Losses from above, then steps.
    assert re.findall(r">([\d.]+)</text>", drawing)[:4] == ["4.000", "0", "3.500", "25"]


def test_losses_that_are_not_finite_are_left_out():
    drawing = loss_curve([(1, float("nan")), (2, 1.0)], [(2, float("inf"))])
    assert drawing.count("<circle") == 0
    assert 'points="804.0,56.0"' in drawing


def test_without_losses_there_is_no_drawing():
    assert loss_curve([], [(1, float("nan"))]) == ""

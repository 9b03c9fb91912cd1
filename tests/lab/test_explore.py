import pytest

from odl_kit import viz
from odl_kit.lab import explore

FIGURE = viz.Figure("<p>x</p>", "a picture", "", "A finding")


def test_without_widgets_it_runs_once_with_the_first_values_and_says_what_could_change(course, capsys):
    calls = []
    explore(lambda **values: calls.append(values) or FIGURE, data=["a", "b"], local_epochs=(1, 20), lr=(0.1, 1.0, 0.1), on=True)
    assert calls == [{"data": "a", "local_epochs": 1, "lr": 0.1, "on": True}]
    said = capsys.readouterr().out
    assert "A finding" in said and "data: a | b; local epochs: 1 to 20; lr: 0.1 to 1.0; on: yes or no" in said


def test_text_and_what_is_printed_are_shown_too(course, capsys):
    explore(lambda n: print("on the way") or f"n is {n}", n=[3])
    assert "n is 3\non the way" in capsys.readouterr().out


def test_an_error_is_shown_as_a_sentence_with_its_line_and_fails_the_build(course, capsys, monkeypatch):
    def fails(epochs):
        raise ValueError("too many")

    explore(fails, epochs=(7, 9))
    said = capsys.readouterr().out
    assert "No result for epochs = 7: ValueError: too many" in said and 'raise ValueError("too many")' in said and "Traceback" not in said
    monkeypatch.setenv("ODL_TEST", "1")
    with pytest.raises(ValueError, match="too many"):
        explore(fails, epochs=(7, 9))


@pytest.mark.parametrize("choice", [[], (3,), (5, 1), (1, 5, 0), "abc", 3, None])
def test_what_is_no_control_is_refused_by_name(course, choice):
    with pytest.raises(ValueError, match="epochs="):
        explore(lambda epochs: FIGURE, epochs=choice)


def test_controls_begin_at_the_defaults_of_the_function_where_they_are_possible(course):
    calls = []

    def f(data="b", epochs=5, batch=99, other="z"):
        calls.append((data, epochs, batch, other))
        return FIGURE

    explore(f, data=["a", "b"], epochs=(1, 20), batch=(1, 64), other=["x", "y"])
    assert calls == [("b", 5, 64, "x")]

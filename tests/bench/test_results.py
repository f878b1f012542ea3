"""The cost of a result is measured on results that arrive, and a miss is a miss."""

import json

from bench.results import TARGET_US, figures, main, measure


def test_every_result_that_is_counted_arrives_and_the_call_is_a_part_of_the_way():
    calls, wholes = measure(40)

    assert len(calls) == len(wholes) == 40
    assert all(0 < call < whole for call, whole in zip(calls, wholes, strict=True))


def test_the_target_holds_below_it_and_not_above():
    good = figures([1000] * 10, [int(TARGET_US * 1000) - 1] * 10)
    bad = figures([1000] * 10, [int(TARGET_US * 1000) + 1000] * 10)

    assert all(figure.holds for figure in good)
    assert [figure.name for figure in bad if not figure.holds] == [
        "a result message, the whole way, p50"
    ]


def test_it_prints_data_and_refuses_nonsense(capsys):
    main(["--count", "20", "--json"])
    assert len(json.loads(capsys.readouterr().out)["figures"]) == 4

    assert main(["--count", "0"]) == 2
    assert "expected 1 or more" in capsys.readouterr().err

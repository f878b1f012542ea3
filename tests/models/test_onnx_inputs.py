"""A model that was exported for one odd size runs at another, with the very same weights."""

import numpy as np
import pytest

from edge.errors import ModelError
from edge.models import runtime
from edge.models.onnx_file import fields
from edge.models.onnx_inputs import resized


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def _tensor(name: str, *sizes: int) -> bytes:
    shape = b"".join(_field(1, _field(1, size)) for size in sizes)
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def _model(*inputs: bytes, weight: float = 2.0) -> bytes:
    """y = x + w, where w stands among the inputs and y claims the size of the old x."""
    packed = np.array([weight], np.float32).tobytes()
    node = _field(1, b"x") + _field(1, b"w") + _field(2, b"y") + _field(4, b"Add")
    initializer = _field(1, 1) + _field(2, 1) + _field(8, b"w") + _field(9, packed)
    graph = _field(1, node) + _field(2, b"g") + _field(5, initializer)
    graph += b"".join(_field(11, given) for given in inputs)
    graph += _field(12, _tensor("y", 2, 3)) + _field(13, _tensor("y", 2, 3))
    return _field(1, 4) + _field(7, graph) + _field(8, _field(2, 11))


MODEL = _model(_tensor("x", 2, 3), _tensor("w", 1))


def _ask(data: bytes, x: np.ndarray) -> np.ndarray:
    (found,) = runtime.ask(runtime.load(data, "model"), None, {"x": x}, "model")
    return np.asarray(found)


@pytest.mark.parametrize("shape", [(4, 5), (4, "any"), ("any", "any")])
def test_a_model_runs_at_the_size_it_is_given(shape):
    x = np.arange(20, dtype=np.float32).reshape(4, 5)

    assert (_ask(resized(MODEL, shape), x) == x + 2).all()


@pytest.mark.slow
def test_the_file_as_it_is_refuses_that_size():
    with pytest.raises(ModelError, match="model failed"):
        _ask(MODEL, np.zeros((4, 5), np.float32))


def test_a_weight_is_no_input_any_more():
    session = runtime.load(resized(MODEL, (4, 5)), "model")

    assert [given.name for given in session.get_inputs()] == ["x"]


@pytest.mark.parametrize("inputs", [(), (_tensor("x", 1), _tensor("z", 1))])
def test_a_model_without_its_one_input_is_refused(inputs):
    with pytest.raises(ModelError, match="expected one input"):
        resized(_model(*inputs), (4, 5))


@pytest.mark.parametrize("cut", range(1, len(MODEL), 7))
def test_a_file_cut_short_is_refused(cut):
    with pytest.raises(ModelError):
        runtime.load(resized(MODEL[:cut], (4, 5)), "model")


def test_models_of_one_process_share_their_working_memory():
    """Each holds nothing of its own: a second one asks for no more than the first did."""
    x = np.zeros((512, 2048), np.float32)
    held = []
    for _ in range(2):
        session = runtime.load(resized(MODEL, ("any", "any")), "model")
        runtime.ask(session, None, {"x": x}, "model")
        held.append((session, _anonymous()))

    assert held[1][1] - held[0][1] < x.nbytes


def _anonymous() -> int:
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss_Anon"))


def test_what_the_new_file_keeps_is_kept_byte_for_byte():
    def part(data, number):
        (graph,) = (value for n, value in fields(memoryview(data)) if n == 7)
        return [bytes(value) for n, value in fields(graph) if n == number]

    new = resized(MODEL, (4, 5))

    assert part(new, 1) == part(MODEL, 1)
    assert part(new, 5) == part(MODEL, 5)
    assert part(new, 13) == []

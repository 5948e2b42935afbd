"""Deadlines: against a plain dictionary, whatever is done to them."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.deadlines import NEVER, Deadlines

OPERATIONS = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 5), st.one_of(st.integers(0, 100), st.just(NEVER))),
    st.tuples(st.just("clear"), st.integers(0, 5)),
    st.tuples(st.just("due"), st.integers(0, 100)),
)


@given(st.lists(OPERATIONS, max_size=300))
def test_as_a_dictionary_would(operations: list[tuple]) -> None:  # type: ignore[type-arg]
    deadlines, model = Deadlines(), dict[int, int]()
    for name, *arguments in operations:
        if name == "set":
            key, at = arguments
            deadlines.set(key, at)
            model[key] = at
            if at >= NEVER:
                del model[key]
        elif name == "clear":
            deadlines.clear(arguments[0])
            model.pop(arguments[0], None)
        else:
            due = list(deadlines.due(arguments[0]))
            assert sorted(due) == sorted(key for key, at in model.items() if at <= arguments[0])
            assert [model[key] for key in due] == sorted(model[key] for key in due)
            for key in due:
                del model[key]
        assert deadlines.next == min(model.values(), default=NEVER)
        assert len(deadlines._heap) <= 4 * len(model) + 80

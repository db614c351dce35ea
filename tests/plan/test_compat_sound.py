"""What is said to stay right does: a verdict on two schemas against values, and against an independent validator."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.iotypes.validator import Validator
from bentod.plan.containment import findings
from tests.support.schemas import closed, fitting, schema, types_inside, value, varied


@given(st.integers(0, 1 << 40), st.booleans())
@settings(max_examples=300)
def test_a_value_that_was_right_is_right_where_nothing_is_found(seed, outer_is_new):
    rng = Random(seed)
    inner, types = schema(rng), {"T": schema(rng, 2), "U": schema(rng, 2)}
    outer, later = varied(rng, inner), {name: varied(rng, item) for name, item in types.items()}
    if findings((inner, types), (outer, later), outer_is_new=outer_is_new):
        return
    before, after = Validator(inner, types).valid, Validator(outer, later).valid
    expected = Validator(closed(inner), types_inside(types)).valid  # callers send what is named
    for _ in range(25):
        sent = fitting(rng, inner, types) if rng.random() < 0.8 else value(rng)
        if before(sent) and expected(sent):
            assert after(sent), (inner, types, outer, later, sent)


@given(st.integers(0, 1 << 40))
def test_a_schema_takes_what_it_takes(seed):
    rng = Random(seed)
    one, types = schema(rng), {"T": schema(rng, 2), "U": schema(rng, 2)}
    assert findings((one, types), (dict(one) if isinstance(one, dict) else one, dict(types)), outer_is_new=True) == []

"""Valid answers with some of their members replaced or gone."""

import copy
import json

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)


def places(value, at=()):
    """The way to every member of *value*, at any depth."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        yield (*at, name)
        yield from places(inner, (*at, name))


def within(value, at):
    """What stands in *value* at the end of the way *at*."""
    for name in at:
        value = value[name]
    return value


@st.composite
def mutated(draw, wholes, values, changes):
    """One of *wholes*, with as many members replaced by *values*, or gone, as *changes* says: fewer than it has."""
    body = copy.deepcopy(draw(wholes))
    for _ in range(draw(changes)):
        *to, name = draw(st.sampled_from(list(places(body))))
        place = within(body, to)
        if draw(st.booleans()):
            place[name] = copy.deepcopy(draw(values))  # the next change must not reach what is drawn again
        else:
            del place[name]
    return body


@st.composite
def perhaps_cut(draw, bodies):
    """The bytes of one of *bodies*; one in ten breaks off."""
    encoded = json.dumps(draw(bodies)).encode()
    return encoded[: draw(st.integers(0, len(encoded)))] if draw(st.integers(0, 9)) == 0 else encoded

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ragft.claims import VERDICTS, Measured, verdict
from ragft.types import RagftError
from tests.claims.samples import DROP, LEVEL, OPEN, RATIO, between

# Worked out by hand


@pytest.mark.parametrize(
    ("claim", "low", "high", "expected"),
    [
        (DROP, -0.25, -0.15, "supported"),
        (DROP, -0.19, -0.18, "supported"),  # the figure is the interval's end
        (DROP, -0.15, -0.10, "direction only"),
        (DROP, -0.40, -0.30, "direction only"),  # far more than claimed misses the figure too
        (DROP, -0.30, 0.00, "undecided"),  # no effect is the interval's end
        (DROP, -0.30, 0.10, "undecided"),
        (DROP, 0.01, 0.10, "contradicted"),
        (DROP, -0.01, 0.01, "contradicted"),
        (DROP, -0.015, -0.005, "contradicted"),  # an effect, but so small that it counts as none
        (DROP, -0.02, 0.01, "undecided"),  # reaches the margin
        (replace(DROP, direction=1, claimed=0.19), 0.15, 0.25, "supported"),
        (replace(DROP, direction=1, claimed=0.19), -0.25, -0.15, "contradicted"),
        (replace(DROP, claimed=[-0.30, -0.20]), -0.21, -0.15, "supported"),
        (replace(DROP, claimed=[-0.30, -0.20]), -0.27, -0.25, "supported"),
        (replace(DROP, claimed=[-0.30, -0.20]), -0.19, -0.15, "direction only"),
        (OPEN, -0.10, -0.02, "supported"),
        (OPEN, -0.10, -0.01, "direction only"),  # an effect, perhaps below the margin
        (OPEN, -0.10, 0.01, "undecided"),
        (OPEN, -0.01, 0.01, "contradicted"),
        (OPEN, 0.03, 0.10, "contradicted"),
        (RATIO, 3.0, 3.5, "supported"),
        (RATIO, 1.2, 3.1, "direction only"),
        (RATIO, 0.0, 3.5, "undecided"),
        (RATIO, 0.95, 1.05, "contradicted"),
        (RATIO, 0.905, 0.915, "contradicted"),  # below 1, whatever the margin
        (RATIO, 0.0, 0.0, "contradicted"),
        (replace(RATIO, claimed=None), 1.1, 2.0, "supported"),
        (replace(RATIO, claimed=None), 1.05, 2.0, "direction only"),
        (replace(RATIO, direction=-1, claimed=0.73), 0.70, 0.80, "supported"),
        (replace(RATIO, direction=-1, claimed=None), 0.80, 0.90, "supported"),  # 0.9 < 1 / 1.1
        (replace(RATIO, direction=-1, claimed=None), 0.80, 0.95, "direction only"),
        (replace(RATIO, direction=-1, claimed=None), 1.20, 1.30, "contradicted"),
        (LEVEL, 0.96, 0.98, "supported"),
        (LEVEL, 0.90, 0.94, "contradicted"),
        (LEVEL, 0.995, 1.0, "contradicted"),
        (LEVEL, 0.90, 0.98, "undecided"),
        (LEVEL, 0.00, 1.00, "undecided"),  # holds the figure, and any other
        (replace(LEVEL, claimed=[0.80, 0.85], margin=0), 0.81, 0.84, "supported"),
        (replace(LEVEL, claimed=[0.80, 0.85], margin=0), 0.79, 0.84, "undecided"),
        (replace(LEVEL, direction=1), 0.98, 1.00, "supported"),
        (replace(LEVEL, direction=1), 0.90, 0.94, "contradicted"),
        (replace(LEVEL, direction=-1), 0.00, 0.10, "supported"),
        (replace(LEVEL, direction=-1), 0.98, 1.00, "undecided"),
        (replace(LEVEL, direction=-1, claimed=0.5), 0.98, 1.00, "contradicted"),
    ],
)
def test_the_rules(claim, low, high, expected):
    assert verdict(claim, between(low, high)) == expected


@pytest.mark.parametrize(
    ("scope", "model", "supported", "contradicted"),
    [
        ("system", "embedded", "supported", "contradicted"),
        ("system", "a/model", "supported", "contradicted"),
        ("mechanism", "a/model", "supported", "contradicted"),
        ("mechanism", "embedded", "direction only", "direction not seen here"),
        ("mechanism", "resident", "direction only", "direction not seen here"),
        ("model", "a/model", "supported", "contradicted"),
        ("model", "embedded", "by construction", "by construction"),
        ("model", "resident", "by construction", "by construction"),
    ],
)
def test_the_scope_caps_the_verdict(scope, model, supported, contradicted):
    claim = replace(DROP, scope=scope)
    assert verdict(claim, between(-0.25, -0.15, model=model)) == supported
    assert verdict(claim, between(0.15, 0.25, model=model)) == contradicted


def test_a_system_row_is_capped_where_another_shape_than_the_stated_was_measured():
    claim = replace(DROP, shape="7 B parameters")
    assert verdict(claim, between(-0.25, -0.15)) == "direction only"
    assert verdict(claim, between(0.15, 0.25)) == "direction not seen here"
    assert verdict(claim, between(-0.25, -0.15, stated_shape=True)) == "supported"


def test_what_is_not_measured_and_what_is_fixed():
    assert verdict(DROP, None) == "not measured yet"
    fixed = replace(DROP, verdict="by construction", why="the simulation sets it")
    assert verdict(fixed, None) == "by construction"
    assert verdict(fixed, between(-0.25, -0.15)) == "by construction"


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.1), (math.nan, 0.1), (0.1, math.nan)])
def test_an_interval_has_two_ends_in_order(low, high):
    with pytest.raises(RagftError, match="give two numbers, low first"):
        Measured(0.1, low, high)


# For all numbers

# Nothing so close to 0 that another unit makes it 0.
NUMBERS = st.floats(-4, 4, allow_nan=False).map(lambda x: x if abs(x) > 1e-300 else 0.0)
INTERVALS = st.tuples(NUMBERS, NUMBERS).map(sorted)
MODELS = st.sampled_from(["embedded", "resident", "a/model"])
RULES = st.builds(
    lambda effect, direction, size, claimed, margin, scope, shape: replace(
        DROP,
        effect=effect,
        direction=direction,
        claimed=size if effect == "level" else direction * size if claimed else None,
        margin=margin,
        scope=scope,
        shape=shape,
    ),
    st.sampled_from(["difference", "level"]),
    st.sampled_from([-1, 1]),
    st.floats(0.01, 4),
    st.booleans(),
    st.floats(0.001, 1),
    st.sampled_from(["system", "mechanism", "model"]),
    st.sampled_from(["", "7 B parameters"]),
)
RATIOS = st.builds(
    lambda rule, size: replace(
        rule, effect="ratio", claimed=size if rule.direction > 0 else 1 / size, unit="ratio"
    ),
    RULES,
    st.floats(1.01, 8),
)
ANY = st.one_of(RULES, RATIOS)


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # most intervals decide
@given(ANY, INTERVALS, st.floats(0, 3), st.floats(0, 3), MODELS)
def test_widening_an_interval_never_decides_what_was_undecided(claim, ends, down, up, model):
    low, high = ends
    assume(verdict(claim, between(low, high, model=model)) == "undecided")
    assert verdict(claim, between(low - down, high + up, model=model)) == "undecided"


@given(RULES, INTERVALS, st.integers(-20, 20))
def test_the_unit_does_not_matter(claim, ends, power):
    k = 2.0**power  # exact, so that no rounding moves an end over a boundary
    claimed = None if claim.claimed is None else k * claim.claimed
    scaled = replace(claim, claimed=claimed, margin=k * claim.margin)
    assert verdict(scaled, between(k * ends[0], k * ends[1])) == verdict(claim, between(*ends))


@given(RULES, INTERVALS)
def test_a_minus_b_is_judged_as_b_minus_a(claim, ends):
    claimed = None if claim.claimed is None else -claim.claimed
    turned = replace(claim, direction=-claim.direction, claimed=claimed)
    assert verdict(turned, between(-ends[1], -ends[0])) == verdict(claim, between(*ends))


@given(st.integers(-6, 6), st.integers(0, 6), st.integers(1, 6), st.floats(0.01, 1), st.booleans())
def test_a_over_b_is_judged_as_b_over_a(start, width, claimed, margin, has_figure):
    rule = replace(RATIO, margin=margin, claimed=2.0**claimed if has_figure else None)
    turned = replace(rule, direction=-1, claimed=2.0**-claimed if has_figure else None)
    low, high = 2.0**start, 2.0 ** (start + width)
    assert verdict(turned, between(1 / high, 1 / low)) == verdict(rule, between(low, high))


@given(ANY, INTERVALS, st.sampled_from(["embedded", "resident"]))
def test_a_model_of_this_package_neither_supports_nor_contradicts_a_mechanism(claim, ends, model):
    found = verdict(replace(claim, scope="mechanism"), between(*ends, model=model))
    assert found in ("direction only", "direction not seen here", "undecided")
    found = verdict(replace(claim, scope="model"), between(*ends, model=model))
    assert found == "by construction"


@given(ANY, INTERVALS, MODELS)
def test_a_cap_changes_how_far_a_verdict_goes_and_not_its_side(claim, ends, model):
    claim = replace(claim, scope="mechanism")
    full = verdict(replace(claim, scope="system", shape=""), between(*ends))
    capped = verdict(claim, between(*ends, model=model))
    assert full in VERDICTS and capped in VERDICTS
    sides = [{"supported", "direction only"}, {"contradicted", "direction not seen here"}]
    assert capped == full or {full, capped} in sides

"""Cluster sums, variances and the bootstrap, against hand arithmetic and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from ragft.evaluation import resampling
from ragft.evaluation.resampling import (
    ClusterSums,
    cluster_codes,
    cluster_sums,
    correlation,
    plain_error,
    resampling_counts,
    seed_draws,
    seed_variance,
    studentised,
    variance,
)


def sums_of(*clusters) -> ClusterSums:
    values = np.concatenate([np.asarray(c, float) for c in clusters])
    codes = np.repeat(np.arange(len(clusters)), [len(c) for c in clusters])
    return cluster_sums(values[:, None], codes)


def test_codes_number_clusters_in_order():
    assert cluster_codes(["b", "a", "b", None], 4).tolist() == [0, 1, 0, 2]
    assert cluster_codes(None, 3).tolist() == [0, 1, 2]


def test_sums_leave_nan_out():
    sums = sums_of([1, np.nan], [0, 2, 2])
    assert sums.totals[:, 0].tolist() == [1, 4]
    assert sums.sizes[:, 0].tolist() == [1, 3]
    assert sums.squares[:, 0].tolist() == [1, 8]
    assert sums.mean[0] == 5 / 4


def test_variance_of_single_questions_is_the_textbook_one():
    values = np.array([1.0, 4.0, 2.0, 7.0, 1.0])
    found, freedom = variance(sums_of(*values[:, None]))
    assert found[0] == pytest.approx(values.var(ddof=1) / 5)
    assert freedom[0] == pytest.approx(4)
    assert plain_error(sums_of(*values[:, None]))[0] ** 2 == pytest.approx(found[0])


def test_variance_of_equal_clusters_is_that_of_their_means():
    clusters = [[1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0]]
    means = np.mean(clusters, axis=1)
    found, freedom = variance(sums_of(*clusters))
    assert found[0] == pytest.approx(means.var(ddof=1) / 4)
    assert freedom[0] == pytest.approx(3)


def test_variance_and_freedom_equal_the_matrix_algebra():
    clusters = [[1, 0, 1, 1, 1, 0], [0], [1, 1], [0, 0, 0]]
    sums = sums_of(*clusters)
    sizes, rho = sums.sizes[:, 0], correlation(sums)[0]
    assert 0 < rho < 1
    residual = np.eye(4) - np.outer(sizes / 12, np.ones(4))
    model = residual @ np.diag(sizes * (1 + (sizes - 1) * rho)) @ residual.T
    raw = ((residual @ sums.totals[:, 0]) ** 2).sum() / 144
    found, freedom = variance(sums)
    assert freedom[0] == pytest.approx(np.trace(model) ** 2 / np.trace(model @ model))
    expected = raw * (sizes * (1 + (sizes - 1) * rho)).sum() / np.trace(model)
    assert found[0] == pytest.approx(expected)


def test_uneven_clusters_have_fewer_degrees_of_freedom():
    # Two clusters hold 40 of 48 questions: hardly more is known than from two.
    _, freedom = variance(sums_of([0, 1] * 10, [1, 0] * 10, *[[0], [1]] * 4))
    assert freedom[0] < 4


def test_correlation_by_hand():
    # Means 1 and 0 in two clusters of 2, nothing within: all variance lies between.
    assert correlation(sums_of([1, 1], [0, 0]))[0] == 1.0
    assert correlation(sums_of([1, 0], [1, 0]))[0] == 0.0
    assert correlation(sums_of([1], [0], [1]))[0] == 0.0


def test_one_cluster_has_no_variance():
    found, freedom = variance(sums_of([1, 0, 1]))
    assert np.isnan(found[0])
    assert np.isnan(freedom[0])


def test_counts_do_not_depend_on_blocks(monkeypatch):
    whole = np.concatenate(list(resampling_counts(7, 50, seed=3)))
    monkeypatch.setattr(resampling, "BLOCK", 70)
    pieces = list(resampling_counts(7, 50, seed=3))
    assert len(pieces) == 5
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert (whole.sum(axis=1) == 7).all()


def test_studentised_equals_a_plain_loop():
    clusters = [[1, 0, 1], [0], [1, 1], [0, 0, 0, 1], [1]]
    sums = sums_of(*clusters)
    expected = []
    for counts in np.concatenate(list(resampling_counts(5, 40, seed=9))):
        chosen = np.repeat(np.arange(5), counts.astype(int))
        drawn = sums_of(*[clusters[i] for i in chosen])
        with np.errstate(divide="ignore", invalid="ignore"):
            expected.append((drawn.mean - sums.mean)[0] / plain_error(drawn)[0])
    found = studentised(sums, 40, seed=9)[:, 0]
    usual = np.abs(expected) < 1e5
    assert usual.sum() > 30
    np.testing.assert_allclose(found[usual], np.array(expected)[usual], atol=1e-12)
    assert np.isfinite(found).all()


def test_seed_variance_without_noise_is_that_of_the_means():
    # Seeds shift every question by -1, 0, 1: var(means) / 3 = 1 / 3, and nothing is noise.
    sizes = np.array([2.0, 3.0, 1.0])[:, None]
    totals = np.stack([shift * sizes for shift in (-1.0, 0.0, 1.0)])
    added, raw = seed_variance(totals, np.stack([sizes] * 3))
    assert added[0] == pytest.approx(1 / 3)
    assert raw[0] == pytest.approx(1 / 3)


def test_seed_variance_takes_chance_out():
    # Independent noise alone: what remains of the seeds' spread must vanish on average.
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((3, 50, 3000))
    noise -= noise.mean(axis=0)
    added, raw = seed_variance(noise, np.ones_like(noise))
    # E[raw] = 1 / (3 x 50) with noise of variance 1; `added` keeps only the positive parts.
    assert raw.mean() == pytest.approx(1 / 150, rel=0.1)
    assert np.mean(added == 0) > 0.5
    assert added.mean() < raw.mean() / 2


def test_seed_variance_needs_two_seeds():
    added, raw = seed_variance(np.ones((1, 4, 1)), np.ones((1, 4, 1)))
    assert np.isnan(added[0])
    assert np.isnan(raw[0])


def test_seed_draws_are_t_quantiles():
    from scipy.stats import t

    found = np.quantile(seed_draws(20_000, seeds=3, seed=0), [0.025, 0.5, 0.975])
    np.testing.assert_allclose(found, t(2).ppf([0.025, 0.5, 0.975]), atol=0.02)

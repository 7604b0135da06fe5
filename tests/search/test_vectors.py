"""The matrix in memory, held against numpy."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from coach_core.search.vectors import DEAD_SHARE, Matrix


def rows(count: int, dim: int = 384, seed: int = 1) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_the_nearest_are_those_numpy_finds() -> None:
    vectors, queries = rows(3000), rows(20, seed=2)
    matrix = Matrix(384)
    for at in range(0, 3000, 700):
        matrix.add(f"v{at}", np.arange(at, min(at + 700, 3000)), vectors[at : at + 700].astype(np.float16))
    for query in queries:
        exact = vectors @ query
        numbers, scores = matrix.search(query, 50)
        best = set(np.argsort(-exact)[:10])
        assert best <= set(numbers.tolist())
        assert np.abs(scores - exact[numbers]).max() < 0.01
        assert list(scores) == sorted(scores, reverse=True)


def test_what_is_removed_is_not_found_and_the_gaps_are_closed() -> None:
    vectors = rows(1000)
    matrix = Matrix(384)
    for owner in range(10):
        here = slice(owner * 100, owner * 100 + 100)
        matrix.add(owner, np.arange(here.start, here.stop), vectors[here])
    for owner in range(9):
        matrix.remove(owner)
        numbers, _ = matrix.search(vectors[0], 1000)
        assert sorted(numbers) == list(range((owner + 1) * 100, 1000))
        assert len(matrix) == 900 - owner * 100
        assert len(matrix) >= (1 - DEAD_SHARE) * matrix._rows.count
    numbers, _ = matrix.search(vectors[950], 3, owners=[9])
    assert numbers[0] == 950
    assert len(matrix.search(vectors[0], 3, owners=[1])[0]) == 0


def test_one_owner_alone() -> None:
    vectors = rows(200)
    matrix = Matrix(384)
    matrix.add("a", np.arange(100), vectors[:100])
    matrix.add("b", np.arange(100, 200), vectors[100:])
    matrix.add("a", np.arange(200, 210), rows(10, seed=5))
    numbers, _ = matrix.search(vectors[150], 500, owners=["a"])
    assert sorted(numbers) == [*range(100), *range(200, 210)]


@pytest.mark.parametrize("k", [1, 5, 500])
def test_an_empty_matrix_finds_nothing(k: int) -> None:
    assert len(Matrix(8).search(rows(1, 8)[0], k)[0]) == 0


def test_searches_go_on_while_rows_come_and_go() -> None:
    matrix = Matrix(64)
    steady = rows(50, 64)
    matrix.add("steady", np.arange(50), steady)
    stop, faults = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            numbers, _ = matrix.search(steady[7], 1)
            if numbers.tolist() != [7]:
                faults.append(numbers)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        matrix.add(turn, np.arange(1000 + turn * 30, 1030 + turn * 30), rows(30, 64, seed=turn + 10))
        if turn:
            matrix.remove(turn - 1)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults


def test_rows_in_memory_are_about_those_that_were_added() -> None:
    vectors = rows(60, seed=5)
    matrix = Matrix(384)
    for part in (slice(40, 60), slice(0, 40)):  # not in the order of their numbers
        matrix.add("a" if part.start else "b", np.arange(60)[part], vectors[part])
    matrix.remove("a")
    matrix.add("c", np.array([45]), vectors[:1])  # a number that came back, with another vector
    numbers, held = matrix.rows_of(np.array([3, 45, 50, 99]))
    assert numbers.tolist() == [3, 45]
    assert np.abs(held - vectors[[3, 0]]).max() < 0.005

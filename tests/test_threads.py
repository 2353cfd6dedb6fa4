"""Work ahead in threads: the order, how far ahead, errors, and closing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pix2pix.threads import computing_threads, map_ahead, map_on_cores


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_results_come_in_order_whichever_is_ready_first(workers):
    def slow(number):
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number * number

    assert list(map_ahead(slow, range(20), workers=workers, ahead=5)) == [number**2 for number in range(20)]
    assert list(map_ahead(slow, [], workers=workers, ahead=5)) == []


def test_no_more_than_so_many_results_wait():
    begun = []
    stream = map_ahead(begun.append, range(100), workers=2, ahead=3)
    for taken in range(1, 20):
        next(stream)
        assert len(begun) <= taken + 3
    stream.close()


def test_the_work_is_done_in_as_many_threads_at_once():
    meeting = threading.Barrier(3, timeout=20)
    stream = map_ahead(lambda _: meeting.wait(), range(6), workers=3, ahead=6)
    assert sorted(stream) == [0, 0, 1, 1, 2, 2]  # each wait needs all three threads


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_raised_where_its_result_would_have_come(workers):
    results = []
    with pytest.raises(ZeroDivisionError):
        results.extend(map_ahead(lambda number: 6 // number, [3, 2, 1, 0, 1], workers=workers, ahead=5))
    stream = map_ahead(lambda number: 6 // number, [3, 2, 0], workers=workers, ahead=5)
    assert [next(stream), next(stream)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(stream)


def test_closing_drops_what_has_not_begun_and_ends_the_threads():
    before, begun = threading.active_count(), []

    def work(number):
        begun.append(number)
        time.sleep(0.05)

    stream = map_ahead(work, range(1000), workers=2, ahead=500)
    next(stream)
    stream.close()
    assert len(begun) < 20 and threading.active_count() == before


def test_on_cores_every_thread_computes_with_one_of_pytorchs(two_threads):
    threads = set()

    def work(number):
        threads.add(threading.get_ident())
        return number, torch.get_num_threads()

    assert list(map_on_cores(work, range(20))) == [(number, 1) for number in range(20)]
    assert threading.get_ident() not in threads and torch.get_num_threads() == 2
    with computing_threads(1):
        assert list(map_on_cores(lambda _: threading.get_ident(), [0])) == [threading.get_ident()]
    with ThreadPoolExecutor(1) as pool:  # a thread that begins later has both again
        assert pool.submit(torch.get_num_threads).result() == 2


def test_all_cores_are_used_at_the_same_time(two_threads):
    """Each waits for the other: in one thread it would never end."""
    meeting = threading.Barrier(2, timeout=30)
    assert sorted(map_on_cores(lambda _: meeting.wait(), range(2))) == [0, 1]


def test_an_error_puts_the_threads_back(two_threads):
    with pytest.raises(ZeroDivisionError):
        list(map_on_cores(lambda number: 1 // number, [1, 0]))
    assert torch.get_num_threads() == 2


def test_a_thread_that_begins_inside_a_block_does_not_pass_its_one_on(two_threads):
    """It has one thread for good; blocks of its own that end last must not leave the process with that."""
    inside, first_ended = threading.Event(), threading.Event()

    def user():
        with computing_threads(1):
            inside.set()
            assert first_ended.wait(30)

    later = threading.Thread(target=user)
    with computing_threads(1):
        later.start()
        assert inside.wait(30)
    first_ended.set()
    later.join()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2

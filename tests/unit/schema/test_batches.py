from hypothesis import given
from hypothesis import strategies as st

from shared.schema.batches import batches


@given(st.lists(st.binary(max_size=12)), st.integers(1, 20))
def test_batches_hold_everything_in_order_and_no_more_than_fits(items, most):
    found = list(batches(items, len, most))
    assert [item for batch in found for item in batch] == items
    assert all(batch and (len(batch) == 1 or sum(map(len, batch)) <= most) for batch in found)
    assert all(sum(map(len, one)) + len(other[0]) > most for one, other in zip(found, found[1:], strict=False))


def test_what_is_too_large_is_by_itself():
    assert list(batches([1, 9, 1, 2, 1], int, 4)) == [[1], [9], [1, 2, 1]]

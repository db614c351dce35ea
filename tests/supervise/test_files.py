"""What workers imported, together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bentod.supervise.files import Files

reports = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"))), max_size=12
)


def test_workers_that_agree_are_consistent():
    files = Files()
    files.report(0, {"a": "1", "b": "2"})
    files.report(1, {"a": "1", "c": "3"})
    assert files.union == {"a": "1", "b": "2", "c": "3"}
    assert files.inconsistent == ()


def test_a_file_that_was_edited_meanwhile_is_named_until_the_worker_starts_again():
    files = Files()
    files.report(0, {"a": "1"})
    files.report(1, {"a": "2"})
    assert (files.inconsistent, files.union) == (("a",), {"a": "1"})
    files.report(0, {"a": "2"})
    assert (files.inconsistent, files.union) == ((), {"a": "2"})


def test_what_is_kept_stays_when_later_processes_have_imported_less():
    files = Files()
    files.report(0, {"a": "1", "late": "5"})
    files.keep()
    files.report(0, {"a": "1"})
    files.report(0, {"a": "9", "new": "6"})
    assert files.union == {"a": "1", "late": "5", "new": "6"}
    assert files.inconsistent == ("a",)


def test_a_worker_that_is_no_more_has_no_say():
    files = Files()
    files.report(0, {"a": "1"})
    files.report(1, {"a": "2"})
    files.forget(1)
    assert files.inconsistent == ()


@given(reports, reports)
def test_once_kept_nothing_changes_or_vanishes(before, after):
    files = Files()
    for index, report in before:
        files.report(index, report)
    files.keep()
    kept = files.union
    for index, report in after:
        files.report(index, report)
        assert {path: files.union[path] for path in kept} == kept
        assert set(report) <= set(files.union)

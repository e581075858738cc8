"""The bound on how time grows tells proportional work from work that is not."""

from tests.slopes import grows_in_proportion


def test_what_counts_its_letters_again_at_each_letter_does_not_grow_in_proportion() -> None:
    assert grows_in_proportion(lambda text: [letter for letter in text], "a" * 400_000)
    assert not grows_in_proportion(lambda text: [text.count("b") for _ in text], "a" * 50_000)

"""What is told about speed is what was measured."""

import json

from benchmarks import results


def test_the_page_shows_the_results_that_are_kept() -> None:
    kept = json.loads(results.FILE.read_text())

    assert results.page_table(kept) in results.PAGE.read_text()

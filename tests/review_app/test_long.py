"""Two hundred images in a row, as fast as a script can press keys. (bench/review.py has the times and the memory.)"""

from __future__ import annotations

import pytest

from bench.review import screen

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_two_hundred_images_at_ten_keys_a_second() -> None:
    said = screen(260, 200, 0.1, size=256)
    assert said["keys pressed on an image"] == said["decisions"] == 200
    assert said["each on the image that was on screen"]

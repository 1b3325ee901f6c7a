"""Where the gateway fetches media from."""

from mediascribe.domain import Media
from mediascribe.media.address import absolute


def urls(base_url, *given):
    return [media.url for media in absolute([Media(kind="image", url=url) for url in given], base_url)]


def test_relative_urls_follow_the_base():
    """With or without a slash at the seam, there is one."""
    assert urls("https://cdn.example/m/", "a/b.jpg") == ["https://cdn.example/m/a/b.jpg"]
    assert urls("https://cdn.example/m", "a/b.jpg") == ["https://cdn.example/m/a/b.jpg"]


def test_whole_urls_stay_as_they_are():
    """A scheme of its own, data included, needs no base."""
    whole = ["https://h/a.jpg?x=1", "data:image/png;base64,AAAA"]
    assert urls("https://cdn.example/m", *whole) == whole
    assert urls(None, *whole) == whole

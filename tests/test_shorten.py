"""Names lose letters, and different names stay different."""

from __future__ import annotations

import random

import pytest

from bayesmix.shorten import one_line, shorten, told_apart


def test_what_is_the_same_is_left_out_and_what_differs_is_kept() -> None:
    names = [f"Department of Things With Long Names {k}, West Building" for k in range(40)]
    short = shorten(names, 18)
    assert len(set(short)) == 40
    assert all(f"Names {k}" in text for k, text in enumerate(short))
    assert max(map(len, short)) <= 18


def test_names_that_fit_and_equal_names_stay_as_they_are() -> None:
    long = "Hospital of St. Mary"
    assert shorten(["Ward", long, "Ward", long], 10) == ["Ward", "Hosp… Mary", "Ward", "Hosp… Mary"]
    assert shorten([], 10) == []


def test_differences_in_several_places() -> None:
    names = [f"{a}{'x' * 30}{b}{'y' * 30}{c}" for a in "12" for b in "12" for c in "12"]
    short = shorten(names, 14)
    assert len(set(short)) == 8
    assert not any(text.endswith(("…2", "…3")) and "x" not in text for text in short)


def test_without_room_names_are_numbered_in_order() -> None:
    assert shorten(["aaaaa", "aabaa", "aacaa"], 3) == ["a…1", "a…2", "a…3"]
    # A number never meets a name that is there.
    assert shorten(["a…1", "aaaaa", "aabaa"], 3) == ["a…1", "a…2", "a…3"]


@pytest.mark.parametrize("width", [2, 3, 5, 8, 13, 20])
def test_any_names_stay_different(width: int) -> None:
    source = random.Random(width)
    for _ in range(200):
        base = [source.choice("ab…1") for _ in range(50)]
        names = []
        for _ in range(source.randint(1, 60)):
            letters = list(base)
            for _ in range(source.randint(0, 4)):
                letters[source.randrange(50)] = source.choice("xyz…1")
            names.append("".join(letters[: source.choice([50, 50, 10, 3])]))
        short = shorten(names, width)
        assert len(set(short)) == len(set(names))
        assert max(map(len, short)) <= max(width, 3)


def test_letters_keep_their_marks() -> None:
    accented = "e\u0301" * 20
    for text in shorten([accented, accented + "a"], 9):
        assert not text.replace("…", " ").startswith("\u0301")
        assert " \u0301" not in text.replace("…", " ")


def test_what_has_no_picture_is_written_as_an_escape() -> None:
    assert one_line("a\nb\tc\x00") == r"a\nb\tc\x00"
    assert one_line("x\u202ey\u2028z\ud800") == r"x\u202ey\u2028z\ud800"
    # Words of other scripts and emoji are as they were.
    for kept in ("\u05e9\u05dc", "\u0645\u06cc\u200c\u062e", "\U0001f469\u200d\U0001f52c"):
        assert one_line(kept) == kept


SCHOOLS = [f"St. Mary's School ({where} {part}-West)" for where in ("North", "South", "East")
           for part in ("Lower", "Upper", "Far")]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "width"),
    [
        (SCHOOLS, 20),
        (SCHOOLS, 30),
        ([f"{'a' * 30}{k}{'b' * 40}" for k in range(120)], 12),
        ([k * "q" + (200 - k) * "w" for k in range(200)], 11),
        (["short", "other", "long name " * 9, "long name " * 8], 10),
        (["äöü" * 10 + "1" + "ß" * 30, "äöü" * 10 + "2" + "ß" * 30], 8),
    ],
)
def test_different_names_stay_different_and_equal_ones_equal(names: list[str], width: int) -> None:
    found = shorten([*names, *names], width)
    assert found[: len(names)] == found[len(names) :]
    assert len(set(found)) == len(set(names))
    assert max(map(len, found)) <= width
    assert all(text == name for name, text in zip(names, found, strict=False) if len(name) <= width)


@pytest.mark.parametrize(
    ("names", "spelt"),
    [
        (["a b", "a\u00a0b"], ["a b", "a\\xa0b"]),
        (["Ward 1", "Ward 1 ", " Ward 1"], ["Ward 1", "Ward 1\\x20", "\\x20Ward 1"]),
        (["caf\u00e9", "cafe\u0301"], ["caf\u00e9", "cafe\\u0301"]),
        (["x", "x\ufe0f", "x\u3164"], ["x", "x\\ufe0f", "x\\u3164"]),
        (["50\u00a0%", "60\u00a0%", "a  b"], ["50\u00a0%", "60\u00a0%", "a  b"]),
        (["", " ", ""], ["", "\\x20", ""]),
    ],
)  # fmt: skip
def test_names_that_look_alike_are_told_apart(names: list[str], spelt: list[str]) -> None:
    assert told_apart(names) == spelt
    assert shorten(names, 12) == spelt

"""Dates without a time zone.

Days are counted from 1 March of the year 0, so that a leap day is the last of its year.
"""

MONTHS = (31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 29)


def days(year, month, day):
    """The day's number.

    >>> days(1970, 1, 1) - days(1969, 12, 31)
    1
    """
    assert 1 <= month <= 12
    assert 1 <= day <= 31, f"no month has a day {day}"
    if month < 3:
        year -= 1
    cycle, year = divmod(year, 400)
    shift = (month + 9) % 12
    return (
        cycle * 146097
        + year * 365
        + year // 4
        - year // 100
        + sum(MONTHS[:shift])
        + day
        - 1
    )


def is_leap(year):
    """Whether a year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


class Span:
    """A half-open range of days."""

    def __init__(self, start, end):
        """Both are (year, month, day)."""
        self.start, self.end = days(*start), days(*end)
        if __debug__:
            self.note = f"{start} until {end}"

    def __len__(self):
        """How many days."""
        return max(0, self.end - self.start)

    def overlaps(self, other):
        """Whether a day is in both."""
        return self.start < other.end and other.start < self.end

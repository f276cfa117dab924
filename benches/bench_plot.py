"""Plots of points over the size of a layer, as SVG text."""
import dataclasses
import html
import math

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 52, 62
INK, FAINT, BLUE, RED = "#1f2328", "#d9dee3", "#0b62a8", "#b3261e"


@dataclasses.dataclass
class Plot:
    title: str
    x_label: str
    y_label: str
    points: list  # of (x, y), or (x, y, lowest y, highest y)
    x_step: float  # between two ticks
    line: tuple | None = None  # slope, intercept, and what to call it
    limit: tuple | None = None  # y, and what to call it


def nice_step(highest):
    """A round distance between ticks, of which at most eight fit under `highest`."""
    rough = highest / 8
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def number(value):
    return f"{value:.10g}"


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{html.escape(words)}</text>'


def stroke(x1, y1, x2, y2, colour, extra=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{extra}/>'


class Canvas:
    """Where a value lies on the picture: both axes start at zero and end at a tick."""

    def __init__(self, plot):
        highest = max(max(point[1:]) for point in plot.points)
        if plot.limit:
            highest = max(highest, plot.limit[0])
        self.x_step, self.y_step = plot.x_step, nice_step(highest * 1.02)
        self.x_end = math.ceil(max(point[0] for point in plot.points) / self.x_step - 0.05) * self.x_step
        self.y_end = math.ceil(highest * 1.02 / self.y_step) * self.y_step

    def x(self, value):
        return LEFT + value / self.x_end * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.y_end * (HEIGHT - TOP - BOTTOM)


def axes(plot, canvas):
    """Grid, ticks, and what they mean."""
    x0, y0, x1, y1 = canvas.x(0), canvas.y(0), canvas.x(canvas.x_end), canvas.y(canvas.y_end)
    for tick in range(round(canvas.y_end / canvas.y_step) + 1):
        y = canvas.y(tick * canvas.y_step)
        yield stroke(x0, y, x1, y, FAINT)
        yield text(x0 - 8, y + 4, number(tick * canvas.y_step), "end")
    for tick in range(round(canvas.x_end / canvas.x_step) + 1):
        x = canvas.x(tick * canvas.x_step)
        yield stroke(x, y0, x, y0 + 5, INK)
        yield text(x, y0 + 20, number(tick * canvas.x_step))
    yield stroke(x0, y0, x1, y0, INK)
    yield stroke(x0, y0, x0, y1, INK)
    middle = (y0 + y1) / 2
    yield text((x0 + x1) / 2, HEIGHT - 16, plot.x_label)
    yield text(20, middle, plot.y_label, extra=f' transform="rotate(-90 20 {middle:.1f})"')
    yield text(LEFT, 28, plot.title, "start", ' font-size="16" font-weight="600"')


def marks(plot, canvas):
    """The line, the limit, and the points with the span of their rounds."""
    x0, x1 = canvas.x(0), canvas.x(canvas.x_end)
    if plot.limit:
        y = canvas.y(plot.limit[0])
        yield stroke(x0, y, x1, y, RED, ' stroke-width="1.5" stroke-dasharray="6 4"')
        yield text(x1 - 4, y + 16, plot.limit[1], "end", f' fill="{RED}"')
    if plot.line:
        slope, intercept, words = plot.line
        # A line that would leave the picture below starts where it enters.
        begin = max(0.0, -intercept / slope) if slope > 0 else 0.0
        ends = [(canvas.x(x), canvas.y(intercept + slope * x)) for x in (begin, max(p[0] for p in plot.points))]
        yield stroke(*ends[0], *ends[1], BLUE, ' stroke-width="1.5" stroke-opacity="0.6"')
        yield text(x0 + 16, TOP + 16, words, "start", f' fill="{BLUE}"')
    for x, y, *span in plot.points:
        if span:
            yield stroke(canvas.x(x), canvas.y(span[0]), canvas.x(x), canvas.y(span[1]), BLUE, ' stroke-width="1.5"')
        yield f'<circle cx="{canvas.x(x):.1f}" cy="{canvas.y(y):.1f}" r="4" fill="{BLUE}"/>'


def svg(plot):
    """The plot as an SVG document; its background is white, so that it reads on a dark page too."""
    canvas = Canvas(plot)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">'
    )
    title = f"<title>{html.escape(plot.title)}</title>"
    background = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    return "\n".join([head, title, background, *axes(plot, canvas), *marks(plot, canvas), "</svg>"]) + "\n"

"""Balls around points, by halving: the covers of checker/attention/ball_covers come from such a tree."""

from dataclasses import dataclass

import numpy as np


def small_ball(points: np.ndarray, rounds: int = 300) -> np.ndarray:
    """The centre of a nearly smallest ball around points "n d" (Badoiu and Clarkson's iteration)."""
    centre = points.mean(0)
    for step in range(min(rounds, 300 if len(points) > 2 else 1) if len(points) > 1 else 0):
        if len(points) == 2:
            return points.mean(0)
        farthest = points[np.argmax(((points - centre) ** 2).sum(1))]
        centre = centre + (farthest - centre) / (step + 2)
    return centre


@dataclass(frozen=True)
class BallTree:
    """order "o"; runs "b 2" of it; centre "b r"; radius "b"; children "b 2": numbers of balls, -1 at the leaves."""

    order: np.ndarray
    runs: np.ndarray
    centre: np.ndarray
    radius: np.ndarray
    children: np.ndarray

    @staticmethod
    def of(points: np.ndarray) -> "BallTree":
        """Halve points "o r" along their main direction, again and again, down to single ones."""
        order, runs, children = np.arange(len(points)), [(0, len(points))], [(-1, -1)]
        number = 0
        while number < len(runs):
            begin, end = runs[number]
            if end - begin > 1:
                part = points[order[begin:end]]
                away = part - part.mean(0)
                direction = np.linalg.svd(away, full_matrices=False)[2][0]
                order[begin:end] = order[begin:end][np.argsort(away @ direction, kind="stable")]
                middle = (begin + end) // 2
                children[number] = (len(runs), len(runs) + 1)
                runs += [(begin, middle), (middle, end)]
                children += [(-1, -1), (-1, -1)]
            number += 1
        centre = np.array([small_ball(points[order[begin:end]]) for begin, end in runs])
        spans = zip(runs, centre, strict=True)
        radius = np.array([np.sqrt(((points[order[b:e]] - c) ** 2).sum(1)).max() for (b, e), c in spans])
        return BallTree(order, np.array(runs), centre, radius, np.array(children))

    def covers(self, bound: np.ndarray, limit: np.ndarray) -> np.ndarray:
        """Covers "y 2" (row, ball), for rows with a finite limit: the largest balls whose bound "m b" is within the limit "m".

        The limit must be no less than the bounds of single outputs, except that of output m in row m, which is left out.
        """
        place = np.argsort(self.order)
        found = []
        for row in np.flatnonzero(np.isfinite(limit)).tolist():
            stack, row_found = [0], []
            while stack:
                ball = stack.pop()
                if bound[row, ball] <= limit[row]:
                    row_found.append(ball)
                elif self.children[ball, 0] >= 0:
                    stack += self.children[ball].tolist()
                elif self.runs[ball, 0] != place[row]:
                    raise AssertionError("a limit is below the bound of a single output")
            row_found.sort(key=lambda ball: self.runs[ball, 0])
            found += [(row, ball) for ball in row_found]
        return np.array(found, np.int64).reshape(-1, 2)

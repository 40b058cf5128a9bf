"""Of few rows, what networks of several splits say together.

A fifth of few rows is few rows: the best of hundreds of networks was lucky with those that judged
it. Networks that are found and judged on other splits tell how lucky, and they are wrong in other
places: their average is better than any of them [1]_.

References
----------
.. [1] A. Krogh, J. Vedelsby, "Neural network ensembles, cross validation, and active
   learning", NIPS 7, 1994.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from ._averages import averages
from ._network import SparseMLP
from ._paths import LARGEST_AVERAGE
from ._problem import Problem
from ._pruning import PathPoint, pareto_front

LossOf = Callable[[SparseMLP], float]
# Up to so many rows of classes there are other splits: with them, fits take half as long again.
FEW_ROWS = 500
# Standard errors by which a network is far better: by two, the best of hundreds often is.
FAR = 3.0


def joined(
    found: Sequence[Sequence[PathPoint]],
    problems: Sequence[Problem],
    *,
    max_width: int,
    activations: Sequence[str],
) -> list[PathPoint]:
    """Return the networks of several splits and their averages, judged by all of the splits.

    Parameters
    ----------
    found : sequence of sequences of PathPoint
        What every split found, judged by its own validation rows.
    problems : sequence of Problem
        The splits.
    max_width : int
        Neurons that a hidden layer of an average may have.
    activations : sequence of str
        Those that neurons may have, as for `averages`.

    Returns
    -------
    list of PathPoint
        Their training losses are those on the rows of all splits.
    """
    on_validation_rows = [cache(problem.validation_loss) for problem in problems]
    on_all_rows = cache(problems[0].loss_on_all_rows)

    def judge(network: SparseMLP, members: Sequence[PathPoint]) -> PathPoint:
        return judged_by_members(network, members, on_all_rows)

    fronts = judged_together([pareto_front(points) for points in found], on_validation_rows)
    averaged = averages(fronts, judge, max_width=max_width, activations=activations)
    return [
        *(
            replace(point, train_loss=on_all_rows(point.network))
            for front in fronts
            for point in front
        ),
        *(point for point in averaged if point.nnz <= LARGEST_AVERAGE),
    ]


def judged_together(
    fronts: Sequence[Sequence[PathPoint]], on_validation_rows: Sequence[LossOf]
) -> list[list[PathPoint]]:
    """Judge networks by the validation rows of all splits.

    What to expect of a network of some size is the mean of the validation losses that splits have
    at that size: whose rows were easy does not matter. Less is expected of one that is far better
    on its validation rows than those of other splits, which have seen them: it found what these
    did not. Each loss is a share of that of the best constant of the split's own training rows.

    Parameters
    ----------
    fronts : sequence of sequences of PathPoint
        Pareto fronts, one of every split.
    on_validation_rows : sequence of callables
        Each returns the normalised loss of a network on the validation rows of one split.

    Returns
    -------
    list of lists of PathPoint

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_swat._network import SparseMLP
    >>> def line(slope, loss):
    ...     network = SparseMLP((np.full((1, 1), slope),), (np.ones(1),), ())
    ...     return PathPoint(network, loss, loss, validation_error=0.03)
    >>> fronts = [[line(1.0, 0.1)], [line(2.0, 0.5)], [line(3.0, 0.6)]]
    >>> def validation_losses(of_others_that_have_seen_the_rows):
    ...     losses = [lambda network: of_others_that_have_seen_the_rows] * 3
    ...     together = judged_together(fronts, losses)
    ...     return [f"{point.validation_loss:.2f}" for front in together for point in front]
    >>> validation_losses(0.1)  # the first one's rows were easy
    ['0.40', '0.40', '0.40']
    >>> validation_losses(0.4)  # its network is better
    ['0.25', '0.40', '0.40']
    """
    sizes = [np.array([point.nnz for point in front]) for front in fronts]

    def best_within(nnz: int) -> list[PathPoint]:
        """Return the best network of every split that has no more numbers, or its smallest."""
        return [
            front[max(0, int(np.searchsorted(size, nnz, side="right")) - 1)]
            for front, size in zip(fronts, sizes, strict=True)
        ]

    def judged(point: PathPoint, own: int) -> PathPoint:
        best = best_within(point.nnz)
        others = [peer for i, peer in enumerate(best) if i != own]
        expected = float(np.mean([peer.validation_loss for peer in best]))
        error = _usual_error(best)
        seen = float(np.mean([on_validation_rows[own](peer.network) for peer in others]))
        of_others = float(np.mean([peer.validation_loss for peer in others]))
        found_alone = max(of_others + point.validation_loss - seen, point.validation_loss)
        if found_alone < expected - FAR * error:
            expected = found_alone
        return replace(point, validation_loss=expected, validation_error=error)

    return [[judged(point, own) for point in front] for own, front in enumerate(fronts)]


def judged_by_members(
    network: SparseMLP, members: Sequence[PathPoint], on_all_rows: LossOf
) -> PathPoint:
    """Judge an average of networks by these, as some were fitted to what others are judged by.

    The loss of an average is the mean of its members' less a term of how far they are apart [1]_.
    Targets are not in it, so that all rows tell it (of squared errors, and of log-losses of
    averaged logits). On rows that members were fitted to they differ less than on others.
    """
    loss = on_all_rows(network)
    gain = float(np.mean([on_all_rows(point.network) for point in members])) - loss
    expected = float(np.mean([point.validation_loss for point in members])) - gain
    return PathPoint(network, loss, max(expected, loss), _usual_error(members))


def _usual_error(points: Sequence[PathPoint]) -> float:
    """Return the root mean square of standard errors."""
    return float(np.sqrt(np.mean([point.validation_error**2 for point in points])))

"""Pictures of a fitted estimator: its network, its Pareto front, its descent, its latent space.

The classes follow scikit-learn's Display convention: ``from_estimator`` makes the
picture, the display keeps the numbers behind it, ``plot`` draws them again, and ``ax_``
and ``figure_`` are what was drawn on. Matplotlib is imported when something is drawn,
not before.
"""

from ._descent_display import DescentDisplay
from ._latent_space_display import LatentSpaceDisplay
from ._network_display import NetworkDisplay
from ._pareto_display import ParetoDisplay

__all__ = ["DescentDisplay", "LatentSpaceDisplay", "NetworkDisplay", "ParetoDisplay"]

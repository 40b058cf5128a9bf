"""The order of the gallery: from a first fit to what one does with it."""

ORDER = ("first_network", "alpha", "front", "decision_boundary", "formula", "export_c",
         "feature_selection", "grid_search")  # fmt: skip


def position(filename):
    """Sort by the list above; examples that it does not name come last, by name."""
    name = filename.removeprefix("plot_").removesuffix(".py")
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)

"""
Export to C, and a check
========================

A classifier for a processor without an operating system: the C source needs ``<math.h>`` and no
more, allocates nothing and keeps no state. Below it is compiled and compared with Python.
"""

# %%
# Fisher's irises. The price is high, to keep the source short.
import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from sklearn_swat import SWATClassifier
from sklearn_swat.export import to_c
from sklearn_swat.plotting import NetworkDisplay

X, y = load_iris(return_X_y=True, as_frame=True)
species = load_iris().target_names[y]
model = SWATClassifier(alpha=3e-3, depth=1, max_width=8, random_state=0)
model.fit(X, species)
NetworkDisplay.from_estimator(model, X)
print(
    f"{model.nnz_} numbers, training accuracy {model.score(X, species):.3f}"
)

# %%
# Single precision, for a processor that has no more. Its comment says what goes in and out.
source = to_c(model, name="species", dtype="float")
print(source)

# %%
# Where there is a C compiler, compile it and run it on every row.
if compiler := shutil.which("cc"):
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "species.so")
        command = (
            f"{compiler} -std=c99 -O2 -shared -fPIC -x c - -o {library} -lm"
        )
        subprocess.run(command.split(), input=source, text=True, check=True)
        function = ctypes.CDLL(str(library)).species
        out, in_c = (ctypes.c_float * 3)(), []
        for row in X.to_numpy():
            function((ctypes.c_float * 4)(*row), out)
            in_c.append(list(out))
    difference = abs(np.array(in_c) - model.predict_proba(X))
    print(f"largest difference of a probability: {difference.max():.0e}")

# %%
# The sizes that the front offers, and what they cost in accuracy on the training rows.
sizes = [point.nnz for point in model.path_]
accuracy = [
    model.select(index=i).score(X, species) for i in range(len(sizes))
]
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.plot(sizes, accuracy, "o-", color="#0072B2", markersize=4)
ax.set(xlabel="non-zero numbers", ylabel="accuracy on the training rows")
ax.grid(alpha=0.3)

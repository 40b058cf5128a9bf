"""Fit, predict and export in a process that can neither write a file nor reach a network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sklearn_swat import SWATRegressor
from sklearn_swat.export import to_c

QUICK = {
    "max_iter": 3, "depth": 1, "max_width": 4, "n_restarts": 1, "activations": ["tanh"],
    "random_state": 0,
}  # fmt: skip

# In namespaces of its own: every file system becomes read-only there, and the network has no
# interface but a loopback that is down. Mounts outside stay as they are.
READ_ONLY = (
    "while read -r _ target _; do mount -o remount,bind,ro $target 2> /dev/null; done"
    ' < /proc/self/mounts; exec "$@"'
)

CODE = f"""
import errno, os, socket, sys, tempfile
for folder in (".", "/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~")):
    try:
        descriptor = os.open(os.path.join(folder, "mark"), os.O_CREAT | os.O_WRONLY)
    except OSError as error:
        assert error.errno in (errno.EROFS, errno.EACCES, errno.ENOENT), (folder, error)
    else:
        sys.exit(f"can write to {{folder}}")
for address in ("127.0.0.1", "192.0.2.1"):
    try:
        socket.create_connection((address, 9), timeout=5)
    except OSError as error:
        assert error.errno == errno.ENETUNREACH, error
    else:
        sys.exit(f"can reach {{address}}")
import numpy as np
from sklearn_swat import SWATRegressor
from sklearn_swat.export import export_text, to_c, to_latex, to_sklearn, to_torch
X = np.random.RandomState(0).standard_normal((40, 3))
model = SWATRegressor(**{QUICK!r}).fit(X, X[:, 0] - X[:, 1] ** 2)
for export in (export_text, to_latex, to_sklearn, to_torch):
    export(model)
print(to_c(model), end="")
sys.stdout.flush()
sys.stdout.buffer.write(model.predict(X).tobytes())
"""


@pytest.fixture(scope="module")
def sandbox():
    """The beginning of a command that runs what follows it in the namespaces."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare(1): not Linux, or without util-linux")
    command = [unshare, "--mount", "--net"]
    command += ["--map-root-user"] if os.geteuid() else []
    command += ["sh", "-c", READ_ONLY, "sh"]
    probe = 'test "$(findmnt -no OPTIONS / | cut -c1-2)" = ro'
    found = subprocess.run([*command, "sh", "-c", probe], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"this user cannot make namespaces, or mounts in them: {found.stderr.strip()}")
    return command


def test_a_fit_and_exports_need_no_network_and_write_no_file(sandbox):
    root = Path(__file__).parents[1]
    found = subprocess.run([*sandbox, sys.executable, "-c", CODE], capture_output=True, cwd=root)
    assert found.returncode == 0, found.stderr.decode()
    X = np.random.RandomState(0).standard_normal((40, 3))
    model = SWATRegressor(**QUICK).fit(X, X[:, 0] - X[:, 1] ** 2)
    assert found.stdout == to_c(model).encode() + model.predict(X).tobytes()

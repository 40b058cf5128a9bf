"""The tests with the lowest versions of every dependency that are supported, and the newest.

`make versions`, or `nox -s lowest -- tests/test_front.py`. Both sessions install by uv, which
reads its own environment variables: UV_TORCH_BACKEND=cpu takes PyTorch's smaller builds.
"""

import nox

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True

# All but the documentation's, of which no test needs any.
EXTRAS = "benchmarks,dask,export,plot,pretrain,progress,test"


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the tests with the lower bounds of pyproject.toml themselves."""
    # Old releases warn of what is newer than they are.
    run_tests(session, "lowest-direct", "--override-ini=filterwarnings=default")


@nox.session
def newest(session: nox.Session) -> None:
    """Run the tests with what is newest."""
    run_tests(session, "highest")


def run_tests(session: nox.Session, resolution: str, *options: str) -> None:
    """Install the package with its extras, say with what, and test it.

    Parameters
    ----------
    session : Session
    resolution : str
        How uv chooses among versions.
    *options : str
        Of pytest.
    """
    session.install("--resolution", resolution, "--editable", f".[{EXTRAS}]")
    session.run("uv", "pip", "list", external=True)
    session.run("python", "-m", "pytest", *options, *session.posargs)

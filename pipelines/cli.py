"""The command line: one function per command of ``slipway``; imports wait until a command needs them."""

import argparse
import importlib.util
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from pipelines import VERSION
from pipelines.cli_data import add_parser as add_data
from pipelines.cli_doctor import add_parser as add_doctor
from pipelines.cli_models import add_parsers as add_models
from pipelines.cli_optimize import add_parser as add_optimize
from pipelines.cli_promote import add_parser as add_promote
from pipelines.cli_run import add_parser as add_run
from pipelines.cli_sign import add_parser as add_sign
from pipelines.cli_sign import takes_keys, trusted
from pipelines.cli_submit import add_parser as add_submit
from pipelines.selftest import SelfTest

PIPELINES = Path(__file__).parent
SUMMARY = "From a labelled data set to a model that answers KServe v2 requests, with nothing left to glue."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 passed, 1 refused by the gate, 2 error."""
    options = _parser().parse_args(arguments)
    # Imported here so that --help needs none of it.
    from components.errors import SlipwayError
    from modelpackage import PackageError
    from pipelines.errors import RunError

    # A terminated command ends as an interrupted one does: what it started is ended, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if getattr(options, "profile", None):
            from pipelines.home import Home

            os.environ.update({**Home().profile(options.profile), "SLIPWAY_PROFILE": options.profile})
        code: int = options.command(options)
        sys.stdout.flush()
    except (SlipwayError, PackageError, RunError) as error:
        print(f"slipway: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("slipway: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # before OSError, of which it is a kind
        # Whoever read the output has enough of it; nothing may be written to it any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"slipway: {error}", file=sys.stderr)
        return 2
    except Exception:  # noqa: BLE001 (the process ends here, and Python's own exit code 1 means refused)
        traceback.print_exc()
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slipway", description=SUMMARY)
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--self-test", action=SelfTest, nargs=0, help="prove that this installation works, and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    profile = argparse.ArgumentParser(add_help=False)
    profile.add_argument("--profile", metavar="NAME", help="where things are: the variables in profiles/NAME.env")

    new = commands.add_parser("new", parents=[profile], help="draft a configuration from the data itself")
    new.add_argument("place", help="a CSV or Parquet file, a folder with a folder of pictures per class, idx files")
    new.add_argument("--label", metavar="COLUMN", help="tables: the column that is learned")
    new.add_argument("--name", help="the model's name")
    new.set_defaults(command=_new)

    add_run(commands, profile)
    add_submit(commands)

    compare = commands.add_parser("compare", help="runs side by side: settings that differ first, then results")
    compare.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or its name as slipway run prints it")
    compare.set_defaults(command=_compare)

    add_models(commands, profile)
    add_data(commands, profile)
    add_sign(commands, profile)
    add_optimize(commands, profile)
    add_promote(commands, profile)
    add_doctor(commands, profile)

    contract = commands.add_parser("contract", help="tell whether a model of your own fits")
    contract.add_argument("model", help="the name that it is registered under")
    contract.set_defaults(command=_contract)

    compile_ = commands.add_parser("compile", help="write pipelines/training.yaml and pipelines/sweep.yaml")
    compile_.add_argument("--image", metavar="IMAGE", help="the image of every step, from now on")
    compile_.add_argument("--output", type=Path, default=PIPELINES, metavar="FOLDER")
    compile_.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    compile_.set_defaults(command=_compile)

    verify = commands.add_parser("verify", parents=[profile], help="tell whether a package is whole and unchanged")
    verify.add_argument("package", help="a path, file:///path or s3://bucket/name/sha256-...")
    takes_keys(verify)
    verify.set_defaults(command=_verify)

    serve = commands.add_parser("serve", parents=[profile], help="answer v2 requests with a package, on this machine")
    serve.add_argument("package", help="a path, file:///path or s3://bucket/name/sha256-...")
    serve.add_argument("--http-port", metavar="PORT", help="0 picks a free one, default 8080")
    serve.add_argument("--grpc-port", metavar="PORT", help="0 picks a free one, default 8081")
    takes_keys(serve)
    serve.set_defaults(command=_serve)
    return parser


def _new(options: argparse.Namespace) -> int:
    from components.draft import draft
    from pipelines.home import Home

    destinations = Home().destinations()
    os.environ.update(destinations)  # data://NAME is in the store of this machine
    with redirect_stdout(sys.stderr):  # how far a download is belongs into no configuration
        text = draft(options.place, options.label, options.name, cache=Path(destinations["SLIPWAY_CACHE"]))
    print(text, end="")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from pipelines.compare import compare, render_html, render_text
    from pipelines.home import Home

    comparison = compare([Path(run) for run in options.runs])
    picture = Home().path / "compare.html"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(render_html(comparison), encoding="utf-8")
    print(render_text(comparison))
    print(f"picture   {picture.as_uri()}")
    return 0


def _contract(options: argparse.Namespace) -> int:
    from components.models import find
    from components.models.contract import check

    model = find(options.model)
    model.require()
    with redirect_stdout(sys.stderr):  # what the model tells of its training is no part of the answer
        clauses = check(model)
    for clause in clauses:
        print(f"{'kept  ' if clause.ok else 'BROKEN'}  {clause.name}{f': {clause.detail}' if clause.detail else ''}")
    return 0 if all(clause.ok for clause in clauses) else 1


def _compile(options: argparse.Namespace) -> int:
    from pipelines.compile import COMPILED, compile_pipelines, image_of
    from pipelines.errors import RunError
    from pipelines.versions import RESOURCES, resources

    # What was pinned stays pinned.
    compiled = compile_pipelines(options.image or image_of(COMPILED["training.yaml"]))
    files = {options.output / name: text for name, text in compiled.items()}
    if options.output == PIPELINES and RESOURCES.parent.exists():
        files[RESOURCES] = resources(compiled)
    for path, text in files.items():
        if not options.check:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise RunError(f"{path} is stale; run: slipway compile")
        else:
            print(f"{path} is what the sources say")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from components.fetch import fetch

    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        package = fetch(options.package, Path(folder), trusted(options))
    signed = f", signed by {' and '.join(package.signed_by)}" if package.signed_by else ""
    print(f"{options.package} is whole and unchanged{signed}")
    print(f"{package.descriptor.name}, format {package.descriptor.format}, sha256:{package.digest}")
    print(json.dumps(package.descriptor.metrics, sort_keys=True))
    return 0


def _serve(options: argparse.Namespace) -> int:
    from components.fetch import fetch
    from pipelines.errors import RunError
    from pipelines.home import Home

    if importlib.util.find_spec("serving") is None:
        raise RunError(
            "there is no predictor in this installation; serve with the predictor's image, or from a checkout"
        )
    home = Home()
    package = fetch(options.package, home.path / "packages", trusted(options))
    # -P: a folder of the user's own that is called serving must not be taken for ours.
    command = [sys.executable, "-P", "-m", "serving", "--package", str(package.path)]
    # On a laptop nobody else sends requests that a drain would wait for, and somebody wants to look. What the
    # environment says of these wins, as it does for the predictor's own defaults.
    ours = {"digest": package.digest, "host": "127.0.0.1", "drain-seconds": "0", "page": "true"}
    given = {name.replace("_", "-"): getattr(options, name) for name in ("http_port", "grpc_port", "public_keys")}
    for name, value in ours.items():
        if not os.environ.get(f"SLIPWAY_{name.replace('-', '_').upper()}"):
            command += [f"--{name}", value]
    for name, value in given.items():
        command += [f"--{name}", str(value)] if value is not None else []
    # The predictor takes this process over: signals and the exit code are its own.
    os.execve(sys.executable, command, {**os.environ, **home.quiet()})  # noqa: S606 (our own module)

"""The command line: `bridged [-c FILE] COMMAND [--json]`.

Answers go to standard output, errors in one line to standard error. Exit codes: 0 done, 1 no, not found or a
check that failed, 2 wrong usage or config, 3 the bridge cannot be opened (secret, database, adapter, port).
What a command needs is imported by the command, so that help and version are quick.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bridged import __version__

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A bridge between social networks.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Who = Annotated[str, typer.Argument(metavar="NETWORK:HANDLE", help="An account as its network writes it.")]
Host = Annotated[str | None, typer.Option(metavar="HOST", help="Only what goes to this host.")]
Account = Annotated[str | None, typer.Option(metavar="NETWORK:HANDLE", help="Only what this account said.")]
Reason = Annotated[str | None, typer.Option(metavar="WORDS", help="Only with these words in the reason.")]
Older = Annotated[str | None, typer.Option(metavar="SPAN", help="Only what died longer ago than, say, 90m, 12h, 3d.")]
Newer = Annotated[str | None, typer.Option(metavar="SPAN", help="Only what died since then.")]


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option("-c", "--config", envvar="BRIDGED_CONFIG", metavar="FILE", help="The config file.")
    ] = Path("bridge.yaml"),
) -> None:
    context.obj = config


@app.command()
def run(
    context: typer.Context,
    roles: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE,ROLE",
            help="What this process does, where several share one PostgreSQL: web,relay,ingest,bridge,deliver."
            " Left out: everything.",
        ),
    ] = None,
    json: AsJson = False,
) -> int:
    """Run the bridge until SIGTERM or Ctrl-C."""
    from bridged.cli import running

    return running.run(context.obj, roles, json)


@app.command()
def init(
    context: typer.Context,
    domain: Annotated[str, typer.Option(help="The host name that handles and ids will live under.")],
    open_: Annotated[
        list[str] | None,
        typer.Option("--open", metavar="NETWORK", help="Bridge everybody of this network whom somebody follows."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Write a config file and make the secret."""
    from bridged.cli import starting

    return starting.init(context.obj, domain, open_ or [], json)


@app.command()
def check(context: typer.Context, json: AsJson = False) -> int:
    """Look whether everything works, and say how to mend what does not."""
    from bridged.cli import looking

    return looking.check(context.obj, json)


@app.command()
def add(
    context: typer.Context,
    who: Who,
    wait: Annotated[float, typer.Option(min=0, max=60, help="Seconds to wait for a running daemon.")] = 3.0,
    json: AsJson = False,
) -> int:
    """Bridge an account."""
    from bridged.cli import members

    return members.add(context.obj, who, wait, json)


@app.command()
def remove(
    context: typer.Context,
    who: Who,
    for_good: Annotated[
        bool,
        typer.Option(
            "--for-good", help="End their identities elsewhere too: they can never be bridged here again. No way back."
        ),
    ] = False,
    json: AsJson = False,
) -> int:
    """Bridge an account no longer, and delete what was made of its posts."""
    from bridged.cli import members

    return members.remove(context.obj, who, for_good, json)


@app.command()
def status(context: typer.Context, json: AsJson = False) -> int:
    """Who is bridged, what waits, and what became of the last hour."""
    from bridged.cli import looking

    return looking.status(context.obj, json)


@app.command()
def trace(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="URL-OR-ID", help="A post or account, at home or a copy.")],
    json: AsJson = False,
) -> int:
    """Tell the way of a post or an account: heard, decided, copied, delivered."""
    from bridged.cli import looking

    return looking.trace(context.obj, what, json)


@app.command()
def dead(
    context: typer.Context,
    host: Host = None,
    account: Account = None,
    reason: Reason = None,
    older: Older = None,
    newer: Newer = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many hosts and reasons, the largest.")] = 100,
    json: AsJson = False,
) -> int:
    """What could not be delivered and is no longer tried, by host and reason; and which hosts are down."""
    from bridged.cli import undelivered

    asked = undelivered.Asked(host, account, reason, older, newer)
    return undelivered.listing(context.obj, asked, limit, json)


@app.command()
def retry(
    context: typer.Context,
    host: Host = None,
    account: Account = None,
    reason: Reason = None,
    older: Older = None,
    newer: Newer = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many at most, the oldest.")] = 10_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be tried again.")] = False,
    json: AsJson = False,
) -> int:
    """Try again what could not be delivered: all that every option given fits."""
    from bridged.cli import undelivered

    asked = undelivered.Asked(host, account, reason, older, newer)
    return undelivered.retry(context.obj, asked, limit, dry_run, json)


@app.command()
def reports(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest.")] = 50,
    json: AsJson = False,
) -> int:
    """What people complained about across networks."""
    from bridged.cli import moderating

    return moderating.reports(context.obj, limit, json)


@app.command()
def move(
    context: typer.Context,
    who: Who,
    to: Annotated[str, typer.Argument(metavar="NETWORK:HANDLE", help="Their own account over there.")],
    json: AsJson = False,
) -> int:
    """Send the followers of somebody's ghost to that person's own account, which must name the ghost as its alias."""
    from bridged.cli import moderating

    return moderating.move(context.obj, who, to, json)


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there.")],
    json: AsJson = False,
) -> int:
    """Save the whole database in one file, while the bridge runs. The secret is not in it."""
    from bridged.cli import keeping

    return keeping.backup(context.obj, file, json)


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `bridged backup` wrote.")],
    json: AsJson = False,
) -> int:
    """Fill an empty database, of either kind, from a backup."""
    from bridged.cli import keeping

    return keeping.restore(context.obj, file, json)


@app.command()
def export(
    context: typer.Context,
    who: Who,
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there.")],
    json: AsJson = False,
) -> int:
    """Write down all that is kept about an account, for its owner. Keys are not in it."""
    from bridged.cli import keeping

    return keeping.export(context.obj, who, file, json)


@app.command()
def version(json: AsJson = False) -> int:
    """Say which version this is."""
    from bridged.cli.output import show

    show({"version": __version__}, [f"bridged {__version__}"], json)
    return 0


def call(args: Sequence[str] | None = None) -> int:
    """Carries out one command line; its exit code."""
    from bridged.cli.output import Failure, complain

    try:
        code = app(args=args, prog_name="bridged", standalone_mode=False)
    except typer.TyperException as error:
        hint = "; see `bridged --help`" if error.exit_code == 2 else ""
        complain(error.format_message().splitlines()[0].rstrip(".") + hint)
        return error.exit_code
    except Failure as failure:
        complain(failure.message)
        return failure.code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """The console script."""
    sys.exit(call())

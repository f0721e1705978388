"""`agentrun token`: a token that the local stack accepts."""

from typing import Annotated

import typer

from agentrun_local.commands.options import DEFAULT_TEMPLATE, Template, state_folder

User = Annotated[str, typer.Option(help="Claim sub.")]
Organisation = Annotated[str, typer.Option(help="Claim org_id.")]
Scope = Annotated[str, typer.Option(help="Scopes, with a space between two.")]
Roles = Annotated[list[str], typer.Option("--roles", metavar="ROLE…", help="For example admin.")]
MoreRoles = Annotated[list[str] | None, typer.Argument(metavar="[ROLE…]", hidden=True)]
ExpiresIn = Annotated[
    int, typer.Option(metavar="S", show_default="12 hours", help="Seconds until it expires.")
]


def token(
    more_roles: MoreRoles = None,
    *,
    user: User = "dev",
    org: Organisation = "dev-org",
    scope: Scope = "runs:read runs:write",
    roles: Roles = [],  # noqa: B006 - typer copies it
    expires_in: ExpiresIn = 12 * 3600,
    template: Template = DEFAULT_TEMPLATE,
) -> int:
    """Print a token that the local stack accepts."""
    # `--roles admin auditor`: an option takes one value, so the others come as arguments.
    if more_roles and not roles:
        raise typer.BadParameter(f"nobody asked for '{more_roles[0]}'", param_hint="arguments")
    from agentrun_local.machine.identity import Caller, DevIdentity  # noqa: PLC0415

    caller = Caller(user, org, scope, [*roles, *(more_roles or ())])
    print(DevIdentity(state_folder(template)).token(caller, expires_in_s=expires_in))
    return 0

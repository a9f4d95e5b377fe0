"""Read who may sign, from the protected branch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import ConfigError, RegistryError, SignatureError
from pytest_mlrun.pillars.git import Repository
from pytest_mlrun.records.event import Value
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.project import Project
from pytest_mlrun.registry.commits import expect_repository, protected_history, read_protected
from pytest_mlrun.registry.encoding import canonical, digest_of
from pytest_mlrun.registry.signing import find_principals, sign, verify

Sign = Callable[[dict[str, Value]], tuple[str, str, str]]
REGISTER: Final = "mlrun-register"


@dataclass(frozen=True, slots=True)
class Signers:
    """Who may sign.

    Attributes:
        content: The signers' file, in the form of ``allowed_signers`` of ssh-keygen(1).
        digest: ``sha256:<hex>`` of it.
        revoked: Keys that no longer count; None where the project names no such file.
    """

    content: bytes
    digest: str
    revoked: bytes | None = None


def namespace_of(role: str) -> str:
    """Return the namespace that approvals in a role are signed in."""
    return f"mlrun-approve-{role}"


def read_signers(project: Project) -> Signers:
    """Return who may sign, as the protected branch says: a change to it counts when it was merged.

    Raises:
        ConfigError: ``mlrun.toml`` does not name the file.
        RegistryError: It is not on the protected branch, or there is none.
    """
    settings = project.registry
    if not settings.signers:
        raise ConfigError(
            "mlrun.toml does not say who may sign",
            where=str(project.config_file or project.root),
            next_step='add: [registry] signers = "mlrun-signers"; see docs/registry.md',
        )
    repository = expect_repository(project.root, purpose="to read who may sign")
    content = read_protected(repository, settings.protected_branch, project.root / settings.signers)
    revoked = None
    if settings.revoked:
        revoked = read_protected(repository, settings.protected_branch, project.root / settings.revoked)
    return Signers(content, digest_of(content), revoked)


def find_past_signers(project: Project, digest: str) -> Signers | None:
    """Return the signers' file of a digest, if the protected branch ever had it.

    Args:
        project: The project.
        digest: As an event kept it.

    Raises:
        RegistryError: There is no repository or no protected branch.
    """
    settings = project.registry
    if not settings.signers:
        return None
    repository: Repository = expect_repository(project.root, purpose="to read who could sign")
    for content in protected_history(repository, settings.protected_branch, project.root / settings.signers):
        if digest_of(content) == digest:
            return Signers(content, digest)
    return None


def sign_statement(statement: dict[str, Value], *, key: Path, namespace: str, signers: Signers) -> tuple[str, str, str]:
    """Sign a statement and check at once that the signature counts.

    Args:
        statement: What is signed, in its canonical form.
        key: The signer's key.
        namespace: For what.
        signers: Who may sign.

    Returns:
        The signature, the signer's name, and the key as ssh-keygen names it.

    Raises:
        SignatureError: The key does not sign, or its owner may not sign this.
    """
    content = canonical(statement)
    signature = sign(content, key=key, namespace=namespace)
    reasons: list[str] = []
    for principal in find_principals(signature, signers=signers.content):
        try:
            used = verify(
                content,
                signature,
                principal=principal,
                namespace=namespace,
                signers=signers.content,
                revoked=signers.revoked,
                time_us=now_us(),
            )
        except SignatureError as error:
            reasons += [error.headline, *error.details]
            continue
        return signature, principal, used
    raise SignatureError(
        f"the key {key.name} may not sign for {namespace}",
        details=tuple(dict.fromkeys(reasons)) or ("the protected branch does not know it",),
        where=f"signers {signers.digest[:19]}…",
        next_step=f'have a line merged into the signers\' file: NAME namespaces="{namespace}" {_public(key)}',
    )


def make_signer(project: Project, key: str | None) -> Sign | None:
    """Return what signs a registration: with the key that was typed or, where the project names signers, git's own.

    Args:
        project: The project.
        key: Path of a key, if one was typed.
    """
    if not key and not project.registry.signers:
        return None
    signers, path = read_signers(project), find_key(key, project)

    def sign(statement: dict[str, Value]) -> tuple[str, str, str]:
        signature, principal, _ = sign_statement(
            statement,
            key=path,
            namespace=REGISTER,
            signers=signers,
        )
        return signature, principal, signers.digest

    return sign


def find_key(given: str | None, project: Project) -> Path:
    """Return the key to sign with: as given, else git's ``user.signingkey``.

    Args:
        given: A path, if one was typed.
        project: Where git is asked.

    Raises:
        RegistryError: There is none.
    """
    if given:
        return Path(given).expanduser()
    repository = expect_repository(project.root, purpose="to find the key that git signs with")
    configured = (
        repository.ask("config", "--default", "", "--get", "user.signingkey").decode("utf-8", "replace").strip()
    )
    if not configured or configured.startswith(("key::", "ssh-")) or not Path(configured).expanduser().is_file():
        raise RegistryError(
            "no key to sign with", next_step="name it: --key ~/.ssh/id_ed25519, or: git config user.signingkey PATH"
        )
    return Path(configured).expanduser()


def _public(key: Path) -> str:
    public = key if key.suffix == ".pub" else key.with_name(key.name + ".pub")
    try:
        return " ".join(public.read_text(encoding="utf-8").split()[:2])
    except (OSError, UnicodeDecodeError):
        return "KEYTYPE KEY"

"""Generate missing secrets into an ansible-vault file; the module of the same name documents the interface."""

from __future__ import annotations

import datetime
import os
import secrets
import string
import tempfile
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecretsContext, is_encrypted, match_encrypt_secret
from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Letters and digits only, so that a password needs no quoting in URLs and configuration files.
_ALPHABET = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 48
# The authority outlives every certificate that it signs; ordinary runs renew those.
_AUTHORITY_DAYS = 3650
_HEADER = "---\n# Generated once. Change it with: ansible-vault edit {path}\n"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs on the controller; needs no connection to any host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Add missing secrets to the vault file and return the new ones."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        path = Path(self._task.args["path"])
        # As plain strings, because YAML cannot represent Ansible's tagged strings.
        wanted = {f"{variable}": f"{kind}" for variable, kind in self._task.args["wanted"].items()}
        vault = VaultLib(VaultSecretsContext.current().secrets or [])
        present = _read(vault, path)
        fresh = {
            name: value
            for variable, kind in wanted.items()
            if _lacks(present, variable, kind) and not _set_elsewhere(task_vars or {}, variable, kind)
            for name, value in _generate(variable, kind).items()
        }
        if fresh and not self._task.check_mode:
            _write(vault, path, {**present, **fresh})
        return result | {"changed": bool(fresh), "generated": sorted(fresh), "fresh": fresh}


def _names(variable: str, kind: str) -> list[str]:
    return [f"{variable}_key", f"{variable}_certificate"] if kind == "certificate_authority" else [variable]


def _lacks(present: dict[str, Any], variable: str, kind: str) -> bool:
    # A certificate is of no use without the key that it was created with.
    missing = [name for name in _names(variable, kind) if not present.get(name)]
    if missing and len(missing) < len(_names(variable, kind)):
        raise AnsibleActionFail(
            f"The vault file contains only a part of {variable}: add {missing[0]} or remove the rest."
        )
    return bool(missing)


def _set_elsewhere(task_vars: dict[str, Any], variable: str, kind: str) -> bool:
    """Whether the operator sets the secret in another variable file, which then applies to every host."""
    hostvars = task_vars.get("hostvars", {})
    return any(
        name in hostvars[host]
        for name in _names(variable, kind)
        for host in task_vars.get("ansible_play_hosts_all", [])
    )


def _generate(variable: str, kind: str) -> dict[str, Any]:
    if kind == "password":
        return {variable: _password()}
    if kind == "passwords":
        return {variable: [_password()]}
    if kind == "certificate_authority":
        return dict(zip(_names(variable, kind), _authority(), strict=True))
    raise AnsibleActionFail(f"{variable}: {kind} is not a kind of secret.")


def _password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH))


def _authority() -> tuple[str, str]:
    """Return the PEM of a new authority's key and of its own certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bbb-fleet internal CA")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_authority_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def _authority_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _read(vault: VaultLib, path: Path) -> dict[str, Any]:
    """Return the file's variables, or {} if there is no file. Raises AnsibleActionFail."""
    if not vault.secrets:
        raise AnsibleActionFail(
            "No vault password was given, so the generated secrets cannot be stored. "
            "Give one with --vault-password-file FILE or ANSIBLE_VAULT_PASSWORD_FILE."
        )
    if not path.exists():
        return {}
    content = path.read_bytes()
    if not is_encrypted(content):
        raise AnsibleActionFail(f"{path} is not encrypted. Encrypt it with: ansible-vault encrypt {path}")
    try:
        loaded = yaml.safe_load(vault.decrypt(content)) or {}
    except AnsibleError as error:
        raise AnsibleActionFail(f"{path} cannot be decrypted with the vault password of this run.") from error
    except yaml.YAMLError as error:
        # The parser's own message quotes the line, which may be a secret.
        raise AnsibleActionFail(f"{path} is not valid YAML. Correct it with: ansible-vault edit {path}") from error
    if not isinstance(loaded, dict):
        raise AnsibleActionFail(f"{path} must contain variables, one NAME: VALUE per line.")
    return loaded


def _write(vault: VaultLib, path: Path, values: dict[str, Any]) -> None:
    """Replace the file atomically, so that a crash leaves either the old or the new one."""
    plain = _HEADER.format(path=path.name) + yaml.safe_dump(values, default_flow_style=False)
    identity, secret = match_encrypt_secret(vault.secrets)
    encrypted = vault.encrypt(plain.encode(), secret, vault_id=None if identity == "default" else identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".vault-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(encrypted)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

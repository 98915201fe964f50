"""Documentation of the action plugin of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_secrets
short_description: Generate secrets into an ansible-vault file on the controller
description:
  - Generates every wanted secret that the file lacks, and writes the file encrypted with this run's vault password.
  - A secret that another variable file sets is not generated.
  - A secret in the file is never generated again.
  - Runs on the controller and never returns a secret that was in the file already.
options:
  path:
    description: The vault file; created with mode 0600.
    type: path
    required: true
  wanted:
    description:
      - Variable names, each with its kind of secret.
      - C(password) is a text, C(passwords) a list of one text.
      - C(certificate_authority) sets the variables NAME_key and NAME_certificate to PEM.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Generates secrets for this run and writes nothing.
author: [bbb-fleet]
"""

EXAMPLES = r"""
- name: Generate missing secrets
  vault_secrets:
    path: inventory/group_vars/all/vault.yml
    wanted:
      redis_password: password
  no_log: true
"""

RETURN = r"""
generated:
  description: Names of the variables that were generated.
  type: list
  returned: always
fresh:
  description: The generated variables with their values, for this run, because Ansible has read the file already.
  type: dict
  returned: always
"""

"""Documentation of the action plugin of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_secrets
short_description: Keep generated secrets in an ansible-vault file on the controller
description:
  - Generates every wanted secret that the file lacks, and writes the file encrypted with this run's vault password.
  - A secret that another variable file sets is left to that file.
  - A secret that is there is never generated again; a partly filled file is completed.
  - Runs on the controller alone and never returns or shows a secret that was in the file already.
options:
  path:
    description: The vault file; created with mode 0600.
    type: path
    required: true
  wanted:
    description:
      - Variable names, each with the kind of secret it holds.
      - C(password) is text, C(passwords) a list with one text in it.
      - C(certificate_authority) fills the two variables NAME_key and NAME_certificate with PEM.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Generates for the length of this run, and writes nothing.
author: [bbb-fleet]
"""

EXAMPLES = r"""
- name: Generate what is missing
  vault_secrets:
    path: inventory/group_vars/all/vault.yml
    wanted:
      redis_password: password
  no_log: true
"""

RETURN = r"""
generated:
  description: The names of the variables that were generated now.
  type: list
  returned: always
fresh:
  description: The generated variables with their values, for the rest of this run. Ansible read the file before.
  type: dict
  returned: always
"""

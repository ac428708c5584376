# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say where the hub of the last run is and how to log in; with --passwords, show the sample's shared passwords."""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from kubernetes import client, config
from urllib3.exceptions import HTTPError

SECONDS = 20
SITE = Path(__file__).resolve().parent.parent / "build" / "site.json"

Json = dict[str, Any]


def words(site: Json) -> list[str]:
    """Return what people need to know, a line each."""
    lines = ["", f"JupyterHub is at {site['url'] or 'the address of its proxy'}", ""]
    if "secret" in site["login"]:
        lines += [
            "  Log in as a student: any user name, with the password that students share",
            "  Log in as staff:     the user name admin, with the admin's password",
            "  Show the passwords:  make password",
        ]
    else:
        lines.append(f"  People log in by {site['login']['authenticator']}.")
    config_of = f"--kubeconfig {site['kubeconfig']} " if site["kubeconfig"] else ""
    context = f"--context {site['context']} " if site["context"] else ""
    if shutil.which("kubectl"):
        lines.append(f"  Look at it:          kubectl {config_of}{context}-n {site['namespace']} get pods")
    lines += [
        "  Remove it:           make down",
        "",
        f"  It took {round(sum(site['seconds'].values()))} s: "
        + ", ".join(f"{part.replace('_', ' ')} {round(seconds)}" for part, seconds in site["seconds"].items()),
        "",
    ]
    return lines


def passwords(site: Json) -> list[str]:
    """Return the shared passwords, a line each; ends the program where people log in otherwise."""
    login = site["login"]
    if "secret" not in login:
        sys.exit(f"People log in by {login['authenticator']} here; there is no shared password.")
    try:
        config.load_kube_config(config_file=site["kubeconfig"] or None, context=site["context"] or None)
        core = client.CoreV1Api()
        secret = core.read_namespaced_secret(login["secret"], site["namespace"], _request_timeout=SECONDS)
    except (config.ConfigException, client.ApiException, HTTPError, OSError) as error:
        reason = getattr(error, "reason", "") or error
        sys.exit(
            f"Could not read the Secret {login['secret']} in the namespace {site['namespace']}: {reason}. "
            "Check that the cluster runs; `make up` says what is wrong with it."
        )
    found = secret.data or {}
    who = (("students, under any user name", login["key"]), ("admin", login["admin_key"]))
    return [f"{name}: {base64.b64decode(found[key]).decode()}" for name, key in who if key in found]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passwords", action="store_true", help="show the shared passwords")
    if not SITE.exists():
        sys.exit("Could not find build/site.json. Run `make up` first.")
    site = json.loads(SITE.read_text(encoding="utf-8"))
    print("\n".join(passwords(site) if parser.parse_args().passwords else words(site)))


if __name__ == "__main__":
    main()

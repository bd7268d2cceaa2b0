#!/usr/bin/env python3
# ruff: noqa: E401, I001
"""Loopback "internet" for federation tests: local CA, leaf certificate, /etc/hosts names.

    net.py up   DIR NAME...   make/refresh CA + one leaf cert for NAMEs, add hosts entries, trust the CA
    net.py down DIR           remove the hosts entries and the CA from the system trust store
    net.py certs DIR NAME...  only the certificates (no root needed); point SSL_CERT_FILE /
                              NODE_EXTRA_CA_CERTS at DIR/bundle.pem

Needs: the `openssl` command. `up`/`down` need root (Debian's update-ca-certificates).
ENV: NET_ADDR (127.0.20.1) is what all names resolve to. NET_TAG (federation-kit) names the block in the hosts
file and the CA file: give a second net beside the first its own address and tag. `up` replaces the tag's block.
"""

import os, secrets, subprocess, sys
from pathlib import Path

ADDR = os.environ.get("NET_ADDR", "127.0.20.1")
TAG = os.environ.get("NET_TAG", "federation-kit")
HOSTS = Path("/etc/hosts")
BEGIN, END = f"# >>> {TAG}", f"# <<< {TAG}"
SYSTEM_CA = Path(f"/usr/local/share/ca-certificates/{TAG}.crt")
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def run(*cmd):
    subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certs(d: Path, names):
    d.mkdir(parents=True, exist_ok=True)
    ca_key, ca = d / "ca.key", d / "ca.pem"
    if not ca.exists():
        run(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            f"/CN={TAG} test CA {secrets.token_hex(4)}",
            "-keyout",
            str(ca_key),
            "-out",
            str(ca),
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        )
    ext = d / "leaf.ext"
    ext.write_text(
        "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName="
        + ",".join(f"DNS:{n}" for n in names)
        + "\n"
    )
    key, csr, crt = d / "leaf.key", d / "leaf.csr", d / "leaf.pem"
    if not key.exists():
        run("openssl", "genrsa", "-out", str(key), "2048")
    run("openssl", "req", "-new", "-key", str(key), "-subj", f"/CN={names[0]}", "-out", str(csr))
    run(
        "openssl",
        "x509",
        "-req",
        "-in",
        str(csr),
        "-CA",
        str(ca),
        "-CAkey",
        str(ca_key),
        "-CAcreateserial",
        "-days",
        "365",
        "-extfile",
        str(ext),
        "-out",
        str(crt),
    )
    bundle = d / "bundle.pem"
    system = SYSTEM_BUNDLE.read_text() if SYSTEM_BUNDLE.exists() else ""
    bundle.write_text(system + "\n" + ca.read_text())


def hosts(names):
    keep, skip = [], False
    for line in HOSTS.read_text().splitlines():
        if line == BEGIN:
            skip = True
        elif line == END:
            skip = False
        elif not skip:
            keep.append(line)
    if names:
        keep += [BEGIN] + [f"{ADDR} {n}" for n in names] + [END]
    HOSTS.write_text("\n".join(keep) + "\n")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("up", "down", "certs"):
        sys.exit(__doc__)
    cmd, d = sys.argv[1], Path(sys.argv[2])
    names = sys.argv[3:]
    if cmd in ("up", "certs"):
        certs(d, names)
    if cmd == "up":
        hosts(names)
        SYSTEM_CA.write_text((d / "ca.pem").read_text())
        run("update-ca-certificates")
    if cmd == "down":
        hosts([])
        SYSTEM_CA.unlink(missing_ok=True)
        run("update-ca-certificates", "--fresh")


if __name__ == "__main__":
    main()

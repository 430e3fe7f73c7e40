"""The container and the Debian package: their files fit together, and the pages about them are valid."""

import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import evframe
from evframe.config import load_config

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CONTAINERFILE = (PACKAGING / "Containerfile").read_text()
PATHS = {"/etc/evframe", "/var/lib/evframe", "/var/log/evframe"}


def documents(page):
    """Return the YAML documents of a page."""
    found = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [document for text in found for document in yaml.safe_load_all(text)]


@pytest.mark.parametrize("page", [page for page in PAGES if "```yaml" in page.read_text()], ids=lambda page: page.stem)
def test_yaml_blocks_parse(page):
    """Every YAML block of a page is a mapping or a list."""
    assert all(isinstance(document, dict | list) for document in documents(page))


def test_the_manifests_fit_the_image():
    """The pages mount the folders of the image, run its user, and ask the probes for paths that are served."""
    compose, stateful_set = documents(ROOT / "docs" / "how-to" / "run-in-containers.md")
    pod = stateful_set["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", CONTAINERFILE, re.MULTILINE)
    volumes = [volume["name"] for volume in pod["volumes"]]
    claims = [claim["metadata"]["name"] for claim in stateful_set["spec"]["volumeClaimTemplates"]]

    assert (str(pod["securityContext"]["runAsUser"]), str(pod["securityContext"]["fsGroup"])) == user.groups()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": container["ports"][0]["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": container["ports"][0]["name"]}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= PATHS
    assert {mount["name"] for mount in container["volumeMounts"]} == {*volumes, *claims}
    service = compose["services"]["evframe"]
    assert service["read_only"] is True
    targets = {volume.split(":")[1] for volume in service["volumes"]}
    assert all(any(target.startswith(path) for target in targets) for path in PATHS)


@pytest.mark.parametrize("path", ["evframe.toml", "debian/evframe.toml"])
def test_the_configurations_that_are_shipped_are_valid(path, tmp_path):
    """The configuration in the image and the one in the package have no problem, and open loopback addresses alone."""
    text = (PACKAGING / path).read_text().replace("/var/log/evframe", str(tmp_path))

    file = tmp_path / "evframe.toml"
    file.write_text(text)
    evframe.EventInterface(load_config(file))
    assert set(re.findall(r'bind = "([^":]+)', text)) == {"127.0.0.1"}
    file.write_text(re.sub(r"^# ?(?=\[|\w+ = )", "", text, flags=re.MULTILINE))
    evframe.EventInterface(load_config(file))


@pytest.fixture
def server():
    """Return a server that answers `/livez` with the status that the test sets."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.status if self.path == "/livez" else 404)
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_health_check_asks_livez(server):
    """It succeeds on 200, and names the address and the reason on anything else, or when nothing listens."""
    address = f"127.0.0.1:{server.server_address[1]}"

    def health():
        command = [sys.executable, PACKAGING / "health.py"]
        done = subprocess.run(
            command, env={"EVFRAME_HEALTH": address}, capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, done.stderr

    server.status = 200
    assert health() == (0, "")
    server.status = 503
    assert health() == (1, f"{address}: the status is 503\n")
    server.shutdown()
    server.server_close()
    assert health() == (1, f"{address}: [Errno 111] Connection refused\n")


def test_the_health_check_of_the_image_asks_its_configuration():
    """The address that the health check asks by default is the one that the image's configuration binds."""
    config = tomllib.loads((PACKAGING / "evframe.toml").read_text())
    asked = re.search(r'"EVFRAME_HEALTH", "([^"]+)"', (PACKAGING / "health.py").read_text())[1]

    assert config["plugins"]["metrics"]["bind"] == asked
    assert 'CMD ["evframe-health"]' in CONTAINERFILE

"""The container, with a read-only root and without a network, passes the first tutorial: a trial of .ci/long."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tutorials" / "first-gateway.md").read_text()
# Limits that any machine permits; an engine would raise those of the container otherwise.
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
pytestmark = pytest.mark.timeout(2400)  # building takes minutes


def blocks(language):
    """Return the code of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def command(words):
    """Return the line of the page that begins with some words."""
    (line,) = [line for block in blocks("sh") for line in block.splitlines() if line.startswith(words)]
    return line


@pytest.fixture(scope="module")
def engine():
    """Return what runs a command of podman, on images in a folder that has the one of this checkout."""
    folder = tempfile.mkdtemp()  # beside the folders of pytest, which removes old ones while something is mounted there
    environment = {**os.environ, "EVFRAME_CONTAINERS": str(folder)}
    # Whatever the umask of the one who builds is, the user of the image can read what is in it.
    subprocess.run(["bash", ROOT / ".ci" / "container"], check=True, timeout=1800, env=environment, umask=0o077)
    storage = [f"--root={folder}/images", f"--runroot={folder}/run", "--storage-driver=vfs"]

    def podman(*words, check=True, errors=subprocess.PIPE):
        words = ["podman", *storage, "--runtime=runc", "--cgroup-manager=cgroupfs", *words]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    try:
        yield podman
    finally:
        podman("rm", "--all", "--force", "--volumes")
        shutil.rmtree(folder)


@contextmanager
def reader(pid, folder):
    """Run the page's reader of TCP in the network of the container, and yield the file that it writes to."""
    path = folder / "reader.py"
    path.write_text(blocks("text")[-1])
    output = folder / "read.txt"
    with output.open("w") as file:
        words = ["nsenter", f"--target={pid}", "--net", sys.executable, path]
        with subprocess.Popen(words, stdout=file, stderr=file) as process:
            try:
                yield output
            finally:
                process.kill()


def test_the_image_says_how_it_is_run(engine):
    """It has no user root, a health check, a signal that ends it, the labels of OCI, and no compiler and no pip."""
    (image,) = json.loads(engine("image", "inspect", "localhost/evframe"))
    config = image["Config"]
    print(f"the image has {image['Size'] / 1e6:.0f} MB")

    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert image["Healthcheck"]["Test"] == ["CMD", "evframe-health"]
    labels = {name.removeprefix("org.opencontainers.image.") for name in config["Labels"]}
    assert labels >= {"title", "description", "source", "documentation", "licenses", "version", "revision"}
    found = "for name in gcc cc make pip pip3 apt-get perl5.36; do command -v $name; done; true"
    assert engine("run", "--rm", "--network=none", *LIMITS, "--entrypoint=sh", "localhost/evframe", "-c", found) == ""


def test_its_user_can_read_what_is_in_it(engine):
    """The configuration of the image is read by its user, whatever the umask of the one who builds is."""
    assert engine("run", "--rm", "--network=none", *LIMITS, "localhost/evframe", "check").endswith("ok")


def test_a_stop_during_the_start_ends_it(engine):
    """A signal that comes before the gateway handles it is not ignored until the container is killed."""
    name = engine("run", "--detach", "--network=none", *LIMITS, "localhost/evframe")

    engine("stop", "--time=60", name)
    assert engine("inspect", "--format={{.State.ExitCode}}", name) in {"0", "143"}  # 143 is SIGTERM


def test_children_of_others_are_waited_for(engine):
    """A process whose parent has ended is no zombie when it ends."""
    name = engine("run", "--detach", "--log-driver=k8s-file", "--network=none", *LIMITS, "localhost/evframe")
    until(lambda: "the gateway is ready" in log_of(engine, name))
    before = engine("top", name, "pid").split()

    orphan = engine("exec", name, "sh", "-c", 'sleep 0.1 >/dev/null 2>&1 & echo "$!"')
    assert orphan.isdecimal()
    until(lambda: engine("top", name, "pid").split() == before)
    engine("stop", "--time=60", name)


def test_a_configuration_that_cannot_be_read_is_named(engine, tmp_path):
    """A file that `evframe init` has made belongs to another user: the gateway ends with 78, and names it."""
    (tmp_path / "evframe.toml").write_text("")
    (tmp_path / "evframe.toml").chmod(0o640)
    volume = f"--volume={tmp_path / 'evframe.toml'}:/etc/evframe/evframe.toml:ro"
    name = engine("run", "--detach", "--log-driver=k8s-file", "--network=none", *LIMITS, volume, "localhost/evframe")

    assert engine("wait", name) == "78"
    logs = engine("logs", name, errors=subprocess.STDOUT)
    assert logs == "/etc/evframe/evframe.toml: Permission denied"


def test_the_first_tutorial_in_a_container(engine, tmp_path):
    """Each step of the page does in the container what the page says, and the container ends when it is stopped."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    (folder / "evframe.toml").write_text("\n".join([*blocks("toml"), "[plugins.metrics]", ""]))
    name = engine(
        "run", "--detach", "--log-driver=k8s-file", "--read-only", "--network=none", "--cap-drop=all", "--security-opt=no-new-privileges",
        *LIMITS, f"--volume={folder}:/etc/evframe:ro", "localhost/evframe",
    )  # fmt: skip

    def inside(line, check=True):
        return engine("exec", name, "sh", "-c", line, check=check)

    until(lambda: "the gateway is ready" in log_of(engine, name))
    assert inside("id -u") == "10001"
    assert inside("touch /usr/x || echo refused") == "refused"
    assert inside(command("evframe check").replace("evframe.toml", "/etc/evframe/evframe.toml")).endswith("ok")
    engine("healthcheck", "run", name)

    assert "E_CALL_ENDED" in inside(command("evframe events"))
    inside(command("evframe raise E_CALL_ENDED caller=sip:alice@example.com seconds=42"))
    until(lambda: inside("cat calls.log", check=False) == blocks("text")[0].strip())
    assert "flatstore:calls.log" in inside(command("evframe subscribers"))
    refused = inside(f"{command('evframe raise E_CALL_ENDED caller=sip:alice@example.com seconds=many')} 2>&1; true")
    assert "seconds" in refused

    inside(f"{command('evframe watch')} >/var/lib/evframe/watched 2>&1 &")
    until(lambda: inside("evframe subscribers").count("E_CALL_ENDED") == 2)

    pid = engine("inspect", "--format={{.State.Pid}}", name)
    with reader(pid, tmp_path) as read:
        inside(command("evframe subscribe E_"))
        inside("evframe raise E_CALL_ENDED caller=bob seconds=1")
        until(lambda: "bob" in read.read_text())
    inside("evframe raise E_CALL_ENDED caller=carol seconds=2")
    inside("evframe raise E_CALL_ENDED caller=dave seconds=3")
    until(lambda: "dave" in inside("cat calls.log /var/lib/evframe/watched"))
    with reader(pid, tmp_path) as read:
        until(lambda: {"carol", "dave"} <= set(re.findall(r"\w+", read.read_text())))
    assert "dave" in inside("cat /var/lib/evframe/watched")

    engine("stop", "--time=30", name)
    assert engine("inspect", "--format={{.State.ExitCode}}", name) == "0"


def log_of(engine, name):
    """Return what the gateway has logged, and fail if it has ended."""
    state = engine("inspect", "--format={{.State.Status}}", name)
    logs = engine("logs", "--tail=50", name, check=False, errors=subprocess.STDOUT)
    assert state == "running", logs
    return logs

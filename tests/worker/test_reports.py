"""A real worker tells what it has imported: when it is ready, when it fails, and later; and its children still work."""

from __future__ import annotations

import hashlib
import time

import pytest

from bentod.wire.orders import Failed, Imported, Probe, Probed, Ready
from tests.support.daemon import eventually
from tests.support.imports import write
from tests.support.workers import worker


def hashes(files, *names):
    return {name: hashlib.sha256(files[name].encode()).hexdigest() for name in names or files}


@pytest.mark.parametrize("target", ["model", "model.py", "model:f"])
def test_ready_tells_what_was_imported_and_pins_bring_it_back(tmp_path, target):
    files = {"model.py": "import part\ndef f(): return part.VALUE\n", "part.py": "VALUE = 1\n"}
    project, objects = write(tmp_path / "project", files), str(tmp_path / "objects")
    with worker(project, target, objects=objects) as one:
        assert isinstance(one.answer, Ready), one.stderr
        assert one.files == hashes(files)
    write(project, {"model.py": "def f(", "part.py": "1/0"})
    with worker(project, target, objects=objects) as one:
        assert isinstance(one.answer, Failed)
        assert set(one.files) == {"model.py"}
    (project / "part.py").unlink()
    with worker(project, target, objects=objects, pins=hashes(files)) as one:
        assert isinstance(one.answer, Ready), one.stderr
        assert one.files == hashes(files)


@pytest.mark.parametrize(
    "code", ["import part\n1/0", "import part\nx = (", "import part\nclass C:\n  def __init__(s): 1/0"]
)
def test_failed_tells_what_was_imported(tmp_path, code):
    files = {"model.py": code, "part.py": ""}
    write(tmp_path, files)
    with worker(tmp_path, "model:C") as one:
        assert isinstance(one.answer, Failed)
        assert "model.py" in one.files
        assert one.files == hashes(files, *one.files)
        assert "bentod" not in one.answer.traceback


LATER = """
import importlib, threading
for_later = [f"later{number}" for number in range(30)]
class Service:
    def f(self): pass
    def ready(self):
        threads = [threading.Thread(target=importlib.import_module, args=(name,)) for name in for_later]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
"""


def test_later_imports_are_told_together(tmp_path):
    files = {"model.py": LATER, **{f"later{number}.py": "" for number in range(30)}}
    write(tmp_path, files)
    with worker(tmp_path, "model:Service", hooks={"ready": "ready"}) as one:
        assert set(one.files) == {"model.py"}
        with pytest.raises(TimeoutError):
            one.receive(0.3)
        begun, told, probed = time.monotonic(), [one.files], False
        one.send(Probe())
        while told[-1] != hashes(files) or not probed:
            answer = one.receive()
            if isinstance(answer, Imported):
                told.append(answer.files)
            else:
                probed = answer == Probed(ok=True)
        assert len(told) - 2 <= (time.monotonic() - begun) / 0.2
        one.send(Probe())
        assert isinstance(one.receive(), Probed)
        with pytest.raises(TimeoutError):
            one.receive(0.5)  # there was nothing new


CHILDREN = """
import multiprocessing, os, subprocess, sys, threading, pathlib
import part
def work(x):
    import lazy
    return lazy.VALUE + x
class Service:
    def __init__(self):
        done = []
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(1) as pool:
                done.append(pool.map(work, [1])[0])
        pid = os.fork()
        if not pid:
            try:
                import lazy
                os._exit(lazy.VALUE)
            except BaseException:
                os._exit(99)
        done.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        out = subprocess.run([sys.executable, "-c", "import lazy; print(lazy.VALUE)"], capture_output=True, text=True)
        done.append(int(out.stdout))
        pathlib.Path("done").write_text(repr(done))
    def f(self): pass
if __name__ == "__main__":
    raise SystemExit("never")
"""


def test_children_of_the_user_s_code_import_too(tmp_path):
    files = {"model.py": CHILDREN, "part.py": "", "lazy.py": "VALUE = 7\n"}
    write(tmp_path, files)
    with worker(tmp_path, "model:Service", objects=str(tmp_path / "objects")) as one:
        assert isinstance(one.answer, Ready), one.stderr
        assert (tmp_path / "done").read_text() == "[8, 8, 7, 7]"
        assert one.files == hashes(files, "model.py", "part.py"), "what its children import is theirs"


def test_workers_may_keep_the_same_at_once(tmp_path):
    files = {"model.py": "def f(): pass\n"}
    project, objects = write(tmp_path / "project", files), tmp_path / "objects"
    with (
        worker(project, "model", objects=str(objects)) as one,
        worker(project, "model", objects=str(objects)) as two,
    ):
        assert one.files == two.files == hashes(files)
    assert [path.name for path in objects.iterdir()] == list(hashes(files).values())


def test_what_cannot_be_kept_is_said_once(tmp_path):
    files = {"model.py": "import part\ndef f(): pass\n", "part.py": ""}
    write(tmp_path, files)
    with worker(tmp_path, "model", objects="/proc/none") as one:
        assert isinstance(one.answer, Ready)
        eventually(lambda: one.stderr.count("cannot be kept in /proc/none") == 1)


def test_python_s_own_names_in_the_project_do_no_harm(tmp_path):
    files = {
        "model.py": "import queue, hashlib\ndef f(): return queue.VALUE\n",
        "queue.py": "VALUE = 1\n",
        "linecache.py": "1/0",
    }
    write(tmp_path, files)
    with worker(tmp_path, "model") as one:
        assert isinstance(one.answer, Ready), one.stderr

"""What student code can see and do behind the walls, and what is left of it afterwards: nothing."""

import errno
import json
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

import autograder
from autograder import isolation, sandbox
from autograder.sandbox import Sandbox, SandboxError
from autograder.view import build_view

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls are the Linux kernel's")

SAFE = ("namespaces", "landlock", "seccomp")
# What the attacks below import; where nothing can be imported, the attacks are tried all the same.
NEEDED = (
    "ctypes encodings.idna fcntl multiprocessing.pool multiprocessing.queues multiprocessing.synchronize"
    " resource socket"
).split()
SECRET = "this is a grader's secret"
PACKAGES = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return build_view("01_gradient_checking", tmp_path_factory.mktemp("view"))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A directory with a file that only its owner may read, as hidden seeds are."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "secret.txt").chmod(0o600)
    return folder


def start(view, level, **kwargs):
    try:
        return Sandbox(view, level, **kwargs)
    except SandboxError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=SAFE)
def box(request, view):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGRAD_TEST_SECRET", SECRET)
        patch.setattr(sandbox, "PRELOAD_MORE", [*sandbox.PRELOAD_MORE, *NEEDED])
        with start(view, request.param) as opened:
            yield opened


@pytest.fixture
def student(box):
    with box.session() as session:
        yield session


def run(session, source):
    problem = session.run(textwrap.dedent(source), "cell")
    assert problem is None, problem


def get(session, name):
    reply = session.get(name)
    assert reply.problem is None, reply.problem
    return reply.value


def attempt(session, deed):
    """Do something in the sandbox; 'done', or the name of the exception or error number."""
    indented = textwrap.indent(textwrap.dedent(deed), "    ")
    run(
        session,
        f"import os, sys, ctypes, errno\ntry:\n{indented}\n    outcome = 'done'\n"
        "except OSError as error:\n    outcome = errno.errorcode.get(error.errno, 'OSError')\n"
        "except BaseException as error:\n    outcome = type(error).__name__\n",
    )
    return get(session, "outcome")


REFUSED = {"EPERM", "EACCES", "ENOENT", "EROFS", "ENOSYS"}

# -- files

READ = {
    "a file of the course": "open(r'{course}/secret.txt').read()",
    "the directory of the course": "os.listdir(r'{course}')",
    "the exercises": "open(r'{package}/exercises/gradient_checking.py').read()",
    "its own program": "open(r'{package}/worker.py').read()",
    "the library with the answers": "open(r'{package}/../minigrad/layers/affine.py').read()",
    "users": "open('/etc/passwd').read()",
    "its own process": "open('/proc/self/environ').read()",
    "its own memory": "open('/proc/self/mem', 'rb').read(1)",
    "the first process": "os.listdir('/proc/1')",
    "all processes": "os.listdir('/proc')",
    "the network": "open('/proc/net/tcp').read()",
    "shared memory": "os.listdir('/dev/shm')",
    "temporary files": "os.listdir('{course}')",
    "the root": "open('/etc/hostname').read()",
    "the kernel": "os.listdir('/sys')",
    "the terminal": "open('/dev/tty').read()",
}
WRITE = {
    "a file of the course": "open(r'{course}/secret.txt', 'a')",
    "a new file of the course": "open(r'{course}/new.txt', 'w')",
    "its permissions": "os.chmod(r'{course}/secret.txt', 0o666)",
    "its permissions, by descriptor": "os.chmod('secret.txt', 0o666, dir_fd=os.open(r'{course}', os.O_PATH))",
    "its times": "os.utime(r'{course}/secret.txt', (0, 0))",
    "its owner": "os.chown(r'{course}/secret.txt', 1, 1)",
    "its length": "os.truncate(r'{course}/secret.txt', 0)",
    "its attributes": "os.setxattr(r'{course}/secret.txt', 'user.x', b'1')",
    "its name": "os.rename(r'{course}/secret.txt', r'{course}/other.txt')",
    "that it is there": "os.unlink(r'{course}/secret.txt')",
    "a link to it": "os.link(r'{course}/secret.txt', 'secret.txt')",
    "a library": "open(r'{packages}/numpy/__init__.py', 'r+b')",
    "the linker's cache": "open('/etc/ld.so.cache', 'r+b')",
    "a directory": "os.mkdir('/new')",
    "a symbolic link": "os.symlink('/etc', '/new')",
    "temporary files": "open('/tmp/new', 'w')",
    "shared memory": "open('/dev/shm/new', 'w')",
    "a pipe": "os.mkfifo('/new')",
    "a device": "os.mknod('/new', 0o20666, 0x103)",
}


@pytest.mark.parametrize(
    "deed",
    [*READ.values(), *WRITE.values()],
    ids=[f"read {name}" for name in READ] + [f"change {name}" for name in WRITE],
)
def test_no_file_is_in_reach(student, course, deed):
    package = Path(autograder.__file__).resolve().parent
    deed = deed.format(course=course, package=package, packages=PACKAGES)
    secret = course / "secret.txt"
    before = secret.stat()
    assert attempt(student, deed) in REFUSED
    assert secret.read_text() == SECRET
    after = secret.stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_uid) == (
        after.st_mode,
        after.st_mtime_ns,
        after.st_uid,
    )
    assert [path.name for path in course.iterdir()] == ["secret.txt"]


def test_of_the_home_directory_only_the_way_to_python_is_there(student):
    home = Path.home()
    run(student, f"import os\ntry: names = os.listdir({str(home)!r})\nexcept OSError: names = []\n")
    visible = [Path(path) for path in (*sandbox._system_paths(), *sandbox._library_paths())]
    below = {path.relative_to(home).parts[0] for path in visible if path.is_relative_to(home)}
    assert set(get(student, "names")) <= below


NAMES = {
    "of the root": "os.stat('/')",
    "of a link": "os.lstat('/proc/self/exe')",
    "of what a link means": "os.readlink('/proc/self/exe')",
    "of its disk": "os.statvfs('/')",
    "by going there": "os.chdir('/')",
    "by asking for rights": "assert os.access('/', os.F_OK)",
    "by opening no more than the name": "os.open('/', os.O_PATH)",
    "beside what is open": "os.stat('null', dir_fd=0)",
    "of the list of modules": "importlib.invalidate_caches(); import numpy.f2py",
}


@pytest.mark.parametrize("deed", NAMES.values(), ids=NAMES)
def test_without_file_systems_not_even_names_are_in_reach(view, deed):
    with start(view, "seccomp") as box, box.session() as student:
        run(student, "import importlib")
        assert attempt(student, deed) in {"EPERM", "AssertionError", "ModuleNotFoundError"}


def test_a_notebook_that_opens_files_finds_them(box, student):
    deeds = ["open(os.devnull, 'w').write('x')", "assert len(open('/dev/urandom', 'rb').read(8)) == 8"]
    expected = "EPERM" if box.level == "seccomp" else "done"
    assert [attempt(student, deed) for deed in deeds] == [expected] * len(deeds)


DRAWING = """
import io, numpy as np, matplotlib.pyplot as plt
figure, axes = plt.subplots(1, 2, figsize=(12, 3))
axes[0].semilogy([1, 1e-9], label="$x_i^2$")
axes[0].set_title("a title", fontsize=17, weight="bold")
axes[0].legend()
axes[1].text(0, 0, "words", family="monospace", style="italic")
figure.colorbar(axes[1].imshow(np.eye(5)))
plt.tight_layout()
plt.savefig(io.BytesIO(), format="png", bbox_inches="tight")
plt.figure().add_subplot(projection="3d").plot([1, 2], [3, 4], [5, 6])
plt.show()
plt.gcf().canvas.draw()
"""


def test_what_a_notebook_needs_is_there(student):
    deeds = [
        "import numpy.linalg; assert numpy.linalg.det(numpy.eye(3)) == 1",
        "import numpy.testing, numpy.fft, numpy.ma, numpy.polynomial, numpy.lib.stride_tricks; numpy.char, numpy.rec",
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.gcf().canvas.draw()",
        DRAWING,
        "import json, re, collections, random, time, math, itertools, dataclasses, typing",
        "import abc, bisect, cmath, contextlib, copy, decimal, enum, fractions, functools, heapq, inspect, logging",
        "import numbers, operator, pprint, statistics, string, textwrap, timeit, types, unittest, warnings, datetime",
        "print('x' * 10**7); print('y' * 10**7, file=sys.stderr)",
        "import numpy as np; assert np.random.default_rng().random() < 1",
    ]
    assert [attempt(student, deed) for deed in deeds] == ["done"] * len(deeds)


def test_scratch_space_is_private_and_small(box):
    with box.session() as one, box.session() as two:
        deed = (
            "import tempfile; f = tempfile.NamedTemporaryFile(); f.write(b'x'); f.flush(); open('mine', 'w')"
        )
        if box.level != "namespaces":
            assert attempt(one, deed) != "done"  # there is none
            return
        assert attempt(one, deed) == "done"
        assert attempt(two, "assert os.listdir() == []") == "done"
        assert attempt(one, "open('large', 'wb').write(bytes(17 * 2**20))") in ("EFBIG", "ENOSPC")
        assert attempt(one, "for i in range(2000): open(str(i), 'w')") in ("ENOSPC", "EMFILE")


def test_the_view_is_all_that_there_is_of_the_course(student):
    run(
        student,
        """
        import minigrad.layers, autograder, gc, sys
        from autograder import check, exercises
        try:
            minigrad.layers.affine_forward(1, 2, 3)
            graded = "works"
        except NotImplementedError:
            graded = "is a stub"
        kinds = [type(x).__name__ for x in (check, exercises, exercises.find("affine_forward"))]
        modules = [name for name in sys.modules if "autograder" in name or "boundary" in name]
        """,
    )
    assert get(student, "graded") == "is a stub"
    assert get(student, "kinds") == ["Nothing"] * 3
    loaded = {name.partition(".")[2] for name in get(student, "modules")}
    assert loaded <= {"", "checking", "servant", "wire", "isolation", "stubs"}


@pytest.mark.parametrize("level", ["namespaces", "landlock"])
def test_what_lies_below_python_can_be_hidden(view, level):
    with start(view, level, private=(PACKAGES / "hypothesis",)) as box, box.session() as student:
        assert attempt(student, f"open(r'{PACKAGES / 'hypothesis' / '__init__.py'}')") in REFUSED
        assert attempt(student, "import hypothesis; hypothesis.given") != "done"
        assert attempt(student, f"open(r'{PACKAGES / 'numpy' / '__init__.py'}')") == "done"
        assert attempt(student, "import numpy.f2py.auxfuncs") == "done"


def test_landlock_knows_a_place_by_each_of_its_names(tmp_path):
    """/lib is /usr/lib, and what is hidden there has to be hidden here."""
    for folder in ("real/hidden", "real/open", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "name").symlink_to("real")
    (tmp_path / "real" / "out").symlink_to(tmp_path / "elsewhere")
    real = os.path.realpath(tmp_path / "real")
    grants = dict(isolation._grants([str(tmp_path / "name")], {f"{real}/hidden"}, {real}))
    assert set(grants) == {real, f"{real}/open"}
    assert grants[real] == isolation._FS_READ_DIR


# -- everything else

PYTHON = {
    "fork": "os.fork()",
    "a program": "os.execv(sys.executable, [sys.executable])",
    "a child program": "import subprocess; subprocess.run(['true'])",
    "a shell": "assert os.system('true') == 0",
    "a thread": "import threading; threading.Thread(target=print).start()",
    "a pool": "import multiprocessing; multiprocessing.Pool(1)",
    "a connection": "import socket; socket.create_connection(('127.0.0.1', 22), 1)",
    "a socket": "import socket; socket.socket()",
    "a pair of sockets": "import socket; socket.socketpair()",
    "a signal to its parent": "os.kill(os.getppid(), 9)",
    "a signal to all": "os.kill(-1, 9)",
    "a signal to itself": "os.kill(os.getpid(), 0)",
    "signals through the connection": "import fcntl; fcntl.fcntl(3, fcntl.F_SETOWN, 1)",
    "a signal of its choice": "import fcntl; fcntl.fcntl(3, fcntl.F_SETSIG, 9)",
    "signals through ioctl": "import fcntl; fcntl.ioctl(3, 0x8901, b'\\1\\0\\0\\0')",
    "keys into the terminal": "import fcntl; fcntl.ioctl(0, 0x5412, b'x')",
    "memory limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "time limits": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))",
    "another user": "os.setuid(1)",
    "a better place in the queue": "os.nice(-5)",
    "other processors": "os.sched_setaffinity(0, [0])",
    "passing a descriptor": "import socket; socket.socket(fileno=os.dup(3)).sendmsg([b'x'])",
}
LIBC = {
    "unshare": (0x10000000,),
    "mount": (b"none", b"/", b"tmpfs", 0, None),
    "umount2": (b"/", 2),
    "chroot": (b"/",),
    "setns": (3, 0),
    "ptrace": (0, 0, 0, 0),
    "process_vm_readv": (1, None, 0, None, 0, 0),
    "personality": (0x0040000,),
    "memfd_create": (b"x", 0),
    "inotify_init": (),
    "sethostname": (b"x", 1),
    "setgroups": (0, None),
    "swapoff": (b"/x",),
    "acct": (None,),
    "klogctl": (3, None, 0),
    "shmget": (0, 4096, 0o1600),
    "semget": (0, 1, 0o1600),
    "msgget": (0, 0o1600),
    "name_to_handle_at": (-100, b"/", None, None, 0),
    "vhangup": (),
}
PRCTL = {
    "live on without its parent": (1, 0),
    "be traced": (4, 1),
    "change its filter": (22, 2),
    "rename": (15, b"x"),
}


@pytest.mark.parametrize("deed", PYTHON.values(), ids=PYTHON)
def test_the_system_is_out_of_reach(student, deed):
    assert attempt(student, deed) in REFUSED | {"RuntimeError", "ValueError", "AssertionError"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [*LIBC.items(), *(("prctl", arguments) for arguments in PRCTL.values())],
    ids=[*LIBC, *PRCTL],
)
def test_the_kernel_refuses(student, name, arguments):
    deed = f"""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.{name}(*{arguments!r}) < 0:
        raise OSError(ctypes.get_errno(), "refused")
    """
    assert attempt(student, deed) in {"EPERM", "ENOSYS"}


def test_no_other_system_call_gets_through(box, student):
    """The calls of the list have tests of their own, above: these are all others, and those of other tables."""
    column = isolation._ARCHITECTURES[platform.machine()][0]
    allowed = [
        row[column]
        for name, row in isolation._ALLOWED.items()
        if box.level != "seccomp" or name not in isolation._BY_NAME
    ]
    # uretprobe and uprobe, which Linux lets pass every filter, and which serve only itself
    unfiltered = [335, 336] if column == 0 else []
    run(
        student,
        f"""
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        nothing = ctypes.c_long(-1)
        answers = {{}}
        for table in (0, 0x40000000):  # the second is x32's
            for number in range(512):
                if table or number not in {[*allowed, *unfiltered]}:
                    result = libc.syscall(ctypes.c_long(table + number), *[nothing] * 6)
                    answers.setdefault((result, ctypes.get_errno()), []).append(table + number)
        """,
    )
    answers = get(student, "answers")
    assert answers.pop((-1, errno.ENOSYS)) == [isolation._CLONE3]
    assert list(answers) == [(-1, errno.EPERM)]


def test_limits_are_set(student):
    run(
        student,
        """
        import resource
        names = "AS CPU FSIZE NOFILE CORE MEMLOCK".split()
        limits = {n: resource.getrlimit(getattr(resource, "RLIMIT_" + n)) for n in names}
        """,
    )
    limits = get(student, "limits")
    assert all(soft == hard != -1 for soft, hard in limits.values())
    assert limits["CPU"][0] <= sandbox.CPU_SECONDS
    assert limits["AS"][0] <= sandbox.MEMORY + 2**32
    assert limits["CORE"] == (0, 0)


def test_nothing_of_our_environment_is_there(student):
    run(student, "import os\nenvironment = dict(os.environ)\nplace = os.getcwd()\n")
    environment = get(student, "environment")
    assert SECRET not in environment.values()
    assert set(environment) <= {
        *("HOME TMPDIR MPLBACKEND LC_ALL LD_LIBRARY_PATH".split()),
        *(f"{name}_NUM_THREADS" for name in ("OPENBLAS", "OMP", "MKL")),
        "VECLIB_MAXIMUM_THREADS",
    }
    assert environment["HOME"] == environment["TMPDIR"] == isolation.SCRATCH
    assert get(student, "place") in ("/", isolation.SCRATCH)


def test_only_the_connection_is_open(student):
    run(
        student,
        """
        import errno, os
        def kind(number):
            try:
                os.lseek(number, 0, os.SEEK_SET)
            except OSError as error:
                return errno.errorcode[error.errno]
            written = os.write(number, b"x"), os.lseek(number, 0, os.SEEK_SET), os.read(number, 1)
            return "null" if written == (1, 0, b"") else "file"
        found = {number: kind(number) for number in range(64)}
        """,
    )
    found = get(student, "found")
    assert found.pop(3) == "ESPIPE"  # the connection
    assert list(found.values()) == ["null"] * 3 + ["EBADF"] * 60


def test_sessions_are_strangers(box):
    with box.session() as one, box.session() as two:
        run(one, "import numpy, builtins\nx = 1\nnumpy.dot = None\nbuiltins.print = None\n")
        assert two.get("x").problem.kind == "missing"
        run(two, "import numpy as np\nassert print is not None and np.dot([1], [2]) == 2\nx = 2")
        for pid in (two._pid, box._process.pid, os.getpid()):
            assert attempt(one, f"os.kill({pid}, 9)") in REFUSED
            assert attempt(one, f"open('/proc/{pid}/mem', 'rb')") in REFUSED
        one.close()
        assert get(two, "x") == 2
    with box.session() as three:
        run(three, "assert print is not None")


# -- the wire, forged


NUMBER = b"<number>"  # in place of the eight bytes that a reply repeats of its request
# A student can find it: it is in a variable of the function that called theirs.
FORGE = """
    import os, sys, time
    def forge(data):
        place = sys._getframe()
        while place.f_code.co_name != "reply":
            place = place.f_back
        os.write(3, data.replace(b"<number>", place.f_locals["request"][:8]))
"""


def frame(letter, tree, blob=b""):
    header = json.dumps(tree).encode()
    data = letter + (NUMBER if letter in b"RX" else b"") + struct.pack(">I", len(header)) + header + blob
    return struct.pack(">Q", len(data)) + data


def reply(**fields):
    return frame(b"R", ["dict", [[key, value] for key, value in fields.items()]])


def error(**fields):
    usual = {"type": "E", "message": "m", "kind": "raised", "line": 1, "source": ""} | fields
    return reply(error=["dict", [[key, value] for key, value in usual.items()]])


FORGED = {
    "a frame of no length": struct.pack(">Q", 0),
    "a frame of giant length": struct.pack(">Q", 2**63) + b"R",
    "a frame larger than allowed": struct.pack(">Q", sandbox.wire.MAX_BYTES + 2) + b"R",
    "random bytes": bytes(range(256)),
    "a letter that nobody sends": frame(b"X", ["dict", [["value", 1]]]),
    "a second greeting": frame(b"!", None),
    "a reply that is no message": struct.pack(">Q", 13) + b"R" + NUMBER + b"abcd",
    "a reply that is too short": struct.pack(">Q", 5) + b"Rabcd",
    "a reply to another request": frame(b"R", 3).replace(NUMBER, bytes(8)),
    "a reply that is no dict": frame(b"R", 3),
    "a reply of nothing": frame(b"R", ["dict", []]),
    "an error of no kind": error(kind="passed"),
    "an error with an endless line": error(line=float("inf")),
    "an error whose line is a dict": error(line=["dict", []]),
    "an error that is a number": reply(error=3),
    "changes that are no dict": reply(value=1, after=3),
    "changes that are no bytes": reply(value=1, after=["dict", [[0, 5]]]),
    "changes with odd numbers": reply(value=1, after=["dict", [[float("inf"), 5]]]),
    "half a frame": struct.pack(">Q", 100) + b"R",
    "half a length": b"\0\0\0",
}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(sandbox, "GRACE", 0.1)


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_a_forged_frame_is_the_forgers_problem(box, impatient, data):
    with box.session() as student:
        run(student, FORGE + f"    def f(x):\n        forge({data!r})\n        time.sleep(60)\n")
        problem = student.call("f", (1.0,), seconds=0.1).problem
        assert problem is not None
        assert problem.kind in ("raised", "timed out", "died")
        str(problem).encode()
    with box.session() as student:
        run(student, "x = 1")


@pytest.mark.parametrize("size", [0, sandbox.wire.MAX_BYTES + 2, 2**63])
def test_an_impossible_length_ends_it_at_once(student, size):
    run(
        student,
        f"import os, time\ndef f():\n    os.write(3, {struct.pack('>Q', size) + b'R'!r})\n    time.sleep(60)",
    )
    problem = student.call("f", (), seconds=60).problem  # nobody waits for the rest
    assert (problem.kind, student.alive) == ("died", False)
    assert "no sense" in problem.message


def test_changes_of_arguments_that_there_are_not_do_not_count(student):
    changes = [[number, ["bytes", 5 * at, 5]] for at, number in enumerate((-1, 0, 1, 99))]
    data = reply(value=1, after=["dict", changes])
    blob = (struct.pack(">I", 1) + b"7") * len(changes)
    data = struct.pack(">Q", len(data) - 8 + len(blob)) + data[8:] + blob
    run(student, FORGE + f"    def f(x):\n        forge({data!r})\n")
    assert student.call("f", (1.0,)).after == {0: 7}


def callback(identity):
    fields = [["op", "callback"], ["id", identity], ["args", ["tuple", []]], ["kwargs", ["dict", []]]]
    return frame(b"C", ["dict", fields])


ENDLESS = {f"callbacks to {identity}": callback(identity) for identity in (0, 5, -1, "0", None, float("nan"))}
ENDLESS["replies to other requests"] = frame(b"R", 3).replace(NUMBER, bytes(8))


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_stream_ends(box, impatient, data):
    with box.session() as student:
        run(student, f"import os\ndef f(g):\n    while True: os.write(3, {data * 20!r})\n")
        assert student.call("f", (lambda: 1.0,), seconds=0.2).problem.kind == "timed out"


def test_callbacks_reach_nothing_but_the_functions_that_were_given(student):
    run(student, "def f(*functions): return [g() for g in functions]\n")
    given = [lambda: 1, lambda: 2]
    assert student.call("f", tuple(given)).value == (1, 2)
    student.forget()
    run(
        student,
        f"""
        import os, struct
        def f():
            os.write(3, {callback(1)!r})
            (size,) = struct.unpack(">Q", os.read(3, 8))
            return os.read(3, size).decode(errors="replace")
        """,
    )
    assert "IndexError" in student.call("f", ()).value


# -- what is left


def processes():
    """Parent of each process that is alive."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(path.parent.name)] = int(fields[1])
    return found


def descendants(pid):
    parents, found = processes(), [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def wait_for_the_end(pids):
    deadline = time.monotonic() + 20
    while left := set(pids) & set(processes()):
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.01)


def settled(pid, count):
    """Descendants of a process, once those that are on their way out have gone."""
    deadline = time.monotonic() + 20
    while len(alive := descendants(pid)) > count and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive


@pytest.mark.parametrize("level", SAFE)
def test_closing_leaves_no_process_and_no_file(view, level, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = os.path.exists(isolation.SCRATCH)
    box = start(view, level)
    with box.session() as one:
        run(one, "x = 1")
    wait_for_the_end(descendants(one._pid))
    two, three = box.session(), box.session()
    assert two.run("while True: pass", "cell", seconds=0.05).kind == "timed out"
    count = 5 if level == "namespaces" else 3
    alive = settled(box._process.pid, count)
    assert len(alive) == count
    box.close()
    wait_for_the_end(alive)
    assert three.run("x = 1", "cell").kind == "died"
    two.close()
    three.close()
    assert list(tmp_path.iterdir()) == []
    assert os.path.exists(isolation.SCRATCH) == scratch


SCRIPT = """
import sys, threading
from pathlib import Path
from autograder.sandbox import Sandbox
box = Sandbox(Path(sys.argv[1]), sys.argv[2])
idle, busy = box.session(), box.session()
deaf = "import time\\nwhile True:\\n    try: time.sleep(60)\\n    except BaseException: pass"
threading.Thread(target=busy.run, args=(deaf, "cell", 60)).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("level", SAFE)
def test_a_grader_that_is_killed_takes_everything_along(view, level, tmp_path):
    start(view, level).close()
    environment = os.environ | {
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path(autograder.__file__).parents[1]),
    }
    command = [sys.executable, "-c", SCRIPT, str(view), level]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as grader:
        try:
            assert grader.stdout.readline() == b"ready\n"
            count = 6 if level == "namespaces" else 4
            alive = settled(grader.pid, count)
            assert len(alive) == count
        finally:
            grader.kill()
    wait_for_the_end(alive)
    assert list(tmp_path.iterdir()) == []


def test_a_sandbox_that_was_killed_says_so(view):
    with start(view, None) as box:
        os.kill(box._process.pid, signal.SIGKILL)
        box._process.wait()
        with pytest.raises(SandboxError, match="unexpectedly"):
            box.session()


def test_no_descriptor_is_leaked(box):
    def count():
        return len(os.listdir("/proc/self/fd"))

    box.session().close()
    before = count()
    for source in ("x = 1", "import os; os._exit(0)"):
        with box.session() as student:
            student.run(source, "cell")
    assert count() == before


# -- levels


def test_an_unknown_level_is_refused(view):
    with pytest.raises(ValueError, match="namespaces, landlock, seccomp, none"):
        Sandbox(view, "jail")


def test_where_nothing_is_safe_it_says_what_to_do(view, monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="--trust-students"):
        Sandbox(view)


@pytest.mark.parametrize("best", range(len(SAFE)), ids=SAFE)
def test_the_next_best_is_taken_and_no_less(view, monkeypatch, best):
    real, tried = Sandbox._start, []

    def less_is_allowed(self, view, level, private):
        tried.append(level)
        if level in SAFE[:best]:
            raise SandboxError("not allowed here")
        real(self, view, level, private)

    start(view, SAFE[best]).close()
    monkeypatch.setattr(Sandbox, "_start", less_is_allowed)
    with Sandbox(view) as box:
        assert box.level == SAFE[best]
    assert tuple(tried) == SAFE[: best + 1]


def test_a_machine_that_allows_nothing_is_not_trusted(view, monkeypatch):
    tried = []

    def nothing_is_allowed(self, view, level, private):
        tried.append(level)
        raise SandboxError("not allowed here")

    monkeypatch.setattr(Sandbox, "_start", nothing_is_allowed)
    with pytest.raises(
        SandboxError, match=r"namespaces: not .*landlock: not .*seccomp: not .*--trust-students"
    ):
        Sandbox(view)
    assert tuple(tried) == SAFE


def test_a_process_that_does_not_greet_is_no_session():
    ours, theirs = socket.socketpair()
    theirs.sendall(frame(b"E", "why")[:9] + b"x" * 20)
    theirs.close()
    with pytest.raises(SandboxError, match="did not start"):
        sandbox.RemoteSession(ours, 2**22 + 1)


def test_the_list_of_system_calls_names_each_once():
    for column in (0, 1):
        numbers = [row[column] for row in isolation._ALLOWED.values() if row[column] is not None]
        assert len(numbers) == len(set(numbers))
    forbidden = (
        "fork vfork clone clone3 execve execveat kill tgkill tkill ptrace socket connect bind sendmsg mount"
    )
    assert not set(forbidden.split()) & set(isolation._ALLOWED)
    assert set(isolation._COMMANDS) | isolation._BY_NAME <= set(isolation._ALLOWED)
    assert errno.EPERM == 1

"""Work that students have done, and whether it is still the same."""

from __future__ import annotations

from ansible_collections.campus.jupyterhub.tests.cluster.support import Student

FILL = """
import os, pathlib
work = pathlib.Path('work/übung 1')
work.mkdir(parents=True, exist_ok=True)
for number in range(200):
    (work / f'{number}.txt').write_text(str(number) * 1000)
(work / 'link').symlink_to('0.txt')
os.link(work / '0.txt', work / 'again')
with open(work / 'sparse', 'wb') as file:
    file.truncate(64 << 20)
"""
HASH = """
import hashlib, os
whole = hashlib.sha256()
for folder, folders, files in os.walk({path!r}):
    folders.sort()
    for name in sorted(files):
        path = os.path.join(folder, name)
        content = os.readlink(path).encode() if os.path.islink(path) else open(path, 'rb').read()
        whole.update(os.path.relpath(path, {path!r}).encode() + hashlib.sha256(content).digest())
print(whole.hexdigest())
"""


def work_of(student: Student, path: str = "work") -> str:
    """Hash of all that is below a folder of the home, as the student sees it."""
    return student.run(HASH.format(path=path)).strip()

"""Run one command and print its real time in seconds, its peak memory in KiB, and its exit code.

A process of its own and a small one: the kernel's figure for a process's peak memory counts from before its exec, so
it is never below what the process held that started it.
"""
import os
import sys
import time

silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
begin = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(child, 0)
print(time.monotonic() - begin, usage.ru_maxrss, os.waitstatus_to_exitcode(status))

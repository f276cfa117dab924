"""Run one command and print its real time in seconds, its peak memory in KiB, and its exit code.

It is a small process of its own. The kernel counts the peak memory of a process from before its exec, so the figure is
never below the memory of the process that started it.
"""
import os
import sys
import time

silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
begin = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(child, 0)
print(time.monotonic() - begin, usage.ru_maxrss, os.waitstatus_to_exitcode(status))

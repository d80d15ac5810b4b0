import { type ChildProcess, spawn } from 'node:child_process'

/**
 * Ends the process groups of running delegates when this process is killed, and holds the container's
 * lock until they are gone: a plugin that outlives us cannot allocate after the DEL that follows.
 */
export interface Guard {
  watch(processGroup: number): void
  release(processGroup: number): void
  /** Lets the guard go; nothing is killed any more. */
  close(): void
}

// Reads "run N" / "end N" from us; our end of the pipe closes when we die, however that happens. A
// killed process counts as gone when it is a zombie: whose child it then is may take its time to reap.
const SCRIPT = `groups=
while read -r verb group; do
  case $verb in
    run) groups="$groups $group" ;;
    end) rest=; for g in $groups; do [ "$g" = "$group" ] || rest="$rest $g"; done; groups=$rest ;;
    bye) exit 0 ;;
  esac
done
is_alive() {
  for file in /proc/[0-9]*/stat; do
    read -r line 2>/dev/null <"$file" || continue
    set -- $1 \${line##*) }
    [ "$4" = "$1" ] && [ "$2" != Z ] && [ "$2" != X ] && return 0
  done
  return 1
}
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
n=0
for g in $groups; do
  while is_alive "$g" && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
done`

/** @param lockFds Descriptors of held locks, which the guard keeps open too. */
export function startGuard(lockFds: readonly number[]): Guard {
  const child: ChildProcess = spawn('/bin/sh', ['-c', SCRIPT], {
    detached: true,
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore', ...lockFds],
  })
  // A guard that cannot start or has gone only takes away the protection against our own sudden death.
  child.on('error', () => undefined)
  child.stdin?.on('error', () => undefined)
  child.unref()
  const tell = (line: string): void => {
    if (child.stdin?.writable === true) child.stdin.write(`${line}\n`)
  }
  return {
    watch: (processGroup) => tell(`run ${processGroup}`),
    release: (processGroup) => tell(`end ${processGroup}`),
    close: () => {
      tell('bye')
      child.stdin?.end()
    },
  }
}

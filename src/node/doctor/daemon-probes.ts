import { connect } from 'node:net'
import { basename, dirname } from 'node:path'
import { isJsonObject, toJsonObject } from '../../cni/json.ts'
import { HIGHEST_VERSION } from '../../cni/version.ts'
import { entryAt, namesIn, ownerAndMode, trustFault } from './bounded-reading.ts'
import type { ExaminedNode } from './examined-node.ts'
import { evidenceOf, type Found, shellWord } from './finding.ts'
import { changeMode } from './installation-probes.ts'
import { runProgram } from './program.ts'

const CONNECT_MS = 3000
const STATUS_MS = 30_000
const LOOK_AT_DAEMON = 'kubectl -n kube-system logs daemonset/plexus --tail 50'

/** The way from the shim to the daemon, and what the daemon says of itself. */
export async function daemonProbe(node: ExaminedNode): Promise<Found[]> {
  const { socket, daemon } = node
  const found = [...socketFaults(node)]
  if (found.length === 0) {
    const fault = await connectFault(socket)
    if (fault !== undefined) {
      found.push({
        id: 'daemon-not-listening',
        what: `nobody listens on ${socket}: the daemon is not running`,
        evidence: [fault],
        fix: LOOK_AT_DAEMON,
      })
    }
  }
  if (daemon.fault !== undefined) {
    found.push({
      id: 'daemon-http-silent',
      what: `the daemon's HTTP endpoints ${daemon.url} do not answer`,
      evidence: [daemon.fault],
      fix: LOOK_AT_DAEMON,
    })
  }
  const [state = '', ...notes] = daemon.reason?.split('; ') ?? []
  if (daemon.isReady === false) {
    found.push({
      id: 'daemon-not-ready',
      what: `the daemon is not ready: ${daemon.reason}`,
      evidence: [`${daemon.url}/readyz`],
      fix: LOOK_AT_DAEMON,
    })
  } else if (state === 'ready' && notes.length > 0) {
    found.push({
      id: 'daemon-complains',
      what: 'the daemon serves, but not with everything that it is told',
      evidence: evidenceOf(notes),
      fix: LOOK_AT_DAEMON,
    })
  }
  return found
}

function* socketFaults({ socket, isPod }: ExaminedNode): Iterable<Found> {
  const folder = dirname(socket)
  const entry = entryAt(folder)
  if (entry !== undefined && (!entry.isDirectory() || entry.uid !== 0 || (entry.mode & 0o077) !== 0)) {
    // Another folder, named by mistake, is nobody's to close.
    const isOurs = namesIn(folder).every((name) => name.includes(basename(socket)))
    const isModeAlone = entry.isDirectory() && entry.uid === 0 && isOurs
    yield {
      id: 'socket-dir-insecure',
      what: `socket directory ${folder} must be a directory of root's with mode 0700: the shim refuses it`,
      evidence: [`${folder}: ${ownerAndMode(entry)}`],
      fix: `chown root ${shellWord(folder)} && chmod 0700 ${shellWord(folder)}`,
      ...(isModeAlone ? { repair: () => changeMode(folder, 0o700) } : {}),
    }
    return
  }
  if (entryAt(socket) !== undefined) return
  if (isPod && entry === undefined) {
    yield { id: 'partial-view', what: `${folder} is not mounted here: the socket cannot be seen` }
    return
  }
  yield {
    id: 'socket-missing',
    what: `${socket} is not there: the daemon is not running, or its socket is elsewhere`,
    ...(entry === undefined ? { evidence: [`${folder} is not there either`] } : {}),
    fix: LOOK_AT_DAEMON,
  }
}

function connectFault(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    const end = (fault: string | undefined): void => {
      socket.destroy()
      resolve(fault)
    }
    socket.setTimeout(CONNECT_MS, () => end(`no answer within ${CONNECT_MS / 1000} s`))
    socket.once('connect', () => end(undefined))
    socket.once('error', ({ message }) => end(message))
  })
}

/**
 * STATUS as a runtime asks it, with the list that it has: shim, daemon, default network and its plugins. Not asked
 * without that list, since the daemon takes what is handed over for what the runtime has.
 */
export async function statusProbe(node: ExaminedNode): Promise<Found[]> {
  const { shim, ownList, pluginDirs, isPod, daemon, socket } = node
  if (ownList === undefined || isPod || daemon.isReady === false) return []
  // These have findings of their own.
  if (entryAt(shim) === undefined || trustFault(shim) !== undefined || entryAt(socket) === undefined)
    return []
  const { status, stdout, stderr, fault } = await runProgram(shim, [], {
    env: { CNI_COMMAND: 'STATUS', CNI_PATH: pluginDirs.join(':') },
    // Earlier versions know no STATUS.
    stdin: JSON.stringify({ ...ownList.entry, cniVersion: HIGHEST_VERSION }),
    timeoutMs: STATUS_MS,
  })
  if (status === 0) return []
  const answer = toJsonObject(stdout)
  const message = isJsonObject(answer) && typeof answer.msg === 'string' ? answer.msg : undefined
  return [
    {
      id: 'status-failed',
      what: `STATUS, as a runtime asks it, fails: ${message ?? fault ?? `exit status ${status}`}`,
      evidence: [`${shim} STATUS`, ...(stderr.trim() === '' ? [] : [stderr.trim().slice(0, 500)])],
      fix: 'correct what it names; docs/errors.md has the codes',
    },
  ]
}

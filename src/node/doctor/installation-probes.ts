import { chmodSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { entryAt, modeText, namesIn, ownerAndMode, trustFault } from './bounded-reading.ts'
import type { ExaminedNode } from './examined-node.ts'
import { evidenceOf, type Found, shellWord } from './finding.ts'
import { runProgram } from './program.ts'

const VERSION_MS = 10_000
/** Who writes a file aside renames it within moments. */
const HALF_WRITTEN_AFTER_MS = 10 * 60_000

/** The files of an installation: shim, its settings, fallback. */
export async function installationProbe(node: ExaminedNode): Promise<Found[]> {
  const { binDir, shim, isPod } = node
  if (entryAt(binDir) === undefined) {
    const what = `the folder of CNI plugins ${binDir} is not there`
    if (isPod) return [{ id: 'partial-view', what: `${what}: what is installed cannot be seen from here` }]
    return [{ id: 'bin-dir-missing', what, fix: `plexus install --bin-dir ${shellWord(binDir)}` }]
  }
  const found = [...shimConfFaults(node)]
  const entry = entryAt(shim)
  const install = `plexus install --bin-dir ${shellWord(binDir)}`
  if (entry === undefined) {
    return [
      { id: 'shim-missing', what: `${shim} is not there: no runtime can call Plexus`, fix: install },
      ...found,
    ]
  }
  const mistrust = trustFault(shim)
  if (mistrust !== undefined) {
    const isModeAlone = entry.isFile() && entry.uid === 0 && (entry.mode & 0o022) !== 0
    const mode = 0o755
    return [
      {
        id: 'shim-insecure',
        what: `the shim could be replaced by others than root: ${mistrust}`,
        evidence: [`${shim}: ${ownerAndMode(entry)}`],
        fix: isModeAlone ? `chmod ${modeText(mode)} ${shellWord(shim)}` : install,
        ...(isModeAlone ? { repair: () => changeMode(shim, mode) } : {}),
      },
      ...found,
    ]
  }
  return [...found, ...(await versionFaults(node, install))]
}

function* shimConfFaults({
  shimConf,
  shimConfFile,
  daemonConf,
  socket,
  stateDir,
}: ExaminedNode): Iterable<Found> {
  const entry = entryAt(shimConfFile)
  if (entry === undefined) return
  if (!entry.isFile() || entry.uid !== 0 || (entry.mode & 0o022) !== 0) {
    const isModeAlone = entry.isFile() && entry.uid === 0
    yield {
      id: 'shim-conf-insecure',
      what: `${shimConfFile} must be a file of root's that nobody else may write: the shim refuses it`,
      evidence: [`${shimConfFile}: ${ownerAndMode(entry)}`],
      fix: `chown root ${shellWord(shimConfFile)} && chmod 0644 ${shellWord(shimConfFile)}`,
      ...(isModeAlone ? { repair: () => changeMode(shimConfFile, 0o644) } : {}),
    }
  }
  if (shimConf === undefined) return
  if (shimConf.faults.length > 0) {
    yield {
      id: 'shim-conf-invalid',
      what: `${shimConfFile} cannot be used: the shim answers every request with an error`,
      evidence: evidenceOf(shimConf.faults),
      fix: 'plexus install',
    }
  }
  if (daemonConf === undefined) return
  const pairs = [
    ['shim-socket-differs', 'socket', shimConf.socket, socket],
    ['shim-state-differs', 'stateDir', shimConf.stateDir, stateDir],
  ] as const
  for (const [id, key, ofShim, ofDaemon] of pairs) {
    if (ofShim === undefined || ofShim === ofDaemon) continue
    yield {
      id,
      what: `shim and daemon differ about ${key}`,
      evidence: [`${shimConfFile}: ${ofShim}`, `daemon: ${ofDaemon}`],
      fix: `write ${key}=${ofDaemon} into ${shimConfFile}, or ${key}: ${ofShim} into the daemon's configuration`,
    }
  }
}

async function versionFaults(node: ExaminedNode, install: string): Promise<Found[]> {
  const { shim, shimConf, daemon, version, isPod } = node
  const found: Found[] = []
  const versions: [title: string, version: string][] = [[`this command`, version]]
  if (daemon.version !== undefined) versions.push([`daemon (${daemon.url})`, daemon.version])
  const { stdout, fault, status } = await runProgram(shim, ['--version'], { timeoutMs: VERSION_MS })
  const ofShim = /^plexus (\S+)\s*$/.exec(stdout)?.[1]
  if (ofShim !== undefined) versions.push([`shim ${shim}`, ofShim])
  else {
    found.push({
      id: 'shim-broken',
      what: `${shim} does not tell its version: it is no shim of Plexus, or not for this machine`,
      evidence: [fault ?? `exit status ${status}, output ${JSON.stringify(stdout.slice(0, 100))}`],
      fix: install,
    })
  }
  const { fallback } = shimConf ?? {}
  if (fallback !== undefined && !isPod) {
    const mistrust = entryAt(fallback) === undefined ? 'it is not there' : trustFault(fallback)
    if (mistrust !== undefined) {
      found.push({
        id: 'fallback-missing',
        what: `the fallback ${fallback} cannot be used: without the daemon no pod starts`,
        evidence: [mistrust],
        fix: install,
      })
    } else {
      const answer = await runProgram(fallback, ['--version'], { timeoutMs: VERSION_MS })
      versions.push([`fallback ${fallback}`, answer.stdout.trim() || (answer.fault ?? 'no answer')])
    }
  }
  if (new Set(versions.map(([, text]) => text)).size > 1) {
    found.push({
      id: 'version-skew',
      what: 'the parts of Plexus on this node are of different versions',
      evidence: versions.map(([title, text]) => `${title}: ${text}`),
      fix: `${install}, with the version of the daemon`,
    })
  }
  return found
}

/** What a writer that was killed has left beside its file. */
export function halfWrittenProbe({ confDir, binDir }: ExaminedNode): Found[] {
  const now = Date.now()
  const left = [confDir, binDir].flatMap((folder) =>
    namesIn(folder)
      .filter((name) => /^\..*plexus.*\.plexus-new$/.test(name))
      .map((name) => join(folder, name))
      .filter((path) => now - (entryAt(path)?.mtimeMs ?? now) > HALF_WRITTEN_AFTER_MS),
  )
  if (left.length === 0) return []
  return [
    {
      id: 'half-written-file',
      what: 'somebody was killed while he wrote a file; what he left is of no use',
      evidence: evidenceOf(left),
      fix: `rm ${left.map(shellWord).join(' ')}`,
      repair: () =>
        left.map((path) => {
          rmSync(path, { force: true })
          return `removed ${path}`
        }),
    },
  ]
}

/** For {@link Found.repair}. */
export function changeMode(path: string, mode: number): string[] {
  chmodSync(path, mode)
  return [`chmod ${modeText(mode)} ${path}`]
}

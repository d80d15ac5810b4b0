import { accessSync, constants } from 'node:fs'
import { basename, join } from 'node:path'
import { toCniError } from '../../cni/cni-error.ts'
import { NODE_CONFLIST_FILE } from '../../plan/node-conflist.ts'
import { isMetaPlugin } from '../../plan/plugin-quirks.ts'
import { listConfFiles } from '../../store/conf-files.ts'
import { entryAt, namesIn, ownerAndMode } from './bounded-reading.ts'
import type { ExaminedNode } from './examined-node.ts'
import { type Found, shellWord } from './finding.ts'
import { changeMode } from './installation-probes.ts'

/** Ending that Cilium's agent gives to every conf file but its own. */
const CILIUM_ENDING = '.cilium_bak'
const CONFLIST_MODE = 0o600

/** The runtime's folder: our list, who stands in its way, who else is in there. */
export function confFolderProbe(node: ExaminedNode): Found[] {
  const { confDir, isPod } = node
  if (entryAt(confDir) === undefined) {
    const what = `the runtime's folder of networks ${confDir} is not there`
    if (isPod) return [{ id: 'partial-view', what: `${what}, or not mounted here` }]
    return [{ id: 'conf-dir-missing', what, fix: `mkdir -p ${shellWord(confDir)}` }]
  }
  return [...folderFaults(node), ...ownListFaults(node), ...renamedFaults(node), ...otherFiles(node)]
}

function* folderFaults({ confDir, daemonConf }: ExaminedNode): Iterable<Found> {
  if (daemonConf !== undefined && daemonConf.conflist === undefined) return
  try {
    accessSync(confDir, constants.W_OK)
  } catch (error) {
    yield {
      id: 'conf-dir-read-only',
      what: `${confDir} cannot be written: the daemon cannot keep the runtime's list`,
      evidence: [toCniError(error).message],
      fix: 'mount it without readOnly, and look at the file system with findmnt',
    }
  }
}

function* ownListFaults(node: ExaminedNode): Iterable<Found> {
  const { confDir, conflist, ownList, stateDir, daemonConf } = node
  const entry = entryAt(conflist)
  if (entryAt(join(stateDir, 'uninstalling')) !== undefined) {
    yield {
      id: 'uninstalling',
      what: 'Plexus is being uninstalled from this node: its list is not put back',
      evidence: [join(stateDir, 'uninstalling')],
      fix: `let "plexus uninstall" end; to stay, rm ${shellWord(join(stateDir, 'uninstalling'))}`,
    }
  } else if (ownList === undefined && entry === undefined) {
    yield {
      id: 'conflist-missing',
      what: `no file in ${confDir} makes the runtime call Plexus: pods get the default network alone`,
      fix:
        daemonConf?.conflist === undefined
          ? `set installConflist: true in the daemon's configuration, or write ${conflist} yourself`
          : 'the daemon writes it when it is ready: kubectl -n kube-system logs daemonset/plexus --tail 50',
    }
  }
  if (entry === undefined) return
  if (ownList?.file.path !== conflist) {
    const { reason } = node.invalidConfFiles.find(({ path }) => path === conflist) ?? {}
    yield {
      id: 'conflist-invalid',
      what: `${conflist} is none of ours any more`,
      evidence: [reason ?? 'it has no plugin of type "plexus"'],
      fix: `rm ${shellWord(conflist)}; the daemon writes it anew`,
    }
    return
  }
  if ((entry.mode & 0o077) !== 0 || entry.uid !== 0) {
    yield {
      id: 'conflist-mode',
      what: `${conflist} names credentials and is for root alone`,
      evidence: [`${conflist}: ${ownerAndMode(entry)}`],
      fix: `chown root ${shellWord(conflist)} && chmod 0600 ${shellWord(conflist)}`,
      ...(entry.isFile() && entry.uid === 0 ? { repair: () => changeMode(conflist, CONFLIST_MODE) } : {}),
    }
  }
  yield* orderFaults(node)
  const wanted = daemonConf?.conflist?.cniVersion
  const { cniVersion } = ownList.file.conflist
  if (wanted !== undefined && cniVersion !== wanted) {
    yield {
      id: 'conflist-version',
      what: `${conflist} has cniVersion ${cniVersion}, the daemon is told ${wanted} by runtimeCniVersion`,
      fix: 'see why the daemon does not write it: kubectl -n kube-system logs daemonset/plexus --tail 50',
    }
  }
}

/** The runtime takes the first file that it finds. */
function* orderFaults({ confDir, conflist }: ExaminedNode): Iterable<Found> {
  const paths = listConfFiles(confDir)
  const before = paths.slice(0, Math.max(0, paths.indexOf(conflist)))
  if (before.length === 0) return
  yield {
    id: 'conflist-shadowed',
    what: `the runtime uses ${before[0]}, which sorts before ours, and does not call Plexus`,
    evidence: before,
    fix: before
      .map((path) => `mv ${shellWord(path)} ${shellWord(join(confDir, `10-${basename(path)}`))}`)
      .join('; '),
  }
}

function* renamedFaults({ confDir }: ExaminedNode): Iterable<Found> {
  const renamed = namesIn(confDir).filter((name) => name.startsWith(`${NODE_CONFLIST_FILE}.`))
  const byCilium = renamed.filter((name) => name.endsWith(CILIUM_ENDING))
  const pathOf = (name: string): string => join(confDir, name)
  if (byCilium.length > 0) {
    yield {
      id: 'cilium-exclusive',
      what: 'Cilium runs in exclusive mode and renames our list again and again',
      evidence: byCilium.map(pathOf),
      fix: `helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set cni.exclusive=false; then rm ${byCilium.map((name) => shellWord(pathOf(name))).join(' ')}`,
    }
  }
  const others = renamed.filter((name) => !byCilium.includes(name))
  if (others.length > 0) {
    yield {
      id: 'conflist-renamed',
      what: 'somebody has renamed our list',
      evidence: others.map(pathOf),
      fix: `find out who does it; then rm ${others.map((name) => shellWord(pathOf(name))).join(' ')}`,
    }
  }
}

function* otherFiles({ confFiles, invalidConfFiles, conflist }: ExaminedNode): Iterable<Found> {
  for (const { path, conflist: list } of confFiles) {
    const meta = list.plugins.find(({ type }) => isMetaPlugin(type) && type !== 'plexus')
    if (meta === undefined) continue
    yield {
      id: 'second-meta-plugin',
      what: `a second meta-plugin is on this node: "${meta.type}" in ${path}`,
      evidence: [path],
      fix: `plexus install --replace-multus, or rm ${shellWord(path)} when its DaemonSet is gone`,
    }
  }
  for (const { path, reason } of invalidConfFiles) {
    if (path === conflist) continue
    yield {
      id: 'conf-file-invalid',
      what: `${path} is no valid configuration and is passed over`,
      evidence: [reason],
      fix: `plexus validate ${shellWord(path)}`,
    }
  }
}

import { accessSync, constants, existsSync } from 'node:fs'
import { join } from 'node:path'
import { ADMIN_PATH } from './program.ts'

/** Where distributions and installers put CNI plugins. */
const USUAL_BIN_DIRS = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni']

/** Program → Debian package that has it. */
const PROGRAMS = {
  ip: 'iproute2',
  nsenter: 'util-linux',
  flock: 'util-linux',
  iptables: 'iptables',
  'iptables-save': 'iptables',
  ping: 'iputils-ping',
} as const

/** What the demo found on this machine. */
export interface Prerequisites {
  /** Directories of CNI plugins, in the order in which they are searched. */
  readonly binDirs: readonly string[]
  /** A line for each thing that is missing and how to get it; empty when the demo can run. */
  readonly missing: readonly string[]
}

/**
 * Looks for what the demo needs: root, a few programs and the CNI plugins.
 *
 * @param plugins Plugin types that the demo's networks use.
 * @param binDirs Directories given by the user; empty: the usual ones.
 */
export function checkPrerequisites(plugins: readonly string[], binDirs: readonly string[]): Prerequisites {
  const asked = binDirs.length > 0 ? binDirs : USUAL_BIN_DIRS
  const found = asked.filter((dir) => existsSync(dir))
  const missing: string[] = []
  if (process.getuid?.() !== 0) {
    missing.push('root: network namespaces and interfaces can only be made by root; run it with sudo')
  }
  for (const [program, debianPackage] of Object.entries(PROGRAMS)) {
    if (!isInOneOf(program, ADMIN_PATH.split(':'))) {
      missing.push(`the program ${program}: install ${debianPackage}`)
    }
  }
  const absent = plugins.filter((type) => !isInOneOf(type, found))
  if (absent.length > 0) {
    missing.push(
      `the CNI plugins ${absent.join(', ')} (looked in ${asked.join(', ')}): ` +
        'install containernetworking-plugins, or name their directory by --bin-dir',
    )
  }
  return { binDirs: found, missing }
}

function isInOneOf(name: string, dirs: readonly string[]): boolean {
  return dirs.some((dir) => {
    try {
      accessSync(join(dir, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { unpackedPackages } from './debian-packages.ts'

const PACKAGE = 'containernetworking-plugins'

/**
 * The directory of the distribution's own CNI plugins (CNI 1.0.0 on Debian stable), which setup installs.
 *
 * @throws When they are not there.
 */
export function debianPlugins(): string {
  for (const dir of ['/usr/lib/cni', '/usr/libexec/cni']) if (existsSync(join(dir, 'bridge'))) return dir
  throw new Error(`the CNI plugins are not installed: apt-get install ${PACKAGE} (npm run pretest does it)`)
}

/**
 * A directory of the current CNI plugins (CNI 1.1.0: STATUS), from Debian's newest suite, unpacked below the
 * user's cache.
 *
 * @throws When they are not cached and cannot be fetched; says why.
 */
export async function currentPlugins(): Promise<string> {
  const root = await unpackedPackages({ packages: [PACKAGE], suite: 'sid', has: 'usr/lib/cni/bridge' })
  return join(root, 'usr/lib/cni')
}

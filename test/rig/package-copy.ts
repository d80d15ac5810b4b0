import { appendFileSync, chmodSync, cpSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PLEXUS, ROOT } from './plexus.ts'
import { tempDir } from './temp-dir.ts'

/** A copy of the built package that also has a standalone executable: a script that becomes `bin/plexus`. */
export interface PackageCopy {
  /** Its `bin/plexus`. */
  readonly plexus: string
  readonly standalone: string
}

/** @param version Release that it says it is; that of this package unless given. */
export function packageCopy(version?: string): PackageCopy {
  const root = tempDir('package')
  cpSync(join(ROOT, 'bin'), join(root, 'bin'), { recursive: true })
  cpSync(join(ROOT, 'dist'), join(root, 'dist'), {
    recursive: true,
    filter: (path) => !/\/(?:binaries|compile-cache|plexus-standalone)(?:\/|$)/.test(path),
  })
  if (version === undefined) cpSync(join(ROOT, 'package.json'), join(root, 'package.json'))
  else {
    writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'plexus-cni', version }))
    // Another release's shim is another file; what follows the program is nothing to it.
    appendFileSync(join(root, 'dist/native/plexus'), version)
  }
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  const standalone = join(root, 'dist/plexus-standalone')
  writeFileSync(standalone, `#!/bin/sh\nexec '${PLEXUS}' "$@"\n`)
  chmodSync(standalone, 0o755)
  return { plexus: join(root, 'bin/plexus'), standalone }
}

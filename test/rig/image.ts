import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { Enclosure } from './enclosure.ts'
import { ROOT } from './plexus.ts'
import { singleFile } from './single-file.ts'
import { tempDir } from './temp-dir.ts'

/** What the image is made of. */
const SOURCES = ['LICENSE', 'native', 'scripts', 'src']
/** `/opt` from a disk: what is written in memory would count among the container's. */
const OWN_FOLDERS = [
  'mkdir /run/etc /run/work',
  'mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work none /etc',
  'mount --bind "$1" /opt',
].join(' && ')

/** The image's name in the manifests of a release. */
export function imageName(version: string): string {
  return `localhost/plexus:${version}`
}

/** Builds the image and gives its archive; the executable in it is built once for all tests. */
export function buildImage(): string {
  return build(ROOT, ['--standalone', singleFile()])
}

/** Builds the image of another release, all of it from a copy of the sources. */
export function buildOtherImage(version: string): string {
  const root = tempDir('release')
  for (const name of SOURCES) cpSync(join(ROOT, name), join(root, name), { recursive: true })
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object
  writeFileSync(join(root, 'package.json'), JSON.stringify({ ...manifest, version }))
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  return build(root, [])
}

/** Lays folders of its own over `/etc` and `/opt`, which in an enclosure are the machine's. */
export async function ownFolders({ run }: Pick<Enclosure, 'run'>): Promise<void> {
  await run('sh', ['-c', OWN_FOLDERS, 'sh', tempDir('opt')])
}

function build(root: string, options: readonly string[]): string {
  const archive = join(tempDir('image'), 'image.tar')
  const args = ['scripts/build-image.ts', ...options, '--output', archive]
  execFileSync(process.execPath, args, { cwd: root, stdio: 'pipe', timeout: 300_000 })
  return archive
}

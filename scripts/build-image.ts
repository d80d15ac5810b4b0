// Builds dist/plexus-image.tar, the container image as an OCI archive, out of this checkout and this machine's C and
// C++ libraries; nothing is pulled. The same inputs make the same bytes.
//
//   --output FILE      another place for the archive
//   --rootfs FOLDER    the image's files into a new folder and no archive, as the Containerfile wants them
//   --standalone FILE  an executable that is built already
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('..', import.meta.url))
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
/** As in the package: `plexus install` finds the shim beside the executable by this. */
const PACKAGE = 'usr/lib/plexus'
const EXECUTABLE = `${PACKAGE}/dist/plexus-standalone`
const TITLE = `localhost/plexus:${version}`

const { values: options } = parseArgs({
  options: { output: { type: 'string' }, rootfs: { type: 'string' }, standalone: { type: 'string' } },
})

function node(...args: readonly string[]): void {
  execFileSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2], timeout: 300_000 })
}

/** The executable, built unless it was given. */
function standalone(): string {
  if (options.standalone !== undefined) return resolve(options.standalone)
  node('scripts/build-binary.ts')
  return join(root, 'dist/plexus-standalone')
}

/** The shared libraries and the loader that an executable asks for, by the paths that it finds them at. */
function librariesOf(executable: string): string[] {
  const lines = execFileSync('ldd', [executable], { encoding: 'utf8' }).split('\n')
  const missing = lines.filter((line) => line.includes('not found'))
  if (missing.length > 0) throw new Error(`${executable} cannot run here: ${missing.join(';')}`)
  return lines.flatMap((line) => /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1] ?? []).sort()
}

/** The licence of the package that a library is from; `undefined` on a machine without dpkg. */
function copyrightOf(library: string): string | undefined {
  try {
    // Packages may have put it below /usr, where /lib leads today.
    const owner = execFileSync('dpkg', ['-S', `*${library}`], { encoding: 'utf8', stdio: 'pipe' })
    const file = `/usr/share/doc/${owner.split(':')[0]}/copyright`
    return existsSync(file) ? file : undefined
  } catch (error) {
    if (error instanceof Error && ('status' in error || 'code' in error)) return undefined
    throw error
  }
}

/** Makes the image's files. */
function writeRootfs(folder: string): void {
  const put = (path: string, from: string, mode = 0o644): void => {
    const target = join(folder, path)
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 })
    copyFileSync(from, target)
    chmodSync(target, mode)
  }
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true, mode: 0o755 })
    writeFileSync(join(folder, path), text, { mode: 0o644 })
  }
  node('scripts/build-native.mjs')
  const shim = join(root, 'dist/native/plexus')
  if (!existsSync(shim)) throw new Error('there is no shim without a C compiler: install gcc and musl-tools')
  const executable = standalone()
  put(EXECUTABLE, executable, 0o755)
  put(`${PACKAGE}/dist/native/plexus`, shim, 0o755)
  put(`${PACKAGE}/LICENSE`, join(root, 'LICENSE'))
  mkdirSync(join(folder, 'usr/bin'), { recursive: true, mode: 0o755 })
  symlinkSync(relative('usr/bin', EXECUTABLE), join(folder, 'usr/bin/plexus'))
  for (const library of librariesOf(executable)) {
    put(library, library, 0o755)
    const copyright = copyrightOf(library)
    if (copyright !== undefined) put(copyright, copyright)
  }
  write('etc/passwd', 'root:x:0:0:root:/:/nologin\n')
  write('etc/group', 'root:x:0:\n')
  write('etc/nsswitch.conf', 'hosts: files dns\n')
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Packs a folder; order, owners and times are always the same. */
function pack(folder: string): Buffer {
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=ustar']
  return execFileSync('tar', [...same, '-C', folder, '-cf', '-', '.'], { maxBuffer: 2 ** 30 })
}

/** Makes the OCI layout of one image of one layer. */
function writeLayout(folder: string, layer: Buffer): void {
  const blobs = join(folder, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  const blob = (mediaType: string, content: Uint8Array): object => {
    const digest = sha256(content)
    writeFileSync(join(blobs, digest), content)
    return { mediaType, digest: `sha256:${digest}`, size: content.length }
  }
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value))
  const platform = { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux' }
  const created = '1970-01-01T00:00:00Z'
  const config = blob(
    'application/vnd.oci.image.config.v1+json',
    json({
      ...platform,
      created,
      config: {
        User: '0:0',
        Entrypoint: [`/${EXECUTABLE}`],
        Env: ['PATH=/usr/bin'],
        WorkingDir: '/',
        Labels: {
          'org.opencontainers.image.title': 'plexus',
          'org.opencontainers.image.version': version,
          'org.opencontainers.image.licenses': 'Apache-2.0',
        },
      },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
      history: [{ created, created_by: 'scripts/build-image.ts' }],
    }),
  )
  const manifest = blob(
    'application/vnd.oci.image.manifest.v1+json',
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers: [blob('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(layer))],
    }),
  )
  const annotations = {
    'io.containerd.image.name': TITLE,
    'org.opencontainers.image.ref.name': version,
  }
  writeFileSync(
    join(folder, 'index.json'),
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ ...manifest, platform, annotations }],
    }),
  )
  writeFileSync(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
}

if (options.rootfs !== undefined) {
  mkdirSync(options.rootfs)
  writeRootfs(options.rootfs)
} else {
  const output = resolve(options.output ?? join(root, 'dist/plexus-image.tar'))
  mkdirSync(dirname(output), { recursive: true })
  // Beside the output, for the rename at the end.
  const scratch = mkdtempSync(join(dirname(output), '.plexus-image-'))
  try {
    for (const name of ['rootfs', 'layout']) mkdirSync(join(scratch, name), { mode: 0o755 })
    writeRootfs(join(scratch, 'rootfs'))
    writeLayout(join(scratch, 'layout'), pack(join(scratch, 'rootfs')))
    const archive = pack(join(scratch, 'layout'))
    writeFileSync(join(scratch, 'archive'), archive)
    renameSync(join(scratch, 'archive'), output)
    const size = Math.ceil(archive.length / 1024 / 1024)
    process.stderr.write(`built ${relative(root, output)}, ${TITLE}, ${size} MiB\n`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

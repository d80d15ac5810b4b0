import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'

const scratch = mkdtempSync(join(tmpdir(), 'plexus-launcher-'))

/** An installation: the launcher, a bundle that prints what it was given, perhaps a Node.js. */
function install(name: string, parts: { bundle?: boolean; node?: 'real' | 'absent' }): string {
  const root = join(scratch, name)
  mkdirSync(join(root, 'bin'), { recursive: true })
  mkdirSync(join(root, 'dist'))
  copyFileSync(join(import.meta.dirname, '../../bin/plexus'), join(root, 'bin/plexus'))
  if (parts.bundle !== false) {
    writeFileSync(
      join(root, 'dist/main.cjs'),
      'console.log(JSON.stringify([process.argv.slice(2), process.version]))',
    )
  }
  if (parts.node !== 'absent') {
    mkdirSync(join(root, 'node_modules/node/bin'), { recursive: true })
    symlinkSync(process.execPath, join(root, 'node_modules/node/bin/node'))
  }
  return join(root, 'bin/plexus')
}

/** A program that claims to be a version of Node.js, or the real one, in a directory for PATH. */
function nodeDir(name: string, version: string | 'real'): string {
  const dir = join(scratch, name)
  mkdirSync(dir, { recursive: true })
  if (version === 'real') symlinkSync(process.execPath, join(dir, 'node'))
  else writeFileSync(join(dir, 'node'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 })
  return dir
}

function call(file: string, env: Record<string, string>, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(file, args, { env, encoding: 'utf8', timeout: 20_000 })
  return { status, stdout, stderr }
}

spec('bin/plexus', (it) => {
  it.after(() => rmSync(scratch, { recursive: true, force: true }))

  const complete = install('complete', {})
  const answer = (...args: string[]) => `${JSON.stringify([args, process.version])}\n`

  it('runs the bundle on the Node.js of the installation, without a PATH', () => {
    assert.equal(call(complete, {}, 'list', 'a b', ''), {
      status: 0,
      stdout: answer('list', 'a b', ''),
      stderr: '',
    })
  })

  it('finds its installation through links, absolute and relative, under any name', () => {
    const binDir = join(scratch, 'cni')
    mkdirSync(binDir)
    symlinkSync(complete, join(binDir, 'plexus'))
    symlinkSync('plexus', join(binDir, 'other'))
    for (const name of ['plexus', 'other']) {
      assert.equal(call(join(binDir, name), { PATH: '/nowhere' }), {
        status: 0,
        stdout: answer(),
        stderr: '',
      })
    }
  })

  it('CNI-027 tells a runtime in one JSON error that it is not built', () => {
    const { status, stdout, stderr } = call(install('not-built', { bundle: false }), { CNI_COMMAND: 'ADD' })
    const { code, msg } = JSON.parse(stdout)
    assert.is(status, 1)
    assert.is(stderr, '')
    assert.is(code, 999)
    assert.match(msg, 'dist/main.cjs is missing; run npm ci in ')
  })

  it('stays JSON when its path has a quote', () => {
    const { stdout } = call(install('quo"te', { bundle: false }), { CNI_COMMAND: 'ADD' })
    assert.match(JSON.parse(stdout).msg, 'incomplete')
  })

  it('tells a person on stderr that it is not built', () => {
    const { status, stdout, stderr } = call(install('not-built-either', { bundle: false }), {})
    assert.is(status, 1)
    assert.is(stdout, '')
    assert.match(stderr, 'run npm ci in ')
  })

  it('takes the Node.js of PATH when the installation has none', () => {
    const file = install('without-node', { node: 'absent' })
    assert.equal(call(file, { PATH: nodeDir('new-node', 'real') }), {
      status: 0,
      stdout: answer(),
      stderr: '',
    })
  })

  it('does not run on a Node.js that is too old', () => {
    const file = install('old-node-only', { node: 'absent' })
    const { stdout } = call(file, { PATH: nodeDir('old-node', 'v20.20.2'), CNI_COMMAND: 'ADD' })
    // /usr/bin or /usr/local/bin may have one that is new enough.
    assert.not.match(stdout, 'v20')
    assert.ok(/no Node\.js 24 or newer/.test(stdout) || /"v(?:2[4-9]|[3-9]\d)\./.test(stdout), stdout)
  })
})

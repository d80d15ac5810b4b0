import { spawn } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { PLEXUS, type PlexusCall, runPlexus, startPlexus } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

const ALL = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/none',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
}

/** Variables that each verb needs, as CNI-002 lists them. */
const REQUIRED: Record<string, (keyof typeof ALL)[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
}

/** A net-conf of 1.1.0, which every verb allows, and with nothing behind it. */
const conf = (): Record<string, unknown> => ({
  cniVersion: '1.1.0',
  name: 'env-net',
  type: 'plexus',
  stateDir: join(tempDir('env'), 'state'),
  confDir: '/nonexistent',
})

function call(verb: string | undefined, env: Record<string, string | undefined>, more: PlexusCall = {}) {
  return runPlexus(verb, { conf: conf(), env: { ...ALL, ...env }, ...more })
}

spec('environment of the runtime', (it) => {
  for (const [verb, required] of Object.entries(REQUIRED)) {
    it(`CNI-001 CNI-002 ${verb}: each variable it needs, unset or empty, is named with code 4`, async () => {
      for (const name of required) {
        for (const value of [undefined, '']) {
          assertRefused(await call(verb, { [name]: value }), 4, `required env variables [${name}] missing`)
        }
      }
    })
  }

  it('CNI-002 what a verb does not need is not missed', async () => {
    const none = { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined }
    assertRefused(await call('STATUS', none), 50, 'the default network is not available')
    assertDone(await call('GC', none))
    assertDone(await call('DEL', { CNI_NETNS: undefined }))
    assert.is((await call('VERSION', { ...none, CNI_PATH: undefined })).status, 0)
  })

  it('CNI-003 all missing variables are in one error', async () => {
    const run = await call('ADD', { CNI_CONTAINERID: '', CNI_NETNS: undefined, CNI_PATH: undefined })
    assertRefused(run, 4, 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_PATH] missing')
  })

  for (const [id, words] of [
    ['-a', '"-a"'],
    ['a/b', '"a/b"'],
    ['a b', '"a b"'],
    ['c1\n', '"c1\\n"'],
    ['../../etc', '"../../etc"'],
    ['x'.repeat(201), '200'],
  ] as const) {
    it(`CNI-005 container id ${JSON.stringify(id.slice(0, 20))} is refused for ADD, DEL and CHECK`, async () => {
      for (const verb of ['ADD', 'DEL', 'CHECK']) {
        assertRefused(await call(verb, { CNI_CONTAINERID: id }), 4, 'CNI_CONTAINERID', words)
      }
    })
  }

  it('CNI-005 a container id of one letter and one of 200 bytes are good', async () => {
    const node = await stubNode()
    for (const containerId of ['a', 'Ab_1.-'.padEnd(200, 'x')]) {
      const pod = await node.pod({ name: `pod-${containerId.length}` })
      assertAdded(await pod.run('ADD', { containerId }))
      assertDone(await pod.run('DEL', { containerId }))
    }
  })

  for (const ifName of ['abcdefghijklmnop', 'éééééééé', '.', '..', 'a/b', 'a:b', 'a b', 'a\u00a0b', 'a\tb']) {
    it(`CNI-006 interface name ${JSON.stringify(ifName)} is refused for ADD, DEL and CHECK`, async () => {
      for (const verb of ['ADD', 'DEL', 'CHECK']) {
        assertRefused(
          await call(verb, { CNI_IFNAME: ifName }),
          4,
          'CNI_IFNAME',
          JSON.stringify(ifName).slice(1, 3),
        )
      }
    })
  }

  it('CNI-007 junk in variables of an attachment does not matter to GC, STATUS and VERSION', async () => {
    const junk = { CNI_CONTAINERID: '../x', CNI_IFNAME: 'a/b', CNI_ARGS: 'no pair' }
    assertDone(await call('GC', junk))
    assertRefused(await call('STATUS', junk), 50)
    assert.is((await call('VERSION', junk)).status, 0)
  })

  it('CNI-008 a missing or wrong network name is code 7 for every verb but VERSION', async () => {
    for (const verb of Object.keys(REQUIRED)) {
      for (const [name, phrase] of [
        [undefined, 'missing network name'],
        ['', 'missing network name'],
        ['a/b', 'network name'],
        [7, 'network name'],
      ]) {
        assertRefused(await call(verb, {}, { conf: { ...conf(), name } }), 7, String(phrase))
      }
    }
  })

  it('CNI-009 verbs are case-sensitive, and a bad net-conf is told first', async () => {
    for (const verb of ['add', 'FLY', 'ADD '])
      assertRefused(await call(verb, {}), 4, `unknown CNI_COMMAND: ${verb}`)
    assertRefused(await call('FLY', {}, { conf: 'junk' }), 6, 'net-conf')
  })

  it('CNI-010 no CNI_COMMAND: an empty stdout, a description with the versions on stderr, status 0', async () => {
    const run = await runPlexus(undefined, {})
    assert.equal([run.status, run.stdout], [0, ''])
    assert.match(run.stderr, 'CNI meta-plugin')
    assert.match(run.stderr, '0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0')
  })

  it('CNI-012 the own namespace of the node is refused before any delegate, unless overridden', async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: '' })
    const run = await pod.run('ADD', { netns: node.host })
    assertRefused(run, 8, node.host.path, "host's own")
    assert.equal(node.steps(), [])
    const env = { CNI_NETNS_OVERRIDE: 'True' }
    node.primary.behave({})
    assertAdded(await pod.run('ADD', { netns: node.host, env }))
    assertDone(await pod.run('DEL', { netns: node.host, env }))
  })

  it('ADD with a CNI_NETNS that is not there or no namespace is refused before any delegate', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    const run = await pod.run('ADD', { netns: '/run/netns/nowhere' })
    assertRefused(run, 8, 'pod default/pod-a', 'network namespace /run/netns/nowhere does not exist')
    const file = join(tempDir('no-netns'), 'file')
    copyFileSync('/etc/hostname', file)
    assert.is((await pod.run('ADD', { netns: file })).status, 1)
    assert.equal(node.steps(), [])
    await node.assertClean(before)
  })

  it('CNI-014 CNI_VERSION is ignored', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { env: { CNI_VERSION: 'junk' } }))
    assertDone(await pod.run('DEL', { env: { CNI_VERSION: 'junk' } }))
  })

  it('CNI-016 a pair of CNI_ARGS without "=" is named', async () => {
    for (const verb of ['ADD', 'DEL'])
      assertRefused(await call(verb, { CNI_ARGS: 'A=1;B' }), 4, 'invalid pair "B"')
  })
})

spec('stdin, stdout and exit status', (it) => {
  /** Inputs that are no net-conf, with the spec's code. */
  const junk: [title: string, stdin: string | Uint8Array, code: number][] = [
    ['empty', '', 6],
    ['blanks', ' \n', 6],
    ['no JSON', 'nonsense', 6],
    ['cut off', '{"cniVersion":"1.1.0","name":"x"', 6],
    ['a list', '[]', 6],
    ['a text', '"conf"', 6],
    ['a number', '7', 6],
    ['null', 'null', 7],
    ['bytes that are no text', Uint8Array.of(0xff, 0xfe, 0x00), 6],
    ['cniVersion that is no text', '{"cniVersion":1,"name":"x","type":"plexus"}', 6],
  ]
  for (const [title, stdin, code] of junk) {
    it(`CNI-022 CNI-025 ${title}: one JSON error with code ${code} on stdout for every verb`, async () => {
      for (const verb of Object.keys(REQUIRED)) assertRefused(await call(verb, {}, { conf: stdin }), code)
      assert.is((await call('VERSION', {}, { conf: stdin })).status, 0)
    })
  }

  it('CNI-022 closed or unreadable stdin is code 5, and no matter to VERSION', async () => {
    for (const redirect of ['<&-', '</']) {
      const code = { ADD: 1, DEL: 1, VERSION: 0 }
      for (const [verb, status] of Object.entries(code)) {
        const run = await shell(`exec "$0" ${redirect}`, { ...ALL, CNI_COMMAND: verb })
        assert.is(run.status, status, run.stdout)
        const answer = JSON.parse(run.stdout) as { code?: number; supportedVersions?: string[] }
        if (status === 1)
          assert.ok(answer.code === 5 || (redirect === '<&-' && answer.code === 6), run.stdout)
        else assert.ok(answer.supportedVersions?.includes('1.1.0'))
      }
    }
  })

  it('CNI-024 CNI-027 an error has the version that was asked, also with debug logs', async () => {
    const given = { ...conf(), cniVersion: '0.4.0', name: 'a/b', logLevel: 'debug' }
    const run = await call('ADD', {}, { conf: given })
    assertRefused(run, 7)
    assert.is(run.json?.cniVersion, '0.4.0')
  })

  it('CNI-026 DEL, CHECK, GC and STATUS print nothing when they succeed', async () => {
    const node = await stubNode({ cniVersion: '1.1.0', logLevel: 'debug' })
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    const valid = [{ containerID: pod.containerId, ifname: 'eth0' }]
    assertDone(await pod.run('GC', { conf: node.conf({ 'cni.dev/valid-attachments': valid }) }))
    for (const verb of ['STATUS', 'CHECK', 'DEL']) assertDone(await pod.run(verb))
  })

  it('CNI-029 a result of 200 KB arrives whole at a reader that is slow', async () => {
    const node = await stubNode()
    const ips = Array.from({ length: 8000 }, (_, i) => ({ address: `10.7.${i >> 8}.${i & 255}/16` }))
    node.behave(node.primary, { add: { result: { cniVersion: '1.0.0', ips } } })
    const pod = await node.pod({ networks: '' })
    const slow = join(tempDir('slow'), 'plexus')
    writeFileSync(slow, `#!/bin/sh\n'${PLEXUS}' | (sleep 0.5; cat)\n`, { mode: 0o755 })
    const run = await pod.run('ADD', { executable: slow })
    assert.ok(run.stdout.length > 200_000, `${run.stdout.length} characters`)
    assert.is((run.json?.ips as unknown[] | undefined)?.length, 8000)
  })

  it('CNI-031 unknown keys of our net-conf are no fault, and a near miss is pointed out', async () => {
    const node = await stubNode({ 'x-vendor': { a: 1 }, paralel: true })
    const pod = await node.pod()
    const run = await pod.run('ADD')
    assertAdded(run)
    assert.match(run.stderr, /unknown key .*paralel.*did you mean .*parallel/)
    assertDone(await pod.run('DEL'))
  })

  it('a wrong net-conf is refused with every fault and its place', async () => {
    const run = await call(
      'ADD',
      {},
      { conf: { ...conf(), parallel: 'yes', delAttempts: 0, binDir: 'relative' } },
    )
    assertRefused(run, 7, 'net-conf /parallel must be boolean', '/delAttempts', '/binDir')
  })
})

spec('VERSION and versions of verbs', (it) => {
  for (const [stdin, version] of [
    ['', '1.1.0'],
    ['{}', '1.1.0'],
    ['junk', '1.1.0'],
    ['{"cniVersion":"0.4.0"}', '0.4.0'],
    ['{"cniVersion":"9.9.9"}', '1.1.0'],
    ['{"cniVersion":7}', '1.1.0'],
  ] as const) {
    it(`CNI-032 VERSION with ${stdin === '' ? 'no stdin' : stdin} answers ${version} and all that are supported`, async () => {
      const run = await runPlexus('VERSION', { conf: stdin })
      assert.is(run.status, 0)
      assert.equal(JSON.parse(run.stdout), {
        cniVersion: version,
        supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
      })
    })
  }

  for (const [title, text, version] of [
    ['is silent', '', '1.1.0'],
    ['has said all', '{"cniVersion":"0.4.0"}', '0.4.0'],
  ] as const) {
    it(`CNI-032 VERSION with a stdin that ${title} and is never closed is answered all the same`, async () => {
      const run = await runPlexus('VERSION', { conf: text, isStdinOpen: true, timeoutMs: 20_000 })
      assert.is(run.status, 0)
      assert.is(run.json?.cniVersion, version)
    })
  }

  it('while it waits for its stdin it can be ended', async () => {
    const running = startPlexus('ADD', { conf: '{', isStdinOpen: true, timeoutMs: 40_000 })
    // It is in read(2) of descriptor 0, by the numbers of x86 or ARM.
    await eventually(
      () => assert.match(readFileSync(`/proc/${running.pid}/syscall`, 'utf8'), /^(0|63) 0x0 /),
      20_000,
    )
    running.kill('SIGTERM')
    assert.is((await running.finished).signal, 'SIGTERM')
  })

  it('CNI-035 a verb that the version does not have is code 1', async () => {
    for (const [verb, cniVersion, since] of [
      ['CHECK', '0.3.1', '0.4.0'],
      ['GC', '1.0.0', '1.1.0'],
      ['STATUS', '1.0.0', '1.1.0'],
    ] as const) {
      assertRefused(await call(verb, {}, { conf: { ...conf(), cniVersion } }), 1, verb, cniVersion, since)
    }
  })
})

function shell(
  script: string,
  env: Record<string, string>,
): Promise<{ status: number | null; stdout: string }> {
  const child = spawn('/bin/sh', ['-c', script, PLEXUS], { env: { PATH: '/usr/bin:/bin', ...env } })
  let stdout = ''
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk)
  })
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout })))
}

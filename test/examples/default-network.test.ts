import { spawn } from 'node:child_process'
import * as assert from 'uvu/assert'
import { type KernelFeature, kernelHas, skipped } from '../rig/kernel.ts'
import { enterNetns } from '../rig/netns.ts'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

const NEEDED: readonly KernelFeature[] = ['iptables', 'tbf', 'ifb']
let missing: KernelFeature | undefined
for (const feature of NEEDED) if (!(await kernelHas(feature))) missing ??= feature

spec('example default-network', (it) => {
  const title =
    'the host port answers, the bandwidth is bounded, the sysctl is set, and after DEL nothing is left'
  if (missing !== undefined) return skipped(title, missing)
  it(title, async () => {
    const example = await openExample('default-network')
    const web = await example.pod('web')
    const client = `fetch('http://10.244.0.1:8080/', { signal: AbortSignal.timeout(5000) })
      .then((answer) => answer.text()).then((text) => process.stdout.write(text))`
    const get = () => example.host.exec(process.execPath, ['-e', client])
    const { status, stdout } = await web.add()
    assert.is(status, 0, stdout)
    assert.is((await web.netns.exec('cat', ['/proc/sys/net/core/somaxconn'])).trim(), '1024')

    const program = `require('node:http').createServer((_, answer) => answer.end('from the pod')).listen(80, () => console.log('up'))`
    const server = spawn(...enterNetns(web.netns.path, process.execPath, ['-e', program]))
    const ended = new Promise((resolve) => server.once('exit', resolve))
    await new Promise((resolve) => server.stdout.once('data', resolve))
    assert.is(await get(), 'from the pod')

    const shaped = await example.host.exec('tc', ['qdisc', 'show'])
    assert.match(shaped, /qdisc tbf .* dev veth\w+ root .*rate 8Mbit/)
    assert.match(shaped, /qdisc tbf .* dev bwp\w+ root .*rate 4Mbit/)

    // No CHECK here: portmap 1.1.1 looks for IPv6 rules even of a pod that has no IPv6 address.
    assert.is((await web.del()).status, 0)
    server.kill('SIGKILL')
    await ended
    const answer = await get().catch(() => 'refused')
    assert.is(answer, 'refused')
    assert.not.match(await example.host.exec('tc', ['qdisc', 'show']), 'tbf')
    await example.assertNothingLeft()
  })
})

import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'

/**
 * Makes every mount read-only but the folders before `--`, and becomes the program behind it. The mount
 * namespace is new, so that the node sees none of it.
 */
const READ_ONLY_ROOT = `
set -e
writable=
while [ "$1" != -- ]; do
  mount --bind "$1" "$1"
  writable="$writable $1 "
  shift
done
shift
while read -r _ _ _ _ target _; do
  case "$writable" in *" $target "*) ;; *) mount -o remount,bind,ro "$target" ;; esac
done < /proc/self/mountinfo
exec "$@"
`

/** Where a process can write: the mounts that are not read-only; of several at one place the last one shows. */
function writableMounts(pid: number): string[] {
  const mounts = new Map<string, boolean>()
  for (const line of readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trim().split('\n')) {
    const [, , , , target = '', options = ''] = line.split(' ')
    mounts.set(target, options.split(',').includes('rw'))
  }
  return [...mounts].flatMap(([target, isWritable]) => (isWritable ? [target] : [])).sort()
}

spec('a daemon without privilege', (it) => {
  it('serves without any capability, with no_new_privs, on a read-only root, in namespaces of its own', async () => {
    const node = await stubNode()
    const { shim: executable, socket, start } = installDaemon(node)
    const pod = await node.pod()
    // The folders that are mounted have to be there before.
    const first = await start()
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await first.stop()
    const writable = [node.stateDir, dirname(socket)].sort()
    const daemon = await start({
      wrap: [
        ...['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
        ...['sh', '-c', READ_ONLY_ROOT, 'sh', ...writable, '--', 'setpriv'],
        ...['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs'],
      ],
    })
    const pid = Number(readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8'))
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'])
      assert.match(status, `Cap${set}:\t0000000000000000`)
    assert.match(status, /^NoNewPrivs:\t1$/m)
    assert.match(status, /^NSpid:\t\d+\t1$/m)
    assert.equal(writableMounts(pid), writable)
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('CHECK', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    daemon.kill('SIGKILL')
    await daemon.ended
  })
})

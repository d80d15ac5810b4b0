import { pino } from 'pino'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { CniRequest } from '../../src/cni/request.ts'
import { logRequest } from '../../src/daemon/log.ts'
import type { RequestReport } from '../../src/daemon/session.ts'
import { assertAdded, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'

/** What is written for a report. */
function lineOf(report: Partial<RequestReport>): string {
  let text = ''
  const base = { pid: 4_194_304 }
  const log = pino(
    { base, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string) => (text += line) },
  )
  logRequest(log, {
    request: undefined,
    conf: undefined,
    error: undefined,
    warnings: [],
    queueMs: 0,
    durationMs: 123_456.7,
    calls: [],
    ...report,
  })
  return text
}

const HOSTILE = ['x', 'ü', '😀', '"', '\\', '\n', '\u0000', '\u2028', '\ud800', '\u007f']

spec("the daemon's log line", (it) => {
  for (const unit of HOSTILE) {
    it(`is one line of at most 2 KiB when every text is full of ${JSON.stringify(unit)}`, () => {
      const text = unit.repeat(20_000)
      const request = {
        command: 'STATUS',
        containerId: text,
        ifName: text,
        args: [
          ['K8S_POD_NAMESPACE', text],
          ['K8S_POD_NAME', text],
        ],
      } as unknown as CniRequest
      const calls = Array.from({ length: 40 }, (_, index) => ({
        network: `${index}${text}`,
        plugin: text,
        command: 'ADD',
        ifName: 'eth0',
        startMs: 99_999.9,
        durationMs: 99_999.9,
        error: 4_294_967_295,
      }))
      for (const error of [undefined, new CniError(CniErrorCode.TryAgainLater, text)]) {
        const line = lineOf({ request, calls, warnings: Array(20).fill(text), error })
        assert.ok(Buffer.byteLength(line) <= 2048, `${Buffer.byteLength(line)} bytes`)
        assert.is(line.indexOf('\n'), line.length - 1)
        assert.not.match(line, /[\u007f\u2028]/)
        const fields = JSON.parse(line) as { networks: string[]; warnings: string[] }
        assert.match(fields.networks.at(-1) ?? '', /^\d+ more$/)
        assert.ok(fields.warnings.length > 0)
      }
    })
  }

  it('says where the time went: queue, plan, delegates side by side once, own', () => {
    const call = { network: 'n', plugin: 'p', command: 'ADD', ifName: 'net1' }
    const calls = [
      { ...call, startMs: 30, durationMs: 20 },
      { ...call, startMs: 40, durationMs: 20 },
    ]
    const fields = JSON.parse(lineOf({ calls, queueMs: 10, durationMs: 100 })) as Record<string, unknown>
    const { queueMs, planMs, delegatesMs, ownMs, durationMs } = fields
    assert.equal(
      { queueMs, planMs, delegatesMs, ownMs, durationMs },
      {
        queueMs: 10,
        planMs: 20,
        delegatesMs: 30,
        ownMs: 40,
        durationMs: 100,
      },
    )
  })

  it('has the name alone where the caller gives no namespace, as podman', () => {
    const request = {
      command: 'ADD',
      containerId: 'c',
      ifName: 'eth0',
      args: [['K8S_POD_NAME', 'Web_1']],
    } as unknown as CniRequest
    assert.is(JSON.parse(lineOf({ request })).pod, 'Web_1')
  })

  it("has pod, networks and phases of a real request, and of a plugin's words all but the secret", async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    const msg = 'refused\r\n{"password":"hunter2"}\u2028\u001b[2J'
    node.behave(node.beta, { del: { error: { code: 105, msg }, calls: [1, 1] } })
    assertRefused(await pod.run('DEL', { executable }), 105)
    await pod.run('DEL', { executable })
    const requests = () => daemon.log().filter(({ command }) => command !== undefined)
    // Written after the answer.
    await eventually(() => assert.is(requests().length, 3))
    const [added, failed] = requests()
    assert.is(added?.pod, 'default/pod-a')
    assert.equal(added?.networks, ['cluster-net', 'alpha-net', 'beta-net'])
    for (const phase of ['queueMs', 'planMs', 'delegatesMs', 'ownMs', 'durationMs'])
      assert.type(added?.[phase], 'number', phase)
    assert.is(failed?.code, 105)
    assert.match(String(failed?.error), 'refused')
    assert.match(String(failed?.error), '[redacted]')
    assert.not.match(daemon.lines().join('\n'), 'hunter2')
    for (const line of daemon.lines()) assert.ok(line.startsWith('{') && line.endsWith('}'), line)
    assert.is(await daemon.stop(), 0)
  })
})

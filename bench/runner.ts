import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'

/** One program that a runtime would start. */
export interface Program {
  /** Absolute path of the executable, then its arguments. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
}

/** How one pod's programs went. */
export interface PodRun {
  /** From the moment at which all pods were let go to the end of its last program. */
  readonly elapsedMs: number
  /** Which program failed, with its exit status (or the negative number of a signal); then none was started. */
  readonly failure: { readonly index: number; readonly status: number } | undefined
  /** stdout of each program, empty for those that were not started. */
  readonly outputs: readonly string[]
}

/** Pods that were started at once. */
export interface Block {
  /** Until the last of them ended. */
  readonly wallMs: number
  readonly pods: readonly PodRun[]
}

const DRAIN_LIMIT_MS = 60_000
const DRAIN_LOOK_MS = 10

/** Shell commands for a veth in the namespace that stands for the node: what macvlan sits on. */
export const UPLINK =
  'ip link set lo up && ip link add uplink0 type veth peer name uplink0-peer && ip link set uplink0 up && ip link set uplink0-peer up'

/**
 * The C program that starts delegates and plugins and holds the clock, in a network namespace that stands
 * for the node (with `uplink0`) and a mount namespace, both its own: nothing of either outlives it.
 * One order at a time.
 */
export class Runner {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #ended: Promise<void>
  readonly #fields: FieldReader

  /** @param executable `bench/runner.c`, compiled. */
  constructor(executable: string) {
    const script = `${UPLINK} && exec "$0"`
    this.#child = spawn('unshare', ['--net', '--mount', 'sh', '-c', script, executable], {
      stdio: ['pipe', 'pipe', 'inherit'],
      // A terminal's Ctrl-C is for the benchmark, which then lets what is under way end.
      detached: true,
    })
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve())
      this.#child.once('exit', () => resolve())
    })
    this.#child.stdin.on('error', () => undefined)
    this.#fields = new FieldReader(this.#child.stdout)
  }

  /** Makes a network namespace on each of the paths. */
  async makeNamespaces(paths: readonly string[]): Promise<void> {
    this.#send(['make', String(paths.length), ...paths])
    await this.#fields.text()
  }

  async dropNamespaces(paths: readonly string[]): Promise<void> {
    this.#send(['drop', String(paths.length), ...paths])
    await this.#fields.text()
  }

  /**
   * Waits until the kernel has taken apart what was dropped, which it does in the background, slowly, and
   * under the lock that the delegates need. It takes namespaces apart in the order in which they were
   * dropped, and a link with its other end in one goes with it: when that of one more namespace is gone, so
   * are all before.
   *
   * @param path Where that namespace is made.
   */
  async drain(path: string): Promise<void> {
    await this.makeNamespaces([path])
    await this.#shell(`ip link add drain0 type veth peer name drain1 netns ${path}`)
    await this.dropNamespaces([path])
    const end = performance.now() + DRAIN_LIMIT_MS
    while (!(await this.#shell('ip link show drain0 2>&1 || true')).includes('does not exist')) {
      if (performance.now() > end) throw new Error('the kernel does not take dropped namespaces apart')
      await delay(DRAIN_LOOK_MS)
    }
  }

  /** Runs the pods at once, the programs of each one after the other until one fails. */
  async run(pods: readonly (readonly Program[])[]): Promise<Block> {
    const order = ['run', String(pods.length)]
    for (const programs of pods) {
      order.push(String(programs.length))
      for (const { argv, env, stdin } of programs) {
        const pairs = Object.entries(env).map(([name, value]) => `${name}=${value}`)
        order.push(String(argv.length), ...argv, String(pairs.length), ...pairs, stdin)
      }
    }
    this.#send(order)
    const wallMs = (await this.#fields.number()) / 1000
    const runs: PodRun[] = []
    for (const _ of pods) runs.push(await this.#readPod())
    return { wallMs, pods: runs }
  }

  /** Lets what runs come to its end, then ends. */
  async close(): Promise<void> {
    this.#child.stdin.end()
    await this.#ended
  }

  async #shell(script: string): Promise<string> {
    const argv = ['/bin/sh', '-c', script]
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
    const [run] = (await this.run([[{ argv, env, stdin: '' }]])).pods
    if (run === undefined || run.failure !== undefined) throw new Error(`failed: ${script}`)
    return run.outputs.join('')
  }

  async #readPod(): Promise<PodRun> {
    const elapsedMs = (await this.#fields.number()) / 1000
    const index = await this.#fields.number()
    const status = await this.#fields.number()
    const count = await this.#fields.number()
    const outputs: string[] = []
    for (let program = 0; program < count; program++) outputs.push(await this.#fields.text())
    return { elapsedMs, failure: index < 0 ? undefined : { index, status }, outputs }
  }

  #send(fields: readonly string[]): void {
    this.#child.stdin.write(fields.map((field) => `${Buffer.byteLength(field)}\n${field}`).join(''))
  }
}

/** Reads the runner's fields: a length, a newline, so many bytes. */
class FieldReader {
  readonly #chunks: AsyncIterator<Buffer>
  #bytes: Buffer = Buffer.alloc(0)

  constructor(stream: Readable) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  async number(): Promise<number> {
    return Number(await this.text())
  }

  async text(): Promise<string> {
    let newline = this.#bytes.indexOf(10)
    while (newline < 0) {
      await this.#more()
      newline = this.#bytes.indexOf(10)
    }
    const start = newline + 1
    const end = start + Number(this.#bytes.toString('latin1', 0, newline))
    while (this.#bytes.length < end) await this.#more()
    const text = this.#bytes.toString('utf8', start, end)
    this.#bytes = this.#bytes.subarray(end)
    return text
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#chunks.next()
    if (done === true) throw new Error('the runner ended; it needs root, util-linux and iproute2')
    this.#bytes = Buffer.concat([this.#bytes, value])
  }
}

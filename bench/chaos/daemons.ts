import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from './random.ts'

const READY_LIMIT_MS = 20_000
const STOP_LIMIT_MS = 30_000
const SHOWN_LOG_BYTES = 4000

/** Keeps a daemon running as a supervisor of the node would. */
export class Daemons {
  starts = 0
  kills = 0
  replacements = 0
  /** Grows with everything that happens to a daemon: two equal looks mean a time without. */
  epoch = 0
  /** What no daemon should do: end by itself, or not start. */
  readonly faults: string[] = []
  readonly #argv: readonly [string, ...string[]]
  #current: ChildProcess | undefined
  #isReady = false
  #isStopping = false
  #nextLaunch: NodeJS.Timeout | undefined
  readonly #running = new Set<ChildProcess>()
  readonly #meantToEnd = new WeakSet<ChildProcess>()

  constructor(argv: readonly [string, ...string[]]) {
    this.#argv = argv
  }

  get isReady(): boolean {
    return this.#isReady
  }

  get pids(): number[] {
    return [...this.#running].flatMap(({ pid }) => pid ?? [])
  }

  /** @throws {Error} It is not ready in time. */
  async start(): Promise<void> {
    this.#launch()
    const end = performance.now() + READY_LIMIT_MS
    while (!this.#isReady) {
      if (performance.now() > end) throw new Error(`the daemon is not ready; ${this.faults.join('; ')}`)
      await delay(20)
    }
  }

  /** Kills it with SIGKILL; a new one starts at once or after a moment. Does nothing while there is none. */
  kill(random: Random): boolean {
    const pauseMs = random.chance(0.7) ? 0 : random.below(1500)
    const daemon = this.#current
    if (daemon === undefined) return false
    this.kills += 1
    this.#leave(daemon)
    daemon.kill('SIGKILL')
    this.#nextLaunch = setTimeout(() => this.#launch(), pauseMs)
    return true
  }

  /** A new one takes over, and the old one is told to end when that is ready. */
  replace(): boolean {
    const old = this.#current
    if (old === undefined || !this.#isReady) return false
    this.replacements += 1
    this.#leave(old)
    this.#launch(() => old.kill('SIGTERM'))
    return true
  }

  /** Ends it in good order and starts another one. */
  async restart(): Promise<void> {
    await this.stop()
    this.#isStopping = false
    await this.start()
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#nextLaunch)
    const end = performance.now() + STOP_LIMIT_MS
    for (const daemon of this.#running) {
      this.#meantToEnd.add(daemon)
      daemon.kill('SIGTERM')
    }
    while (this.#running.size > 0) {
      if (performance.now() > end) {
        this.faults.push(`the daemon does not end ${STOP_LIMIT_MS / 1000} s after SIGTERM`)
        for (const daemon of this.#running) daemon.kill('SIGKILL')
        return
      }
      await delay(20)
    }
  }

  #leave(daemon: ChildProcess): void {
    this.epoch += 1
    this.#meantToEnd.add(daemon)
    this.#current = undefined
    this.#isReady = false
  }

  #launch(ready?: () => void): void {
    if (this.#isStopping) {
      ready?.()
      return
    }
    const [program, ...args] = this.#argv
    const daemon = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.starts += 1
    this.#current = daemon
    this.#running.add(daemon)
    let log = ''
    let isReady = false
    daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-SHOWN_LOG_BYTES)
      if (isReady || !log.includes('"daemon is ready"')) return
      isReady = true
      if (this.#current === daemon) {
        this.epoch += 1
        this.#isReady = true
      }
      ready?.()
    })
    daemon.once('close', (status, signal) => {
      this.#running.delete(daemon)
      if (!isReady) ready?.()
      if (this.#meantToEnd.has(daemon)) return
      this.faults.push(`a daemon ended by itself with ${status ?? signal}: ${log}`)
      this.#leave(daemon)
      this.#nextLaunch = setTimeout(() => this.#launch(), 500)
    })
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import type { Verb } from '../workload.ts'
import type { Daemons } from './daemons.ts'
import { delegatesOf, kill } from './processes.ts'
import type { Random } from './random.ts'

/** What is killed while a call runs. */
type FaultKind = 'shim' | 'deadline' | 'delegate' | 'group' | 'daemon' | 'take-over' | 'shim and daemon'

/** What happens to one call. */
export interface Fault {
  readonly kind: FaultKind
  /** Since the call was started. */
  readonly afterMs: number
  /** For `deadline`: SIGKILL so long after SIGTERM. */
  readonly patienceMs: number
}

const KINDS: readonly (readonly [FaultKind, number])[] = [
  ['shim', 0.35],
  ['delegate', 0.2],
  ['deadline', 0.15],
  ['group', 0.1],
  ['daemon', 0.1],
  ['shim and daemon', 0.05],
  ['take-over', 0.05],
]

/** Draws what happens to a call; `undefined` leaves it alone. */
export function drawFault(random: Random, verb: Verb | 'CHECK'): Fault | undefined {
  const happens = random.chance(verb === 'ADD' ? 0.4 : 0.25)
  let drawn = random.next()
  // Half of them early, where the steps are short.
  const afterMs = random.below(random.chance(0.5) ? 25 : 250)
  const patienceMs = random.below(random.chance(0.5) ? 30 : 1500)
  if (!happens) return undefined
  for (const [kind, share] of KINDS) {
    if (drawn < share) return { kind, afterMs, patienceMs }
    drawn -= share
  }
  return undefined
}

/** The call that a fault is made for. */
export interface Target {
  /** Process id of the shim. */
  readonly pid: number
  readonly isOver: () => boolean
}

/** Makes the fault happen. Resolves to whether it hit: the call may have ended before. */
export async function inflict(
  { kind, afterMs, patienceMs }: Fault,
  target: Target,
  daemons: Daemons,
  random: Random,
): Promise<boolean> {
  await delay(afterMs)
  if (target.isOver()) return false
  switch (kind) {
    case 'shim':
      return kill(target.pid, 'SIGKILL')
    case 'deadline': {
      const hits = kill(target.pid, 'SIGTERM')
      await delay(patienceMs)
      if (!target.isOver()) kill(target.pid, 'SIGKILL')
      return hits
    }
    case 'daemon':
      return daemons.kill(random)
    case 'take-over':
      return daemons.replace()
    case 'shim and daemon':
      daemons.kill(random)
      return kill(target.pid, 'SIGKILL')
    case 'delegate':
    case 'group':
      return await killDelegate(target, kind === 'group', random)
  }
}

/** Kills one process of a delegate that runs, or all of it. */
async function killDelegate(target: Target, isWhole: boolean, random: Random): Promise<boolean> {
  while (!target.isOver()) {
    const delegates = delegatesOf(target.pid)
    const processes = delegates[random.below(delegates.length)]
    if (processes === undefined) {
      await delay(1)
      continue
    }
    const victims = isWhole ? processes : processes.slice(random.below(processes.length)).slice(0, 1)
    return victims.map(({ pid }) => kill(pid, 'SIGKILL')).includes(true)
  }
  return false
}

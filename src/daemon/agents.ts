import type { CniError } from '../cni/cni-error.ts'
import { toCniError } from '../cni/cni-error.ts'
import type { PluginFile } from '../plan/host-facts.ts'
import type { ErrandSession } from './session.ts'

/** A connected agent: a shim that lends a hand until its connection ends. */
export interface AgentSession extends ErrandSession {
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal
  close(reason?: string): void
}

/** The agents that are connected; one of them at a time works. Design §5. */
export interface Agents {
  /** Takes one in until its connection ends, and gives it what is due. */
  join(agent: AgentSession): void
  /** Has the one that has rested longest do what is due; nothing while one is at it. */
  work(): Promise<void>
  readonly connected: number
  /** Where the host has plugins of these types; `undefined` when no agent can say. */
  plugins(types: readonly string[]): Promise<ReadonlyMap<string, PluginFile | undefined> | undefined>
  /** Sends them away; the one that works, when it is done. */
  close(): void
}

/** A node has one, and for a moment two when it is replaced. */
const AGENT_LIMIT = 8

/** @param run Does what is due; its time is bounded. */
export function openAgents(options: {
  readonly run: (agent: AgentSession) => Promise<void>
  readonly changed: (connected: number) => void
  readonly fault: (error: CniError) => void
}): Agents {
  // The one that has rested longest is the first.
  const agents = new Set<AgentSession>()
  let working: AgentSession | undefined
  let isClosing = false

  const work = async (): Promise<void> => {
    const [agent] = agents
    if (working !== undefined || agent === undefined || isClosing) return
    working = agent
    agents.delete(agent)
    agents.add(agent)
    try {
      await options.run(agent)
    } catch (error) {
      // One that is gone in the middle: what is left is due again, for it or another.
      if (!agent.signal.aborted) options.fault(toCniError(error))
    } finally {
      working = undefined
      if (isClosing) agent.close()
    }
  }
  return {
    join(agent) {
      if (agent.signal.aborted) return
      if (isClosing || agents.size >= AGENT_LIMIT) {
        agent.close(isClosing ? undefined : `${AGENT_LIMIT} agents are connected`)
        return
      }
      agents.add(agent)
      options.changed(agents.size)
      agent.signal.addEventListener(
        'abort',
        () => {
          agents.delete(agent)
          options.changed(agents.size)
        },
        { once: true },
      )
      void work()
    },
    work,
    get connected() {
      return agents.size
    },
    async plugins(types) {
      const idle = [...agents].find((agent) => agent !== working)
      if (idle === undefined || isClosing) return undefined
      try {
        return (await idle.executor.probe('', types)).plugins
      } catch (error) {
        if (!idle.signal.aborted) options.fault(toCniError(error))
        return undefined
      }
    },
    close() {
      isClosing = true
      for (const agent of [...agents]) if (agent !== working) agent.close()
    },
  }
}

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** After the last list of several, and while requests that came meanwhile are served. */
const DELAY_MS = 2000

/**
 * Gives memory that was needed for a moment back to the system, a little after it is asked to: what
 * reading a long list leaves behind is several times as much as what is kept of it, and V8 would hold on
 * to it. The collection takes some 30 ms.
 */
export function spareMemory(): () => void {
  let timer: NodeJS.Timeout | undefined
  return () => {
    clearTimeout(timer)
    timer = setTimeout(collectGarbage, DELAY_MS)
    timer.unref()
  }
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as NodeJS.GCFunction
  // The other flavours leave the heap as large as it was.
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}

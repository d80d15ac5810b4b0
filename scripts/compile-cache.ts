import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A call whose code is worth having compiled when the first real one comes. */
interface WarmUp {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
}

/**
 * Fills `dist/compile-cache` with V8's code for what the standalone plugin runs at every call. The
 * cache of a file is written once, by the first process that loads it, with the functions which that
 * one has called: so the call that goes furthest comes first. None of them changes anything: ADD is
 * refused because there is no such netns, DEL finds nothing to undo.
 *
 * @param root Absolute path of the repository; `dist/main.cjs` exists.
 */
export async function warmCompileCache(root: string): Promise<void> {
  const cache = join(root, 'dist/compile-cache')
  await rm(cache, { recursive: true, force: true })
  const scratch = await mkdtemp(join(tmpdir(), 'plexus-build-'))
  const conf = (extra: object) =>
    JSON.stringify({
      cniVersion: '1.0.0',
      name: 'warm-up',
      type: 'plexus',
      stateDir: join(scratch, 'state'),
      ...extra,
    })
  const cni = {
    CNI_CONTAINERID: 'warm-up',
    CNI_NETNS: join(scratch, 'netns'),
    CNI_IFNAME: 'eth0',
    CNI_PATH: scratch,
  }
  const delegates = [{ type: 'warm-up', ipam: { type: 'warm-up' } }]
  const calls: WarmUp[] = [
    { args: [], env: { ...cni, CNI_COMMAND: 'ADD' }, stdin: conf({ delegates }) },
    { args: [], env: { ...cni, CNI_COMMAND: 'DEL' }, stdin: conf({ delegates }) },
    { args: [], env: { CNI_COMMAND: 'VERSION' }, stdin: conf({}) },
    { args: ['--version'], env: {}, stdin: '' },
  ]
  try {
    for (const call of calls) await runQuietly(join(root, 'dist/main.cjs'), call)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Its answer does not matter, and neither does whether it is an error. */
function runQuietly(main: string, { args, env, stdin }: WarmUp): Promise<void> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], { env, timeout: 10_000 }, () => resolve())
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(stdin)
  })
}

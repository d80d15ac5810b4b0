import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { needProgram } from './program.ts'
import { findRemains, type Remains } from './remains.ts'
import { mergedResultRows, pluginCallRows } from './report.ts'
import { callEnvironment, callPlugin, IF_NAME, type Sandbox } from './runtime.ts'
import { NAMESPACE, PING_IF_NAME } from './scenario.ts'
import { type Play, placesOf, prepareScene, type Scene } from './scene.ts'
import type { Fact, Screen } from './screen.ts'

/**
 * Plays the demo from the first line to the last; the stage is cleared at its end.
 *
 * @returns Whether everything that was checked holds.
 * @throws {Error} When a step fails, with the words of the program that failed.
 */
export async function playStory(play: Play): Promise<boolean> {
  const start = performance.now()
  const { screen, stage } = play
  announce(play)
  const scene = await prepareScene(play)
  const look = (): Promise<Remains[]> => findRemains(stage, placesOf(scene))
  let isClean = false
  try {
    await showPlan(scene)
    const before = await look()
    const results = await attach(scene)
    showResults(scene, results)
    await lookInside(scene)
    await ping(scene)
    await drawPictures(scene)
    const during = await look()
    await detach(scene)
    isClean = showRemains(screen, before, during, await look())
  } catch (error) {
    await undo(scene)
    throw error
  }
  const isGone = await removeStage(play)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  screen.say(
    isClean && isGone
      ? `Done in ${seconds} s: two pods were attached to three networks each, and nothing is left of it.`
      : 'Something was left behind; the lines marked ✗ say what.',
  )
  return isClean && isGone
}

function announce({ screen, binDirs }: Play): void {
  screen.say(
    'Plexus demo. Kubernetes gives a pod one network interface. Plexus is a CNI plugin that gives it more: ' +
      'it calls one plugin for each network that the pod asks for, hands one merged result back, and ' +
      'undoes all of it when the pod goes.',
  )
  screen.step('What will happen')
  screen.say(
    'The demo makes three network namespaces: one that plays the node and two that are pods. It attaches ' +
      'both pods to the default network and to two extra networks, looks at them from inside, sends a ping ' +
      "over an extra network, and deletes everything. All happens inside those namespaces: this machine's " +
      'own interfaces, bridges and firewall rules stay as they are.',
  )
  screen.table(
    ['network', 'in the pod', 'made by the plugins', 'addresses', 'asked for by'],
    [
      ['cluster', IF_NAME, 'bridge + portmap', '10.244.0.0/24', 'the node: it is the default network'],
      ['storage', 'net1', 'macvlan', '192.168.10.0/24', "the pod's annotation"],
      ['data', PING_IF_NAME, 'bridge + tuning', '10.20.0.0/24', "the pod's annotation"],
    ],
  )
  screen.say(`The plugins are the usual ones, taken from ${binDirs.join(', ')}.`)
}

async function showPlan({ screen, executable, binDirs, folders, confFile, signal }: Scene): Promise<void> {
  screen.step('The plan')
  screen.say(
    'Before anything runs, Plexus decides every interface name, plugin and setting. "plexus explain" prints ' +
      'that plan without touching anything:',
  )
  const places = binDirs.flatMap((dir) => ['--bin-dir', dir])
  const args = ['explain', folders.manifests, '--conf', confFile, ...places]
  screen.command(['plexus', ...args].join(' '))
  screen.show(await needProgram(executable, args, { signal }))
}

type Results = ReadonlyMap<Sandbox, Awaited<ReturnType<typeof callPlugin>>>

async function attach({ screen, runtime, sandboxes, folders }: Scene): Promise<Results> {
  screen.step('Attach the pods (ADD)')
  const [first] = sandboxes
  if (first !== undefined) {
    screen.say(
      'A container runtime (containerd, CRI-O) starts the plugin with these variables in its environment ' +
        'and the configuration on standard input; the demo does just that, on the node:',
    )
    const variables = Object.entries(callEnvironment(runtime, 'ADD', first))
    screen.show(variables.map(([name, value]) => `${name}=${value}`).join('\n'))
    screen.command('plexus < plexus.conf')
  }
  const results = new Map<Sandbox, Awaited<ReturnType<typeof callPlugin>>>()
  for (const sandbox of sandboxes) {
    const answer = await callPlugin(runtime, 'ADD', sandbox)
    results.set(sandbox, answer)
    screen.say(`Pod ${sandbox.pod.name}: ADD took ${Math.round(answer.durationMs)} ms. Plexus called:`)
    const rows = pluginCallRows(folders.stateDir, { containerId: sandbox.containerId, ifName: IF_NAME })
    screen.table(['network', 'interface', 'plugin', 'began after', 'took'], rows)
  }
  return results
}

function showResults({ screen }: Scene, results: Results): void {
  screen.step('The merged result')
  screen.say(
    'Each plugin reports what it made. The runtime gets one result for all of them, the default network first:',
  )
  for (const [{ pod }, { result }] of results) {
    screen.say(`Pod ${pod.name}:`)
    screen.table(['interface', 'where', 'MAC', 'address', 'gateway'], mergedResultRows(result))
  }
}

async function lookInside({ screen, stage, sandboxes }: Scene): Promise<void> {
  screen.step('The pods as they see themselves')
  for (const { pod, netns } of sandboxes) {
    screen.say(`Inside pod ${pod.name}:`)
    for (const args of [
      ['-brief', 'address'],
      ['-4', 'route'],
    ]) {
      screen.command(`ip ${args.join(' ')}`)
      screen.show(await stage.runInside(netns, 'ip', ...args))
    }
  }
}

async function ping({ screen, stage, sandboxes }: Scene): Promise<void> {
  const [from, to] = sandboxes
  if (from === undefined || to === undefined) return
  screen.step('A ping over the network "data"')
  const found = JSON.parse(
    await stage.runInside(to.netns, 'ip', '-json', '-4', 'address', 'show', PING_IF_NAME),
  )
  const address: string = found[0].addr_info[0].local
  screen.say(`From pod ${from.pod.name} to pod ${to.pod.name}, over ${PING_IF_NAME} and not over ${IF_NAME}:`)
  const args = ['-c', '3', '-i', '0.2', '-W', '2', '-I', PING_IF_NAME, address]
  screen.command(`ping ${args.join(' ')}`)
  screen.show(await stage.runInside(from.netns, 'ping', ...args))
}

async function drawPictures(scene: Scene): Promise<void> {
  const { screen, executable, folders, pictures, sandboxes, signal } = scene
  if (pictures === undefined) return
  screen.step('Pictures')
  screen.say('What hangs on what, and how one pod got its networks, drawn from the journal:')
  mkdirSync(pictures, { recursive: true })
  const [first] = sandboxes
  const ofPod = first === undefined ? [] : ['--pod', `${NAMESPACE}/${first.pod.name}`]
  for (const [file, ...choice] of [['map.svg'], ['map-pod.svg', ...ofPod]]) {
    const args = ['map', '--state-dir', folders.stateDir, ...choice, '--out', join(pictures, file ?? '')]
    screen.command(['plexus', ...args].join(' '))
    await needProgram(executable, args, { signal })
  }
}

async function detach({ screen, runtime, sandboxes }: Scene): Promise<void> {
  screen.step('Delete the pods (DEL)')
  screen.say(
    'The same command with CNI_COMMAND=DEL. Plexus reads from its journal what it called for the pod, and ' +
      'calls the same plugins in reverse order to undo it:',
  )
  const rows: string[][] = []
  for (const sandbox of sandboxes) {
    const { durationMs } = await callPlugin(runtime, 'DEL', sandbox)
    rows.push([sandbox.pod.name, `${Math.round(durationMs)} ms`])
  }
  screen.table(['pod', 'DEL took'], rows)
}

/** Deletes what may be attached, whatever state it is in; the stage takes the rest. */
async function undo({ runtime, sandboxes }: Scene): Promise<void> {
  const { signal } = new AbortController()
  for (const sandbox of sandboxes) {
    // The failure that led here is what the user is told.
    await callPlugin({ ...runtime, signal }, 'DEL', sandbox).catch(() => undefined)
  }
}

function showRemains(
  screen: Screen,
  before: readonly Remains[],
  during: readonly Remains[],
  after: readonly Remains[],
): boolean {
  screen.step('What is left?')
  screen.say('Counted before ADD, while the pods were attached, and now:')
  screen.table(
    ['', 'before', 'attached', 'now'],
    after.map(({ what, found }, index) => [
      what,
      String(before[index]?.found.length),
      String(during[index]?.found.length),
      String(found.length),
    ]),
  )
  const facts = after.map(({ what, found }, index): Fact => {
    const left = found.filter((line) => before[index]?.found.includes(line) !== true)
    return { holds: left.length === 0, text: `${what}: ${left.length === 0 ? 'none left' : left.join(', ')}` }
  })
  screen.verdict(facts)
  screen.say(
    'The bridges cni0 and br-data stay on a node for the next pod: the bridge plugin never removes them. ' +
      'Here they go together with the node.',
  )
  return facts.every(({ holds }) => holds)
}

async function removeStage({ screen, stage, manifests }: Play): Promise<boolean> {
  screen.step('Clean up')
  const faults = await stage.clear()
  const left = stage.namespaces()
  screen.verdict([
    ...faults.map((text) => ({ holds: false, text })),
    {
      holds: left.length === 0,
      text:
        left.length === 0
          ? 'the network namespaces of the node and the pods: deleted, with all that was in them'
          : `network namespaces: ${left.join(', ')}`,
    },
    { holds: !existsSync(stage.dir), text: `the folder ${stage.dir} with all files of this demo: deleted` },
    ...(manifests === undefined ? [] : [{ holds: true, text: `the manifests stay in ${manifests}` }]),
  ])
  return faults.length === 0 && left.length === 0 && !existsSync(stage.dir)
}

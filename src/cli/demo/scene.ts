import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Places } from './remains.ts'
import type { Runtime, Sandbox } from './runtime.ts'
import {
  DATABASE,
  type DemoFolders,
  NAMESPACE,
  netConf,
  networksManifest,
  podsManifest,
  WEB,
} from './scenario.ts'
import type { Screen } from './screen.ts'
import { createFolder, createNode, type Stage } from './stage.ts'

/** What the story is played with. */
export interface Play {
  readonly stage: Stage
  readonly screen: Screen
  readonly signal: AbortSignal
  /** Path of `bin/plexus`. */
  readonly executable: string
  /** Directories of CNI plugins. */
  readonly binDirs: readonly string[]
  /** Folders that the user chose instead of the stage's. */
  readonly stateDir: string | undefined
  readonly manifests: string | undefined
  /** Folder to leave pictures in. */
  readonly pictures: string | undefined
}

/** A {@link Play} with everything that was made for it. */
export interface Scene extends Play {
  readonly runtime: Runtime
  readonly sandboxes: readonly Sandbox[]
  readonly folders: DemoFolders
  readonly confFile: string
}

/**
 * Writes the manifests and the net-conf, makes the namespaces, and shows all of it.
 *
 * @throws {Error} When a namespace cannot be made.
 */
export async function prepareScene(play: Play): Promise<Scene> {
  const { screen, stage, signal, executable, binDirs } = play
  screen.step('The node, the pods and their networks')
  const folders = {
    manifests: play.manifests ?? createFolder(stage, 'manifests'),
    stateDir: play.stateDir ?? createFolder(stage, 'state'),
    leaseDir: createFolder(stage, 'leases'),
  }
  mkdirSync(folders.manifests, { recursive: true })
  const conf = netConf(folders)
  const confFile = join(stage.dir, 'plexus.conf')
  const nads = networksManifest(folders.leaseDir)
  const pods = podsManifest()
  writeFileSync(confFile, `${JSON.stringify(conf, null, 2)}\n`)
  writeFileSync(join(folders.manifests, 'demo-networks.yaml'), nads)
  writeFileSync(join(folders.manifests, 'demo-pods.yaml'), pods)

  screen.say('The extra networks, as NetworkAttachmentDefinitions (NADs), the standard way to describe them:')
  screen.show(nads)
  screen.say('The pods ask for them in an annotation, one in the short form and one in the JSON form:')
  screen.show(pods)
  screen.say(
    'The configuration of the node. "delegates" is the default network; "manifests" is the folder with ' +
      'the two files above, which takes the place of a Kubernetes API server:',
  )
  screen.show(JSON.stringify(conf, null, 2))

  const node = await createNode(stage)
  const sandboxes: Sandbox[] = []
  for (const pod of [WEB, DATABASE]) {
    const netns = await stage.createNetns(pod.name)
    sandboxes.push({ pod, containerId: `${stage.prefix}-${pod.name}`, netns })
  }
  screen.say('The network namespaces are made:')
  screen.table(
    ['namespace', 'what it is'],
    [
      [node, 'the node; its "network card" is the virtual link uplink0'],
      ...sandboxes.map(({ netns, pod }) => [
        netns,
        `the pod ${NAMESPACE}/${pod.name}, still without a network`,
      ]),
    ],
  )
  const runtime: Runtime = { executable, node, conf, binDirs, signal }
  return { ...play, runtime, sandboxes, folders, confFile }
}

/** Where the pods of a scene can leave something. */
export function placesOf({ runtime, sandboxes, folders }: Scene): Places {
  const { leaseDir, stateDir } = folders
  return { node: runtime.node, pods: sandboxes.map(({ netns }) => netns), leaseDir, stateDir }
}

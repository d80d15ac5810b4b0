import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '../../src/cni/json.ts'
import type { CniVersion } from '../../src/cni/version.ts'
import { type DefaultNetworkKeeper, keepDefaultNetwork } from '../../src/node/default-network-keeper.ts'
import { atEnd } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'

/** A keeper of a real folder, with what it said and told. */
export interface KeptFolder {
  readonly folder: string
  /** Our list. */
  readonly path: string
  readonly pinFile: string
  readonly keeper: DefaultNetworkKeeper
  /** `level: message` of everything said so far. */
  readonly said: readonly string[]
  /** Name of the default network at each change, '' for none. */
  readonly networks: readonly string[]
  /** Our list as it is now. */
  list(): { cniVersion: string; name: string; plugins: JsonObject[] }
  /** Puts a file there as a careful writer does. */
  put(name: string, content: unknown): void
  /** Puts one there in place, as a careless one does. */
  overwrite(name: string, text: string): void
}

/** How a folder is kept. */
export interface KeptFolderOptions {
  readonly folder?: string
  /** Folder of our list, when it is another one. */
  readonly listFolder?: string
  readonly pinFile?: string
  readonly cniVersion?: CniVersion
  readonly runtimeVersion?: () => CniVersion | undefined
  readonly isWanted?: () => boolean
}

/** Starts a keeper; it is closed when the test process ends. */
export function keptFolder(options: KeptFolderOptions = {}): KeptFolder {
  const folder = options.folder ?? join(tempDir('kept'), 'net.d')
  if (options.folder === undefined) mkdirSync(folder)
  const pinFile = options.pinFile ?? join(tempDir('state'), 'default-network.json')
  const said: string[] = []
  const networks: string[] = []
  const listFolder = options.listFolder ?? folder
  const path = join(listFolder, '00-plexus.conflist')
  const keeper = keepDefaultNetwork({
    search: {
      confDir: folder,
      pinFile,
      changed: (network) => networks.push(network?.conflist.name ?? ''),
    },
    conflist: {
      folder: listFolder,
      cniVersion: options.cniVersion,
      runtimeVersion: options.runtimeVersion ?? (() => undefined),
      netConf: {},
      isWanted: options.isWanted ?? (() => true),
    },
    report: (level, message) => said.push(`${level}: ${message}`),
  })
  atEnd(() => keeper.close())
  return {
    folder,
    path,
    pinFile,
    keeper,
    said,
    networks,
    list: () => JSON.parse(readFileSync(path, 'utf8')),
    put(name, content) {
      const text = typeof content === 'string' ? content : JSON.stringify(content)
      writeFileSync(join(folder, `.${name}.aside`), text)
      renameSync(join(folder, `.${name}.aside`), join(folder, name))
    },
    overwrite: (name, text) => writeFileSync(join(folder, name), text),
  }
}

/** The list of a default network whose plugins have these types; `portmap` and `bandwidth` declare what they do. */
export function defaultList(name: string, ...types: readonly string[]): JsonObject {
  const capabilities: Readonly<Record<string, object>> = {
    portmap: { capabilities: { portMappings: true } },
    bandwidth: { capabilities: { bandwidth: true } },
  }
  return { cniVersion: '0.3.1', name, plugins: types.map((type) => ({ type, ...capabilities[type] })) }
}

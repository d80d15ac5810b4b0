import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KeyPair } from './certificates.ts'
import { tempDir } from './temp-dir.ts'

/** What a kubeconfig says. */
export interface KubeconfigOptions {
  readonly server: string
  /** PEM file of the certificate authority. */
  readonly ca: string
  readonly token?: string
  readonly tokenFile?: string
  readonly client?: KeyPair
}

/** Writes a kubeconfig, by rename over an earlier one when its path is given, and gives its path. */
export function writeKubeconfig(
  { server, ca, token, tokenFile, client }: KubeconfigOptions,
  path = join(tempDir('kubeconfig'), 'kubeconfig'),
): string {
  const user = {
    ...(token === undefined ? {} : { token }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(client === undefined ? {} : { 'client-certificate': client.cert, 'client-key': client.key }),
  }
  const conf = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': ca } }],
    users: [{ name: 'test', user }],
  }
  writeFileSync(`${path}.new`, JSON.stringify(conf), { mode: 0o600 })
  renameSync(`${path}.new`, path)
  return path
}

import { readFileSync, statSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'

/** Where a pod finds the API server's certificate authority and its own token. */
const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Where the API server is and how to prove who asks; never logged, never written. */
export interface Credentials {
  /** `https://host:port` and perhaps a path, without a slash at its end. */
  readonly server: string
  /** Changes with everything below but the token: connections made before are of no use then. */
  readonly tls: TlsCredentials
  readonly token: string | undefined
}

/** What a TLS connection to the API server needs, in the names of node:tls. */
export interface TlsCredentials {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

/** Reads the credentials as they are now. */
export interface CredentialSource {
  /**
   * The same object as long as no file has changed, so that a rotation is seen at the next request and
   * costs the others a look at the files' times. While a file is half written: what it was before.
   *
   * @throws {CniError} TryAgainLater when a file cannot be read; InvalidNetworkConfig when it is wrong.
   */
  current(): Credentials
  /** Told that the API server refuses them: the next time everything is read again, or is a fault. */
  forget(): void
}

/** How a kubeconfig is read. */
export interface KubeconfigOptions {
  /** The context to take; default its current one. */
  readonly context?: string | undefined
  /**
   * Runs the program that `user.exec` names and gives the `status` of what it printed. Without it such a user
   * is a fault: whoever writes the kubeconfig decides what is run.
   */
  readonly runProgram?: (exec: JsonObject) => JsonObject
}

/**
 * The credentials of a kubeconfig's context: certificate authority, client certificate and key (in it or as
 * files), token or token file. The kubeconfig and all files that it names may change at any time.
 */
export function kubeconfigCredentials(path: string, options: KubeconfigOptions = {}): CredentialSource {
  return watchedFiles((read) => readKubeconfig(path, read, options))
}

/**
 * The credentials that Kubernetes gives every pod, or `undefined` outside of one. A token that is not there at the
 * moment is a fault and no sign of being outside: without a cluster a pod would get fewer networks.
 */
export function inClusterCredentials(
  env: Readonly<Record<string, string | undefined>>,
  dir = SERVICE_ACCOUNT_DIR,
): CredentialSource | undefined {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env
  if (host === '' || statSync(dir, { throwIfNoEntry: false }) === undefined) return undefined
  return watchedFiles((read) => ({
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    tls: { ca: read(`${dir}/ca.crt`) },
    token: read(`${dir}/token`).trim(),
  }))
}

type ReadFile = (path: string) => string

/** Keeps what was read until one of the files read for it is another. */
function watchedFiles(load: (read: ReadFile) => Credentials): CredentialSource {
  let known: Credentials | undefined
  let isDoubted = false
  let signatures = new Map<string, string>()
  return {
    current() {
      const isUnchanged = [...signatures].every(([path, was]) => signature(path) === was)
      if (known !== undefined && isUnchanged && !isDoubted) return known
      const seen = new Map<string, string>()
      let next: Credentials
      try {
        next = load((path) => {
          // Before reading: a change in between is seen next time.
          seen.set(path, signature(path))
          return readText(path)
        })
      } catch (error) {
        // In the middle of a rotation that is not atomic; what was good a moment ago still is.
        if (known !== undefined && !isDoubted) return known
        throw error
      }
      const tls = known?.tls
      const isSameTls = tls !== undefined && JSON.stringify(tls) === JSON.stringify(next.tls)
      known = isSameTls ? { ...next, tls } : next
      signatures = seen
      isDoubted = false
      return known
    },
    forget() {
      isDoubted = true
    },
  }
}

/** A projected volume is replaced by renaming a link: another inode. */
function signature(path: string): string {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    return stat === undefined ? 'absent' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`
  } catch {
    // Reading it tells why.
    return 'unreadable'
  }
}

function readText(path: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new CniError(
      CniErrorCode.TryAgainLater,
      `credentials for the API server cannot be read: ${toCniError(error).message}`,
      { cause: error, hint: `make ${path} readable for Plexus` },
    )
  }
  if (text.trim() !== '') return text
  throw new CniError(CniErrorCode.TryAgainLater, `credentials for the API server: ${path} is empty`, {
    hint: `write ${path} anew`,
  })
}

function readKubeconfig(path: string, read: ReadFile, options: KubeconfigOptions): Credentials {
  const text = read(path)
  const fault = (message: string, hint = `correct ${path}`): CniError =>
    new CniError(CniErrorCode.InvalidNetworkConfig, `kubeconfig ${path}: ${message}`, { hint })
  let conf: unknown
  try {
    conf = parse(text)
  } catch {
    // The parser's message quotes the text, which has secrets in it.
    throw fault('it is not YAML')
  }
  if (!isJsonObject(conf)) throw fault('it is empty or no mapping')
  const contextName = options.context ?? conf['current-context']
  const context = named(conf.contexts, contextName, 'context')
  if (context === undefined) {
    const names = namesOf(conf.contexts)
    throw fault(
      `it has no context ${JSON.stringify(contextName ?? 'current-context')}, only: ${names.join(', ') || 'none'}`,
    )
  }
  const cluster = named(conf.clusters, context.cluster, 'cluster')
  if (cluster === undefined) throw fault(`it has no cluster ${JSON.stringify(context.cluster)}`)
  const user = context.user === undefined ? {} : named(conf.users, context.user, 'user')
  if (user === undefined) throw fault(`it has no user ${JSON.stringify(context.user)}`)
  const { server } = cluster
  if (typeof server !== 'string' || !/^https:\/\/\S+$/.test(server))
    throw fault(`cluster.server must be an https URL`, 'set cluster.server to https://HOST:PORT')
  const { runProgram } = options
  for (const key of ['exec', 'auth-provider', 'username', 'password', 'as']) {
    if (user[key] !== undefined && !(key === 'exec' && runProgram !== undefined))
      throw fault(`user.${key} is not supported`, 'use a token, a tokenFile or a client certificate')
  }
  if (cluster['proxy-url'] !== undefined)
    throw fault('cluster.proxy-url is not supported', 'give Plexus a direct way to the API server')

  /** `<key>-data` (base64) wins over the file that `<key>` names, as in kubectl. */
  const material = (from: JsonObject, key: string): string | undefined => {
    const data = from[`${key}-data`]
    if (typeof data === 'string' && data !== '') return Buffer.from(data, 'base64').toString('utf8')
    const file = from[key]
    return typeof file === 'string' && file !== '' ? read(resolve(dirname(path), file)) : undefined
  }
  const { token, tokenFile, exec } = user
  const program = isJsonObject(exec) ? runProgram?.(exec) : undefined
  const tls = {
    ca: material(cluster, 'certificate-authority'),
    cert: textOf(program?.clientCertificateData) ?? material(user, 'client-certificate'),
    key: textOf(program?.clientKeyData) ?? material(user, 'client-key'),
    servername: typeof cluster['tls-server-name'] === 'string' ? cluster['tls-server-name'] : undefined,
    rejectUnauthorized: cluster['insecure-skip-tls-verify'] === true ? false : undefined,
  }
  return {
    server: server.replace(/\/+$/, ''),
    tls: Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined)),
    token:
      textOf(program?.token) ??
      (typeof tokenFile === 'string' && tokenFile !== ''
        ? read(resolve(dirname(path), tokenFile)).trim()
        : textOf(token)),
  }
}

/** `clusters: [{name: x, cluster: {…}}]` */
function named(list: unknown, name: unknown, key: string): JsonObject | undefined {
  if (!Array.isArray(list) || typeof name !== 'string') return undefined
  const entry = list.filter(isJsonObject).find((candidate) => candidate.name === name)
  const value = entry?.[key]
  return isJsonObject(value) ? value : undefined
}

function namesOf(list: unknown): string[] {
  return Array.isArray(list) ? list.filter(isJsonObject).map(({ name }) => String(name)) : []
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

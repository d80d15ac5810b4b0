import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** A certificate and its key, PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
  readonly expiresAt: Date
}

/** The pair of files that a Secret of type `kubernetes.io/tls` is mounted as, read anew when they change. */
export interface ServingCertificate {
  /** What is in force. */
  readonly current: KeyPair
  /** Why the files as they are now are not in force; `undefined` when they are. */
  readonly fault: string | undefined
  close(): void
}

/** A mounted Secret is swapped by links, which no watch on the files sees: so they are looked at. */
const LOOK_INTERVAL_MS = 500

/**
 * @param changed Told of a new pair that is in force, or of why the old one stays.
 * @throws {CniError} When the pair is unusable at the start.
 */
export function watchServingCertificate(
  folder: string,
  changed: (pair: KeyPair | undefined, fault: string | undefined) => void,
): ServingCertificate {
  const files = [join(folder, 'tls.crt'), join(folder, 'tls.key')] as const
  const look = (): string => files.map(signature).join()
  let inForce = look()
  let seen = inForce
  let current = readPair(files)
  let fault: string | undefined
  const timer = setInterval(() => {
    const now = look()
    const isSettled = now === seen
    seen = now
    // One of the two may be written already: what stays for two looks is read.
    if (!isSettled || now === inForce) return
    inForce = now
    try {
      current = readPair(files)
      fault = undefined
      changed(current, undefined)
    } catch (error) {
      fault = toCniError(error).message
      changed(undefined, fault)
    }
  }, LOOK_INTERVAL_MS)
  timer.unref()
  return {
    get current() {
      return current
    },
    get fault() {
      return fault
    },
    close: () => clearInterval(timer),
  }
}

function readPair([certFile, keyFile]: readonly [string, string]): KeyPair {
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      throw unusable(`${file} cannot be read: ${toCniError(error).message}`, error)
    }
  }
  const [cert, key] = [read(certFile), read(keyFile)]
  try {
    // Also says when they do not belong together.
    createSecureContext({ cert, key })
    return { cert, key, expiresAt: new Date(new X509Certificate(cert).validTo) }
  } catch (error) {
    throw unusable(`${certFile} and ${keyFile}: ${toCniError(error).message}`, error)
  }
}

function unusable(reason: string, cause: unknown): CniError {
  return new CniError(CniErrorCode.Io, `the serving certificate is unusable: ${reason}`, {
    cause,
    hint: 'mount the Secret with tls.crt and tls.key there; plexus webhook cert makes one',
  })
}

function signature(file: string): string {
  try {
    const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? 'absent' : [stat.dev, stat.ino, stat.size, stat.mtimeNs].join(':')
  } catch (error) {
    // Reading it says what is wrong.
    return `unreadable: ${toCniError(error).message}`
  }
}

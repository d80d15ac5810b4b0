import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { type WatchedFiles, watchFiles } from '../store/watched-files.ts'

/** A certificate and its key, PEM. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
  readonly expiresAt: Date
}

/**
 * The pair of files that a Secret of type `kubernetes.io/tls` is mounted as, read anew when they change.
 *
 * @param changed Told of a new pair that is in force, or of why the old one stays.
 * @throws {CniError} When the pair is unusable at the start.
 */
export function watchServingCertificate(
  folder: string,
  changed: (pair: KeyPair | undefined, fault: string | undefined) => void,
): WatchedFiles<KeyPair> {
  const files = [join(folder, 'tls.crt'), join(folder, 'tls.key')] as const
  return watchFiles(files, () => readPair(files), changed)
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

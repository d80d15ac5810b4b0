import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from './temp-dir.ts'

/** PEM files of a certificate and its key. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** A certificate authority of the test's own. */
export interface CertificateAuthority {
  /** PEM file of its certificate. */
  readonly ca: string
  /** A serving certificate for loopback, valid for 30 days unless others are given. */
  serving(name: string, days?: number): KeyPair
  /** A client certificate: the user's name, and the groups that the API server reads in it. */
  client(user: string, groups?: readonly string[]): KeyPair
}

/** Makes a certificate authority with openssl(1); its files go with the test process. */
export function certificateAuthority(name = 'test-ca'): CertificateAuthority {
  const dir = tempDir('pki')
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 })
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const subject = ['-x509', '-days', '30', '-subj', `/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign']
  openssl('req', ...subject, ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt')
  const ca = join(dir, 'ca.crt')
  let count = 0
  const issue = (subject: string, extensions: string, days = 30): KeyPair => {
    count += 1
    const [key, request, cert, conf] = ['key', 'csr', 'crt', 'cnf'].map((end) => `${count}.${end}`)
    writeFileSync(join(dir, conf ?? ''), extensions)
    openssl('req', ...newKey, '-subj', subject, '-keyout', key ?? '', '-out', request ?? '')
    const sign = [
      'x509',
      '-req',
      '-days',
      String(days),
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
    ]
    openssl(...sign, '-in', request ?? '', '-extfile', conf ?? '', '-out', cert ?? '')
    return { cert: join(dir, cert ?? ''), key: join(dir, key ?? '') }
  }
  return {
    ca,
    serving: (commonName, days) =>
      issue(
        `/CN=${commonName}`,
        'subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n',
        days,
      ),
    client: (user, groups = []) =>
      issue(`${groups.map((group) => `/O=${group}`).join('')}/CN=${user}`, 'extendedKeyUsage=clientAuth\n'),
  }
}
